"""What is known of a step's answers while a policy learns, and what it says of the policy."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from bottega.engine.rollout import Rollouts
from bottega.training.distributed import World
from bottega.training.experience import Experience
from bottega.training.policy_loss import explained_variance


@dataclass(frozen=True)
class Measured:
    """What is known of a step's answers before the policy moves. Flat over tokens, or one for each answer."""

    logprobs: Tensor  # under the policy, by the update's own graph
    ref_logprobs: Tensor
    engine_logprobs: Tensor
    entropy: Tensor
    values: Tensor | None
    scores: Tensor  # [N] with what takes the place of those without an end


@dataclass(frozen=True, slots=True)
class Forward:
    """What a pass over a microbatch found of its tokens, with the graphs to learn on."""

    logprobs: Tensor
    values: Tensor | None


def figures_of(
    experience: Experience,
    rollouts: Rollouts,
    measured: Measured,
    returns: Tensor | None,
    kl_coef: float,
    world: World,
) -> dict[str, float]:
    """What a step's answers say of the policy before it moves, over all processes: means over tokens of the
    entropy and of the engine's log-probabilities against the policy's own, over answers of the rest (``kl``
    of sums over their tokens, in nats)."""
    own = {
        "kl": measured.logprobs - measured.ref_logprobs,
        "engine": measured.engine_logprobs - measured.logprobs,
        "entropy": measured.entropy,
        "scores": measured.scores,
        "lengths": experience.lengths.float(),
        "ended": rollouts.ended.float(),
    }
    if measured.values is not None and returns is not None:
        own |= {"values": measured.values, "returns": returns}
    seen = own
    if world.size > 1:
        parts = world.gather({name: tensor.cpu() for name, tensor in own.items()})
        seen = {name: torch.cat([part[name] for part in parts]) for name in own}
    figures = {
        "score": seen["scores"].mean(),
        "score_spread": seen["scores"].std(correction=0),
        "kl": seen["kl"].sum() / len(seen["scores"]),
        "kl_coef": torch.tensor(kl_coef),
        "engine_kl": seen["engine"].mean(),
        "engine_gap": seen["engine"].abs().max(),
        "entropy": seen["entropy"].mean(),
        "length": seen["lengths"].mean(),
        "ended": seen["ended"].mean(),
    }
    if "values" in seen:
        figures["explained_variance"] = explained_variance(seen["values"], seen["returns"])
    return {name: float(value) for name, value in figures.items()}
