from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bottega.errors import UserError
from bottega.evals.score import (
    Example,
    Score,
    bootstrap_ratio,
    compare,
    missing_score,
    proportion_score,
    wilson_interval,
)


def accuracy(outcomes: list[bool], cases: str = "same") -> Score:
    return proportion_score("task", outcomes, seed=0, cases=cases)


def bits(values: list[float], sizes: list[float]) -> Score:
    value = sum(values) / sum(sizes)
    return Score(
        "bpb",
        value,
        value,
        value,
        len(values),
        "bits/byte",
        False,
        0,
        outcomes=tuple(values),
        sizes=tuple(sizes),
    )


@pytest.mark.parametrize(
    ("hits", "n", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718), (20, 20, 0.8389, 1.0)],
)  # the worked cases of Newcombe (1998), two of them, and their mirror images
def test_wilson_interval_is_the_published_one(hits: int, n: int, low: float, high: float) -> None:
    assert wilson_interval(hits, n) == pytest.approx((low, high), abs=5e-5)


def test_no_cases_leave_everything_possible() -> None:
    assert wilson_interval(0, 0) == (0.0, 1.0)


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_interval_contains_the_proportion(case: tuple[int, int]) -> None:
    low, high = wilson_interval(*case)
    assert 0.0 <= low <= case[0] / case[1] <= high <= 1.0


def test_bootstrap_of_equal_ratios_has_no_width() -> None:
    assert bootstrap_ratio([2.0, 4.0, 8.0], [1.0, 2.0, 4.0], seed=1) == (2.0, 2.0)


def test_bootstrap_depends_on_the_seed_alone() -> None:
    values = [math.sqrt(i) for i in range(50)]
    assert bootstrap_ratio(values, [1.0] * 50, seed=3) == bootstrap_ratio(values, [1.0] * 50, seed=3)
    assert bootstrap_ratio(values, [1.0] * 50, seed=3) != bootstrap_ratio(values, [1.0] * 50, seed=4)


def test_bootstrap_interval_has_the_width_of_the_normal_theory() -> None:
    values = [0.0, 1.0] * 200
    low, high = bootstrap_ratio(values, [1.0] * 400, seed=0)
    assert high - low == pytest.approx(2 * 1.96 * 0.5 / 20, rel=0.1)


def test_a_paired_difference_of_proportions_is_the_published_one() -> None:
    # Fagerland, Lydersen and Laake (2014), airway data of Bentur: 1 both, 1 and 7 in one only, 12 neither.
    before = [True] * 1 + [True] * 1 + [False] * 7 + [False] * 12
    after = [True] * 1 + [False] * 1 + [True] * 7 + [False] * 12
    difference = compare(accuracy(before), accuracy(after))
    assert (difference.value, difference.low, difference.high) == pytest.approx(
        (-0.286, -0.507, -0.026), abs=6e-4
    )
    assert not difference.shown
    assert compare(accuracy(after), accuracy(before)).shown


def test_pairing_narrows_the_interval_of_models_that_agree() -> None:
    better = [i < 110 for i in range(200)]
    alike, unlike = [i < 90 for i in range(200)], [i >= 110 for i in range(200)]
    width = [d.high - d.low for d in (compare(accuracy(better), accuracy(w)) for w in (alike, unlike))]
    assert width[0] < 0.5 * width[1]


def test_four_cases_won_and_none_lost_is_not_yet_a_difference() -> None:
    better = [True] * 4 + [False] * 196
    assert not compare(accuracy(better), accuracy([False] * 200)).shown


def test_equal_models_do_not_differ() -> None:
    outcomes = [i % 3 == 0 for i in range(90)]
    difference = compare(accuracy(outcomes), accuracy(outcomes))
    assert difference.value == 0.0
    assert difference.low <= 0.0 <= difference.high


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60))
def test_a_comparison_turned_round_changes_only_its_sign(pairs: list[tuple[bool, bool]]) -> None:
    first, second = accuracy([a for a, _ in pairs]), accuracy([b for _, b in pairs])
    there, back = compare(first, second), compare(second, first)
    assert (there.value, there.low, there.high) == pytest.approx((-back.value, -back.high, -back.low))
    assert there.low <= there.value <= there.high


def test_fewer_bits_a_byte_are_ahead() -> None:
    difference = compare(bits([10.0, 22.0], [10.0, 20.0]), bits([20.0, 42.0], [10.0, 20.0]))
    assert (difference.value, difference.low, difference.high) == pytest.approx((1.0, 1.0, 1.0))


def test_scores_of_other_cases_are_not_compared() -> None:
    with pytest.raises(UserError, match="not of the same cases"):
        compare(accuracy([True], "a"), accuracy([True], "b"))


def test_a_score_is_above_its_floors_only_when_its_interval_is() -> None:
    score = accuracy([True] * 60 + [False] * 40)
    assert score.with_context({"majority": 0.4}, None).above_floors
    assert not score.with_context({"majority": 0.4, "5-gram": 0.55}, None).above_floors


def test_json_reads_back_equal() -> None:
    score = proportion_score(
        "task",
        [True, False],
        seed=3,
        cases="ab",
        examples=(Example("q", "a", ("b",), False),),
        details={"too_long": 1.0},
    )
    assert Score.from_json(score.to_json()) == score


def test_a_score_that_is_not_built_survives_json_and_says_why() -> None:
    back = Score.from_json(missing_score("pass@1", "no sandbox").to_json())
    assert math.isnan(back.value)
    assert back.not_built == "no sandbox"
