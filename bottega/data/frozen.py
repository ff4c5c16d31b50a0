"""Freezing: sources, read once, become a dataset folder that no longer changes.

A folder holds ``manifest.json`` and, for each source, ``train/NNN.parquet`` and ``heldout/NNN.parquet``. It
appears whole or not at all. Its digest depends on the content and its order, never on where the sources or
the folder lie.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any, Literal

from bottega.data.dedup import ExactDuplicates, NearDuplicates, full_text, judgement
from bottega.data.language import language
from bottega.data.records import Document, Record, prompt_of
from bottega.data.sources import (
    NothingLicensedError,
    ReadOptions,
    ReadReport,
    SourceSpec,
    has_own_splits,
    open_source,
)
from bottega.data.splits import content_key, key_is_heldout, text_key
from bottega.data.stored import RecordWriter, body_of, read_stored
from bottega.errors import UserError

Dedup = Literal["none", "exact", "near", "prompts"]
Part = Literal["train", "heldout"]
PARTS: tuple[Part, Part] = ("train", "heldout")
_FORMAT = 1
_BAD_ROWS_LISTED = 20
_BATCH_TEXTS, _BATCH_CHARS = 512, 2_000_000


@dataclass(frozen=True)
class PartManifest:
    """One side, train or held-out, of one source."""

    records: int = 0
    bytes: int = 0  # of text, UTF-8, prompts and answers alike
    content_digest: str = ""  # over the records' content, in order
    row_digest: str = ""  # over the rows' ids, in order


@dataclass(frozen=True)
class SourceManifest:
    """What one source gave, and what was left out of it."""

    uri: str
    weight: float
    rows: int
    train: PartManifest
    heldout: PartManifest
    shapes: dict[str, int]
    licences: dict[str, int]  # of the records kept
    left_out: dict[str, int]  # rows, by the licence that kept them out
    languages: dict[str, int]  # of the records kept
    bad_rows: int
    bad: list[str]  # the first twenty: where and why
    exact_duplicates: int
    near_duplicates: int
    leaks: int  # held-out records dropped because training has their content
    pinned: str | None  # the hub's commit
    filtered: int = 0  # rows that `only` and `without` left out

    @property
    def records(self) -> int:
        """Training and held-out together."""
        return self.train.records + self.heldout.records


@dataclass(frozen=True)
class Manifest:
    """What a frozen dataset holds; ``digest`` names its content."""

    digest: str
    dedup: Dedup
    heldout_fraction: float
    sources: list[SourceManifest]
    format: int = _FORMAT

    @property
    def licences(self) -> dict[str, int]:
        """Records by licence, over all sources: what a card has to name."""
        total: Counter[str] = Counter()
        for source in self.sources:
            total.update(source.licences)
        return dict(total.most_common())

    def records(self, part: Part) -> int:
        """How many records a side holds."""
        return sum(getattr(source, part).records for source in self.sources)


def freeze(
    specs: Sequence[SourceSpec],
    folder: Path,
    options: ReadOptions,
    *,
    dedup: Dedup = "exact",
    replace_existing: bool = False,
    progress: Callable[[str, int], None] | None = None,
) -> Manifest:
    """Read the sources, both sides of them (``options.split`` has no say), into a new dataset folder.

    A source all of whose rows stay out for their licence is kept, empty, where another gives something to
    train on. ``progress(uri, records)`` is called every thousand records. Raises ``UserError`` for bad input,
    where a source has nothing to train on, and where the folder cannot be written; the folder is then as it
    was before.
    """
    folder = Path(folder)
    if (folder / "manifest.json").exists() and not replace_existing:
        raise UserError(f"{folder}: a frozen dataset is there already; remove it, or choose another folder")
    partial = folder.parent / f".{folder.name}.partial-{os.getpid()}"
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        for part in PARTS:
            (partial / part).mkdir(parents=True)
        manifest = _Freezing(specs, partial, options, dedup, progress).run()
        (partial / "manifest.json").write_text(_to_json(manifest), "utf-8")
        _put_in_place(partial, folder)
    except OSError as error:
        raise UserError(
            f"{folder}: cannot be written: {_reason(error)}; nothing was kept; "
            "free some space or choose another folder"
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return manifest


def freeze_records(records: Mapping[str, Mapping[Part, Iterable[Record]]], folder: Path) -> Manifest:
    """Records that were made and not read, by what made them (in a URI's place) and by side, as a new
    dataset folder; whole or not at all."""
    folder = Path(folder)
    partial = folder.parent / f".{folder.name}.partial-{os.getpid()}"
    try:
        for part in PARTS:
            (partial / part).mkdir(parents=True)
        made = []
        for index, (uri, parts) in enumerate(records.items()):
            spec = SourceSpec(uri=uri)
            kept = _Kept({})
            for part in PARTS:
                with RecordWriter(partial / part / f"{index:03d}.parquet") as writer:
                    kept.sides[part] = _Side(writer)
                    for record in parts.get(part, ()):
                        text = full_text(record)
                        kept.rows += 1
                        kept.report.rows += 1
                        kept.licences[record.origin.licence] += 1
                        kept.languages[language(text)] += 1
                        kept.sides[part].add(record, len(text.encode()))
            made.append(_manifest(spec, kept))
        manifest = Manifest(_digest(made), "none", 0.0, made)
        (partial / "manifest.json").write_text(_to_json(manifest), "utf-8")
        _put_in_place(partial, folder)
    except OSError as error:
        raise UserError(
            f"{folder}: cannot be written: {_reason(error)}; nothing was kept; "
            "free some space or choose another folder"
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return manifest


class FrozenDataset:
    """A frozen dataset on disk."""

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        self.manifest = _load_manifest(self.folder)

    @property
    def digest(self) -> str:
        """The name of the content."""
        return self.manifest.digest

    def records(self, split: Part, source: str | int | None = None) -> Iterator[Record]:
        """The records of a side in their fixed order: of every source, or of one, by its URI or its place.

        Raises ``UserError`` where a file is missing or damaged.
        """
        for index in self._places(source):
            held = self.manifest.sources[index]
            path = self.folder / split / f"{index:03d}.parquet"
            yield from read_stored(path, held.uri, getattr(held, split).records)

    def _places(self, source: str | int | None) -> list[int]:
        uris = [one.uri for one in self.manifest.sources]
        if source is None:
            return list(range(len(uris)))
        places = [i for i, uri in enumerate(uris) if source in (uri, i)]
        if not places:
            raise UserError(f"{self.folder}: has no source {source}; it has {', '.join(uris)}")
        return places


@dataclass
class _Side:
    """One side of one source while it is written."""

    writer: RecordWriter
    records: int = 0
    bytes: int = 0
    content: Any = field(default_factory=lambda: blake2b(digest_size=16))
    rows: Any = field(default_factory=lambda: blake2b(digest_size=16))

    def add(self, record: Record, size_bytes: int) -> None:
        kind, body = body_of(record)
        self.writer.write(kind, body, record.origin)
        self.records += 1
        self.bytes += size_bytes
        # A hash of hashes: no two lists of bodies can run together.
        self.content.update(blake2b(f"{kind}\0{body}".encode(), digest_size=16).digest())
        self.rows.update(f"{record.origin.row}\n".encode())

    def manifest(self) -> PartManifest:
        return PartManifest(self.records, self.bytes, self.content.hexdigest(), self.rows.hexdigest())


@dataclass
class _Kept:
    """Counts of one source while it is frozen."""

    sides: dict[Part, _Side]
    report: ReadReport = field(default_factory=ReadReport)
    rows: int = 0
    licences: Counter[str] = field(default_factory=Counter)
    languages: Counter[str] = field(default_factory=Counter)
    exact: int = 0
    near: int = 0
    leaks: int = 0


class _Freezing:
    """One run of ``freeze``.

    The training parts of sources with splits of their own come first, then the sources split by content, then
    the own held-out parts: so every held-out record can be checked against all that training holds.
    """

    def __init__(
        self,
        specs: Sequence[SourceSpec],
        folder: Path,
        options: ReadOptions,
        dedup: Dedup,
        progress: Callable[[str, int], None] | None,
    ) -> None:
        if not specs:
            raise UserError("a dataset needs at least one source")
        for spec in specs:
            if has_own_splits(spec) and spec.records is None:
                raise UserError(f"{spec.uri}: the source is endless; say how many with `records`")
        self.specs, self.folder, self.options = specs, folder, options
        self.dedup, self.progress = dedup, progress
        self.exact, self.near = ExactDuplicates(), NearDuplicates()
        self.mixed_splits = any(map(has_own_splits, specs))
        self.train_keys: set[bytes] = set()

    def run(self) -> Manifest:
        """Write every part and give the manifest."""
        own = [has_own_splits(spec) for spec in self.specs]
        order = [(i, "train") for i in range(len(own)) if own[i]]
        order += [(i, "all") for i in range(len(own)) if not own[i]]
        order += [(i, "heldout") for i in range(len(own)) if own[i]]
        with ExitStack() as files:
            kept = [
                _Kept({part: _Side(files.enter_context(RecordWriter(self._path(part, i)))) for part in PARTS})
                for i in range(len(self.specs))
            ]
            for i, split in order:
                self._read(self.specs[i], split, kept[i])
        sources = [_manifest(spec, one) for spec, one in zip(self.specs, kept, strict=True)]
        trained_on = any(source.train.records for source in sources)
        for source in sources:
            if not source.train.records and not (source.left_out and trained_on):
                raise UserError(f"{source.uri}: gives nothing to train on: {_why_nothing(source)}")
        return Manifest(_digest(sources), self.dedup, self.options.heldout_fraction, sources)

    def _path(self, part: Part, index: int) -> Path:
        return self.folder / part / f"{index:03d}.parquet"

    def _read(self, spec: SourceSpec, split: Any, kept: _Kept) -> None:
        """Read one source, or one of its own splits, into its sides."""
        if split == "heldout":
            assert spec.records is not None
            spec = spec.model_copy(
                update={"records": max(1, round(spec.records * self.options.heldout_fraction))}
            )
        options = replace(self.options, split=split)
        waiting: list[tuple[Record, str, bytes]] = []
        held_chars = 0
        for record in _licensed(open_source(spec, options, kept.report)):
            text = full_text(record)
            key = text_key(text)
            if self.progress and kept.report.records % 1000 == 0:
                self.progress(spec.uri, kept.report.records)
            if self.dedup != "none" and self.exact.add(self._duplicate_key(record, text, key)):
                kept.exact += 1
                continue
            waiting.append((record, text, key))
            held_chars += len(text)
            if len(waiting) >= _BATCH_TEXTS or held_chars >= _BATCH_CHARS:
                self._sort_in(waiting, split, kept)
                waiting, held_chars = [], 0
        if waiting:
            self._sort_in(waiting, split, kept)

    def _duplicate_key(self, record: Record, text: str, text_hash: bytes) -> bytes:
        """What two records have in common where the second is left out."""
        if self.dedup == "prompts" and (asked := prompt_of(record)):
            return text_key("\n".join(message.content for message in asked))
        judged = judgement(record)
        return text_key(f"{text}\n{judged}") if judged else text_hash

    def _sort_in(self, batch: list[tuple[Record, str, bytes]], split: str, kept: _Kept) -> None:
        """Drop near duplicates and leaks, and write the rest to its side."""
        near: set[int] = set()
        if self.dedup == "near":  # of judged answers even equal texts are kept
            places = [i for i, (record, _, _) in enumerate(batch) if not judgement(record)]
            found = self.near.add([batch[i][1] for i in places])
            near = {i for i, is_near in zip(places, found, strict=True) if is_near}
        for place, (record, text, text_hash) in enumerate(batch):
            if place in near:
                kept.near += 1
                continue
            key = text_hash if isinstance(record, Document) else content_key(record)
            by_content = key_is_heldout(key, self.options.heldout_fraction)
            heldout = by_content if split == "all" else split == "heldout"
            if self.mixed_splits and heldout and key in self.train_keys:
                kept.leaks += 1
                continue
            if self.mixed_splits and not heldout:
                self.train_keys.add(key)
            kept.licences[record.origin.licence] += 1
            kept.languages[language(text)] += 1
            kept.sides["heldout" if heldout else "train"].add(
                record, len(text) if text.isascii() else len(text.encode())
            )


def _manifest(spec: SourceSpec, kept: _Kept) -> SourceManifest:
    report = kept.report
    return SourceManifest(
        uri=spec.uri,
        weight=spec.weight,
        rows=report.rows,
        train=kept.sides["train"].manifest(),
        heldout=kept.sides["heldout"].manifest(),
        shapes=dict(report.shapes.most_common()),
        licences=dict(kept.licences.most_common()),
        left_out=dict(report.left_out.most_common()),
        languages=dict(kept.languages.most_common()),
        bad_rows=report.bad_rows,
        bad=[str(bad) for bad in report.bad[:_BAD_ROWS_LISTED]],
        exact_duplicates=kept.exact,
        near_duplicates=kept.near,
        leaks=kept.leaks,
        pinned=report.pinned.get(spec.uri),
        filtered=report.filtered,
    )


def _digest(sources: Sequence[SourceManifest]) -> str:
    """The name of the content of all sources together."""
    digest = blake2b(digest_size=16)
    for source in sources:
        digest.update(
            f"{source.weight!r} {source.train.content_digest} {source.heldout.content_digest}\n".encode()
        )
    return digest.hexdigest()


def _licensed(records: Iterator[Record]) -> Iterator[Record]:
    """A source all of whose rows stay out for their licence is empty here: the manifest counts them."""
    try:
        yield from records
    except NothingLicensedError:
        return


def _why_nothing(source: SourceManifest) -> str:
    reasons = {
        "rows read": source.rows,
        "bad": source.bad_rows,
        "left out by `only` and `without`": source.filtered,
        "left out for their licence (--include-nc and --include-unclear let more in)": sum(
            source.left_out.values()
        ),
        "duplicates": source.exact_duplicates + source.near_duplicates,
        "held out": source.heldout.records,
    }
    return ", ".join(f"{count} {name}" for name, count in reasons.items())


def _reason(error: OSError) -> str:
    """The system's own words, where Arrow puts its words around them."""
    number = re.search(r"\[errno (\d+)\]", str(error), re.IGNORECASE)
    return os.strerror(int(number[1])) if number else error.strerror or str(error)


def _put_in_place(partial: Path, folder: Path) -> None:
    """Rename, with what was there before kept until the new one stands."""
    old = folder.parent / f".{folder.name}.old-{os.getpid()}"
    if folder.exists():
        folder.rename(old)
    try:
        partial.rename(folder)
    except OSError:
        if old.exists():
            old.rename(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _to_json(manifest: Manifest) -> str:
    return json.dumps(asdict(manifest), ensure_ascii=False, indent=2) + "\n"


def _load_manifest(folder: Path) -> Manifest:
    try:
        read = json.loads((folder / "manifest.json").read_text("utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"{folder}: is not a frozen dataset: there is no manifest.json in it") from error
    except ValueError as error:
        raise UserError(f"{folder}/manifest.json: is damaged ({error}); freeze the dataset again") from error
    try:
        if read["format"] != _FORMAT:
            raise UserError(
                f"{folder}: is of format {read['format']}, this version reads {_FORMAT}; freeze it again"
            )
        sources = [
            SourceManifest(**source | {part: PartManifest(**source[part]) for part in PARTS})
            for source in read["sources"]
        ]
        return Manifest(read["digest"], read["dedup"], read["heldout_fraction"], sources)
    except (KeyError, TypeError) as error:
        raise UserError(
            f"{folder}/manifest.json: is not a manifest of this version ({error}); freeze the dataset again"
        ) from error
