"""Records as rows of Parquet: how a frozen dataset keeps them.

A document's body is its text; any other record's is JSON with its fields by name. The body, without the
origin, is what digests are taken over.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from bottega.data.records import (
    Answer,
    Check,
    Comparison,
    Conversation,
    Document,
    Labelled,
    Message,
    Origin,
    Prompt,
    Ranking,
    Rated,
    Record,
)
from bottega.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa

COLUMNS = ("kind", "body", "row", "licence", "subject")
_BATCH_BYTES = 8 * 1024 * 1024
_READ_ROWS = 512
_ENCODER = json.JSONEncoder(ensure_ascii=False, check_circular=False, separators=(",", ":"))


def body_of(record: Record) -> tuple[str, str]:
    """(kind, body) of a record: all of it but its origin."""
    match record:
        case Document(text):
            return "document", text
        case Conversation(messages):
            return "conversation", _json([_message(message) for message in messages])
        case Comparison(messages, answers, rankings):
            fields: dict[str, object] = {
                "messages": [_message(message) for message in messages],
                "answers": [_answer(answer) for answer in answers],
                "rankings": [[r.labeler, r.tiers, r.all_bad, r.kind] for r in rankings],
            }
            return "comparison", _json(fields)
        case Rated(messages, answer, rating, rater):
            fields = {"messages": [_message(message) for message in messages], "answer": _answer(answer)}
            return "rated", _json(fields | {"rating": rating, "rater": rater})
        case Prompt(messages, check):
            fields = {"messages": [_message(message) for message in messages]}
            return "prompt", _json(fields | {"check": [check.kind, check.accepted, check.tests]})
        case Labelled(text, categories):
            return "labelled", _json({"text": text, "categories": dict(sorted(categories.items()))})


def record_of(kind: str, body: str, origin: Origin) -> Record:
    """The record that ``body_of`` wrote."""
    if kind == "document":
        return Document(body, origin)
    read: Any = json.loads(body)
    match kind:
        case "conversation":
            return Conversation(_messages(read), origin)
        case "comparison":
            rankings = tuple(
                Ranking(name, _tiers(tiers), bad, by) for name, tiers, bad, by in read["rankings"]
            )
            answers = tuple(map(_read_answer, read["answers"]))
            return Comparison(_messages(read["messages"]), answers, rankings, origin)
        case "rated":
            answer = _read_answer(read["answer"])
            return Rated(_messages(read["messages"]), answer, read["rating"], read["rater"], origin)
        case "prompt":
            how, accepted, tests = read["check"]
            return Prompt(_messages(read["messages"]), Check(how, tuple(accepted), tests), origin)
        case "labelled":
            return Labelled(read["text"], read["categories"], origin)
    raise ValueError(f"unknown kind of record: {kind}")


class RecordWriter:
    """Writes records to one Parquet file, a few MB at a time; the file is whole when the block is left."""

    def __init__(self, path: Path) -> None:
        import pyarrow.parquet as pq

        self._schema = _schema()
        dictionaries = [name for name in COLUMNS if name not in ("body", "row")]
        self._writer = pq.ParquetWriter(
            path, self._schema, compression="zstd", use_dictionary=dictionaries, write_page_checksum=True
        )
        self._columns: tuple[list[str], ...] = tuple([] for _ in COLUMNS)
        self._held_bytes = 0

    def write(self, kind: str, body: str, origin: Origin) -> None:
        """Add one record."""
        for column, value in zip(
            self._columns, (kind, body, origin.row, origin.licence, origin.subject), strict=True
        ):
            column.append(value)
        self._held_bytes += len(body)
        if self._held_bytes >= _BATCH_BYTES:
            self._flush()

    def __enter__(self) -> RecordWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._flush()
        finally:
            self._writer.close()

    def _flush(self) -> None:
        import pyarrow as pa

        if self._columns[0]:  # not their bytes: a body may be empty
            arrays = [pa.array(column, pa.string()) for column in self._columns]
            self._writer.write_batch(pa.record_batch(arrays, schema=self._schema))
        for column in self._columns:
            column.clear()
        self._held_bytes = 0


def read_stored(path: Path, source: str, expected: int) -> Iterator[Record]:
    """The records of one file, in the order written, a batch in memory at a time.

    Raises ``UserError`` where the file is missing, damaged, or does not hold as many records as expected.
    """
    found = 0
    for columns in _columns_of(path):
        for kind, body, row, licence, subject in zip(*columns, strict=True):
            yield record_of(kind, body, Origin(source, row, licence, subject))
        found += len(columns[0])
    if found != expected:
        raise _damaged(path, f"{found:,} records in place of {expected:,}")


def _schema() -> pa.Schema:
    import pyarrow as pa

    return pa.schema([(name, pa.string()) for name in COLUMNS])


def _columns_of(path: Path) -> Iterator[list[list[str]]]:
    """The columns of each batch. Pages have checksums; of the rest, the schema shows damage."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path, pre_buffer=False, page_checksum_verification=True) as file:
            if not file.schema_arrow.equals(_schema()):
                raise _damaged(path, "it has other columns")
            for batch in file.iter_batches(batch_size=_READ_ROWS, use_threads=False):
                yield [batch.column(name).to_pylist() for name in COLUMNS]
    except (pa.ArrowException, OSError) as error:
        raise _damaged(path, str(error)) from error


def _damaged(path: Path, why: str) -> UserError:
    return UserError(
        f"{path}: is missing or damaged ({why}); delete the dataset's folder and freeze it again"
    )


def _json(value: object) -> str:
    return _ENCODER.encode(value)


def _message(message: Message) -> list[object]:
    said: list[object] = [message.role, message.content]
    return said if message.weight is None else [*said, message.weight]


def _messages(read: list[list[Any]]) -> tuple[Message, ...]:
    return tuple(Message(*message) for message in read)


def _answer(answer: Answer) -> list[object]:
    return [_message(answer.message), answer.model, answer.sampling, answer.token_ids, answer.logprobs]


def _read_answer(read: list[Any]) -> Answer:
    message, model, sampling, token_ids, logprobs = read
    return Answer(
        Message(*message),
        model,
        sampling,
        None if token_ids is None else tuple(token_ids),
        None if logprobs is None else tuple(logprobs),
    )


def _tiers(read: list[list[int]]) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(tier) for tier in read)
