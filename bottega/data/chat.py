"""Conversations as tokens, with the loss on what the assistant says."""

from __future__ import annotations

from collections.abc import Sequence

from bottega.data.chat_template import CHAT_TEMPLATE
from bottega.data.encoded import Encoded
from bottega.data.records import Message
from bottega.data.tokenizer import Tokenizer

__all__ = ["CHAT_TEMPLATE", "Encoded", "encode_chat"]


def encode_chat(
    tokenizer: Tokenizer, messages: Sequence[Message], add_generation_prompt: bool = False
) -> Encoded:
    """Tokens of a conversation, with each token's weight as a target.

    The weight is the message's ``loss_weight`` on its content and on the ``<|im_end|>`` that ends the turn,
    and 0 elsewhere: headers, and the newline between turns.
    """
    start, end = tokenizer.require("im_start"), tokenizer.require("im_end")
    ids: list[int] = []
    weights: list[float] = []
    for message in messages:
        head = f"{message.role}\n"
        body = tokenizer.encode(head + message.content)
        header = _tokens_before(tokenizer, body, len(head.encode()))
        newline = tokenizer.encode("\n")
        weight = message.loss_weight
        ids += [start, *body, end, *newline]
        weights += [0.0] * (1 + header) + [weight] * (len(body) - header + 1) + [0.0] * len(newline)
    if add_generation_prompt:
        prompt = [start, *tokenizer.encode("assistant\n")]
        ids += prompt
        weights += [0.0] * len(prompt)
    return Encoded(ids, weights, sum(len(m.content.encode()) for m in messages))


def _tokens_before(tokenizer: Tokenizer, ids: Sequence[int], size_bytes: int) -> int:
    """How many tokens end within the first ``size_bytes``: one that straddles them is not counted."""
    end = 0
    for n, token in enumerate(ids):
        end += len(tokenizer.token_bytes(token))
        if end > size_bytes:
            return n
    return len(ids)
