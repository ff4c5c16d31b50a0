"""What evaluations read: held-out records of a recipe's datasets, of the school, and of any source."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from typing import Any, Literal

from bottega.data.records import Check, Conversation, Document, Prompt, Record, prompt_of
from bottega.errors import UserError
from bottega.evals.subject import EvalOptions

Split = Literal["train", "heldout"]


def heldout_of(what: str, options: EvalOptions) -> list[Document | Conversation]:
    """The held-out records to score; of a long document, its beginning."""
    records = records_of(what, options, "heldout", options.documents, lambda record: 1)
    return [
        replace(record, text=record.text[: options.document_chars])
        if isinstance(record, Document)
        else record
        for record in records
    ]


def records_of(
    what: str,
    options: EvalOptions,
    split: Split,
    amount: int,
    size: Callable[[Document | Conversation], int],
) -> list[Document | Conversation]:
    """The first records with text of every source, in the proportions of the whole, ``amount`` in all."""
    streams = _streams(what, options, split)
    total = sum(share for share, _ in streams)
    found: list[Document | Conversation] = []
    for share, records in streams:
        left = max(1, round(amount * share / total))
        for record in records:
            if left <= 0:
                break
            if isinstance(record, Document | Conversation) and any(counted_texts(record)):
                found.append(record)
                left -= size(record)
    return found


def counted_texts(record: Document | Conversation) -> list[str]:
    """The texts of a record whose bytes count."""
    from bottega.evals.bits import answers

    return [record.text] if isinstance(record, Document) else answers(record)


def _streams(what: str, options: EvalOptions, split: Split) -> list[tuple[int, Iterator[Record]]]:
    """The records of every source with its share of the whole."""
    from bottega.data.frozen import FrozenDataset

    name, _, uri = what.partition("/")
    if name not in options.datasets:
        return [(1, _read(what if ":" in what else f"school:{what}", options, split))]
    dataset = FrozenDataset(options.datasets[name])
    sources = [(i, s) for i, s in enumerate(dataset.manifest.sources) if not uri or s.uri == uri]
    if not sources:
        raise UserError(f"bits-per-byte:{what}: the dataset {name} has no source {uri!r}")
    sizes = [s.train.bytes if split == "train" else s.heldout.records for _, s in sources]
    return [(n, dataset.records(split, source=i)) for (i, _), n in zip(sources, sizes, strict=True) if n]


def _read(uri: str, options: EvalOptions, split: Literal["train", "heldout", "all"]) -> Iterator[Record]:
    import bottega.data.school  # noqa: F401  (registers its URIs)
    from bottega.data.sources import ReadOptions, SourceSpec, open_source

    # Nothing is trained on them, so that their licences keep no rows out.
    read = ReadOptions(
        split=split, world_seed=options.world_seed, data=options.data, include_nc=True, include_unclear=True
    )
    return open_source(SourceSpec(uri=uri), read)


def rows_of(uri: str, options: EvalOptions) -> list[dict[str, Any]]:
    """The first rows of a source, as they stand."""
    from bottega.data.sources import ReadOptions, SourceSpec, raw_rows

    return list(islice(raw_rows(SourceSpec(uri=uri), ReadOptions(data=options.data)), options.cases))


def asked_of(uri: str, options: EvalOptions) -> Iterator[Record]:
    """The records of a source; where a dataset of the family has it, only what that held out."""
    from bottega.data.frozen import FrozenDataset

    for folder in options.datasets.values():
        dataset = FrozenDataset(folder)
        if any(source.uri == uri for source in dataset.manifest.sources):
            return dataset.records("heldout", source=uri)
    return _read(uri, options, "all")


def as_prompt(record: Record) -> Prompt | None:
    """A prompt with its check; a conversation that ends in an answer asks for exactly that, or for the result
    it is marked to end in."""
    if isinstance(record, Prompt):
        return record
    if isinstance(record, Conversation) and record.messages[-1].role == "assistant":
        *before, answer = record.messages
        return Prompt(tuple(before), _check_of(answer.content), record.origin) if before else None
    return None


def _check_of(answer: str) -> Check:
    """That the whole answer is given, or its last line's result where it is marked as GSM8K does."""
    _, mark, result = answer.rpartition("\n#### ")
    if not mark or "\n" in result.strip():
        return Check("exact", (answer,))
    return Check("final", tuple(dict.fromkeys((result.strip(), result.strip().replace(",", "")))))


def heldout_prompts(what: str, options: EvalOptions) -> list[Prompt]:
    """What the held-out records of a dataset ask, without a check."""
    from bottega.data.frozen import FrozenDataset
    from bottega.data.splits import evenly

    dataset, _, uri = what.partition("/")
    records = FrozenDataset(options.datasets[dataset]).records("heldout", source=uri or None)
    # Each once: to the same prompt the same is answered.
    asked = {prompt_of(record): record.origin for record in records}
    return evenly([Prompt(m, Check("no-refusal"), origin) for m, origin in asked.items() if m], options.cases)


def either_way(dataset: str, options: EvalOptions) -> list[Prompt]:
    """The held-out prompts of a dataset that say whether they are to be refused, as many of each side."""
    from bottega.data.frozen import FrozenDataset
    from bottega.data.splits import evenly

    records = FrozenDataset(options.datasets[dataset]).records("heldout")
    prompts = [record for record in records if isinstance(record, Prompt)]
    sides = ([one for one in prompts if one.check.kind == kind] for kind in ("refusal", "no-refusal"))
    return [one for side in sides for one in evenly(side, options.cases)]
