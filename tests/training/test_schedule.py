from __future__ import annotations

import pytest

from bottega.training.schedule import Schedule


def test_warms_up_stays_and_decays() -> None:
    schedule = Schedule(total_steps=10, warmup_steps=3, decay_steps=4)
    factors = [schedule.factor(step) for step in range(10)]
    assert factors == pytest.approx([0.25, 0.5, 0.75, 1, 1, 1, 0.8, 0.6, 0.4, 0.2])


def test_decays_to_the_final_fraction_and_is_never_zero() -> None:
    schedule = Schedule(total_steps=100, warmup_steps=0, decay_steps=99, final_fraction=0.1)
    factors = [schedule.factor(step) for step in range(100)]
    assert factors == sorted(factors, reverse=True)
    assert 0.1 < factors[-1] < 0.12
    assert min(Schedule(5, 0, 5).factor(s) for s in range(5)) > 0


def test_a_schedule_of_one_step_trains_at_a_positive_rate() -> None:
    assert Schedule(1, 0, 0).factor(0) == 1.0
    assert Schedule(1, 1, 1).factor(0) > 0


def test_refuses_a_schedule_without_steps() -> None:
    with pytest.raises(ValueError, match="at least one step"):
        Schedule(0, 0, 0)
