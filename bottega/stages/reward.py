"""The reward model: who of a prompt's answers was preferred, learnt from rankings, picks and thumbs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from bottega.bilingual import Text
from bottega.data.comparisons import Judged, JudgedCounts, encode_judged, merged
from bottega.data.records import Comparison, Conversation, Rated
from bottega.data.splits import content_key, evenly
from bottega.errors import UserError
from bottega.evals.rankings import labelers_of, of_labelers
from bottega.stages.base import DatasetInput, DataUse, StageConfig, StageInputs, StageResult, register
from bottega.stages.knobs import OptimizerConfig
from bottega.stages.prepare import records_of

if TYPE_CHECKING:
    from bottega.data.frozen import FrozenDataset
    from bottega.data.judged import ComparisonPlan
    from bottega.data.tokenizer import Tokenizer

REFERENCES = 2000  # comparisons whose mean score is to be 0: it is known to a fiftieth of their spread
EVALUATIONS = 8  # of held-out comparisons, while training
LOOKED_AT = 2000  # of these, at most: that tells their loss to a hundredth
LOG2 = 0.6931  # the loss of one who knows nothing


class PreferenceConfig(OptimizerConfig):
    """What every stage that learns from comparisons can be told."""

    context: int = Field(512, ge=8, description="tokens of a prompt with an answer, at most")
    batch_tokens: int = Field(
        8192, gt=0, description="tokens in a step, over all devices; comparisons are packed whole into rows"
    )
    epochs: float = Field(1.0, gt=0, description="passes over the comparisons; more than one overfits soon")
    labeler_weights: Literal["equal", "reliability"] = Field(
        "equal",
        description="whether every labeler's word weighs the same, or what agreement with the others says",
    )

    def effort(self, answer_tokens: float = 0.0) -> float:
        """Most answers end before the limit."""
        return self.epochs * answer_tokens / 3


class RewardConfig(PreferenceConfig):
    """The knobs of reward modelling."""

    lr: float = Field(1e-3, gt=0, description="peak learning rate of AdamW")
    muon_lr: float = Field(2e-3, gt=0, description="peak learning rate of Muon, where it is the optimizer")
    weight_decay: float = Field(0.01, ge=0, description="decoupled weight decay of matrices; norms have none")


class Reward:
    """Give a parent's trunk a head that scores answers. The head and the shift come with the model."""

    name: ClassVar[str] = "reward"
    version: ClassVar[int] = 2
    Config: ClassVar[type[StageConfig]] = RewardConfig

    def run(self, config: RewardConfig, inputs: StageInputs, seed: int) -> StageResult:
        """Train on comparisons and ratings, and keep what did best on those held out."""
        from bottega.evals.scoring import score_answers
        from bottega.model.scorer import scorer_from
        from bottega.stages.learning import backbone_of, finish, learn, tokenizer_of
        from bottega.training.reward import reward_modelling

        tokenizer = tokenizer_of(inputs)
        parent = backbone_of(inputs, self.name, config.context)
        data = read_judged(inputs, tokenizer, config)
        rated = any(not np.isnan(one.ratings).all() for one in data.train)
        scorer = scorer_from(parent, seed, offset=rated)
        plan, heldout = data.plans(config, tokenizer, seed)
        trained = learn(
            scorer,
            plan,
            config,
            inputs,
            seed=seed,
            budget_tokens=plan.steps * plan.tokens_per_step,
            objective=reward_modelling,
            heldout=heldout,
            keep_best=heldout is not None,
            eval_every_steps=max(1, plan.steps // EVALUATIONS),
            eval_batches=0 if heldout is None else heldout.steps,
        )
        reference = evenly(data.reference or data.train, REFERENCES)
        scores = score_answers(scorer, reference)
        scorer.shift = float(np.concatenate(scores).mean())
        report = data.report(plan) | {"shift": scorer.shift, "best_step": trained.best_step}
        if trained.heldout_loss is not None and trained.heldout_loss >= LOG2:
            loss = f"{trained.heldout_loss:.3f}"
            report["notes"].append(
                Text(
                    en=f"the held-out loss is {loss}, no lower than a coin's (0.693): nothing was learned "
                    "that holds for other prompts. Lower the learning rate, or give more rankings",
                    zh=f"留出数据的损失是 {loss}，不低于抛硬币的 0.693：没有学到对其他提示也成立的东西。"
                    "降低学习率，或者给更多排序",
                )
            )
        return finish(scorer, tokenizer, trained, inputs, data=data.use, report=report)


@dataclass(frozen=True)
class PreferenceData:
    """Comparisons and ratings as tokens, both sides of the split, and the account of them."""

    train: list[Judged]
    heldout: list[Judged]
    reference: list[Judged]  # demonstrations, where there are any: answers whose mean score is to be 0
    counts: JudgedCounts
    use: tuple[DataUse, ...]
    reliability: dict[str, float]
    seen: int  # comparisons and ratings left out of what is held out: their prompt is trained on
    notes: tuple[Text, ...]  # what the user must know of the data

    def plans(
        self, config: PreferenceConfig, tokenizer: Tokenizer, seed: int
    ) -> tuple[ComparisonPlan, ComparisonPlan | None]:
        """The rows to train on and those held out, of one length."""
        from bottega.data.judged import ComparisonPlan, row_and_strip

        row, strip = row_and_strip((*self.train, *self.heldout))
        pad = tokenizer.require("eot") if tokenizer.pad is None else tokenizer.pad
        plan = ComparisonPlan(
            self.train, config.batch_tokens, seed, epochs=config.epochs, context=row, strip=strip, pad=pad
        )
        if not self.heldout:
            return plan, None
        looked_at = evenly(self.heldout, LOOKED_AT)
        heldout = ComparisonPlan(looked_at, config.batch_tokens, 0, context=row, strip=strip, pad=pad)
        return plan, heldout

    def report(self, plan: ComparisonPlan) -> dict[str, Any]:
        """What was learnt from, for the card."""
        counts = self.counts
        return {
            "comparisons": counts.comparisons,
            "ratings": counts.ratings,
            "pairs": counts.pairs,
            "tied_pairs": counts.tied_pairs,
            "empty_answers": counts.empty_answers,
            "unnamed_labelers": counts.unnamed_labelers,
            "skipped": dict(counts.skipped),
            "labelers": dict(sorted(counts.labelers.items())),
            "answers": dict(counts.answers.most_common()),
            "reliability": self.reliability,
            "heldout": len(self.heldout),
            "heldout_but_trained_on": self.seen,
            "fill": plan.fill,
            "notes": list(self.notes),
        }


def read_judged(
    inputs: StageInputs,
    tokenizer: Tokenizer,
    config: PreferenceConfig,
    kinds: tuple[type[Comparison | Rated], ...] = (Comparison, Rated),
) -> PreferenceData:
    """All records of these ``kinds`` in the datasets, comparisons of the same answers as one.

    Nothing is held out whose prompt another of the datasets trains on. Raises ``UserError`` where there is
    nothing to learn from.
    """
    from bottega.data.frozen import FrozenDataset
    from bottega.data.reliability import reliabilities

    if not inputs.datasets:
        raise UserError(f"{inputs.out.name}: there is no data to learn from; name a dataset under `data`")
    datasets = [(entry, FrozenDataset(entry.folder)) for entry in inputs.datasets]
    notes: list[Text] = []
    reliability: dict[str, float] = {}
    if config.labeler_weights == "reliability":
        every = (record for entry, dataset in datasets for record in records_of(dataset, entry, "train"))
        reliability = reliabilities(merged(r for r in every if isinstance(r, Comparison)))
        if set(reliability.values()) == {1.0}:
            notes.append(
                Text(
                    en="labeler_weights = reliability, and no two labelers ranked the same answers, or all "
                    "agree as much: every labeler's word weighs the same",
                    zh="labeler_weights = reliability，但没有两位标注者排过同样的回答，或者大家一样一致："
                    "每位标注者的话同样重",
                )
            )
    counts = JudgedCounts()
    train: list[Judged] = []
    apart: list[Comparison | Rated] = []
    reference: list[Judged] = []
    trained: set[bytes] = set()  # the prompts
    use = []
    for entry, dataset in datasets:
        if entry.weight != 1.0:
            raise UserError(
                f"{inputs.out.name}: dataset {entry.name} has weight {entry.weight}: here all records are "
                "read equally often; leave `weight` out"
            )
        own = JudgedCounts()
        records = list(records_of(dataset, entry, "train"))
        judged = merged(r for r in records if isinstance(r, kinds))
        trained.update(map(content_key, judged))
        if Rated not in kinds and (ratings := sum(isinstance(r, Rated) for r in records)):
            own.skipped["a single rating"] = ratings
        found = list(encode_judged(tokenizer, judged, config.context, own, reliability=reliability))
        shown = [_as_rated(r) for r in records if isinstance(r, Conversation)]
        reference += encode_judged(tokenizer, filter(None, shown), config.context, JudgedCounts())
        known = _by_known(list(records_of(dataset, entry, "heldout")), labelers_of(records))
        apart += merged(r for r in known if isinstance(r, kinds))
        train += found
        use.append(_use(entry, dataset, records, found, own, kinds))
        _merge(counts, own)
    if not train:
        why = ", ".join(f"{reason}: {n}" for reason, n in counts.skipped.items()) or "no comparisons in it"
        if counts.skipped["a single rating"]:
            why = "comparisons are wanted, and there are ratings alone; choose stage = kto"
        raise UserError(f"{inputs.out.name}: there is nothing to learn from ({why})")
    fresh = [record for record in apart if content_key(record) not in trained]
    heldout = list(encode_judged(tokenizer, fresh, config.context, JudgedCounts()))
    seen = len(apart) - len(fresh)
    return PreferenceData(
        train, heldout, reference, counts, tuple(use), reliability, seen=seen, notes=tuple(notes)
    )


def _by_known(heldout: Sequence[Any], labelers: frozenset[str]) -> list[Comparison | Rated]:
    """What was held out, as those judged it who are learned from: strangers have no say in what is kept."""
    known = of_labelers(heldout, labelers, strangers=False)
    rated = [r for r in heldout if isinstance(r, Rated)]
    return [*(known or (r for r in heldout if isinstance(r, Comparison))), *rated]


def _as_rated(record: Conversation) -> Rated | None:
    """A demonstration as an answer to score."""
    from bottega.data.records import Answer

    *before, last = record.messages
    return Rated(tuple(before), Answer(last), 1.0) if before and last.role == "assistant" else None


def _use(
    entry: DatasetInput,
    dataset: FrozenDataset,
    records: Sequence[Any],
    found: Sequence[Judged],
    counts: JudgedCounts,
    kinds: tuple[type[Comparison | Rated], ...],
) -> DataUse:
    used = [r for r in records if isinstance(r, kinds)]
    others = Counter(type(r).__name__.lower() for r in records if not isinstance(r, Comparison | Rated))
    texts = (m.content for r in used for m in (*r.messages, *_answers(r)))
    return DataUse(
        dataset=entry.name or entry.folder.name,
        role=entry.role,
        weight=entry.weight,
        digest=dataset.digest,
        records=len(found),
        tokens=sum(one.size for one in found),
        text_bytes=sum(len(text.encode()) for text in texts),
        licences=dict(Counter(r.origin.licence for r in used)),
        sources=dict(Counter(r.origin.source for r in used)),
        skipped=dict(counts.skipped + others),
    )


def _answers(record: Comparison | Rated) -> Iterable[Any]:
    answers = record.answers if isinstance(record, Comparison) else (record.answer,)
    return (answer.message for answer in answers)


def _merge(total: JudgedCounts, part: JudgedCounts) -> None:
    for name, value in vars(part).items():
        setattr(total, name, getattr(total, name) + value)


register(Reward())
