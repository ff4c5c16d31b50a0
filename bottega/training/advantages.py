"""From scores of answers to advantages of their tokens. Arrays are float32 [N, T] with a bool mask [N, T].

The tokens of an answer are one run in its row, wherever it begins. What the mask leaves out is selected away
before anything else: it may hold anything, and its gradient is 0.
"""

from __future__ import annotations

import torch
from torch import Tensor

from bottega.training.distributed import ALONE, World

EPSILON = 1e-8  # of whitening
GROUP_EPSILON = 1e-4  # of GRPO's division, as TRL has it


def token_rewards(
    logprobs: Tensor, ref_logprobs: Tensor, mask: Tensor, scores: Tensor, kl_coef: float
) -> Tensor:
    """-beta (log p - log p_ref) for each token, the score [N] added at the last (2203.02155, equation 2)."""
    rewards = -kl_coef * torch.where(mask, logprobs - ref_logprobs, 0.0)
    last = torch.where(mask, torch.arange(mask.shape[1], device=mask.device), 0).amax(1, keepdim=True)
    return rewards.scatter_add(1, last, torch.where(mask.any(1), scores, 0.0).unsqueeze(1))


def gae(rewards: Tensor, values: Tensor, mask: Tensor, *, gamma: float, lam: float) -> tuple[Tensor, Tensor]:
    """Generalised advantages (1506.02438, equation 16) and the returns that values are to learn.

    delta_t = r_t + gamma V_t+1 - V_t; A_t = delta_t + gamma lambda A_t+1; after the last token both are 0.
    Masked entries are 0.
    """
    rewards, values = torch.where(mask, rewards, 0.0), torch.where(mask, values, 0.0)
    advantages = torch.zeros_like(rewards)
    later_value = later = rewards.new_zeros(rewards.shape[0])
    for t in reversed(range(rewards.shape[1])):
        delta = rewards[:, t] + gamma * later_value - values[:, t]
        advantages[:, t] = torch.where(mask[:, t], delta + gamma * lam * later, 0.0)
        later, later_value = advantages[:, t], values[:, t]
    return advantages, torch.where(mask, advantages + values, 0.0)


def whiten(x: Tensor, mask: Tensor, world: World = ALONE, *, shift_mean: bool = True) -> Tensor:
    """(x - mean) / sqrt(variance + 1e-8) over the mask and all processes, the variance biased; 0 outside.

    Without ``shift_mean`` the mean is left in.
    """
    inside = torch.where(mask, x, 0.0)
    # In two passes: the square of a mean may be larger than the variance by far.
    count, total = world.sum(torch.stack([mask.sum().float(), inside.sum()])).unbind()
    mean = total / count.clamp(min=1)
    squares = torch.where(mask, inside - mean, 0.0).square().sum()
    variance = world.sum(squares.reshape(1))[0] / count.clamp(min=1)
    scaled = (inside - mean) * torch.rsqrt(variance + EPSILON)
    return torch.where(mask, scaled if shift_mean else scaled + mean, 0.0)


def group_relative(scores: Tensor, *, scale: bool = True) -> Tensor:
    """Scores [P, K] less the mean of their prompt, over its standard deviation + 1e-4, of K - 1 degrees of
    freedom (GRPO, 2402.03300, section 4.1.2); without ``scale`` undivided (Dr. GRPO, 2503.20783)."""
    centred = _centred(scores)
    return centred / (centred.std(1, keepdim=True) + GROUP_EPSILON) if scale else centred


def leave_one_out(scores: Tensor) -> Tensor:
    """Scores [P, K] less the mean of the other answers to the same prompt (RLOO, 2402.14740, equation 7)."""
    K = scores.shape[1]
    return _centred(scores) * K / (K - 1)


def _centred(scores: Tensor) -> Tensor:
    # Rounding leaves the mean of equal scores a bit off, which a division by 1e-4 would make an advantage;
    # less the first of them they are 0, and so is their mean.
    scores = scores - scores[:, :1]
    return scores - scores.mean(1, keepdim=True)
