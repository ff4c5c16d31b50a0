"""The losses of policy and value, as sums over tokens for the caller to divide by their global number."""

from __future__ import annotations

import torch
from torch import Tensor

from bottega.training.objective import LossParts


def clipped_policy_loss(
    logprobs: Tensor, old_logprobs: Tensor, advantages: Tensor, *, clip: float, weights: Tensor | None = None
) -> LossParts:
    """Sum over tokens [n] of max(-A r, -A clip(r, 1 - c, 1 + c)), r = p / p_old (1707.06347, equation 7).

    ``weights`` [n], where given, multiply each token's loss: truncated importance weights, say.
    """
    log_ratio = logprobs - old_logprobs
    ratio = log_ratio.exp()
    clipped = ratio.clamp(1 - clip, 1 + clip)
    free = -advantages * ratio
    losses = torch.maximum(free, -advantages * clipped)
    with torch.no_grad():
        metrics = {
            "approx_kl": (ratio - 1 - log_ratio).sum(),  # k3: never negative, and unbiased
            "approx_kl_k1": -log_ratio.sum(),
            "clip_fraction": (losses > free).float().sum(),  # of tokens that the clip left no gradient
            "ratio": ratio.sum(),
            "ratio_square": ratio.square().sum(),
        }
    if weights is not None:
        losses = losses * weights
    return LossParts(losses.sum(), _count(losses), metrics)


def clipped_value_loss(values: Tensor, old_values: Tensor, returns: Tensor, *, clip: float) -> LossParts:
    """Half the sum over tokens [n] of the larger squared error, of the value or of the value kept within
    ``clip`` of the old one (2403.17031, detail 20)."""
    near = torch.maximum(torch.minimum(values, old_values + clip), old_values - clip)
    losses = 0.5 * torch.maximum((values - returns).square(), (near - returns).square())
    with torch.no_grad():
        moved = ((values - old_values).abs() > clip).float().sum()
    return LossParts(losses.sum(), _count(losses), {"value_clip_fraction": moved})


def importance_weights(logprobs: Tensor, engine_logprobs: Tensor, *, cap: float) -> Tensor:
    """The trainer's probability over the engine's, at most ``cap``: what corrects for tokens that were drawn
    by other arithmetic than they are trained by."""
    return (logprobs - engine_logprobs).exp().clamp(max=cap)


def explained_variance(values: Tensor, returns: Tensor) -> Tensor:
    """1 - var(returns - values) / var(returns); 0 where returns do not vary."""
    spread = returns.var(correction=0)
    left = (returns - values).var(correction=0)
    return torch.where(spread > 0, 1 - left / spread.clamp(min=1e-12), 0.0)


def _count(x: Tensor) -> Tensor:
    return torch.tensor(float(x.numel()), device=x.device)
