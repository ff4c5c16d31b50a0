"""CORRECTNESS 32 to its last digit: in float64, against plain loops."""

from __future__ import annotations

import math
from statistics import fmean, pvariance, stdev

import pytest
import torch
from torch import Tensor

from bottega.training.advantages import gae, group_relative, leave_one_out, token_rewards, whiten
from bottega.training.direct import FOREIGN, Goal, kto_loss, pairs_loss
from bottega.training.policy_loss import clipped_policy_loss, clipped_value_loss, explained_variance

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


@pytest.mark.parametrize("seed", range(5))
def test_token_rewards_are_a_plain_loop(seed: int) -> None:
    """CORRECTNESS 20, 25 and 32: what is masked may be infinite."""
    mask = torch.arange(7) < torch.tensor(LENGTHS)[:, None]
    logprobs, ref = (drawn(seed + k, 5, 7).masked_fill(~mask, math.inf) for k in (0, 50))
    scores = drawn(seed + 20, 5)
    expected = []
    for i, length in enumerate(LENGTHS):
        row = [-0.3 * (float(logprobs[i, t]) - float(ref[i, t])) for t in range(length)]
        expected += [*row[:-1], row[-1] + float(scores[i])] if row else []
    close(token_rewards(logprobs, ref, mask, scores, 0.3)[mask], expected)


@pytest.mark.parametrize("seed", range(5))
def test_whitening_that_leaves_the_mean_is_a_plain_loop(seed: int) -> None:
    """CORRECTNESS 23 and 32: on numbers so small that the epsilon is seen."""
    mask = torch.arange(7) < torch.tensor(LENGTHS)[:, None]
    x = 1e-4 * drawn(seed, 5, 7)
    inside = x[mask].tolist()
    spread = math.sqrt(pvariance(inside) + 1e-8)
    expected = [(value - fmean(inside)) / spread + fmean(inside) for value in inside]
    close(whiten(x, mask, shift_mean=False)[mask], expected)


@pytest.mark.parametrize("seed", range(5))
def test_figures_and_weights_of_the_clipped_loss_are_plain_loops(seed: int) -> None:
    """CORRECTNESS 16, 28 and 32."""
    now, old, goods = 0.5 * drawn(seed, 30), 0.5 * drawn(seed + 10, 30), drawn(seed + 20, 30)
    weights = drawn(seed + 30, 30).exp()
    parts = clipped_policy_loss(now, old, goods, clip=0.2, weights=weights)
    total, sums = 0.0, dict.fromkeys(parts.metrics, 0.0)
    for p, q, a, w in zip(*(x.tolist() for x in (now, old, goods, weights)), strict=True):
        ratio = math.exp(p - q)
        clipped = min(max(ratio, 0.8), 1.2)
        total += w * max(-a * ratio, -a * clipped)
        sums["approx_kl"] += ratio - 1 - (p - q)
        sums["approx_kl_k1"] += q - p
        sums["clip_fraction"] += -a * clipped > -a * ratio
        sums["ratio"] += ratio
        sums["ratio_square"] += ratio**2
    close(parts.loss_sum, [total])
    for name, value in sums.items():
        close(parts.metrics[name], [value])
    returns, values = goods.tolist(), now.tolist()
    left = [r - v for r, v in zip(returns, values, strict=True)]
    close(explained_variance(now, goods), [1 - pvariance(left) / pvariance(returns)])


@pytest.mark.parametrize(
    "goal", [Goal(beta=0.3), Goal(beta=0.3, label_smoothing=0.2), Goal("ipo", 0.3)], ids=repr
)
def test_direct_preference_is_a_plain_loop(goal: Goal) -> None:
    """CORRECTNESS 32: over every pair of answers, as often as it was preferred."""
    rewards, smooth = 3 * drawn(1, 6, 4), goal.label_smoothing
    wins = torch.randint(0, 3, (6, 4, 4), generator=torch.Generator().manual_seed(2)).double() / 7
    total = 0.0
    for row, won in zip(rewards.tolist(), wins.tolist(), strict=True):
        for i, better in enumerate(row):
            for j, worse in enumerate(row):
                margin = better - worse
                right, wrong = (math.log(1 + math.exp(sign * 0.3 * margin)) for sign in (-1, 1))
                of_coin = (1 - smooth) * right + smooth * wrong
                total += won[i][j] * ((margin - 1 / 0.6) ** 2 if goal.loss == "ipo" else of_coin)
    close(pairs_loss(rewards, wins, goal).loss_sum, [total])


@pytest.mark.parametrize("seed", range(5))
def test_kto_is_a_plain_loop(seed: int) -> None:
    """CORRECTNESS 32: the last answer of each prompt is another's, and their mean reward what all are held
    against."""
    rewards = 2 * drawn(seed, 6, 4)
    ratings = torch.tensor([[1.0, 0.0, math.nan, FOREIGN], [0.0, 1.0, 1.0, FOREIGN]] * 3).double()
    parts = kto_loss(rewards, ratings, Goal("kto", 0.4, desirable_weight=1.5, undesirable_weight=0.5))
    kl, total, count = max(0.0, fmean(rewards[:, -1].tolist())), 0.0, 0
    for row, said in zip(rewards[:, :-1].tolist(), ratings[:, :-1].tolist(), strict=True):
        for reward, rating in zip(row, said, strict=True):
            if not math.isnan(rating):
                towards = 0.4 * (reward - kl) * (1 if rating else -1)
                total += (1.5 if rating else 0.5) * (1 - 1 / (1 + math.exp(-towards)))
                count += 1
    close(parts.loss_sum, [total])
    assert float(parts.weight) == count
