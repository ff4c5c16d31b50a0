"""The prose parts of the school (all but programs and sums), for the tests of this folder."""

from __future__ import annotations

from itertools import islice

import bottega.data.school  # noqa: F401  (fills the registry)
from bottega.data.records import Conversation, Document, Record
from bottega.data.school.registry import records
from bottega.data.school.world import Split

DOCUMENTS = ("prose-en", "prose-zh", "mixed", "lists-en", "lists-zh", "schoolbook-en", "schoolbook-zh")
CONVERSATIONS = tuple(
    f"{name}-{language}"
    for name in ("entailment", "instruct-few", "instruct-many", "dialogues")
    for language in ("en", "zh")
)
PARTS = (*DOCUMENTS, *CONVERSATIONS)


def text_of(record: Record) -> str:
    """All the words of a record."""
    if isinstance(record, Document):
        return record.text
    assert isinstance(record, Conversation)
    return "\n".join(message.content for message in record.messages)


def texts(name: str, n: int, split: Split = "train", world_seed: int = 5) -> list[str]:
    """The first n items of a part as text."""
    return [text_of(record) for record in islice(records(name, world_seed, split), n)]
