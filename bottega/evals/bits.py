"""Bits per byte of held-out documents: how well a model predicts text, whatever its tokenizer."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F

from bottega.errors import UserError
from bottega.evals.score import Score, bootstrap_ratio

if TYPE_CHECKING:
    from bottega.data.tokenizer import Tokenizer
    from bottega.model.decoder import Decoder

TEMPLATE = "<|endoftext|>{text}; every byte of the text counts, the end mark does not"


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of one document: ``tokens`` are read, the last ``scored`` of their successors are counted."""

    document: int
    tokens: np.ndarray  # [S + 1]: S inputs and, shifted by one, their S targets
    scored: int


def bits_per_byte(
    model: Decoder,
    tokenizer: Tokenizer,
    documents: Sequence[str],
    context: int,
    *,
    name: str = "bits-per-byte",
    stride: int | None = None,
    batch_tokens: int = 8192,
    seed: int = 0,
) -> Score:
    """The bits a model needs for each byte of the documents, with a bootstrap interval over documents.

    A document is read from its end-of-text mark on, so its first token is counted too. One longer than
    ``context`` is read in windows ``stride`` apart (default: half of it), and each token is counted once.

    Raises:
        UserError: no document has any text.
    """
    stride = stride or max(1, context // 2)
    kept = [text for text in documents if text]
    if not kept:
        raise UserError(f"{name}: there is no held-out text to score; raise `heldout` or give more documents")
    eot, encoded = tokenizer.require("eot"), tokenizer.encode_batch(kept)
    windows = [
        window
        for index, ids in enumerate(encoded)
        for window in _windows(index, np.array([eot, *ids], np.int64), context, stride)
    ]
    nats = np.zeros(len(kept))
    for batch in _batches(windows, batch_tokens):
        np.add.at(nats, [w.document for w in batch], _score_batch(model, batch))
    bits = (nats / math.log(2)).tolist()
    sizes = [float(len(text.encode())) for text in kept]
    low, high = bootstrap_ratio(bits, sizes, seed)
    return Score(
        name,
        sum(bits) / sum(sizes),
        low,
        high,
        len(kept),
        "bits/byte",
        higher_is_better=False,
        seed=seed,
        template=TEMPLATE,
        cases=hashlib.sha256("\0".join(kept).encode()).hexdigest()[:16],
        outcomes=tuple(bits),
        sizes=tuple(sizes),
        details={
            "bytes": sum(sizes),
            "tokens": float(sum(map(len, encoded))),
            "empty_documents": float(len(documents) - len(kept)),
        },
    )


def _windows(document: int, tokens: np.ndarray, context: int, stride: int) -> Iterator[Window]:
    """Windows over ``tokens`` [1 + n] that score each of its n successors exactly once."""
    done, end = 0, min(context, len(tokens) - 1)
    while done < len(tokens) - 1:
        start = max(0, end - context)
        yield Window(document, tokens[start : end + 1], end - done)
        done, end = end, min(end + stride, len(tokens) - 1)


def _batches(windows: list[Window], batch_tokens: int) -> Iterator[list[Window]]:
    """Windows of like length together, at most ``batch_tokens`` a batch, padding included."""
    batch: list[Window] = []
    for window in sorted(windows, key=lambda w: (len(w.tokens), w.document)):
        if batch and (len(batch) + 1) * len(window.tokens) > batch_tokens:
            yield batch
            batch = []
        batch.append(window)
    if batch:
        yield batch


@torch.inference_mode()
def _score_batch(model: Decoder, batch: list[Window]) -> np.ndarray:
    """The nats of the scored tokens of each window, [B]. Padding is on the right, seen by no real token."""
    width = max(len(w.tokens) for w in batch) - 1
    inputs = np.zeros((len(batch), width), np.int64)
    targets = np.zeros((len(batch), width), np.int64)
    counted = np.zeros((len(batch), width), bool)
    for row, window in enumerate(batch):
        n = len(window.tokens) - 1
        inputs[row, :n], targets[row, :n] = window.tokens[:-1], window.tokens[1:]
        counted[row, n - window.scored : n] = True
    device = next(model.parameters()).device
    tokens = torch.from_numpy(inputs).to(device)
    positions = torch.arange(width, device=device).expand_as(tokens)
    mask = torch.from_numpy(counted).to(device)
    hidden = model(tokens, positions)[mask]  # [N, D], only what is counted
    wanted = torch.from_numpy(targets).to(device)[mask]
    nats = torch.cat(
        [
            F.cross_entropy(model.logits(h).float(), t, reduction="none")
            for h, t in zip(torch.split(hidden, 2048), torch.split(wanted, 2048), strict=True)
        ]
    )
    rows = torch.nonzero(mask)[:, 0]
    sums = torch.zeros(len(batch), dtype=torch.float64, device=device).index_add_(0, rows, nats.double())
    return sums.cpu().numpy()
