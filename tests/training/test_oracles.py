"""CORRECTNESS 32 to its last digit: in float64, against plain loops."""

from __future__ import annotations

import math
from statistics import fmean, pvariance, stdev

import pytest
import torch
from torch import Tensor

from bottega.training.advantages import gae, group_relative, leave_one_out, whiten
from bottega.training.policy_loss import clipped_policy_loss, clipped_value_loss

LENGTHS = [5, 0, 3, 7, 1]


def drawn(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def close(found: Tensor, expected: list[float]) -> None:
    assert found.flatten().tolist() == pytest.approx(expected, rel=0, abs=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_advantages_are_plain_loops(seed: int) -> None:
    """CORRECTNESS 22, 23 and 32."""
    rewards, values = drawn(seed, 5, 7), drawn(seed + 50, 5, 7)
    mask = torch.arange(7) < torch.tensor(LENGTHS)[:, None]
    advantages, returns = gae(rewards, values, mask, gamma=0.97, lam=0.9)
    plain = []
    for i, length in enumerate(LENGTHS):
        later = 0.0
        found = []
        for t in reversed(range(length)):
            after = float(values[i, t + 1]) if t + 1 < length else 0.0
            later = float(rewards[i, t]) + 0.97 * after - float(values[i, t]) + 0.97 * 0.9 * later
            found.append(later)
        plain += found[::-1]
    close(advantages[mask], plain)
    close(returns[mask], [a + float(v) for a, v in zip(plain, values[mask], strict=True)])
    spread = math.sqrt(pvariance(plain) + 1e-8)
    close(whiten(advantages, mask)[mask], [(a - fmean(plain)) / spread for a in plain])


@pytest.mark.parametrize("seed", range(5))
def test_group_advantages_are_plain_loops(seed: int) -> None:
    """CORRECTNESS 32."""
    scores = drawn(seed, 6, 4)
    scaled, left = [], []
    for row in scores.tolist():
        scaled += [(score - fmean(row)) / (stdev(row) + 1e-4) for score in row]
        left += [score - (sum(row) - score) / 3 for score in row]
    close(group_relative(scores), scaled)
    close(leave_one_out(scores), left)


@pytest.mark.parametrize("seed", range(5))
def test_clipped_losses_are_plain_loops(seed: int) -> None:
    """CORRECTNESS 24 and 32."""
    now, old, goods = 0.5 * drawn(seed, 30), 0.5 * drawn(seed + 10, 30), drawn(seed + 20, 30)
    policy = value = 0.0
    for p, q, a in zip(now.tolist(), old.tolist(), goods.tolist(), strict=True):
        ratio = math.exp(p - q)
        policy += max(-a * ratio, -a * min(max(ratio, 0.8), 1.2))
        value += 0.5 * max((p - a) ** 2, (min(max(p, q - 0.2), q + 0.2) - a) ** 2)
    close(clipped_policy_loss(now, old, goods, clip=0.2).loss_sum, [policy])
    close(clipped_value_loss(now, old, goods, clip=0.2).loss_sum, [value])
