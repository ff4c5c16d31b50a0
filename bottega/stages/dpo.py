"""Direct preference optimisation, and KTO: PPO's data without a reward model and without sampling."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from bottega.data.records import Comparison, Rated
from bottega.errors import UserError
from bottega.stages.base import StageConfig, StageInputs, StageResult, register
from bottega.stages.reward import EVALUATIONS, PreferenceConfig, PreferenceData, read_judged
from bottega.stages.sft import LoraConfig

if TYPE_CHECKING:
    from bottega.data.comparisons import Judged
    from bottega.training.direct import Goal


class DirectConfig(PreferenceConfig):
    """What DPO and KTO can both be told."""

    beta: float = Field(0.1, gt=0, description="how dearly the policy pays for leaving the reference")
    lr: float = Field(2e-5, gt=0, description="peak learning rate of AdamW")
    muon_lr: float = Field(1e-3, gt=0, description="peak learning rate of Muon, where it is the optimizer")
    optimizer: Literal["adamw", "muon"] = Field(
        "adamw", description="adamw, or muon for the hidden matrices and adamw for the rest"
    )
    weight_decay: float = Field(0.0, ge=0, description="decoupled weight decay of matrices; norms have none")
    lora: LoraConfig | None = Field(
        None,
        description="train adapters of this size, the reference being the policy without them; left out, all "
        "weights are trained and the reference is a second network",
    )

    def effort(self, answer_tokens: float = 0.0) -> float:
        """As a reward model's, and once more, forward only, for the reference."""
        return super().effort(answer_tokens) * 4 / 3


class DpoConfig(DirectConfig):
    """The knobs of DPO."""

    loss: Literal["sigmoid", "ipo"] = Field(
        "sigmoid", description="sigmoid is DPO's own; ipo aims at a fixed margin of mean log-probabilities"
    )
    label_smoothing: float = Field(
        0.0, ge=0, lt=0.5, description="share of comparisons that are taken to be the wrong way round"
    )


class KtoConfig(DirectConfig):
    """The knobs of KTO."""

    desirable_weight: float = Field(1.0, gt=0, description="weight of answers that were liked")
    undesirable_weight: float = Field(1.0, gt=0, description="weight of answers that were not")


class _Direct:
    """What both stages do."""

    name: ClassVar[str]
    version: ClassVar[int] = 2
    Config: ClassVar[type[StageConfig]]
    kinds: ClassVar[tuple[type[Comparison | Rated], ...]] = (Comparison, Rated)

    def goal(self, config: Any) -> Goal:
        raise NotImplementedError

    def judged(self, data: PreferenceData, seed: int) -> PreferenceData:
        return data

    def run(self, config: Any, inputs: StageInputs, seed: int) -> StageResult:
        """Train the parent, which is also the reference, and keep what did best on what was held out."""
        from bottega.model.lora import add_lora, merge_lora
        from bottega.stages.learning import finish, learn, parent_of, tokenizer_of
        from bottega.stages.policy_networks import frozen
        from bottega.training.direct import DirectPreference
        from bottega.training.precision import choose_precision

        if len(inputs.parents) > 1:
            raise UserError(
                f"{inputs.out.name}: {self.name} learns from what was preferred itself, with no model that "
                "scores: leave all but the first out of `parent`, and name the comparisons that the reward "
                "model learned from under `data`"
            )
        tokenizer = tokenizer_of(inputs)
        model = parent_of(inputs, self.name, config.context)
        data = self.judged(read_judged(inputs, tokenizer, config, self.kinds), seed)
        plan, heldout = data.plans(config, tokenizer, seed)
        reference = None
        if config.lora is None:
            device = next(model.parameters()).device
            reference = frozen(model, choose_precision(device, inputs.run.precision).dtype)
        else:
            add_lora(
                model, rank=config.lora.rank, alpha=config.lora.alpha, targets=config.lora.targets, seed=seed
            )
        trained = learn(
            model,
            plan,
            config,
            inputs,
            seed=seed,
            budget_tokens=plan.steps * plan.tokens_per_step,
            objective=DirectPreference(self.goal(config), reference),
            heldout=heldout,
            keep_best=heldout is not None,
            eval_every_steps=max(1, plan.steps // EVALUATIONS),
            eval_batches=0 if heldout is None else heldout.steps,
        )
        if config.lora is not None:
            merge_lora(model)
        report = data.report(plan) | {"best_step": trained.best_step}
        return finish(model, tokenizer, trained, inputs, data=data.use, report=report)


class Dpo(_Direct):
    """Direct preference optimisation from comparisons (2305.18290), all pairs of a prompt together."""

    name: ClassVar[str] = "dpo"
    Config: ClassVar[type[StageConfig]] = DpoConfig
    kinds: ClassVar[tuple[type[Comparison | Rated], ...]] = (Comparison,)  # a rating is nothing to compare

    def goal(self, config: DpoConfig) -> Goal:
        """DPO's, or IPO's."""
        from bottega.training.direct import Goal

        return Goal(config.loss, config.beta, config.label_smoothing)


class Kto(_Direct):
    """Kahneman-Tversky optimisation (2402.01306) from single ratings, and from comparisons as ratings."""

    name: ClassVar[str] = "kto"
    Config: ClassVar[type[StageConfig]] = KtoConfig

    def goal(self, config: KtoConfig) -> Goal:
        """KTO's."""
        from bottega.training.direct import Goal

        return Goal(
            "kto",
            config.beta,
            desirable_weight=config.desirable_weight,
            undesirable_weight=config.undesirable_weight,
        )

    def judged(self, data: PreferenceData, seed: int) -> PreferenceData:
        """Every answer with a rating, and beside each prompt another one's answer."""
        return replace(data, train=_with_foreign(data.train, seed), heldout=_with_foreign(data.heldout, seed))


def _with_foreign(judged: list[Judged], seed: int) -> list[Judged]:
    """A comparison's answers are liked where they won more than they lost; each prompt gets an answer of
    another, by which the KL to the reference is told."""
    from bottega.training.direct import FOREIGN

    order = np.random.default_rng(seed).permutation(len(judged))
    other = dict(zip(order.tolist(), np.roll(order, 1).tolist(), strict=True))
    found = []
    for i, one in enumerate(judged):
        balance = one.wins.sum(1) - one.wins.sum(0)
        liked = np.where(balance > 0, 1.0, np.where(balance < 0, 0.0, np.nan))
        ratings = np.where(np.isnan(one.ratings), liked, one.ratings)
        K = len(one.answers) + 1
        answers = (*one.answers, judged[other[i]].answers[0])
        ratings = np.append(ratings, FOREIGN).astype(np.float32)
        found.append(replace(one, answers=answers, wins=np.zeros((K, K), np.float32), ratings=ratings))
    return found


register(Dpo())
register(Kto())
