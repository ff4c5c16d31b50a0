"""A step of learning by trial, watched; and what it should have been, in plain loops over conversations."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import torch
from torch import Tensor

from bottega import stages
from bottega.engine.rollout import Rollouts
from bottega.model.decoder import Decoder
from bottega.model.hub import load_model
from bottega.model.scorer import Scorer
from bottega.stages import ppo
from bottega.stages.base import StageInputs, StageResult
from bottega.stages.policy_measures import Measured
from bottega.stages.policy_networks import Networks, networks_of
from bottega.training.experience import Experience
from bottega.training.learner import Learner
from bottega.training.telemetry import read_metrics

Weights = dict[str, Tensor]


@dataclass(frozen=True)
class Update:
    """One step of an optimiser: the weights before it and the gradient of the mean loss, by name."""

    weights: Weights
    gradient: Weights
    norm: float  # as it is logged
    after: Weights = field(default_factory=dict)


@dataclass
class Seen:
    """What a run did. ``talks``: the tokens of each prompt and answer, those of every step one list."""

    config: Any
    networks: Networks
    talks: list[list[tuple[list[int], list[int]]]] = field(default_factory=list)
    rollouts: list[Rollouts] = field(default_factory=list)
    measured: list[Measured] = field(default_factory=list)
    advantages: list[list[float]] = field(default_factory=list)  # flat, as the loss was given them
    updates: dict[str, list[Update]] = field(default_factory=dict)  # of policy and value
    order: list[list[list[int]]] = field(default_factory=list)  # the answers of every update of a step
    rows: list[dict[str, Any]] = field(default_factory=list)
    run: Any = None
    result: StageResult | None = None

    def policy(self, update: int = 0) -> Decoder:
        """A network of its own with the policy's weights before an update."""
        return _with(self.networks.policy.weights.given, self.updates["policy"][update].weights)

    def value(self, update: int = 0) -> Scorer:
        """The same for the value network."""
        assert self.networks.value is not None
        return _with(self.networks.value.weights.given, self.updates["value"][update].weights)


def watched(
    name: str,
    config: dict[str, Any],
    inputs: StageInputs,
    *,
    moved: float = 0.0,
    drawn: Callable[[Tensor], Tensor] | None = None,
    **networks: Any,
) -> Seen:
    """Run a stage's steps and look on. ``moved``: how far the policy begins from its reference, as the
    deviation of what is added to each weight; ``drawn`` changes the engine's log-probabilities;
    ``networks`` are put in place of the stage's own."""
    stage: Any = stages.get(name)
    made = stage.Config.parse(config)
    found = replace(networks_of(made, inputs, 0, name), **networks)
    draw = torch.Generator().manual_seed(1)
    for p in found.policy.weights.masters.values():
        p.data += moved * torch.randn(p.shape, generator=draw)
    seen = Seen(made, found)
    for kind, learner in (("policy", found.policy), ("value", found.value)):
        if learner is not None:
            seen.updates[kind] = []
            learner.scale = _noting(learner, seen.updates[kind])  # type: ignore[method-assign]

    class Watched(stage.Run):  # type: ignore[misc, name-defined]
        def begin(self, networks: Networks) -> Any:
            seen.run = self
            return super().begin(networks)

        def _experience(self, asked: Any, rollouts: Rollouts) -> tuple[Experience, Tensor]:
            experience, logprobs = super()._experience(asked, rollouts)
            return experience, logprobs if drawn is None else drawn(logprobs)

        def _measure(self, asked: Any, rollouts: Rollouts, *rest: Any) -> Measured:
            n = len(rollouts.lengths) // len(asked)
            answers = [
                row[mask].tolist() for row, mask in zip(rollouts.tokens, rollouts.sampled, strict=True)
            ]
            seen.talks.append([(list(asked[i // n].tokens), answer) for i, answer in enumerate(answers)])
            seen.rollouts.append(rollouts)
            seen.measured.append(super()._measure(asked, rollouts, *rest))
            return seen.measured[-1]

        def advantages(self, experience: Experience, measured: Measured) -> tuple[Tensor, Tensor | None]:
            advantages, returns = super().advantages(experience, measured)
            seen.advantages.append(advantages.tolist())
            return advantages, returns

        def _update(self, minibatch: Any, *rest: Any) -> dict[str, float]:
            seen.order = seen.order[: len(seen.measured)] + [[]] * (len(seen.measured) - len(seen.order))
            seen.order[-1] = [*seen.order[-1], [i for micro in minibatch for i in micro.answers.tolist()]]
            figures: dict[str, float] = super()._update(minibatch, *rest)
            for kind, learner in self._trained.items():
                seen.updates[kind][-1].after.update(_copied(learner))
            return figures

    class Same(type(stage)):  # type: ignore[misc]
        Run = Watched

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ppo, "networks_of", lambda *_: found)
        seen.result = Same().run(made, inputs, 0)
    seen.rows = read_metrics(seen.result.curves)
    return seen


def _noting(learner: Learner, into: list[Update]) -> Any:
    scaled = learner.scale

    def scale(grads: list[Tensor], weight: float, *rest: Any) -> float:
        masters = learner.weights.masters
        gradient = {name: p.grad / weight for name, p in masters.items() if p.grad is not None}
        norm: float = scaled(grads, weight, *rest)
        into.append(Update(_copied(learner), gradient, norm))
        return norm

    return scale


def _copied(learner: Learner) -> Weights:
    return {name: p.detach().clone() for name, p in learner.weights.masters.items()}


def _with(model: Any, weights: Weights) -> Any:
    other = type(model)(model.config)
    for name, p in other.named_parameters():
        p.data.copy_(weights[name])
    other.shift = getattr(model, "shift", 0.0)
    return other


def reference_of(inputs: StageInputs) -> Decoder:
    """The policy's parent, as it lies on the disk."""
    return load_model(inputs.parents[0])


def token_logprobs(
    model: Decoder, talk: tuple[list[int], list[int]], temperature: float = 1.0
) -> tuple[Tensor, Tensor]:
    """Log-probability and entropy of every token of an answer, by a pass over this conversation alone."""
    prompt, answer = talk
    logits = model.logits(model(torch.tensor([[*prompt, *answer]])))[0, len(prompt) - 1 : -1]
    table = (logits / temperature).log_softmax(-1)
    return table.gather(1, torch.tensor(answer)[:, None]).squeeze(1), -(table.exp() * table).sum(-1)


def token_values(scorer: Scorer, talk: tuple[list[int], list[int]]) -> Tensor:
    """The value of the state before every token of an answer."""
    prompt, answer = talk
    return scorer.rewards(scorer(torch.tensor([[*prompt, *answer]]))[0, len(prompt) - 1 : -1])


def score(scorer: Scorer, talk: tuple[list[int], list[int]]) -> float:
    """The reward at the last token of prompt and answer."""
    return float(scorer.rewards(scorer(torch.tensor([[*talk[0], *talk[1]]]))[0, -1]))


def generalised_advantages(
    rewards: Sequence[float], values: Sequence[float], gamma: float, lam: float
) -> list[float]:
    """A_t = sum over k of (gamma lambda)^k delta_t+k, for one answer."""
    after = [*values[1:], 0.0]
    deltas = [r + gamma * later - v for r, v, later in zip(rewards, values, after, strict=True)]
    return [sum((gamma * lam) ** k * delta for k, delta in enumerate(deltas[t:])) for t in range(len(deltas))]


def whitened(rows: Sequence[Sequence[float]]) -> list[list[float]]:
    """Less the mean of all, over their deviation."""
    every = [value for row in rows for value in row]
    mean = sum(every) / len(every)
    deviation = math.sqrt(sum((value - mean) ** 2 for value in every) / len(every) + 1e-8)
    return [[(value - mean) / deviation for value in row] for row in rows]


def gradient_of(model: torch.nn.Module, loss: Tensor) -> Weights:
    """By every parameter of a network."""
    model.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def assert_close(found: Weights, expected: Weights, share: float = 2e-4) -> None:
    """The gradients are one, but for ``share`` of their largest entry."""
    assert found.keys() == expected.keys()
    most = max(float(gradient.abs().max()) for gradient in expected.values())
    assert most > 0
    for name, gradient in expected.items():
        apart = float((found[name] - gradient).abs().max())
        assert apart <= share * most, f"{name}: {apart} apart, of {most}"
