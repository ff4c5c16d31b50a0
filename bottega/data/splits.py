"""Held-out by content: a record's side is a function of its normalised text alone.

Two copies of a text, in two files or with other case or spacing, are on the same side; so are two answers to
one prompt, because the side of a conversation is decided by its prompt. Nothing else (order, file, source,
seed) has a say, so that held-out sets of different datasets agree, and a larger fraction holds out all that a
smaller one does.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from hashlib import blake2b
from typing import TypeVar

from bottega.data.records import Document, Labelled, Message, Record

T = TypeVar("T")
KEY_BYTES = 16

# Bytes are folded and stripped in one C pass, some ten times faster than text.
_ASCII_LOWER = bytes(range(256)).lower()
_ASCII_WHITESPACE = bytes(code for code in range(128) if chr(code).isspace())
# Unicode's other whitespace is a plain space after NFKC, but for these.
_OTHER_WHITESPACE = [chr(code).encode() for code in (0x85, 0x1680, 0x2028, 0x2029)]

# The full-width punctuation of Chinese, which NFKC makes ASCII; and runs of all that NFKC may change:
# what the pattern leaves out is stable, and never joins what stands before it.
_WIDE = [(wide, unicodedata.normalize("NFKC", wide)) for wide in "，：；？！（）"]
_UNSTABLE = re.compile(r"[^\x00-\x7f\u4e00-\u9fff、。《》「」“”‘’—·]+")


def normalised(text: str) -> bytes:
    """The text without what a copy may change, in UTF-8: NFKC, case folded, all whitespace taken out.

    Whitespace goes entirely, since Chinese has none to keep.
    """
    if not text.isascii():
        text = _nfkc(_nfkc(text).casefold())
    bare = text.encode("utf-8", "surrogatepass").translate(_ASCII_LOWER, _ASCII_WHITESPACE)
    for space in _OTHER_WHITESPACE if not text.isascii() else ():
        bare = bare.replace(space, b"")
    return bare


def _nfkc(text: str) -> str:
    """NFKC, applied only where it may change something, which on Chinese text is several times faster."""
    if unicodedata.is_normalized("NFKC", text):
        return text
    for wide, narrow in _WIDE:
        text = text.replace(wide, narrow)
    pieces: list[str] = []
    done = 0
    for run in _UNSTABLE.finditer(text):
        start = max(run.start() - 1, done)  # a combining mark may join the character before the run
        pieces += (text[done:start], unicodedata.normalize("NFKC", text[start : run.end()]))
        done = run.end()
    return "".join((*pieces, text[done:]))


def content_key(record: Record) -> bytes:
    """16 bytes that decide the side of ``record``: a hash of its text, or of its prompt where it has one.

    The prompt is what users said before the first answer, whatever the system message: the same request is on
    the same side as a conversation, a comparison, a rated answer or a check.
    """
    if isinstance(record, Document | Labelled):
        return text_key(record.text)
    return text_key(prompt_text(record.messages))


def is_heldout(record: Record, fraction: float) -> bool:
    """Whether the record belongs to the held-out ``fraction`` (0 to 1) of all possible content."""
    return key_is_heldout(content_key(record), fraction)


def key_is_heldout(key: bytes, fraction: float) -> bool:
    """The same, for a key already computed."""
    return int.from_bytes(key[:8], "big") < fraction * 2**64


def text_key(text: str) -> bytes:
    """16 bytes of hash over the normalised text."""
    return blake2b(normalised(text), digest_size=KEY_BYTES).digest()


def prompt_text(messages: Sequence[Message]) -> str:
    """What the users said before the first answer; all messages where no user speaks first."""
    said: list[str] = []
    for message in messages:
        if message.role == "assistant":
            if said:
                break
            continue  # a conversation may open with a greeting, which is nobody's prompt
        if message.role == "user":
            said.append(message.content)
    return "\n".join(said) if said else "\n".join(message.content for message in messages)


def evenly(items: Sequence[T], count: int) -> list[T]:
    """``count`` of the items in their order, spread over all of them; all where there are no more."""
    if count >= len(items):
        return list(items)
    return [items[i * len(items) // count] for i in range(count)]


def widely(items: Sequence[T], count: int, key: Callable[[T], Hashable]) -> list[T]:
    """``count`` of the items in their order, of as many keys as there are: every key's first is taken before
    any key's second. Those of one turn are spread evenly."""
    seen: Counter[Hashable] = Counter()
    turns: dict[int, list[int]] = {}
    for place, item in enumerate(items):
        name = key(item)
        turns.setdefault(seen[name], []).append(place)
        seen[name] += 1
    chosen: list[int] = []
    for _, places in sorted(turns.items()):
        chosen += evenly(places, count - len(chosen))
    return [items[place] for place in sorted(chosen)]
