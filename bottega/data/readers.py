"""Rows of data files: JSON lines, JSON arrays, CSV, Parquet and plain text, each streamed.

A row is a dict of fields with the number of the line (of the row, in Parquet) where it starts. No reader
holds more than one row, or one small batch of a Parquet file, in memory.
"""

from __future__ import annotations

import codecs
import csv
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bottega.data.lines import BadRowError, Reject, damage_named, open_bytes, read_lines, too_long
from bottega.data.rows import Fields
from bottega.errors import UserError

_BLOCK_BYTES = 1 << 20
_PARQUET_ROWS = 256  # a batch is what is held: rows of a few KB each
_SPACE = re.compile(r"[ \t\r\n]*")


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a file; ``line`` counts from 1."""

    line: int
    fields: Fields


@dataclass(frozen=True, slots=True)
class Reading:
    """How files are read: bounds, and what becomes of a bad row."""

    reject: Reject
    max_row_bytes: int
    document_chars: int


def read_rows(path: Path, name: str, reading: Reading) -> Iterator[Row]:
    """The rows of one file, by the ending of its name. Raises ``UserError`` for an unusable one."""
    for ending, reader in READERS.items():
        if name.endswith((ending, f"{ending}.gz")):
            yield from reader(path, name, reading)
            return
    raise UserError(
        f"{name}: unknown kind of file; known: {', '.join(READERS)} (all but .parquet also as .gz)"
    )


def is_readable(name: str) -> bool:
    """Whether the name ends as one of the known kinds."""
    return name.removesuffix(".gz").endswith(tuple(READERS))


def _json_lines(path: Path, name: str, reading: Reading) -> Iterator[Row]:
    decode = json.JSONDecoder().decode
    for line, text in read_lines(path, name, reading.max_row_bytes, reading.reject):
        if not text or text.isspace():
            continue
        try:
            value = decode(text)
        except json.JSONDecodeError as error:
            reading.reject(BadRowError(name, line, f"invalid JSON: {error.msg} at column {error.colno}"))
            continue
        except (RecursionError, ValueError) as error:
            reading.reject(BadRowError(name, line, f"invalid JSON: {error}"))
            continue
        if not isinstance(value, dict):
            reading.reject(BadRowError(name, line, _not_an_object(value)))
        elif ("\\ud" in text or "\\uD" in text) and _has_half_character(value):
            reading.reject(
                BadRowError(name, line, "invalid text: half of a character (a lone \\ud... escape)")
            )
        else:
            yield Row(line, value)


def _has_half_character(value: object) -> bool:
    """Whether a text within holds a lone surrogate, which JSON can write and UTF-8 cannot."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    return False


def _json_values(path: Path, name: str, reading: Reading) -> Iterator[Row]:
    """A JSON array of objects, or objects one after the other, decoded one by one from a sliding window."""
    decoder, utf8 = json.JSONDecoder(), codecs.getincrementaldecoder("utf-8-sig")()
    window, at, line, column, offset = "", 0, 1, 1, 0
    ended, in_array, first = False, False, True

    with open_bytes(path, name) as stream, damage_named(name, lambda: f"line {line}"):
        while True:
            start = _SPACE.match(window, at).end()  # type: ignore[union-attr]  # it matches the empty string
            line, column = _moved(window, at, start, line, column)
            at = start
            if in_array and window[at : at + 1] == "]":
                return
            if at < len(window) and ((first and window[at] == "[") or (in_array and window[at] == ",")):
                in_array, first, at, column = True, False, at + 1, column + 1
                continue
            value, end, fault = _value_at(decoder, window, at)
            # A number or a word at the window's end may go on; an object may not.
            if fault is None and (ended or end < len(window)):
                first = False
                if end - at > reading.max_row_bytes:
                    reading.reject(BadRowError(name, line, too_long(end - at, reading.max_row_bytes)))
                elif isinstance(value, dict):
                    yield Row(line, value)
                else:
                    reading.reject(BadRowError(name, line, _not_an_object(value)))
                line, column = _moved(window, at, end, line, column)
                at = end
                continue
            waiting = len(window) - at
            if ended and not waiting:
                if in_array:
                    raise UserError(
                        f"{name}, line {line}: the JSON array is not closed: the file was cut short; fetch it"
                        " again"
                    )
                return
            if ended or waiting > reading.max_row_bytes:
                raise UserError(
                    _broken_value(name, (line, column), window[at:], ended, reading.max_row_bytes)
                )
            # Doubling what is read keeps the repeated attempts at one long value linear.
            block = stream.read(max(_BLOCK_BYTES, waiting))
            ended = not block
            try:
                window, at = window[at:] + utf8.decode(block, ended), 0
            except UnicodeDecodeError as error:
                raise UserError(
                    f"{name}: not UTF-8 at byte {offset + error.start} of the file; convert it to UTF-8"
                ) from error
            offset += len(block)


def _value_at(
    decoder: json.JSONDecoder, window: str, at: int
) -> tuple[object, int, json.JSONDecodeError | None]:
    try:
        value, end = decoder.raw_decode(window, at)
    except json.JSONDecodeError as error:
        return None, at, error
    return value, end, None


def _moved(window: str, at: int, end: int, line: int, column: int) -> tuple[int, int]:
    """(line, column) at ``end``, given those at ``at``."""
    lines = window.count("\n", at, end)
    return line + lines, end - window.rfind("\n", at, end) if lines else column + end - at


def _broken_value(name: str, place: tuple[int, int], window: str, ended: bool, max_row_bytes: int) -> str:
    line, column = place
    _, _, fault = _value_at(json.JSONDecoder(), window, 0)
    # A string that is cut is reported where it starts; all else wrong before the window's end is really
    # wrong.
    if not ended and (fault is None or fault.msg.startswith("Unterminated") or fault.pos >= len(window) - 16):
        return f"{name}, line {line}: {too_long(len(window), max_row_bytes)}"
    assert fault is not None
    column += fault.colno - 1 if fault.lineno == 1 else fault.colno - column
    return (
        f"{name}, line {line + fault.lineno - 1}: invalid JSON: {fault.msg} at column {column}; "
        "the file was cut short or is damaged"
    )


def _csv(path: Path, name: str, reading: Reading) -> Iterator[Row]:
    """Comma-separated values with a header line; a quoted field may span lines."""
    csv.field_size_limit(max(csv.field_size_limit(), reading.max_row_bytes))
    lines = read_lines(path, name, reading.max_row_bytes, reading.reject)
    last = 0

    def texts() -> Iterator[str]:
        nonlocal last
        for number, text in lines:
            last = number
            yield text + "\n"

    reader = csv.reader(texts(), strict=True)
    header: list[str] | None = None
    while True:
        start = last + 1
        try:
            values = next(reader, None)
        except csv.Error as error:
            raise UserError(f"{name}, line {start}: invalid CSV: {error}; a quote may be missing") from error
        if values is None:
            return
        if not values:
            continue
        if header is None:
            header = [column.strip() for column in values]
            if len(set(header)) < len(header) or not all(header):
                raise UserError(
                    f"{name}, line 1: the header needs a different name for every column; found {header}"
                )
        elif len(values) != len(header):
            reason = f"{len(values)} columns, where the header has {len(header)} ({', '.join(header)})"
            reading.reject(BadRowError(name, start, reason))
        else:
            yield Row(start, dict(zip(header, values, strict=True)))


def _parquet(path: Path, name: str, reading: Reading) -> Iterator[Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.stat().st_size:
        raise UserError(f"{name}: the file is empty (0 bytes); fetch it again or leave it out of the sources")
    number = 0
    try:
        with pq.ParquetFile(path, pre_buffer=False, buffer_size=_BLOCK_BYTES) as file:
            for batch in file.iter_batches(batch_size=_PARQUET_ROWS, use_threads=False):
                for fields in batch.to_pylist():
                    number += 1
                    yield Row(number, fields)
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"{name}: unreadable Parquet after row {number}: {reason}; fetch the file again"
        ) from error


def _text(path: Path, name: str, reading: Reading) -> Iterator[Row]:
    """Plain text as documents: paragraphs (parted by blank lines) are gathered up to ``document_chars``.

    A document ends with the paragraph that reaches this length, or, where no blank line comes, with the line
    that makes it twice as long.
    """
    held: list[str] = []
    size, start = 0, 1
    for line, text in read_lines(path, name, reading.max_row_bytes, reading.reject):
        blank = not text or text.isspace()
        if (blank and size >= reading.document_chars) or size >= 2 * reading.document_chars:
            yield Row(start, {"text": _joined(held)})
            held, size = [], 0
        if blank and not held:
            continue
        if not held:
            start = line
        held.append("" if blank else text.rstrip())
        size += len(text) + 1
    if held:
        yield Row(start, {"text": _joined(held)})


def _joined(lines: list[str]) -> str:
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).rstrip("\n") + "\n"


def _not_an_object(value: object) -> str:
    kinds = {
        list: "a list",
        str: "a text",
        int: "a number",
        float: "a number",
        bool: "true or false",
        type(None): "null",
    }
    return f"a row must be a JSON object with named fields; found {kinds.get(type(value), 'something else')}"


READERS: dict[str, Callable[[Path, str, Reading], Iterator[Row]]] = {
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".json": _json_values,
    ".csv": _csv,
    ".parquet": _parquet,
    ".txt": _text,
}
