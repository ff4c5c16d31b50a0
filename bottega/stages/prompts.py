"""The prompts that a policy is asked: of any record that has one, both sides of the split."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Protocol

from bottega.data.records import Conversation, Document, Prompt, Record, prompt_of
from bottega.data.splits import content_key, evenly
from bottega.errors import UserError
from bottega.stages.base import DatasetInput, DataUse, StageInputs
from bottega.stages.prepare import places_of, records_of
from bottega.stages.rewards import Asked

if TYPE_CHECKING:
    from bottega.data.frozen import FrozenDataset, Part
    from bottega.data.tokenizer import Tokenizer


class _Room(Protocol):
    @property
    def context(self) -> int: ...
    @property
    def max_new_tokens(self) -> int: ...


@dataclass(frozen=True)
class Prompts:
    """What is asked in training, and what to look at it by."""

    train: list[Asked]
    heldout: list[Asked]
    use: tuple[DataUse, ...]
    seen: int = 0  # left out of what is held out: another of the datasets trains on them

    @property
    def digest(self) -> str:
        """Of all prompts, in their order."""
        found = blake2b(digest_size=8)
        for one in (*self.train, *self.heldout):
            found.update(repr(one.tokens).encode())
        return found.hexdigest()

    @property
    def report(self) -> dict[str, Any]:
        """For the card."""
        return {
            "prompts": len(self.train),
            "heldout_prompts": len(self.heldout),
            "heldout_but_trained_on": self.seen,
        }


def read_prompts(
    inputs: StageInputs,
    tokenizer: Tokenizer,
    room: _Room,
    *,
    heldout: int | None = None,
    without: tuple[type[Record], ...] = (),
) -> Prompts:
    """The prompts of the main datasets; a replay dataset has none. At most ``heldout`` of those held out, and
    none of records of the kinds ``without``.

    A prompt that leaves no room for an answer is counted and left out, and so is a held-out one that any of
    the datasets trains on, replay and comparisons too. Raises ``UserError`` where none is left.
    """
    from bottega.data.frozen import FrozenDataset

    longest = room.context - room.max_new_tokens
    if longest < 1:
        raise UserError(
            f"{inputs.out.name}: max_new_tokens = {room.max_new_tokens} leaves no room for a prompt in a "
            f"context of {room.context}"
        )
    train: list[Asked] = []
    apart: list[Asked] = []
    use = []
    for entry in inputs.datasets:
        if entry.role == "replay":
            continue
        if entry.weight != 1.0:
            raise UserError(
                f"{inputs.out.name}: dataset {entry.name} has weight {entry.weight}: all prompts are asked "
                "equally often; leave `weight` out"
            )
        dataset = FrozenDataset(entry.folder)
        skipped: Counter[str] = Counter()
        found = list(_asked(dataset, entry, "train", tokenizer, longest, skipped, without))
        use.append(_use(entry, dataset, found, skipped))
        train += found
        apart += _asked(dataset, entry, "heldout", tokenizer, longest, Counter(), without)
    trained = _trained_on(inputs) if apart else set()
    fresh = [one for one in apart if content_key(Conversation(one.messages)) not in trained]
    if not train:
        why = ", ".join(f"{n} {reason}" for one in use for reason, n in one.skipped.items()) or "no dataset"
        raise UserError(f"{inputs.out.name}: there is nothing to ask: {why}")
    kept = fresh if heldout is None else evenly(fresh, heldout)
    return Prompts(train, kept, tuple(use), len(apart) - len(fresh))


def _trained_on(inputs: StageInputs) -> set[bytes]:
    """The keys of all prompts that the datasets have to train on, as the split knows them."""
    from bottega.data.frozen import FrozenDataset

    found: set[bytes] = set()
    for entry in inputs.datasets:
        dataset = FrozenDataset(entry.folder)
        for place in places_of(dataset, entry):
            records = dataset.records("train", source=place)
            alike = len(dataset.manifest.sources[place].shapes) == 1
            for record in records:
                if alike and isinstance(record, Document):  # so are all of this source, which may be long
                    break
                if prompt_of(record):
                    found.add(content_key(record))
    return found


def _asked(
    dataset: FrozenDataset,
    entry: DatasetInput,
    split: Part,
    tokenizer: Tokenizer,
    longest: int,
    skipped: Counter[str],
    without: tuple[type[Record], ...],
) -> Iterator[Asked]:
    from bottega.data.chat import encode_chat

    for record in records_of(dataset, entry, split):
        messages = prompt_of(record)
        if not messages or isinstance(record, without):
            skipped[type(record).__name__.lower()] += 1
            continue
        tokens = list(encode_chat(tokenizer, messages, add_generation_prompt=True).ids)
        if len(tokens) > longest:
            skipped[f"prompts of more than {longest} tokens"] += 1
            continue
        yield Asked(tokens, messages, record if isinstance(record, Prompt) else None, record.origin)


def _use(entry: DatasetInput, dataset: FrozenDataset, found: list[Asked], skipped: Counter[str]) -> DataUse:
    return DataUse(
        dataset=entry.name or entry.folder.name,
        role=entry.role,
        weight=entry.weight,
        digest=dataset.digest,
        records=len(found),
        tokens=sum(len(one.tokens) for one in found),
        text_bytes=sum(len(m.content.encode()) for one in found for m in one.messages),
        licences=dict(dataset.manifest.licences),
        sources={s.uri: s.train.records for s in dataset.manifest.sources},
        skipped=dict(skipped),
    )
