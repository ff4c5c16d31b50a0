"""Collecting: a model's own answers to prompts, several to each, ranked; a dataset that a model made."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from bottega.data.comparisons import unusable
from bottega.data.records import Answer, Comparison, Message, Prompt, Ranking
from bottega.errors import UserError
from bottega.stages.base import StageConfig, StageInputs
from bottega.stages.prompts import read_prompts
from bottega.stages.rewards import Asked

if TYPE_CHECKING:
    from bottega.data.frozen import FrozenDataset, Manifest, Part
    from bottega.data.tokenizer import Tokenizer
    from bottega.engine.local import LocalEngine

CHUNK = 128  # prompts whose answers are kept together, so that a killed run loses no more than these
MOST_WRITTEN = 0.2  # of all answers: a reward model learns mostly from the model's own
SLOTS = 64


class CollectConfig(StageConfig):
    """The knobs of collecting."""

    prompts: int = Field(1000, gt=0, description="prompts answered for training")
    heldout_prompts: int = Field(100, ge=0, description="prompts answered to measure by")
    answers: int = Field(4, ge=2, le=9, description="answers to each prompt")
    temperature: float = Field(1.0, gt=0, description="of sampling")
    context: int = Field(512, ge=8, description="tokens of a prompt with an answer, at most")
    max_new_tokens: int = Field(128, gt=0, description="tokens of an answer, at most")
    labelers: Literal["school", "strangers", "none"] = Field(
        "school",
        description="who ranks prompts with checks: the school's simulated labelers; strangers to them, for "
        "a judge that training does not know; or nobody yet",
    )
    labelers_per_prompt: int = Field(2, ge=1, description="rankings of each prompt's answers")
    written_share: float = Field(
        MOST_WRITTEN,
        ge=0,
        le=MOST_WRITTEN,
        description="answers of the datasets' own comparisons that are taken along, as a share of all that "
        "can be learned from, at most",
    )

    @property
    def answer_tokens(self) -> int:
        """Tokens in all answers, at most."""
        return (self.prompts + self.heldout_prompts) * self.answers * self.max_new_tokens

    def effort(self, answer_tokens: float = 0.0) -> float:
        """A token of an answer, of which most end before the limit, is computed once and alone."""
        return 0.5 * self.answer_tokens


@dataclass(frozen=True)
class Collected:
    """What came of it."""

    manifest: Manifest
    report: dict[str, Any]


class Collect:
    """Sample, judge, rank and freeze. Killed and run again, it goes on from the answers it had."""

    name: ClassVar[str] = "collect"
    version: ClassVar[int] = 2
    Config: ClassVar[type[CollectConfig]] = CollectConfig

    def run(
        self, config: CollectConfig, inputs: StageInputs, seed: int, *, model_name: str, world_seed: int
    ) -> Collected:
        """Answers of the one parent to the prompts of the datasets, written to ``inputs.out``.

        ``model_name`` is what the answers say that gave them, ``world_seed`` that of the school whose
        labelers rank. A held-out prompt is ranked by labelers of the training pool and by others, who rank
        nothing in training.
        """
        from bottega.data.frozen import freeze_records
        from bottega.data.tokenizer import Tokenizer
        from bottega.engine.local import LocalEngine
        from bottega.model.hub import load_model
        from bottega.stages.learning import device_of, tokenizer_of
        from bottega.training.precision import choose_precision

        if len(inputs.parents) != 1:
            given = len(inputs.parents)
            raise UserError(f"{inputs.out.name}: collect samples from one model; {given} were given")
        asked = read_prompts(inputs, tokenizer_of(inputs), config, without=(Comparison,))
        if config.labelers != "none" and any(one.prompt is None for one in (*asked.train, *asked.heldout)):
            raise UserError(
                f"{inputs.out.name}: labelers = {config.labelers} judge by the prompts' checks, and this "
                "data has prompts without; choose labelers = none and rank the answers yourself"
            )
        device = device_of(inputs)
        dtype = choose_precision(device, inputs.run.precision).dtype
        model = load_model(inputs.parents[0], dtype=dtype, device=device).eval()
        tokenizer = Tokenizer.load(inputs.parents[0])
        sides: dict[Part, list[Asked]] = {
            "train": _some(asked.train, config.prompts, seed),
            "heldout": _some(asked.heldout, config.heldout_prompts, seed),
        }
        longest = max(len(one.tokens) for side in sides.values() for one in side)
        room = longest + config.max_new_tokens
        with LocalEngine(model, tokenizer, slots=SLOTS, max_tokens=room) as engine:
            found = {
                part: _answered(side, engine, tokenizer, config, inputs, seed, world_seed, part, model_name)
                for part, side in sides.items()
            }
        parts: dict[str, dict[Part, list[Comparison]]] = {f"collect:{model_name}": found}
        written = _written(inputs, config, found["train"])
        parts |= written
        manifest = freeze_records(parts, inputs.out)
        report = _report(found, written) | {"heldout_but_trained_on": asked.seen}
        shutil.rmtree(inputs.work, ignore_errors=True)
        return Collected(manifest, report)


def answered(work: Path) -> int:
    """Prompts that a run under way in ``work`` has answered, at least nearly."""
    return CHUNK * sum(1 for _ in work.glob("*.jsonl"))


def _some(asked: Sequence[Asked], count: int, seed: int) -> list[Asked]:
    order = list(range(len(asked)))
    random.Random(f"collect/{seed}").shuffle(order)
    return [asked[i] for i in sorted(order[:count])]


def _answered(
    asked: Sequence[Asked],
    engine: LocalEngine,
    tokenizer: Tokenizer,
    config: CollectConfig,
    inputs: StageInputs,
    seed: int,
    world_seed: int,
    part: Part,
    model_name: str,
) -> list[Comparison]:
    """Comparisons of one side, chunk by chunk; a chunk that a killed run had finished is read."""
    from bottega.data.stored import body_of, record_of
    from bottega.stages.progress import shown_progress

    inputs.work.mkdir(parents=True, exist_ok=True)
    found: list[Comparison] = []
    chunks = [asked[i : i + CHUNK] for i in range(0, len(asked), CHUNK)]
    for number, chunk in enumerate(shown_progress(chunks, f"{inputs.out.name}: {part}", inputs.run.progress)):
        file = inputs.work / f"{part}-{number:05d}.jsonl"
        if file.exists():
            lines = file.read_text(encoding="utf-8").splitlines()
            for line, one in zip(lines, chunk, strict=True):
                assert one.origin is not None
                record = record_of("comparison", line, one.origin)
                assert isinstance(record, Comparison)
                found.append(record)
            continue
        made = _sample(
            chunk, engine, tokenizer, config, seed * 1_000_003 + number, part, world_seed, model_name
        )
        scratch = file.with_suffix(".writing")
        scratch.write_text("".join(body_of(one)[1] + "\n" for one in made), encoding="utf-8")
        scratch.replace(file)
        found += made
    return found


def _sample(
    asked: Sequence[Asked],
    engine: LocalEngine,
    tokenizer: Tokenizer,
    config: CollectConfig,
    seed: int,
    part: Part,
    world_seed: int,
    model_name: str,
) -> list[Comparison]:
    from bottega.engine.rollout import rollout
    from bottega.evals.prompting import stop_ids

    n = config.answers
    drawn = rollout(
        engine,
        [one.tokens for one in asked],
        max_new_tokens=config.max_new_tokens,
        stop_ids=stop_ids(tokenizer),
        n=n,
        temperature=config.temperature,
        seed=seed + (part == "heldout"),
    )
    answers = [
        Answer(
            Message("assistant", text),
            model=model_name,
            sampling={"temperature": config.temperature},
            token_ids=tuple(row[mask].tolist()),
            logprobs=tuple(round(value, 5) for value in logprobs[mask].tolist()),
        )
        for text, row, mask, logprobs in zip(
            drawn.texts, drawn.tokens, drawn.sampled, drawn.logprobs, strict=True
        )
    ]
    rankings: list[tuple[Ranking, ...]] = [()] * len(asked)
    if config.labelers != "none":
        rankings = _ranked(asked, drawn.texts, drawn.ended.tolist(), config, part, world_seed)
    return [
        Comparison(one.messages, tuple(answers[i * n : (i + 1) * n]), rankings[i], one.origin)
        for i, one in enumerate(asked)
    ]


def _ranked(
    asked: Sequence[Asked],
    texts: Sequence[str],
    ended: Sequence[bool],
    config: CollectConfig,
    part: Part,
    world_seed: int,
) -> list[tuple[Ranking, ...]]:
    """The rankings by the school's labelers, who judge by what is true of an answer; of what is held out, by
    those of the other pool too."""
    from bottega.data.school.judging import labelers
    from bottega.evals.verdicts import qualities

    n = config.answers
    prompts = [one.prompt for one in asked]
    assert all(prompts)
    each: list[Prompt] = [prompt for prompt in prompts if prompt is not None for _ in range(n)]
    true = qualities(each, texts, ended)
    own, others = labelers(world_seed, "training"), labelers(world_seed, "independent")
    if config.labelers == "strangers":
        own, others = others, own
    found = []
    for i, one in enumerate(asked):
        assert one.origin is not None
        key = f"{one.origin.source}/{one.origin.row}/{part}"
        draw = random.Random(f"labelers/{world_seed}/{key}")
        count = config.labelers_per_prompt
        chosen = draw.sample(own, min(count, len(own)))
        if part == "heldout":
            chosen += draw.sample(others, min(count, len(others)))
        span = slice(i * n, (i + 1) * n)
        found.append(tuple(labeler.rank(key, texts[span], true[span]) for labeler in chosen))
    return found


def _written(
    inputs: StageInputs, config: CollectConfig, collected: Sequence[Comparison]
) -> dict[str, dict[Part, list[Comparison]]]:
    """Comparisons that the datasets brought themselves, no more answers in them than their share of those
    that can be learned from allows."""
    from bottega.data.frozen import FrozenDataset

    share = config.written_share
    own = sum(len(one.answers) for one in collected if not one.rankings or not unusable(one))
    room = int(share / (1 - share) * own)
    found: dict[str, dict[Part, list[Comparison]]] = {}
    for entry in inputs.datasets:
        dataset = FrozenDataset(entry.folder)
        for uri, records in _comparisons(dataset):
            taken = []
            for one in records:
                if len(one.answers) > room:
                    break
                room -= len(one.answers)
                taken.append(one)
            if taken:
                found[uri] = {"train": taken, "heldout": []}
    return found


def _comparisons(dataset: FrozenDataset) -> Iterator[tuple[str, list[Comparison]]]:
    for source in dataset.manifest.sources:
        records = (r for r in dataset.records("train", source=source.uri) if isinstance(r, Comparison))
        yield source.uri, list(records)


def _report(
    found: dict[Part, list[Comparison]], written: dict[str, dict[Part, list[Comparison]]]
) -> dict[str, Any]:
    train = found["train"]
    return {
        "comparisons": len(train),
        "heldout": len(found["heldout"]),
        "written": sum(len(parts["train"]) for parts in written.values()),
        "answers": sum(len(one.answers) for one in train),
        "distinct_answers": sum(len({a.message.content for a in one.answers}) for one in train),
    }
