"""From frozen datasets to token shards: encoded once, kept by what decides the tokens, and accounted for."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from bottega.data.records import Conversation, Document, Record
from bottega.errors import UserError
from bottega.stages.base import DatasetInput, DataUse, StageInputs

if TYPE_CHECKING:
    from bottega.data.encoded import Encoded
    from bottega.data.frozen import FrozenDataset, Part
    from bottega.data.shards import TokenShards
    from bottega.data.tokenizer import Tokenizer

FORMAT = 1  # raised when the same records start to give other tokens
Kind = Literal["documents", "conversations"]
_RECORD_TYPES: dict[Kind, type[Record]] = {"documents": Document, "conversations": Conversation}


@dataclass(frozen=True, slots=True)
class FillInTheMiddle:
    """How many of the main documents are turned round for infilling, and by which seed."""

    rate: float
    spm_rate: float
    line_rate: float
    seed: int


@dataclass(frozen=True)
class Shards:
    """The tokens of one source of one dataset, with its share of the rows."""

    dataset: str
    shards: TokenShards
    weight: float


@dataclass(frozen=True)
class Prepared:
    """All that a stage trains on, by kind, and what to say of it in the card."""

    documents: tuple[Shards, ...]
    conversations: tuple[Shards, ...]
    use: tuple[DataUse, ...]


@dataclass
class _Counts:
    """What was met while encoding; kept beside the shards, so that a cached run reports the same."""

    records: int = 0
    tokens: int = 0
    text_bytes: int = 0
    counted_tokens: int = 0  # with a weight above 0 as targets
    licences: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)

    def add(self, record: Record, example: Encoded) -> None:
        self.records += 1
        self.tokens += len(example.ids)
        self.text_bytes += example.text_bytes
        weights = example.weights
        self.counted_tokens += len(example.ids) if weights is None else sum(w > 0 for w in weights)
        self.licences[record.origin.licence] += 1


@dataclass(frozen=True)
class _Part:
    """One kind of record of one source, encoded."""

    place: int  # of the source in the dataset
    kind: Kind
    shards: TokenShards | None
    counts: _Counts

    def tokens(self) -> TokenShards:
        assert self.shards is not None, "a part with records has shards"
        return self.shards


def prepare(
    inputs: StageInputs,
    tokenizer: Tokenizer,
    *,
    main: tuple[Kind, ...],
    fim: FillInTheMiddle | None = None,
) -> Prepared:
    """Encode what the stage's datasets hold of the kinds it can use.

    ``main`` are the kinds taken from the main datasets; a replay dataset gives both kinds, as they are. What
    is there but of no use to the stage is counted under ``skipped``.

    Raises:
        UserError: a dataset holds nothing that this stage can use, or has no source of a name asked for.
    """
    from bottega.data.frozen import FrozenDataset

    if not inputs.datasets:
        raise UserError(f"{inputs.out.name}: there is no data to train on; name a dataset under `data`")
    cache = inputs.cache or inputs.work / "shards"
    found: dict[Kind, list[Shards]] = {"documents": [], "conversations": []}
    uses = []
    for entry in inputs.datasets:
        dataset = FrozenDataset(entry.folder)
        kinds: tuple[Kind, ...] = ("documents", "conversations") if entry.role == "replay" else main
        turned = fim if entry.role == "main" and fim is not None and fim.rate > 0 else None
        places = places_of(dataset, entry)
        parts = [
            _Part(place, kind, *_shards(cache, dataset, place, kind, tokenizer, turned))
            for place in places
            for kind in kinds
        ]
        if not any(part.counts.records for part in parts):
            raise UserError(_nothing_to_use(entry, kinds, parts))
        for part, share in _shares(parts, dataset):
            found[part.kind].append(Shards(name_of(entry), part.tokens(), entry.weight * share))
        uses.append(_use(entry, dataset, parts, kinds))
    return Prepared(tuple(found["documents"]), tuple(found["conversations"]), tuple(uses))


def _shares(parts: Sequence[_Part], dataset: FrozenDataset) -> list[tuple[_Part, float]]:
    """The share of each part that has tokens: its tokens times the weight of its source.

    With equal weights every record of a dataset is read equally often, whatever the sizes of its sources.
    """
    full = [part for part in parts if part.counts.records]
    mass = [dataset.manifest.sources[part.place].weight * part.counts.tokens for part in full]
    return [(part, size / sum(mass)) for part, size in zip(full, mass, strict=True)]


def name_of(entry: DatasetInput) -> str:
    """What a dataset is called in messages and in the card."""
    return entry.name or entry.folder.name


def places_of(dataset: FrozenDataset, entry: DatasetInput) -> list[int]:
    """Which of a dataset's sources a stage reads. Raises ``UserError`` where it has none of a name."""
    uris = [source.uri for source in dataset.manifest.sources]
    for uri in entry.sources:
        if uri not in uris:
            raise UserError(f"dataset {name_of(entry)} has no source {uri!r}; it has {', '.join(uris)}")
    return [place for place, uri in enumerate(uris) if not entry.sources or uri in entry.sources]


def records_of(dataset: FrozenDataset, entry: DatasetInput, split: Part) -> Iterator[Record]:
    """The records of these sources, one source after the other."""
    for place in places_of(dataset, entry):
        yield from dataset.records(split, source=place)


def _shards(
    cache: Path,
    dataset: FrozenDataset,
    place: int,
    kind: Kind,
    tokenizer: Tokenizer,
    fim: FillInTheMiddle | None,
) -> tuple[TokenShards | None, _Counts]:
    """The shards of one kind of one source's training records, encoded unless the cache has them."""
    from bottega.data.shards import TokenShards, write_shards

    identity = [FORMAT, dataset.digest, place, kind, tokenizer.digest]
    identity += (
        [fim.rate, fim.spm_rate, fim.line_rate, fim.seed] if fim is not None and kind == "documents" else []
    )
    folder = cache / hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:32]
    if not folder.exists():
        cache.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=cache))
        try:
            counts = _Counts()
            records = _of_kind(dataset.records("train", source=place), kind, counts)
            encoded = _encoded(records, kind, tokenizer, fim, counts)
            first = next(encoded, None)
            if first is not None:
                write_shards(
                    chain([first], encoded),
                    scratch / "tokens",
                    vocab_size=tokenizer.vocab_size,
                    name=dataset.manifest.sources[place].uri,
                )
            (scratch / "counts.json").write_text(json.dumps(vars(counts)), encoding="utf-8")
            scratch.chmod(0o755)
            _settle(scratch, folder)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    counts = _read_counts(folder / "counts.json")
    return (TokenShards(folder / "tokens") if counts.records else None), counts


def _settle(scratch: Path, folder: Path) -> None:
    """Give finished work its name; where another process was first, its equal work stands."""
    try:
        scratch.rename(folder)
    except OSError:
        if not folder.exists():
            raise


def _read_counts(path: Path) -> _Counts:
    row: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return _Counts(**row | {"licences": Counter(row["licences"]), "skipped": Counter(row["skipped"])})


def _of_kind(records: Iterator[Record], kind: Kind, counts: _Counts) -> Iterator[Record]:
    wanted = _RECORD_TYPES[kind]
    for record in records:
        if isinstance(record, wanted):
            yield record
        else:
            counts.skipped[type(record).__name__.lower()] += 1


def _encoded(
    records: Iterator[Record], kind: Kind, tokenizer: Tokenizer, fim: FillInTheMiddle | None, counts: _Counts
) -> Iterator[Encoded]:
    examples = (
        _documents(records, tokenizer, fim) if kind == "documents" else _conversations(records, tokenizer)
    )
    for record, example in examples:
        if example.weights is not None and not any(weight > 0 for weight in example.weights):
            counts.skipped["nothing to learn: every token is masked"] += 1
            continue
        counts.add(record, example)
        yield example


def _documents(
    records: Iterator[Record], tokenizer: Tokenizer, fim: FillInTheMiddle | None
) -> Iterator[tuple[Record, Encoded]]:
    from itertools import islice

    from bottega.data.encoded import encode_documents

    index = 0
    while chunk := list(islice(records, 512)):
        texts = [record.text for record in chunk if isinstance(record, Document)]
        for record, example in zip(chunk, encode_documents(tokenizer, texts), strict=True):
            yield record, example if fim is None else _turned(example, tokenizer, fim, index)
            index += 1


def _turned(example: Encoded, tokenizer: Tokenizer, fim: FillInTheMiddle, index: int) -> Encoded:
    """The document with its middle last, for a share of the documents decided by seed and index alone."""
    from bottega.data.encoded import Encoded
    from bottega.data.fim import document_rng, fill_in_the_middle

    rng = document_rng(fim.seed, index)
    ids = fill_in_the_middle(
        example.ids, rng, tokenizer, fim.rate, spm_rate=fim.spm_rate, line_rate=fim.line_rate
    )
    return Encoded(ids, None, example.text_bytes)


def _conversations(records: Iterator[Record], tokenizer: Tokenizer) -> Iterator[tuple[Record, Encoded]]:
    from bottega.data.chat import encode_chat

    for record in records:
        assert isinstance(record, Conversation)
        yield record, encode_chat(tokenizer, record.messages)


def _use(
    entry: DatasetInput, dataset: FrozenDataset, parts: Sequence[_Part], kinds: tuple[Kind, ...]
) -> DataUse:
    licences: Counter[str] = Counter()
    by_source: Counter[str] = Counter()
    for part in parts:
        licences += part.counts.licences
        by_source[dataset.manifest.sources[part.place].uri] += part.counts.records
    return DataUse(
        dataset=name_of(entry),
        role=entry.role,
        weight=entry.weight,
        digest=dataset.digest,
        records=sum(part.counts.records for part in parts),
        tokens=sum(part.counts.tokens for part in parts),
        text_bytes=sum(part.counts.text_bytes for part in parts),
        licences=dict(licences),
        sources=dict(by_source),
        skipped=dict(_skipped(parts, kinds)),
    )


def _skipped(parts: Sequence[_Part], kinds: tuple[Kind, ...]) -> Counter[str]:
    """Records that no pass took, by reason; what every pass over a source met counts once."""
    total: Counter[str] = Counter()
    for place in dict.fromkeys(part.place for part in parts):
        met: Counter[str] = Counter()
        for part in parts:
            if part.place == place:
                met |= part.counts.skipped
        total += Counter({what: n for what, n in met.items() if what + "s" not in kinds})
    return total


def _nothing_to_use(entry: DatasetInput, kinds: tuple[Kind, ...], parts: Sequence[_Part]) -> str:
    there = ", ".join(f"{what} x {n}" for what, n in _skipped(parts, kinds).items()) or "no training records"
    return (
        f"dataset {name_of(entry)}: nothing in it is of use here, where {' and '.join(kinds)} are wanted; "
        f"it has {there}"
    )
