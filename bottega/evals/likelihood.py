"""How likely a model finds given text: the pass that bits per byte and multiple choice share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

if TYPE_CHECKING:
    from bottega.model.decoder import Decoder

BATCH_TOKENS = 8192
_LOGIT_ROWS = 2048


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of text: S inputs and, shifted by one, their S targets."""

    tokens: NDArray[np.int64]  # [S + 1]
    counted: NDArray[np.bool_]  # [S]: which targets count


def score_windows(
    model: Decoder, windows: Sequence[Window], batch_tokens: int = BATCH_TOKENS
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Of each window, the nats of the targets that count, and whether all of them were the likeliest."""
    nats, greedy = np.zeros(len(windows)), np.zeros(len(windows), bool)
    for batch in _batches(windows, batch_tokens):
        nats[batch], greedy[batch] = _score_batch(model, [windows[i] for i in batch])
    return nats, greedy


def _batches(windows: Sequence[Window], batch_tokens: int) -> Iterator[list[int]]:
    """Windows of like length together, at most ``batch_tokens`` a batch, padding included."""
    batch: list[int] = []
    for i in sorted(range(len(windows)), key=lambda i: len(windows[i].tokens)):
        if batch and (len(batch) + 1) * len(windows[i].tokens) > batch_tokens:
            yield batch
            batch = []
        batch.append(i)
    if batch:
        yield batch


@torch.inference_mode()
def _score_batch(model: Decoder, batch: list[Window]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Padding is on the right, seen by no real token."""
    width = max(len(w.tokens) for w in batch) - 1
    inputs = np.zeros((len(batch), width), np.int64)
    targets = np.zeros((len(batch), width), np.int64)
    counted = np.zeros((len(batch), width), bool)
    for row, window in enumerate(batch):
        n = len(window.tokens) - 1
        inputs[row, :n], targets[row, :n] = window.tokens[:-1], window.tokens[1:]
        counted[row, :n] = window.counted
    device = next(model.parameters()).device
    tokens = torch.from_numpy(inputs).to(device)
    mask = torch.from_numpy(counted).to(device)
    hidden = model(tokens, torch.arange(width, device=device).expand_as(tokens))[mask]  # [N, D]
    wanted = torch.from_numpy(targets).to(device)[mask]
    nats, missed = [], []
    for h, t in zip(torch.split(hidden, _LOGIT_ROWS), torch.split(wanted, _LOGIT_ROWS), strict=True):
        logits = model.logits(h).float()
        nats.append(F.cross_entropy(logits, t, reduction="none"))
        missed.append(logits.argmax(dim=-1) != t)
    rows = torch.nonzero(mask)[:, 0]
    sums = torch.zeros(2, len(batch), dtype=torch.float64, device=device)
    sums[0].index_add_(0, rows, torch.cat(nats).double())
    sums[1].index_add_(0, rows, torch.cat(missed).double())
    total = sums.cpu().numpy()
    return total[0], total[1] == 0
