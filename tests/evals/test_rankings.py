"""Agreement with rankings, calibration and preference, against plain loops and hand-made judges."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from bottega.data.comparisons import Judged
from bottega.data.records import Answer, Comparison, Message, Ranking
from bottega.data.tokenizer import Tokenizer
from bottega.evals.preferred import at_equal_length
from bottega.evals.rankings import Rankings, brier, labelers_of, of_labelers, pair_accuracy, read_rankings
from bottega.model.decoder import Decoder
from bottega.model.scorer import scorer_from

ASKED = (Message("user", "which?"),)


def judged(wins: list[list[float]], lengths: list[int], prompt: int = 2) -> Judged:
    return Judged(
        np.array([1, prompt], np.int32),
        tuple(np.ones(n, np.int32) for n in lengths),
        np.array(wins, np.float32),
        np.full(len(lengths), np.nan, np.float32),
    )


def rankings(*cases: tuple[Judged, list[float]]) -> Rankings:
    gaps: list[NDArray[np.int64]] = [(one.wins > 0).astype(np.int64) for one, _ in cases]
    return Rankings([one for one, _ in cases], [np.array(r, np.float32) for _, r in cases], gaps, 0)


def test_agreement_is_over_untied_pairs_and_every_prompt_weighs_the_same() -> None:
    """CORRECTNESS 14: with its standard error and the accuracy by gap."""
    right = judged([[0, 1], [0, 0]], [3, 5])
    half = judged([[0, 0.5, 0.5], [0, 0, 0], [0, 0, 0]], [4, 2, 9], prompt=3)
    found = pair_accuracy(rankings((right, [2.0, 1.0]), (half, [1.0, 2.0, 0.0])), name="x", seed=0)
    assert found.value == pytest.approx((1 + 0.5) / 2)
    assert found.details["standard_error"] == pytest.approx(0.25 / math.sqrt(2))
    assert found.details["accuracy_gap_1"] == pytest.approx(2 / 3)
    longer = (0 + 0.5) / 2
    assert found.floors["length"] == pytest.approx(1 - longer)


def test_a_prompt_judged_many_times_is_one_case() -> None:
    """Or the interval would be as narrow as that of as many prompts."""
    right, wrong = judged([[0, 1], [0, 0]], [1, 1]), judged([[0, 0], [1, 0]], [1, 1])
    other = judged([[0, 1], [0, 0]], [1, 1], prompt=3)
    some = rankings(*([(right, [1.0, 0.0])] * 3), (wrong, [1.0, 0.0]), (other, [1.0, 0.0]))
    found = pair_accuracy(some, name="x", seed=0)
    assert (found.n, found.value) == (2, (0.75 + 1) / 2)
    assert found.floors["length"] == 0.5
    sure, unsure = (1 - 1 / (1 + math.exp(-1))) ** 2, (1 / (1 + math.exp(-1))) ** 2
    expected = ((3 * sure + unsure) / 4 + sure) / 2
    assert brier(some, name="x", seed=0).value == pytest.approx(expected)


def test_cases_are_of_as_many_prompts_as_there_are(tokenizer: Tokenizer, model: Decoder) -> None:
    answers = tuple(Answer(Message("assistant", text)) for text in ("a", "b"))
    asked = ["the same"] * 20 + ["b", "c", "d"]
    some = [Comparison((Message("user", q),), answers, (Ranking("ann", ((0,), (1,))),)) for q in asked]
    found = read_rankings(scorer_from(model, seed=0), tokenizer, some, 64, 5)
    assert len(found.judged) == 5
    assert len({one.prompt.tobytes() for one in found.judged}) == 4


def test_cases_that_say_nothing_take_no_place_of_those_that_do(tokenizer: Tokenizer, model: Decoder) -> None:
    answers = tuple(Answer(Message("assistant", text)) for text in ("a", "b"))
    some = [
        Comparison(ASKED, answers, (Ranking("ann", ((0, 1),) if i % 2 else ((0,), (1,))),)) for i in range(12)
    ]
    found = read_rankings(scorer_from(model, seed=0), tokenizer, some, 64, 5)
    assert len(found.judged) == len(found.gaps) == len(found.rewards) == 5
    assert all(one.wins.sum() == 1 for one in found.judged)
    assert found.skipped == 6


def test_equal_rewards_are_half_an_agreement() -> None:
    found = pair_accuracy(rankings((judged([[0, 1], [0, 0]], [1, 1]), [0.0, 0.0])), name="x", seed=0)
    assert found.value == 0.5


def test_brier_is_the_squared_distance_from_who_won() -> None:
    """CORRECTNESS 14: by confidence bin."""
    sure, wrong = judged([[0, 1], [0, 0]], [1, 1]), judged([[0, 0], [1, 0]], [1, 1], prompt=3)
    found = brier(rankings((sure, [3.0, 0.0]), (wrong, [3.0, 0.0])), name="x", seed=0)
    p = 1 / (1 + math.exp(-3))
    assert found.value == pytest.approx(((1 - p) ** 2 + p**2) / 2)
    assert found.details["right_when_0.9_to_1.0"] == 0.5
    assert found.details["pairs_at_0.9_to_1.0"] == 2
    assert found.details["calibration_error"] == pytest.approx(p - 0.5, abs=1e-6)
    assert not found.higher_is_better


def test_labelers_who_disagree_are_one_pair_and_a_judge_who_knows_how_many_is_calibrated() -> None:
    """CORRECTNESS 14: of five labelers four are right, and the judge says 0.8."""
    split = judged([[0, 0.8], [0.2, 0]], [1, 1])
    found = pair_accuracy(rankings((split, [math.log(4), 0.0])), name="x", seed=0)
    assert found.value == pytest.approx(0.8)
    assert found.details["accuracy_gap_1"] == pytest.approx(0.8)
    assert found.details["pairs_at_0.8_to_0.9"] == 1
    assert found.details["right_when_0.8_to_0.9"] == pytest.approx(0.8)
    assert found.details["calibration_error"] == pytest.approx(0.0, abs=1e-6)
    assert brier(rankings((split, [math.log(4), 0.0])), name="x", seed=0).details["standard_error"] == 0


def test_who_disagrees_counts_where_he_sets_the_answers_apart_as_far_as_he_does() -> None:
    split = judged([[0, 0.8], [0.2, 0]], [1, 1])
    gaps = [np.array([[0, 1], [3, 0]])]
    found = pair_accuracy(Rankings([split], [np.array([1, 0], np.float32)], gaps, 0), name="x", seed=0)
    assert found.details["accuracy_gap_1"] == 1.0
    assert found.details["accuracy_gap_3"] == 0.0


def test_strangers_are_those_who_ranked_nothing_in_training() -> None:
    """CORRECTNESS 14: accuracy on labelers not seen in training is of the rankings that these gave."""
    answers = tuple(Answer(Message("assistant", text)) for text in ("a", "b"))
    ann, bob = Ranking("ann", ((0,), (1,))), Ranking("bob", ((1,), (0,)))
    known = labelers_of([Comparison(ASKED, answers, (ann,))])
    heldout = [Comparison(ASKED, answers, (ann, bob)), Comparison(ASKED, answers, (ann,))]
    assert [c.rankings for c in of_labelers(heldout, known, strangers=True)] == [(bob,)]
    assert [c.rankings for c in of_labelers(heldout, known, strangers=False)] == [(ann,), (ann,)]


def test_at_equal_length_a_taste_for_length_is_taken_out() -> None:
    draw = np.random.default_rng(0)
    longer = draw.normal(1.0, 1.0, 4000)
    votes = (draw.random(4000) < 1 / (1 + np.exp(-1.5 * np.tanh(longer / longer.std())))).astype(float)
    assert votes.mean() > 0.6
    assert at_equal_length(votes.tolist(), longer.tolist()) == pytest.approx(0.5, abs=0.03)
    assert at_equal_length([1.0, 1.0, 0.0, 1.0], [0.0] * 4) == pytest.approx(0.75, abs=0.01)
