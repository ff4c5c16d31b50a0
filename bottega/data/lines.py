"""Lines of text files, plain or gzip, one at a time, with bounds: never more than one line of a file is held.

What is wrong with a single line (too long, not UTF-8, NUL bytes) is given to ``reject`` with its number and
byte offset, and reading goes on if ``reject`` returns. What is wrong with the file (cut short, not gzip)
always raises.
"""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

from bottega.errors import UserError

_BUFFER_BYTES = 1 << 20
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_FOREIGN_MARKS = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}


class BadRowError(UserError):
    """One row that cannot be used: where it is, and why. ``--skip-bad-rows`` counts it instead."""

    def __init__(self, file: str, line: int, reason: str) -> None:
        super().__init__(f"{file}, line {line}: {reason}")
        self.file = file
        self.line = line
        self.reason = reason

    def __reduce__(self) -> tuple[type[BadRowError], tuple[str, int, str]]:
        return (BadRowError, (self.file, self.line, self.reason))


Reject = Callable[[BadRowError], None]


def raise_bad_row(bad: BadRowError) -> None:
    """The default ``reject``."""
    raise bad


@contextmanager
def open_bytes(path: Path, name: str) -> Iterator[BinaryIO]:
    """The file's bytes, decompressed where its name ends in .gz. Raises ``UserError`` where they are not."""
    try:
        raw = path.open("rb", buffering=_BUFFER_BYTES)
    except OSError as error:
        raise UserError(f"{name}: cannot be read: {error.strerror}") from error
    with raw:
        start = raw.read(2)
        raw.seek(0)
        zipped = name.endswith(".gz")
        if not start:
            raise UserError(
                f"{name}: the file is empty (0 bytes); fetch it again or leave it out of the sources"
            )
        if zipped and start != b"\x1f\x8b":
            raise UserError(f"{name}: is not gzip, though its name ends in .gz; rename it or compress it")
        if not zipped and start == b"\x1f\x8b":
            raise UserError(f"{name}: is gzip, though its name does not say so; rename it to {name}.gz")
        if not zipped:
            yield raw
            return
        with gzip.GzipFile(fileobj=raw) as unzipped:
            yield cast(BinaryIO, io.BufferedReader(_Unzipped(unzipped), _BUFFER_BYTES))


class _Unzipped(io.RawIOBase):
    """Gzip's data as it comes: a file that breaks off has given all before the break when it raises."""

    def __init__(self, stream: gzip.GzipFile) -> None:
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._stream.read1(len(buffer))
        buffer[: len(data)] = data
        return len(data)


@contextmanager
def damage_named(name: str, where: Callable[[], str]) -> Iterator[None]:
    """Turn a damaged gzip stream into a ``UserError`` that says how far the file could be read."""
    try:
        yield
    except EOFError as error:
        raise UserError(
            f"{name}: truncated gzip: the file ends in the middle of its data, after {where()}; "
            "fetch it again (the rows before the cut are not taken for the whole)"
        ) from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise UserError(f"{name}: damaged gzip after {where()}: {error}; fetch the file again") from error


def read_lines(path: Path, name: str, max_row_bytes: int, reject: Reject) -> Iterator[tuple[int, str]]:
    """(line number from 1, text without its line end) of every line that can be read as UTF-8 text.

    ``max_row_bytes`` bounds a line, and with it the memory.
    """
    number, offset = 0, 0
    with open_bytes(path, name) as stream, damage_named(name, lambda: f"{number} whole lines"):
        while raw := stream.readline(max_row_bytes + 1):
            number += 1
            start, size = offset, len(raw)
            if size > max_row_bytes and not raw.endswith(b"\n"):
                size += _skip_line(stream)
                offset += size
                reject(BadRowError(name, number, too_long(size, max_row_bytes)))
                continue
            offset += size
            if number == 1:
                raw = raw.removeprefix(_BYTE_ORDER_MARK)
            text = _decoded(raw, name, number, start, reject)
            if text is not None:
                yield number, text
    if not number:
        raise UserError(
            f"{name}: the file is empty (gzip of 0 bytes); fetch it again or leave it out of the sources"
        )


def _decoded(raw: bytes, name: str, number: int, start: int, reject: Reject) -> str | None:
    """The line as text; None once ``reject`` has been told why not."""
    if b"\0" in raw:
        mark = _FOREIGN_MARKS.get(raw[:2])
        advice = (
            f"the file is {mark}; convert it to UTF-8" if mark else "the file is binary, damaged or UTF-16"
        )
        reject(BadRowError(name, number, f"a NUL byte at byte {start + raw.index(0)} of the file: {advice}"))
        return None
    try:
        return raw.decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError as error:
        where, byte = start + error.start, raw[error.start]
        reject(
            BadRowError(
                name,
                number,
                f"not UTF-8: byte 0x{byte:02x} at byte {where} of the file{_encoding_guess(raw)}",
            )
        )
        return None


def _encoding_guess(raw: bytes) -> str:
    for mark, encoding in _FOREIGN_MARKS.items():
        if raw.startswith(mark):
            return f"; it looks like {encoding}: convert it to UTF-8"
    try:
        text = raw.decode("gb18030")
    except UnicodeDecodeError:
        return "; convert the file to UTF-8 (iconv -t utf-8)"
    chinese = sum("一" <= character <= "鿿" for character in text)
    guess = "gb18030" if chinese * 2 > sum(not character.isascii() for character in text) else "latin-1"
    return f"; it may be {guess}: convert the file (iconv -f {guess} -t utf-8)"


def _skip_line(stream: BinaryIO) -> int:
    """Read on to the end of the line, keeping nothing; the number of bytes passed."""
    passed = 0
    while block := stream.readline(_BUFFER_BYTES):
        passed += len(block)
        if block.endswith(b"\n"):
            break
    return passed


def too_long(size_bytes: int, max_row_bytes: int) -> str:
    """The reason of a bad row that is over the limit."""
    return (
        f"the row is {size_bytes / 2**20:.1f} MiB, the limit is {max_row_bytes / 2**20:g} MiB; "
        "split it, or raise the source's max_row_mb"
    )
