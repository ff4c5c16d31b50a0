"""The KL controller on a scripted sequence, and the guard."""

from __future__ import annotations

import math

import pytest

from bottega.training.guard import PATIENCE, Guard, Limits
from bottega.training.kl_control import KLControl

FINE = {"kl": 1.0, "entropy": 1.0, "score_spread": 1.0, "ended": 1.0}
LIMITS = Limits(max_kl=10.0, min_entropy=0.1, min_score_spread=0.01, min_ended=0.2)


def test_the_adaptive_coefficient_follows_a_scripted_sequence() -> None:
    """CORRECTNESS 21: the error is clipped to 0.2."""
    control = KLControl(0.02, target=6.0, horizon=1000)
    expected = 0.02
    for kl in (6.0, 7.0, 60.0, 3.0, 5.4):
        control.update(kl, answers=64)
        error = min(max(kl / 6.0 - 1, -0.2), 0.2)
        expected *= 1 + error * 64 / 1000
        assert control.coef == pytest.approx(expected)


def test_a_fixed_coefficient_stays() -> None:
    """CORRECTNESS 21: fixed is the default."""
    control = KLControl(0.02)
    control.update(1000.0, answers=64)
    assert control.coef == 0.02


@pytest.mark.parametrize(
    ("figure", "value", "said"),
    [
        ("kl", 11.0, "the KL to the reference has been 11"),
        ("entropy", 0.05, "says always the same"),
        ("score_spread", 0.001, "nothing left to learn"),
        ("ended", 0.1, "the share of answers that end"),
    ],
)
def test_a_figure_beyond_its_limit_for_some_steps_ends_the_run_with_the_reason(
    figure: str, value: float, said: str
) -> None:
    guard = Guard(LIMITS)
    for _ in range(PATIENCE - 1):
        assert guard.reason_to_stop(FINE | {figure: value}) is None
    assert guard.reason_to_stop(FINE) is None  # it came back: the count begins anew
    for _ in range(PATIENCE - 1):
        assert guard.reason_to_stop(FINE | {figure: value}) is None
    reason = guard.reason_to_stop(FINE | {figure: value})
    assert reason is not None and said in reason.en
    assert f"连续 {PATIENCE} 步" in reason.zh


def test_a_figure_that_is_not_finite_ends_it_at_once() -> None:
    reason = Guard(LIMITS).reason_to_stop(FINE | {"entropy": math.nan})
    assert reason is not None and reason.en == "entropy is nan: lower the learning rate"


def test_limits_of_zero_are_none() -> None:
    guard = Guard(Limits())
    for _ in range(9):
        assert guard.reason_to_stop({"kl": 1e9, "entropy": 0.0, "score_spread": 0.0, "ended": 0.0}) is None
