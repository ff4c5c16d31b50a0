"""Rewards, advantages and whitening against plain loops; what is masked leaks nothing."""

from __future__ import annotations

import math
import subprocess
from pathlib import Path
from statistics import fmean, pvariance, stdev

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from launching import TWO_PROCESSES, environment
from torch import Tensor

from bottega.training.advantages import gae, group_relative, leave_one_out, token_rewards, whiten

_LENGTHS = st.lists(st.integers(0, 6), min_size=1, max_size=5)


def numbers(seed: int, lengths: list[int], count: int) -> tuple[list[Tensor], Tensor]:
    """Random arrays [N, T] and the mask of rows of these lengths."""
    generator = torch.Generator().manual_seed(seed)
    width = max(1, *lengths)
    mask = torch.arange(width) < torch.tensor(lengths)[:, None]
    return [torch.randn(len(lengths), width, generator=generator) for _ in range(count)], mask


@settings(max_examples=60, deadline=None)
@given(_LENGTHS, st.integers(0, 9), st.sampled_from([(1.0, 1.0), (1.0, 0.95), (0.9, 0.5), (0.99, 0.0)]))
def test_gae_is_a_plain_loop(lengths: list[int], seed: int, rates: tuple[float, float]) -> None:
    """CORRECTNESS 22 and 32."""
    (rewards, values), mask = numbers(seed, lengths, 2)
    gamma, lam = rates
    advantages, returns = gae(rewards, values, mask, gamma=gamma, lam=lam)
    for i, length in enumerate(lengths):
        for t in range(length):
            plain = 0.0
            for later in range(t, length):
                after = float(values[i, later + 1]) if later + 1 < length else 0.0
                delta = float(rewards[i, later]) + gamma * after - float(values[i, later])
                plain += (gamma * lam) ** (later - t) * delta
            assert float(advantages[i, t]) == pytest.approx(plain, abs=1e-5)
            assert float(returns[i, t]) == pytest.approx(plain + float(values[i, t]), abs=1e-5)
        assert not advantages[i, length:].any() and not returns[i, length:].any()


def test_gae_without_discount_is_the_sum_of_what_follows_less_the_value() -> None:
    """CORRECTNESS 22: the closed form at gamma = lambda = 1."""
    (rewards, values), mask = numbers(1, [4, 2, 5], 2)
    advantages, returns = gae(rewards, values, mask, gamma=1.0, lam=1.0)
    for i, length in enumerate([4, 2, 5]):
        for t in range(length):
            torch.testing.assert_close(returns[i, t], rewards[i, t:length].sum(), atol=1e-6, rtol=0)
            torch.testing.assert_close(advantages[i, t], returns[i, t] - values[i, t], atol=1e-6, rtol=0)


def test_gae_is_what_trl_had() -> None:
    """CORRECTNESS 32: the loop that TRL's PPO trainer had, written out, with equal lengths."""
    (rewards, values), mask = numbers(2, [5, 5], 2)
    found, _ = gae(rewards, values, mask, gamma=0.98, lam=0.9)
    last: Tensor | float = 0
    reverse = []
    for t in reversed(range(5)):
        after = values[:, t + 1] if t < 4 else 0.0
        last = rewards[:, t] + 0.98 * after - values[:, t] + 0.98 * 0.9 * last
        reverse.append(last)
    torch.testing.assert_close(found, torch.stack(reverse[::-1], dim=1))


@settings(max_examples=40, deadline=None)
@given(_LENGTHS, st.integers(0, 9))
def test_rewards_are_the_kl_by_token_and_the_score_at_the_last(lengths: list[int], seed: int) -> None:
    """CORRECTNESS 20."""
    (logprobs, ref), mask = numbers(seed, lengths, 2)
    scores = torch.arange(1.0, len(lengths) + 1)
    rewards = token_rewards(logprobs, ref, mask, scores, kl_coef=0.3)
    for i, length in enumerate(lengths):
        expected = [-0.3 * float(logprobs[i, t] - ref[i, t]) for t in range(length)]
        if length:
            expected[-1] += float(scores[i])
        assert rewards[i, :length].tolist() == pytest.approx(expected, abs=1e-6)
        assert not rewards[i, length:].any()
    same = token_rewards(logprobs, logprobs, mask, torch.zeros(len(lengths)), kl_coef=0.3)
    assert not same.any()


@settings(max_examples=40, deadline=None)
@given(_LENGTHS, st.integers(0, 9), st.data())
def test_where_in_its_row_an_answer_stands_changes_nothing(
    lengths: list[int], seed: int, data: st.DataObject
) -> None:
    arrays, mask = numbers(seed, lengths, 3)
    shifts = data.draw(st.lists(st.integers(0, 4), min_size=len(lengths), max_size=len(lengths)))
    moved = [torch.full((len(lengths), mask.shape[1] + 4), math.nan) for _ in arrays]
    moved_mask = torch.zeros(len(lengths), mask.shape[1] + 4, dtype=torch.bool)
    for i, (length, shift) in enumerate(zip(lengths, shifts, strict=True)):
        moved_mask[i, shift : shift + length] = True
        for one, other in zip(arrays, moved, strict=True):
            other[i, shift : shift + length] = one[i, :length]
    scores = torch.arange(1.0, len(lengths) + 1)

    def found(x: list[Tensor], where: Tensor) -> list[Tensor]:
        rewards = token_rewards(x[0], x[1], where, scores, kl_coef=0.3)
        return [rewards, *gae(rewards, x[2], where, gamma=0.9, lam=0.8)]

    for there, here in zip(found(moved, moved_mask), found(arrays, mask), strict=True):
        assert torch.equal(there[moved_mask], here[mask])
        assert not there[~moved_mask].any()


@settings(max_examples=40, deadline=None)
@given(_LENGTHS.filter(lambda found: sum(found) > 1), st.integers(0, 9))
def test_whitening_uses_the_mask_and_the_biased_variance(lengths: list[int], seed: int) -> None:
    """CORRECTNESS 23."""
    (x,), mask = numbers(seed, lengths, 1)
    inside = x[mask].tolist()
    mean, spread = fmean(inside), math.sqrt(pvariance(inside) + 1e-8)
    found = whiten(x, mask)
    assert found[mask].tolist() == pytest.approx([(v - mean) / spread for v in inside], abs=1e-4)
    assert not found[~mask].any()
    kept = whiten(x, mask, shift_mean=False)
    assert kept[mask].tolist() == pytest.approx([(v - mean) / spread + mean for v in inside], abs=1e-4)


_WHITEN_ON_ITS_SHARE = """
import sys
import torch
from bottega.training.advantages import whiten
from bottega.training.distributed import join_world

folder, shares = sys.argv[1], [[0, 1, 2, 3], [4]]
world = join_world(torch.device("cpu"))
given = torch.load(f"{folder}/given.pt")
rows = shares[world.rank]
for shift_mean in (True, False):
    found = whiten(given["x"][rows], given["mask"][rows], world, shift_mean=shift_mean)
    torch.save(found, f"{folder}/{shift_mean}-{world.rank}.pt")
"""


@pytest.mark.parametrize("lengths", [[4, 1, 0, 6, 2], [4, 1, 3, 6, 0]], ids=["uneven", "one has none"])
def test_whitening_on_two_processes_is_that_on_one(tmp_path: Path, lengths: list[int]) -> None:
    """CORRECTNESS 23: the moments are global, however the tokens are spread over the processes."""
    (x,), mask = numbers(7, lengths, 1)
    x[4] += 3  # so that each share's own moments would be others
    torch.save({"x": x, "mask": mask}, tmp_path / "given.pt")
    program = tmp_path / "whiten.py"
    program.write_text(_WHITEN_ON_ITS_SHARE)
    command = [*TWO_PROCESSES, str(program), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(), timeout=300)
    assert done.returncode == 0, done.stderr
    for shift_mean in (True, False):
        shares = [torch.load(tmp_path / f"{shift_mean}-{rank}.pt") for rank in (0, 1)]
        alone = whiten(x, mask, shift_mean=shift_mean)
        torch.testing.assert_close(torch.cat(shares), alone, atol=1e-6, rtol=0)


@pytest.mark.parametrize("poison", [math.nan, math.inf, -math.inf])
def test_masked_places_may_hold_anything(poison: float) -> None:
    """CORRECTNESS 25: of values and of gradients."""
    (rewards, values, logprobs, ref), mask = numbers(3, [3, 0, 5], 4)

    def found(fill: float) -> tuple[list[Tensor], list[Tensor]]:
        arrays = [x.masked_fill(~mask, fill).requires_grad_() for x in (rewards, values, logprobs, ref)]
        r, v, now, then = arrays
        scores = torch.tensor([1.0, 2.0, 3.0])
        results = [*gae(r, v, mask, gamma=0.9, lam=0.8), whiten(v, mask)]
        results.append(token_rewards(now, then, mask, scores, 0.1))
        sum(x.square().sum() for x in results).backward()  # type: ignore[union-attr]
        return results, [x.grad for x in arrays if x.grad is not None]

    for clean, dirty in zip(found(0.0), found(poison), strict=True):
        for one, other in zip(clean, dirty, strict=True):
            torch.testing.assert_close(one, other, atol=0, rtol=0)


_SCORES = st.lists(
    st.lists(st.floats(-5, 5, allow_subnormal=False), min_size=3, max_size=3), min_size=1, max_size=4
)


@given(_SCORES)
def test_group_advantages_are_plain_loops(scores: list[list[float]]) -> None:
    """CORRECTNESS 32."""
    given_scores = torch.tensor(scores, dtype=torch.float32)
    scaled, centred, left = (
        group_relative(given_scores),
        group_relative(given_scores, scale=False),
        leave_one_out(given_scores),
    )
    for p, row in enumerate(given_scores.tolist()):
        for k, score in enumerate(row):
            others = [v for j, v in enumerate(row) if j != k]
            assert float(left[p, k]) == pytest.approx(score - fmean(others), abs=5e-6)
            assert float(centred[p, k]) == pytest.approx(score - fmean(row), abs=5e-6)
            plain = (score - fmean(row)) / (stdev(row) + 1e-4)
            assert float(scaled[p, k]) == pytest.approx(plain, abs=5e-6)


@given(st.floats(-1000, 1000, width=32, allow_subnormal=False), st.integers(2, 9))
def test_answers_with_one_score_have_no_advantage_at_all(score: float, K: int) -> None:
    """A mean that is off in its last bit would be divided by 1e-4 and teach noise."""
    tied = torch.full((1, K), score)
    for found in (group_relative(tied), group_relative(tied, scale=False), leave_one_out(tied)):
        assert found.tolist() == [[0.0] * K]


def test_the_deviation_of_a_group_is_the_one_that_trl_divides_by() -> None:
    """CORRECTNESS 32: TRL's own function, in the expression of its GRPO trainer."""
    trl = pytest.importorskip("trl.trainer.utils")
    scores = torch.randn(5, 4, generator=torch.Generator().manual_seed(8))
    theirs = (scores - scores.mean(1, keepdim=True)) / (trl.nanstd(scores, dim=1, keepdim=True) + 1e-4)
    torch.testing.assert_close(group_relative(scores), theirs, atol=1e-6, rtol=0)
