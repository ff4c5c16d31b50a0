"""Learning from the best of several answers: rejection sampling, and expert iteration, which repeats it."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from bottega.model.decoder import Backbone
from bottega.stages.base import StageConfig, register
from bottega.stages.policy import PolicyRun
from bottega.stages.policy_knobs import PolicyConfig
from bottega.stages.policy_measures import Measured
from bottega.stages.policy_networks import Networks, frozen
from bottega.stages.ppo import PolicyStage
from bottega.training.experience import Experience
from bottega.training.learner import Learner

PASSING = 0.5  # what a check's score is above


class BestConfig(PolicyConfig):
    """The knobs of rejection sampling: every answer comes from the model that training begins with."""

    answers_per_prompt: int = Field(8, ge=2, description="answers sampled to each prompt, of which the best")
    keep: int = Field(
        1, ge=1, description="answers to a prompt that are learned from; none that fails its check"
    )
    rounds: int = Field(1, ge=1, description="times that answers come from the policy as it is by then")
    kl_coef: float = Field(0.0, ge=0, le=0, description="0: nothing but the choice of answers is learned")


class ExpertConfig(BestConfig):
    """The knobs of expert iteration: each round samples from what the last one made."""

    rounds: int = Field(4, ge=1, description="times that answers come from the policy as it is by then")


class Sampler:
    """The weights that answers come from, which follow the policy when a round begins."""

    def __init__(self, learner: Learner, dtype: torch.dtype) -> None:
        self._learner = learner
        self.model: Backbone = frozen(learner.model, dtype)

    @torch.no_grad()
    def follow(self) -> None:
        """Take over the policy's weights."""
        for own, theirs in zip(self.model.parameters(), self._learner.model.parameters(), strict=True):
            own.copy_(theirs)

    def state(self) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """As a learner's, without an optimiser."""
        return {name: p.data for name, p in self.model.named_parameters()}, {}

    def put_back(self, weights: dict[str, Tensor], optimizer: dict[str, Tensor] | None = None) -> None:
        """Go on from what :meth:`state` gave."""
        for name, p in self.model.named_parameters():
            p.data.copy_(weights[name])


class BestRun(PolicyRun):
    """The likelihood of each prompt's best answers rises; of the others nothing is learned."""

    config: BestConfig
    _sampler: Sampler

    def begin(self, networks: Networks) -> Backbone:
        """A copy of the policy, to sample from while the policy learns."""
        self._sampler = Sampler(networks.policy, networks.precision.dtype)
        self.learners = {**self.learners, "sampler": self._sampler}
        return self._sampler.model

    def one_step(self) -> None:
        """Where a round begins, sample from the policy as it is now."""
        every = math.ceil(self.total_steps / self.config.rounds)
        if self.step and self.step % every == 0:
            self._sampler.follow()
            self.weights_changed()
        super().one_step()

    def advantages(self, experience: Experience, measured: Measured) -> tuple[Tensor, Tensor | None]:
        """As much for each token of a kept answer as makes the loss the mean over these; 0 elsewhere."""
        kept = chosen(
            measured.scores.view(-1, experience.n),
            self.config.keep,
            PASSING if self.config.reward == "checks" else -math.inf,
        )
        weights = kept.reshape(-1).repeat_interleave(experience.lengths).to(measured.logprobs.dtype)
        tokens, learned = self.world.sum(torch.stack([weights.new_tensor(weights.numel()), weights.sum()]))
        return weights * (tokens / learned.clamp(min=1)), None


def chosen(scores: Tensor, keep: int, above: float) -> Tensor:
    """Which of each prompt's answers are learned from: the ``keep`` best of those that score more than
    ``above``; of equals the first. ``scores`` [prompts, answers]; as many booleans."""
    order = scores.argsort(dim=1, descending=True, stable=True)
    best = torch.zeros_like(scores, dtype=torch.bool).scatter(1, order[:, :keep], True)
    return best & (scores > above)


class RejectionSampling(PolicyStage):
    """Fine-tuning on the best of several answers of the model itself (RAFT, 2304.06767, in one round)."""

    name: ClassVar[str] = "rejection-sampling"
    Config: ClassVar[type[StageConfig]] = BestConfig
    Run: ClassVar[type[PolicyRun]] = BestRun


class ExpertIteration(PolicyStage):
    """The same in rounds, each sampling from what the one before made (1705.08439)."""

    name: ClassVar[str] = "expert-iteration"
    Config: ClassVar[type[StageConfig]] = ExpertConfig
    Run: ClassVar[type[PolicyRun]] = BestRun


register(RejectionSampling())
register(ExpertIteration())
