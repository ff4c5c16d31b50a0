"""The text in a record, whatever its kind: what a tokenizer is learnt from."""

from __future__ import annotations

from collections.abc import Iterator

from bottega.data.records import Comparison, Document, Labelled, Rated, Record


def texts_of(record: Record) -> Iterator[str]:
    """Every text of the record, each message its own."""
    if isinstance(record, Document | Labelled):
        yield record.text
        return
    for message in record.messages:
        yield message.content
    if isinstance(record, Comparison):
        for answer in record.answers:
            yield answer.message.content
    elif isinstance(record, Rated):
        yield record.answer.message.content
