"""Held-out records asked otherwise: after worked examples, badly put, or with a line missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bottega.data.records import Check, Conversation, Document, Message, Prompt

BEFORE_CHARS, AFTER_CHARS = 600, 300  # of code around a missing line: what a small context holds
_LEAST_CHARS, _MOST_CHARS = 8, 80  # of a line that is worth asking for


def after_examples(conversation: Conversation, examples: Sequence[Conversation]) -> Conversation:
    """The conversation with others before it. Only its own answers count."""
    shown = [replace(message, weight=0.0) for one in examples for message in one.messages]
    return replace(conversation, messages=(*shown, *conversation.messages))


def badly_put(messages: Sequence[Message], index: int) -> tuple[Message, ...]:
    """The messages with what the user says badly put, as the school does it; ``index`` draws how."""
    from bottega.data.language import language
    from bottega.data.school.clumsy import clumsy
    from bottega.data.school.draw import Draw
    from bottega.data.school.registry import world

    def spoilt(message: Message) -> Message:
        if message.role != "user":
            return message
        draw = Draw(
            world(0), "real-requests", "heldout", index, "zh" if language(message.content) == "zh" else "en"
        )
        return replace(message, content=clumsy(draw, message.content, keep=""))

    return tuple(map(spoilt, messages))


def line_missing(document: Document, index: int) -> Prompt | None:
    """The document up to one of its lines, and from there on; None where no line is worth asking for.

    The line is drawn by ``index``, and has lines before and after it.
    """
    import numpy as np

    lines = document.text.splitlines(keepends=True)
    worth = [
        i
        for i, line in enumerate(lines[1:-1], 1)
        if _LEAST_CHARS <= len(line.strip()) <= _MOST_CHARS and not line.lstrip().startswith(("#", '"""'))
    ]
    if not worth:
        return None
    at = worth[int(np.random.default_rng(index).integers(len(worth)))]
    line = lines[at].rstrip("\r\n")
    before = "".join(lines[:at])[-BEFORE_CHARS:]
    after = (lines[at][len(line) :] + "".join(lines[at + 1 :]))[:AFTER_CHARS]
    return Prompt((Message("user", before), Message("user", after)), Check("exact", (line,)), document.origin)
