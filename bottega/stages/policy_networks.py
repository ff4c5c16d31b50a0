"""The networks of learning by trial: policy, reference, value, reward, and a judge of the best step."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor

from bottega.errors import UserError
from bottega.model.decoder import Backbone, Decoder
from bottega.model.lora import add_lora, without_lora
from bottega.model.scorer import Scorer, policy_with_value, scorer_from
from bottega.stages.base import StageInputs
from bottega.stages.policy_knobs import PolicyConfig, PpoConfig
from bottega.stages.rewards import CheckReward, ModelReward, Reward
from bottega.training.distributed import ALONE, World, join_world
from bottega.training.experience import Micro
from bottega.training.learner import Learner
from bottega.training.precision import Precision, choose_precision
from bottega.training.token_logprobs import TokenLogprobs, token_logprobs
from bottega.training.weights import MasterWeights

if TYPE_CHECKING:
    from bottega.data.tokenizer import Tokenizer

ADAM_EPS = 1e-5  # 2403.17031, detail 15
N = TypeVar("N", bound=Backbone)


@dataclass(frozen=True)
class Rates:
    """How one network's optimiser steps."""

    optimizer: Any
    lr: float
    muon_lr: float
    weight_decay: float
    clip_norm: float
    betas: tuple[float, float] = (0.9, 0.95)
    eps: float = ADAM_EPS


@dataclass(frozen=True)
class Networks:
    """All of them, on their device, in their precision."""

    policy: Learner
    value: Learner | None
    reference: Callable[[Micro], TokenLogprobs]
    reward: Reward
    judge: Reward
    tokenizer: Tokenizer
    device: torch.device
    precision: Precision
    compiled: bool
    judged_apart: bool  # by a reward model that training does not use
    world: World = ALONE  # each of whose processes holds all networks, and samples and learns its share

    def flops_per_position(self, row: int) -> float:
        """Forward passes of all networks, backward passes of those that learn."""
        passes = 4 / 3 + 1 / 3  # the policy is measured and learned, the reference read
        passes += 1 / 3 if isinstance(self.reward, ModelReward) else 0.0
        passes += 4 / 3 if self.value is not None else 0.0
        return passes * self.policy.model.flops_per_token(row)


def networks_of(config: PolicyConfig, inputs: StageInputs, seed: int, stage: str) -> Networks:
    """The networks that a stage's parents and configuration ask for.

    Raises:
        UserError: parents are missing or too many, one is not what it should be, or its tokenizer is not the
            policy's.
    """
    from bottega.stages.learning import parent_of, tokenizer_of
    from bottega.training.compilation import compile_model, should_compile

    scorers = _scorers(config, inputs, stage)
    first = replace(inputs, parents=inputs.parents[:1])
    tokenizer = tokenizer_of(first)
    model = parent_of(first, stage, config.context)
    device = next(model.parameters()).device
    world = join_world(device)
    precision = choose_precision(device, inputs.run.precision)
    dtype = precision.dtype
    if config.lora is not None:
        lora = config.lora
        add_lora(model, rank=lora.rank, alpha=lora.alpha, targets=lora.targets, seed=seed)
    shares = isinstance(config, PpoConfig) and config.value == "shared"
    if shares and config.lora is not None:
        raise UserError(
            f"{inputs.out.name}: value = shared learns the whole trunk, lora adapters alone; choose one"
        )
    learns = (
        policy_with_value(model, scorers[0] if scorers else scorer_from(model, seed)) if shares else model
    )
    rates = Rates(config.optimizer, config.lr, config.muon_lr, config.weight_decay, config.clip_norm)
    flops = config.steps * config.batch_prompts * config.answers_per_prompt * config.context
    compiled, _ = should_compile(
        "off" if config.lora is not None else inputs.run.compile,
        device,
        dtype,
        float(flops * model.flops_per_token(config.context)),
    )
    value = None
    if isinstance(config, PpoConfig) and not shares:
        begun = scorer_from(scorers[0] if scorers else model, seed)
        value = Learner(begun, replace(rates, lr=config.value_lr), dtype, world, replicated=True)
    reference = None if config.lora is not None else frozen(model, dtype)
    policy = Learner(learns, rates, dtype, world, replicated=True)
    models = [frozen(scorer, dtype) for scorer in scorers]
    if compiled:
        learners = [policy.model, *([] if value is None else [value.model])]
        for network in (*learners, *models, *([] if reference is None else [reference])):
            compile_model(network)
    rewards: list[Reward] = [ModelReward(scorer) for scorer in models] or [CheckReward()]
    return Networks(
        policy=policy,
        value=value,
        reference=_reference(policy, reference, config.temperature),
        reward=rewards[0],
        judge=rewards[-1],
        tokenizer=tokenizer,
        device=device,
        precision=precision,
        compiled=compiled,
        judged_apart=len(scorers) > 1 and inputs.parents[2].resolve() != inputs.parents[1].resolve(),
        world=world,
    )


def _scorers(config: PolicyConfig, inputs: StageInputs, stage: str) -> list[Scorer]:
    """The reward model, and one more to judge by where there is one."""
    from bottega.data.tokenizer import Tokenizer
    from bottega.model.hub import load_scorer
    from bottega.stages.learning import device_of

    wanted = (1, 1) if config.reward == "checks" else (2, 3)
    if not wanted[0] <= len(inputs.parents) <= wanted[1]:
        needs = (
            "the policy alone, for the prompts' checks are the reward"
            if config.reward == "checks"
            else "the policy, a reward model, and where there is one a second reward model to judge by"
        )
        raise UserError(
            f"{inputs.out.name}: the stage {stage} needs as parents {needs}; {len(inputs.parents)} were given"
        )
    found = []
    for folder in inputs.parents[1:]:
        found.append(load_scorer(folder, device=device_of(inputs)))
        if Tokenizer.load(folder).digest != Tokenizer.load(inputs.parents[0]).digest:
            raise UserError(
                f"{inputs.out.name}: the reward model {folder} has another tokenizer than the policy "
                f"{inputs.parents[0]}: it would read other tokens than were said. Train a reward model of "
                "this family."
            )
    return found


def _reference(
    policy: Learner, reference: Backbone | None, temperature: float
) -> Callable[[Micro], TokenLogprobs]:
    """What the policy was, or is without its adapters."""

    def read(micro: Micro) -> TokenLogprobs:
        if reference is not None:
            return logprobs_of(reference, micro, temperature)
        assert isinstance(policy.model, Decoder)
        with without_lora(policy.model):
            return logprobs_of(policy.model, micro, temperature)

    return read


def frozen(model: N, dtype: torch.dtype) -> N:
    """A copy to compute with, rounded as one that learns would be."""
    return MasterWeights(copy.deepcopy(model), dtype, ALONE).model.requires_grad_(False)  # type: ignore[return-value]


def logprobs_of(model: Backbone, micro: Micro, temperature: float) -> TokenLogprobs:
    """Log-probabilities of a microbatch's tokens under a model, with its temperature."""
    assert isinstance(model, Decoder)
    hidden = hidden_of(model, micro)
    return token_logprobs(model, hidden, micro.batch.targets, micro.places, temperature=temperature)


def hidden_of(model: Backbone, micro: Micro) -> Tensor:
    """Hidden states [B, S, D] of a microbatch."""
    batch = micro.batch
    hidden: Tensor = model(batch.tokens, batch.positions, batch.segments, branches=batch.extra["branches"])
    return hidden
