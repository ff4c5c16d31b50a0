"""Sources: a URI becomes a stream of records.

``file:path/*.jsonl.gz`` (also .json, .csv, .parquet, .txt), ``hf:owner/dataset:split``, ``python:stdlib``,
``python:packages``, ``school:NAME``. Every stream is in a fixed order, or in a shuffled one fixed by a seed;
each record knows its row and its licence; what is left out is counted in a ``ReadReport``.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from bottega.data import licences
from bottega.data.files import find_files, is_non_commercial_folder
from bottega.data.lines import BadRowError
from bottega.data.readers import Reading, Row, read_rows
from bottega.data.records import Origin, Record
from bottega.data.rows import Shape, ShapeError
from bottega.data.shapes import FieldMap, RowFilter, find_shape, named_shape
from bottega.data.splits import is_heldout
from bottega.errors import UserError

Split = Literal["train", "heldout", "all"]
_BAD_ROWS_KEPT = 100
_WITH_ROWS = ("file:", "hf:")


class SourceSpec(BaseModel):
    """One source of a dataset, as a recipe states it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    uri: Annotated[
        str, Field(description="file:, hf:, python: or school: and what to read; $DATA is the data folder")
    ]
    weight: Annotated[
        float, Field(gt=0, description="how often its records are read, relative to the others")
    ] = 1.0
    records: Annotated[
        int | None, Field(gt=0, description="at most this many records (all, where not given)")
    ] = None
    licence: Annotated[str | None, Field(description="the licence of every row, whatever the rows say")] = (
        None
    )
    shape: Annotated[
        str | None, Field(description="the row shape, where the fields alone would say another")
    ] = None
    fields: Annotated[
        dict[str, str],
        Field(
            description='a shape\'s fields by the row\'s names: prompt = "question", text = "{title}: {x}"'
        ),
    ] = {}
    only: Annotated[
        dict[str, list[str]],
        Field(description='read only rows whose field matches one of these patterns: lang = ["en", "zh*"]'),
    ] = {}
    without: Annotated[
        dict[str, list[str]], Field(description="leave out rows whose field matches one of these patterns")
    ] = {}
    mixed: Annotated[bool, Field(description="allow rows of different shapes in one file")] = False
    shuffle: Annotated[
        int,
        Field(ge=0, description="records held while shuffling; 0 keeps the order, all the records mix fully"),
    ] = 0
    max_row_mb: Annotated[float, Field(gt=0, description="a row longer than this many MiB is a bad row")] = (
        8.0
    )
    document_chars: Annotated[
        int, Field(gt=0, description="paragraphs of a .txt file are gathered to this length")
    ] = 4000


@dataclass(frozen=True)
class ReadOptions:
    """How sources are read, for all of them alike."""

    split: Split = "all"
    heldout_fraction: float = 0.01
    skip_bad_rows: bool = False
    include_nc: bool = False
    include_unclear: bool = False
    world_seed: int = 0
    seed: int = 0
    data: Path | None = None  # what $DATA in a file URI stands for


@dataclass
class ReadReport:
    """What was read, and what was not, counted while the stream is consumed."""

    rows: int = 0
    records: int = 0  # that came out: of the split asked for, under the cap
    bad_rows: int = 0
    bad: list[BadRowError] = field(default_factory=list)  # the first hundred
    filtered: int = 0  # rows that `only` and `without` left out
    left_out: Counter[str] = field(default_factory=Counter)  # licence -> rows
    licences: Counter[str] = field(default_factory=Counter)  # licence -> rows let in
    shapes: Counter[str] = field(default_factory=Counter)
    duplicates: int = 0
    pinned: dict[str, str] = field(default_factory=dict)  # hub URI -> commit

    def reject(self, bad: BadRowError) -> None:
        """Count a bad row."""
        self.rows += 1
        self.bad_rows += 1
        if len(self.bad) < _BAD_ROWS_KEPT:
            self.bad.append(bad)


class NothingLicensedError(UserError):
    """Every row of a source was left out for its licence."""


Opener = Callable[[str, ReadOptions], Iterator[Record]]
_Reader = Callable[[SourceSpec, ReadOptions, ReadReport], Iterator[Record]]


@dataclass(frozen=True)
class _Scheme:
    read: _Reader
    own_splits: bool  # it makes its own held-out part, and may be endless


_SCHEMES: dict[str, _Scheme] = {}


def register_scheme(name: str, opener: Opener, *, own_splits: bool = False) -> None:
    """Teach ``open_source`` the URIs ``name:...``.

    ``opener(uri, options)`` yields records in a fixed order. With ``own_splits`` it heeds ``options.split``
    itself, and may be endless; else the records are split by content like all others.
    """

    def read(spec: SourceSpec, options: ReadOptions, report: ReadReport) -> Iterator[Record]:
        for record in opener(spec.uri, options):
            report.rows += 1
            yield record

    _SCHEMES[name] = _Scheme(read, own_splits)


def has_own_splits(spec: SourceSpec) -> bool:
    """Whether the source makes its own held-out part (and may be endless: ``records`` has to bound it)."""
    return _scheme(spec.uri).own_splits


def open_source(spec: SourceSpec, options: ReadOptions, report: ReadReport | None = None) -> Iterator[Record]:
    """The records of a source, streamed: read, licensed, of the split asked for, shuffled, capped.

    Raises ``UserError`` at once for a source that is not there, and while streaming for what is wrong in it.
    """
    report = ReadReport() if report is None else report
    scheme = _scheme(spec.uri)
    if spec.shape is not None:
        named_shape(spec.shape)
    if (spec.only or spec.without) and not spec.uri.startswith(_WITH_ROWS):
        raise UserError(f"{spec.uri}: `only` and `without` look at the fields of rows, and it has none")
    records = _licensed(scheme.read(spec, options, report), spec, options, report)
    if not scheme.own_splits and options.split != "all":
        wanted = options.split == "heldout"
        records = (record for record in records if is_heldout(record, options.heldout_fraction) is wanted)
    if spec.shuffle:
        records = shuffled(records, spec.shuffle, options.seed)
    return _counted(records, spec.records, report)


def raw_rows(spec: SourceSpec, options: ReadOptions) -> Iterator[dict[str, Any]]:
    """The rows of a ``file:`` or ``hf:`` source as they stand, for what reads fields of its own.

    Raises ``UserError`` for another scheme, and where a source is not there or a row cannot be read.
    """
    reading = make_reading(spec, options, ReadReport())
    if spec.uri.startswith("file:"):
        files = find_files(spec.uri.removeprefix("file:"), options.data)
        rows: Iterator[Row] = (row for name, path in files for row in read_rows(path, name, reading))
    elif spec.uri.startswith("hf:"):
        from bottega.data.hub import open_hub

        rows = open_hub(spec.uri).rows()
    else:
        raise UserError(f"{spec.uri}: rows are read from file: and hf: only")
    return (dict(row.fields) for row in rows)


def shuffled(records: Iterator[Record], held: int, seed: int) -> Iterator[Record]:
    """The records in a random order fixed by ``seed``; at most ``held`` are held, and so many mix fully."""
    rng = random.Random(f"shuffle {seed}")
    buffer: list[Record] = []
    for record in records:
        if len(buffer) < held:
            buffer.append(record)
            continue
        chosen = rng.randrange(held)
        yield buffer[chosen]
        buffer[chosen] = record
    rng.shuffle(buffer)
    yield from buffer


def _scheme(uri: str) -> _Scheme:
    name, colon, rest = uri.partition(":")
    if name == "school" and name not in _SCHEMES:
        import bottega.data.school  # noqa: F401  (registers itself)
    if name == "app" and name not in _SCHEMES:
        raise UserError(
            f"{uri}: what users and labelers gave cannot be read yet; use file: with an export of it"
        )
    if not colon or name not in _SCHEMES:
        known = sorted({*_SCHEMES, "school", "app"})
        if not colon and ("/" in uri or Path(uri).suffix):
            raise UserError(f"{uri}: a source starts with its scheme; did you mean file:{uri}?")
        near = get_close_matches(name, known, n=1)
        hint = (
            f"did you mean {near[0]}:{rest}?" if near else f"known: {', '.join(f'{one}:' for one in known)}"
        )
        raise UserError(f"{uri}: there is no source scheme {name!r}; {hint}")
    return _SCHEMES[name]


def _licensed(
    records: Iterator[Record], spec: SourceSpec, options: ReadOptions, report: ReadReport
) -> Iterator[Record]:
    """Name licences uniformly and keep the records that may be used; complain where that leaves nothing."""
    override = None if spec.licence is None else licences.normalise(spec.licence)
    for record in records:
        origin = record.origin
        licence = licences.normalise(origin.licence) if override is None else override
        if licence != origin.licence:
            record = replace(record, origin=replace(origin, licence=licence))
        if _may_use(licence, options):
            report.licences[licence] += 1
            yield record
        else:
            report.left_out[licence] += 1
    if report.left_out and not report.licences:
        raise NothingLicensedError(f"{spec.uri}: {_nothing_left(report.left_out)}")
    if report.filtered and report.filtered + report.bad_rows == report.rows:
        names = ", ".join(f"`{name}`" for name in {**spec.only, **spec.without})
        raise UserError(
            f"{spec.uri}: `only` and `without` left out all {report.filtered:,} rows; what does {names} hold?"
        )


def _may_use(licence: str, options: ReadOptions) -> bool:
    return licences.let_in(licence, include_nc=options.include_nc, include_unclear=options.include_unclear)


def _nothing_left(left_out: Counter[str]) -> str:
    counts = ", ".join(f"{name}: {count}" for name, count in left_out.most_common())
    flags = {"nc": "--include-nc", "unclear": "--include-unclear"}
    needed = sorted({flags[kind] for name in left_out if (kind := licences.classify(name)) in flags})
    remedy = f"use {' and '.join(needed)}"
    if licences.UNSTATED in left_out:
        remedy = f'state it in the source (licence = "MIT", say), or {remedy}'
    return f"every row was left out for its licence ({counts}); {remedy}"


def _counted(records: Iterator[Record], cap: int | None, report: ReadReport) -> Iterator[Record]:
    for record in islice(records, cap):
        report.records += 1
        yield record


def _read_files(spec: SourceSpec, options: ReadOptions, report: ReadReport) -> Iterator[Record]:
    files = find_files(spec.uri.removeprefix("file:"), options.data)
    return _file_records(spec, options, report, files)


def _file_records(
    spec: SourceSpec, options: ReadOptions, report: ReadReport, files: list[tuple[str, Path]]
) -> Iterator[Record]:
    reading = make_reading(spec, options, report)
    for name, path in files:
        default = licences.NC_FOLDER if is_non_commercial_folder(path) else licences.UNSTATED
        yield from read_records(read_rows(path, name, reading), name, default, spec, reading, report)


def make_reading(spec: SourceSpec, options: ReadOptions, report: ReadReport) -> Reading:
    """How the readers read this source."""

    def stop(bad: BadRowError) -> None:
        raise bad

    # Rows that stay out for the licence stated are only counted; a bad one among them stops nobody.
    stays_out = spec.licence is not None and not _may_use(licences.normalise(spec.licence), options)
    reject = report.reject if options.skip_bad_rows or stays_out else stop
    return Reading(reject, int(spec.max_row_mb * 2**20), spec.document_chars)


def read_records(
    rows: Iterator[Row], name: str, licence: str, spec: SourceSpec, reading: Reading, report: ReadReport
) -> Iterator[Record]:
    """The records of one file's rows. A file has one shape, unless the source says ``mixed``."""
    mapped = FieldMap(spec.fields) if spec.fields else None
    wanted = RowFilter(spec.only, spec.without)
    expected: Shape | None = None
    since = 0
    for row in rows:
        try:
            if wanted and not wanted(row.fields):
                report.rows += 1
                report.filtered += 1
                continue
            fields = row.fields if mapped is None else mapped(row.fields)
            shape = find_shape(fields, spec.shape)
            if expected is None or spec.mixed:
                expected, since = shape, row.line
            elif shape is not expected:
                raise ShapeError(
                    f"the shape changes here, from {expected.name} (line {since} on) to {shape.name} "
                    f"({', '.join(fields)}); part the file, or say `mixed = true`"
                )
            stated = spec.licence or fields.get("licence") or fields.get("license")
            named = licences.normalise(stated) if isinstance(stated, str) else licence
            record = shape.read(fields, Origin(spec.uri, f"{name}:{row.line}", named))
        except ShapeError as error:
            reading.reject(BadRowError(name, row.line, str(error)))
            continue
        report.rows += 1
        report.shapes[shape.name] += 1
        yield record


def _read_hub(spec: SourceSpec, options: ReadOptions, report: ReadReport) -> Iterator[Record]:
    from bottega.data.hub import open_hub

    hub = open_hub(spec.uri)
    if hub.commit:
        report.pinned[spec.uri] = hub.commit
    reading = make_reading(spec, options, report)
    return read_records(hub.rows(), hub.name, hub.licence or licences.UNSTATED, spec, reading, report)


def _read_python(spec: SourceSpec, options: ReadOptions, report: ReadReport) -> Iterator[Record]:
    from bottega.data.installed import open_python

    return open_python(spec.uri, report)


_SCHEMES["file"] = _Scheme(_read_files, own_splits=False)
_SCHEMES["hf"] = _Scheme(_read_hub, own_splits=False)
_SCHEMES["python"] = _Scheme(_read_python, own_splits=False)
