"""Bits per byte of held-out text: how well a model predicts it, whatever its tokenizer.

Of documents everything counts; of conversations what the assistant says, given what was said before.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bottega.data.records import Conversation
from bottega.errors import UserError
from bottega.evals.likelihood import BATCH_TOKENS, Window, score_windows
from bottega.evals.score import Score, ratio_score

if TYPE_CHECKING:
    from bottega.data.tokenizer import Tokenizer
    from bottega.model.decoder import Decoder

TEMPLATE = "<|endoftext|>{text}; every byte of the text counts, the end mark does not"
CHAT_TEMPLATE = "the chat template; every byte of the assistant's turns counts, end marks do not"
PLAIN_TEMPLATE = (
    "<|endoftext|>{turns, one below the other}, where chat was never taught; "
    "every byte of the assistant's turns counts"
)


@dataclass(frozen=True, slots=True)
class Passage:
    """What a model reads, and which of it counts."""

    tokens: NDArray[np.int64]  # [1 + n]: the first is read and never predicted
    counted: NDArray[np.bool_]  # [n]: which of the n predictions count
    size_bytes: int  # of the text that counts
    text: str  # what was asked, for the digest of the cases
    answers: str = ""  # of a conversation, what counts: the same however it is asked for


def bits_per_byte(
    model: Decoder,
    tokenizer: Tokenizer,
    documents: Sequence[str],
    context: int,
    *,
    name: str = "bits-per-byte",
    stride: int | None = None,
    batch_tokens: int = BATCH_TOKENS,
    seed: int = 0,
) -> Score:
    """The bits a model needs for each byte of the documents, with a bootstrap interval over documents.

    A document is read from its end-of-text mark on, so its first token is counted too. One longer than
    ``context`` is read in windows ``stride`` apart (default: half of it), and each token is counted once.

    Raises:
        UserError: no document has any text.
    """
    kept = [text for text in documents if text]
    eot, encoded = tokenizer.require("eot"), tokenizer.encode_batch(kept)
    passages = [
        Passage(np.array([eot, *ids], np.int64), np.ones(len(ids), bool), len(text.encode()), text)
        for text, ids in zip(kept, encoded, strict=True)
    ]
    empty = {"empty_documents": float(len(documents) - len(kept))}
    return _score(model, passages, context, stride, batch_tokens, name, TEMPLATE, seed, empty)


def answer_bits_per_byte(
    model: Decoder,
    tokenizer: Tokenizer,
    conversations: Sequence[Conversation],
    context: int,
    *,
    chat: bool,
    name: str = "bits-per-byte",
    stride: int | None = None,
    batch_tokens: int = BATCH_TOKENS,
    seed: int = 0,
) -> Score:
    """The bits a model needs for each byte of what the assistant says, given all that was said before.

    ``chat`` puts the conversation in the chat template; without it the turns stand one below the other, for
    models that were never taught the template. Both are scores of the same cases.

    Raises:
        UserError: no assistant says anything.
    """
    read = _in_template if chat else _in_plain
    passages = [read(tokenizer, conversation) for conversation in conversations]
    kept = [passage for passage in passages if passage.size_bytes]
    template = CHAT_TEMPLATE if chat else PLAIN_TEMPLATE
    empty = {"empty_documents": float(len(passages) - len(kept))}
    return _score(model, kept, context, stride, batch_tokens, name, template, seed, empty)


def answers(conversation: Conversation) -> list[str]:
    """What the assistant says, as far as it counts."""
    return [message.content for message in conversation.messages if message.loss_weight > 0]


def _in_template(tokenizer: Tokenizer, conversation: Conversation) -> Passage:
    from bottega.data.chat import encode_chat

    encoded = encode_chat(tokenizer, conversation.messages)
    assert encoded.weights is not None
    ends = (tokenizer.im_end, tokenizer.eot)
    counted = [w > 0 and i not in ends for w, i in zip(encoded.weights, encoded.ids, strict=True)]
    return _passage(encoded.ids, counted, conversation)


def _in_plain(tokenizer: Tokenizer, conversation: Conversation) -> Passage:
    ids, counted = [tokenizer.require("eot")], [False]
    *turns, newline = tokenizer.encode_batch([*(m.content for m in conversation.messages), "\n"])
    for message, turn in zip(conversation.messages, turns, strict=True):
        ids += [*turn, *newline]
        counted += [message.loss_weight > 0] * len(turn) + [False] * len(newline)
    return _passage(ids, counted, conversation)


def _passage(ids: list[int], counted: list[bool], conversation: Conversation) -> Passage:
    size = sum(len(answer.encode()) for answer in answers(conversation))
    asked = repr([(message.role, message.content) for message in conversation.messages])
    return Passage(
        np.array(ids, np.int64), np.array(counted[1:], bool), size, asked, "\0".join(answers(conversation))
    )


def _score(
    model: Decoder,
    passages: list[Passage],
    context: int,
    stride: int | None,
    batch_tokens: int,
    name: str,
    template: str,
    seed: int,
    details: dict[str, float],
) -> Score:
    stride = stride or max(1, context // 2)
    if not passages:
        raise UserError(f"{name}: there is no held-out text to score; raise `heldout` or give more documents")
    parts = [list(_windows(passage, context, stride)) for passage in passages]
    scored, _ = score_windows(model, [window for part in parts for window in part], batch_tokens)
    nats = np.zeros(len(passages))
    np.add.at(nats, np.repeat(np.arange(len(parts)), [len(part) for part in parts]), scored)
    bits = (nats / math.log(2)).tolist()
    sizes = [float(passage.size_bytes) for passage in passages]
    return ratio_score(
        name,
        bits,
        sizes,
        "bits/byte",
        higher_is_better=False,
        seed=seed,
        template=template,
        cases=_cases_digest(passages),
        details={
            "bytes": sum(sizes),
            "tokens": float(sum(int(p.counted.sum()) for p in passages)),
            **details,
        },
    )


def _cases_digest(passages: Sequence[Passage]) -> str:
    """A digest of what is asked; of conversations in two parts, as in ``tasks.cases_digest``."""
    texts, answered = (
        hashlib.sha256("\0".join(part).encode()).hexdigest()[:16]
        for part in ((p.text for p in passages), (p.answers for p in passages))
    )
    return f"{answered}-{texts}" if any(p.answers for p in passages) else texts


def _windows(passage: Passage, context: int, stride: int) -> Iterator[Window]:
    """Windows over a passage in which every token that counts does so exactly once."""
    tokens, total = passage.tokens, len(passage.counted)
    done, end = 0, min(context, total)
    while done < total:
        start = max(0, end - context)
        counted = passage.counted[start:end].copy()
        counted[: done - start] = False
        if counted.any():
            yield Window(tokens[start : end + 1], counted)
        done, end = end, min(end + stride, total)
