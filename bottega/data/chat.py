"""Conversations as tokens, with the loss on what the assistant says.

Our format is ChatML: ``<|im_start|>role``, newline, content, ``<|im_end|>``, newline. ``CHAT_TEMPLATE`` is
the same in Jinja. A tokenizer that brings another template is followed in that.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from bottega.data.chat_template import CHAT_TEMPLATE
from bottega.data.encoded import Encoded
from bottega.data.records import Conversation, Message
from bottega.data.tokenizer import Tokenizer

__all__ = ["CHAT_TEMPLATE", "Encoded", "encode_chat", "encode_conversations"]


def encode_chat(
    tokenizer: Tokenizer, messages: Sequence[Message], add_generation_prompt: bool = False
) -> Encoded:
    """Tokens of a conversation, with each token's weight as a target.

    The weight is the message's ``loss_weight`` on its content and on the token that ends its turn, and 0 on
    all else: headers, and the newline between turns. Text in messages never becomes a control token.
    """
    template = _template(tokenizer)
    if template != CHAT_TEMPLATE:
        from bottega.data.rendered import encode_rendered

        return encode_rendered(tokenizer, template, messages, add_generation_prompt)
    start, end = tokenizer.require("im_start"), tokenizer.require("im_end")
    heads = [f"{message.role}\n" for message in messages]
    # Role and content are one text, as they are in the template: a newline that begins the content may join
    # the header's into one token.
    texts = [head + message.content for head, message in zip(heads, messages, strict=True)]
    *bodies, newline, prompt = tokenizer.encode_batch([*texts, "\n", "assistant\n"])
    ids: list[int] = []
    weights: list[float] = []
    for message, head, body in zip(messages, heads, bodies, strict=True):
        header = _tokens_within(tokenizer, body, len(head))
        ids += [start, *body, end, *newline]
        weights += [0.0] * (1 + header)
        weights += [message.loss_weight] * (len(body) - header + 1)
        weights += [0.0] * len(newline)
    if add_generation_prompt:
        ids += [start, *prompt]
        weights += [0.0] * (1 + len(prompt))
    return Encoded(ids, weights, sum(len(message.content.encode()) for message in messages))


def encode_conversations(
    tokenizer: Tokenizer, conversations: Iterable[Conversation | Sequence[Message]]
) -> Iterator[Encoded]:
    """Encode conversations one after the other."""
    for conversation in conversations:
        messages = conversation.messages if isinstance(conversation, Conversation) else conversation
        yield encode_chat(tokenizer, messages)


def _template(tokenizer: Tokenizer) -> str:
    """The folder's own template; ours where it has none, if it has our control tokens."""
    template = tokenizer.config.get("chat_template")
    if isinstance(template, list):  # several, by name
        named = {entry["name"]: entry["template"] for entry in template}
        template = named.get("default")
    return CHAT_TEMPLATE if template is None else str(template)


def _tokens_within(tokenizer: Tokenizer, ids: Sequence[int], size_bytes: int) -> int:
    """How many tokens end within the first ``size_bytes``: one that straddles them is not counted."""
    end = 0
    for n, token in enumerate(ids):
        end += len(tokenizer.token_bytes(token))
        if end > size_bytes:
            return n
    return len(ids)
