"""Win rates: both models draw alike, labelers see both orders, and every judge points the right way."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bottega.data.records import Check, Message, Prompt, Ranking
from bottega.data.tokenizer import Tokenizer
from bottega.errors import UserError
from bottega.evals import preferred
from bottega.evals.preferred import _Said, win_rate
from bottega.evals.registry import score
from bottega.evals.score import Score
from bottega.evals.subject import EvalOptions, Subject
from bottega.model.decoder import Decoder
from bottega.model.hub import save_model
from bottega.model.init import initialise
from bottega.model.scorer import scorer_from

PROMPTS = [Prompt((Message("user", f"Say number {i}."),), Check("exact", (str(i),))) for i in range(6)]


@pytest.fixture
def rival(model: Decoder) -> Decoder:
    return initialise(Decoder(model.config), seed=99)


def saying(monkeypatch: pytest.MonkeyPatch, model: Decoder, own: str, other: str) -> None:
    """The model gives the right number after the word ``own``, and its rival ``other`` alone."""

    def answers(which: Decoder, tokenizer: Any, prompts: Sequence[Prompt], *rest: Any) -> list[_Said]:
        text = own if which is model else other
        return [_Said(text.replace("#", str(prompt.check.accepted[0])), 0) for prompt in prompts]

    monkeypatch.setattr(preferred, "_answers", answers)


def rate(model: Decoder, rival: Decoder, tokenizer: Tokenizer, **more: Any) -> Score:
    return win_rate(model, rival, tokenizer, PROMPTS, name="x", world_seed=1, **more)


def test_a_model_against_itself_draws_the_same_answers_and_is_even(
    model: Decoder, tokenizer: Tokenizer
) -> None:
    judge = scorer_from(model, seed=0)
    found = rate(model, model, tokenizer, judge=judge, checked=False, answers=3)
    assert found.outcomes == (0.5,) * 6 and found.n == 6
    assert found.details["score_gain"] == found.details["score_gain_high"] == 0
    assert found.details["length"] == found.details["rival_length"]


def test_several_answers_to_a_prompt_are_one_case_of_their_mean_and_not_one_answer_repeated(
    model: Decoder, rival: Decoder, tokenizer: Tokenizer
) -> None:
    judge = scorer_from(model, seed=0)
    once, more = (rate(model, rival, tokenizer, judge=judge, checked=False, answers=n) for n in (1, 3))
    assert once.n == more.n == 6 and once.cases == more.cases
    assert set(once.outcomes) <= {0.0, 0.5, 1.0}
    assert any(outcome not in (0.0, 0.5, 1.0) for outcome in more.outcomes)
    gain = more.details["score"] - more.details["rival_score"]
    assert more.details["score_gain"] == pytest.approx(gain, abs=1e-5)
    assert more.details["score_gain_low"] < gain < more.details["score_gain_high"]


@pytest.mark.parametrize("first", [True, False])
def test_labelers_see_a_pair_in_both_orders_so_that_a_taste_for_a_place_is_even(
    first: bool, monkeypatch: pytest.MonkeyPatch, model: Decoder, rival: Decoder, tokenizer: Tokenizer
) -> None:
    from bottega.data.school import judging

    class OfPlace:
        def rank(self, key: str, texts: Sequence[str], qualities: Sequence[float]) -> Ranking:
            return Ranking("x", ((0,), (1,)) if first else ((1,), (0,)))

    saying(monkeypatch, model, "#", "no")
    monkeypatch.setattr(judging, "labelers", lambda *pool: (OfPlace(),) * 5)
    assert rate(model, rival, tokenizer).outcomes == (0.5,) * 6


def test_who_answers_better_wins_by_labelers_and_by_true_quality(
    monkeypatch: pytest.MonkeyPatch, model: Decoder, rival: Decoder, tokenizer: Tokenizer
) -> None:
    saying(monkeypatch, model, "#", "no")
    found = rate(model, rival, tokenizer)
    assert found.value > 0.9 and found.details["by_true_quality"] == 1.0
    assert found.details["quality"] > found.details["rival_quality"]
    saying(monkeypatch, model, "no", "#")
    found = rate(model, rival, tokenizer)
    assert found.value < 0.1 and found.details["by_true_quality"] == 0.0


def test_a_judges_greater_reward_wins(
    monkeypatch: pytest.MonkeyPatch, model: Decoder, rival: Decoder, tokenizer: Tokenizer
) -> None:
    saying(monkeypatch, model, "#", "no")
    for gives, value in (((2.0, -1.0), 1.0), ((-1.0, 2.0), 0.0), ((1.0, 1.0), 0.5)):
        rewards = [np.array(gives, np.float32)] * len(PROMPTS)
        monkeypatch.setattr(preferred, "_rewards", lambda *given, rewards=rewards: rewards)
        found = rate(
            model, rival, tokenizer, judge=scorer_from(model, seed=0), judged_by="one", checked=False
        )
        assert found.value == value
        assert found.details["score_gain"] == pytest.approx(gives[0] - gives[1])
        assert found.template.endswith("judged by one")


@pytest.mark.parametrize("other", ["rival", "judge"])
def test_a_rival_or_a_judge_of_another_tokenizer_is_refused(
    other: str, model: Decoder, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    """CORRECTNESS 35 needs a judge that reads what was said."""
    foreign = Tokenizer.train(["another text altogether, with other words in it"] * 30, 285)
    save_model(model, tmp_path / "rival", foreign if other == "rival" else tokenizer)
    save_model(scorer_from(model, 0), tmp_path / "judge", foreign if other == "judge" else tokenizer)
    options = EvalOptions(cases=2, models={"rival": tmp_path / "rival", "judge": tmp_path / "judge"})
    with pytest.raises(UserError, match=f"{other} has another tokenizer than the model that is scored"):
        score("win-rate@rival/judge:preference-prompts", Subject(model, tokenizer, True), options)


def test_a_datasets_prompts_come_without_checks_and_need_a_reward_model_to_judge_by(
    model: Decoder, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    save_model(model, tmp_path / "rival", tokenizer)
    options = EvalOptions(models={"rival": tmp_path / "rival"}, datasets={"mine": tmp_path})
    with pytest.raises(UserError, match="as win-rate@rival/reward-model:mine"):
        score("win-rate@rival:mine", Subject(model, tokenizer, True), options)


def test_a_judge_is_named_for_what_it_was_in_training(model: Decoder, tokenizer: Tokenizer) -> None:
    """CORRECTNESS 35."""
    from bottega.evals.registry import _role_of

    subject = Subject(model, tokenizer, True, ("talker", "reward", "chooser"), frozenset({"reward", "older"}))
    assert _role_of("reward", subject) == "reward, the reward it was trained on"
    assert _role_of("chooser", subject) == "chooser, the reward model that chose its best step"
    assert _role_of("older", subject) == "older, a reward model that a model it goes on from was trained with"
    for other in ("stranger", "talker"):
        assert _role_of(other, subject) == f"{other}, a reward model its training did not use"
    alone = Subject(model, tokenizer, True)
    assert _role_of("reward", alone) == "reward, a reward model its training did not use"
