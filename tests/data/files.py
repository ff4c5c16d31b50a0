"""Small data files for the tests of this folder."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from bottega.data.records import Record
from bottega.data.sources import ReadOptions, ReadReport, SourceSpec, open_source

ALPACA = [
    {"instruction": "Name a fruit.", "input": "", "output": "Pear."},
    {"instruction": "Add.", "input": "2 and 3", "output": "5"},
]
EVERYTHING = ReadOptions(include_nc=True, include_unclear=True)


def write_jsonl(path: Path, rows: Iterable[object]) -> Path:
    """Rows as JSON lines, gzip where the name says so."""
    data = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(data, mtime=0) if path.name.endswith(".gz") else data)
    return path


def documents(texts: Sequence[str]) -> list[dict[str, str]]:
    """Plain document rows under a free licence."""
    return [{"text": text, "licence": "MIT"} for text in texts]


def read(uri: str | Path, options: ReadOptions = EVERYTHING, **spec: object) -> list[Record]:
    """All records of a source, whatever their licence."""
    address = f"file:{uri}" if isinstance(uri, Path) else uri
    return list(open_source(SourceSpec.model_validate({"uri": address} | spec), options))


def read_with_report(path: Path, options: ReadOptions, **spec: object) -> tuple[list[Record], ReadReport]:
    """The records and what was counted."""
    report = ReadReport()
    found = SourceSpec.model_validate({"uri": f"file:{path}"} | spec)
    return list(open_source(found, options, report)), report
