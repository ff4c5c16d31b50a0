"""A family that learns from preference, built whole: a dataset made by a model, a judge, a better model."""

from __future__ import annotations

import shutil
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from recipes.tiny import Heard, tiny_options

from bottega.cli.conversation import Conversation, Judge
from bottega.data.comparisons import unusable
from bottega.data.frozen import FrozenDataset
from bottega.data.records import Comparison, Message
from bottega.engine.requests import Sampling
from bottega.errors import UserError
from bottega.lineage.build import build
from bottega.lineage.card import read_card
from bottega.lineage.home import Home
from bottega.lineage.options import BuildOptions
from bottega.lineage.recipe import load, parse
from bottega.model.hub import is_scorer

RECIPE = Path(__file__).parents[1] / "recipes" / "preference.toml"


def options(where: Path) -> BuildOptions:
    return tiny_options(where)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    made = Home(tmp_path_factory.mktemp("preference"))
    report = build(load(RECIPE), made, options(made.root), Heard(), source=str(RECIPE))
    assert not report.failed and not report.unscored, (report.failed, report.unscored)
    return made


def folder(home: Home, kind: str, name: str) -> Path:
    (version,) = home.versions(kind, name)
    return home.path(kind, name, version)


def test_the_rankings_are_of_the_models_own_answers_but_for_a_fifth(home: Home) -> None:
    dataset = FrozenDataset(folder(home, "dataset", "rankings"))
    train = [r for r in dataset.records("train") if isinstance(r, Comparison)]
    own = [one for one in train if one.answers[0].model == "talker"]
    written = [one for one in train if one.answers[0].model == "school"]
    assert len(own) == 96
    usable = sum(len(one.answers) for one in own if not unusable(one))
    assert usable < 3 * 96, "some of its own answers are all the same to the labelers"
    answers = sum(len(one.answers) for one in written)
    assert 0 < answers <= (answers + usable) / 5
    for one in own:
        assert len(one.answers) == 3
        assert all(a.token_ids and a.logprobs and a.sampling == {"temperature": 1.0} for a in one.answers)
        assert all(len(a.token_ids or ()) == len(a.logprobs or ()) for a in one.answers)
        assert {ranking.labeler[:7] for ranking in one.rankings} == {"labeler"}
    heldout = [r for r in dataset.records("heldout") if isinstance(r, Comparison)]
    assert len(heldout) == 32
    assert {r.labeler[:7] for one in heldout for r in one.rankings} == {"labeler", "strange"}
    asked = {repr(one.messages) for one in train}
    assert not asked & {repr(one.messages) for one in heldout}


def test_strangers_rank_for_a_judge_that_training_does_not_know(home: Home) -> None:
    dataset = FrozenDataset(folder(home, "dataset", "strangers"))
    train = [r for r in dataset.records("train") if isinstance(r, Comparison)]
    assert {ranking.labeler[:8] for one in train for ranking in one.rankings} == {"stranger"}


def test_the_judge_is_a_scorer_with_its_scores_and_says_nothing(home: Home) -> None:
    where = folder(home, "model", "judge")
    card = read_card(where)
    assert is_scorer(where)
    assert card.samples == ()
    assert set(card.scores) == {
        "pair-accuracy:rankings-heldout",
        "pair-accuracy:rankings-unseen-labelers",
        "brier:rankings-heldout",
    }
    accuracy = card.score("pair-accuracy:rankings-unseen-labelers")
    assert accuracy is not None and 0 < accuracy.value < 1
    assert accuracy.floors.keys() == {"length", "coin"}
    assert "standard_error" in accuracy.details
    assert (where / "calibration.png").read_bytes()[:4] == b"\x89PNG"
    assert "(calibration.png)" in (where / "README.md").read_text(encoding="utf-8")
    assert card.report["answers"]["talker"] > card.report["answers"]["school"]


def test_the_improved_model_is_held_against_its_rival_and_names_both_parents(home: Home) -> None:
    card = read_card(folder(home, "model", "improved"))
    assert [parent.name for parent in card.parents] == ["talker", "judge"]
    assert {"tokens", "kl", "heldout_preference", "heldout_quality"} == card.looks.keys()
    assert all(0 <= quality <= 1 for quality in card.looks["heldout_quality"])
    for judge in ("judge", "stranger"):
        by_judge = card.score(f"win-rate@talker/{judge}:preference-prompts")
        assert by_judge is not None and by_judge.n == 48 and 0 < by_judge.value < 1
        role = {
            "judge": "judge, the reward it was trained on",
            "stranger": "stranger, a reward model its training did not use",
        }
        assert by_judge.template.endswith(f"judged by {role[judge]}"), "CORRECTNESS 35"
        gain, low, high = (by_judge.details[f"score_gain{end}"] for end in ("", "_low", "_high"))
        assert gain == pytest.approx(by_judge.details["score"] - by_judge.details["rival_score"], abs=1e-6)
        assert low <= gain <= high
    refusals = card.score("balanced-accuracy:refusals")
    assert refusals is not None and refusals.value == pytest.approx(0.5) and refusals.details["refused"] == 0
    won = card.score("win-rate@talker:preference-prompts")
    assert won is not None and won.n == 48  # both languages
    assert won.details.keys() >= {"by_true_quality", "at_equal_length", "length"}
    assert card.judged_by.en == "the training reward itself"
    assert {use.dataset for use in card.data} == {"prompts"}


def test_a_reward_model_chooses_among_several_answers(home: Home, tmp_path: Path) -> None:
    from bottega.data.chat import encode_chat
    from bottega.data.tokenizer import Tokenizer
    from bottega.engine.local import LocalEngine
    from bottega.engine.requests import Request
    from bottega.lineage.loading import load, stop_ids
    from bottega.model.hub import load_scorer

    talker, judge = folder(home, "model", "talker"), folder(home, "model", "judge")
    asked = "What is the colour of the stone?"
    sampling = Sampling(temperature=1.0, seed=3)
    with closing(Conversation(talker, "cpu", sampling, 12, judge=Judge(judge, 6))) as talk:
        said = "".join(talk.ask(asked))
        assert talk.messages[-1].content == said
    model, tokenizer = load(talker, "cpu")
    prompt = list(encode_chat(tokenizer, [Message("user", asked)], add_generation_prompt=True).ids)
    with LocalEngine(model, tokenizer, slots=6) as engine:
        ends = frozenset(stop_ids(tokenizer, speaks=True))
        (found,) = engine.generate([Request(prompt, 12, sampling, n=6, stop_ids=ends)])
    scorer = load_scorer(judge).eval()
    rewards = []
    for one in found:  # a plain loop, each answer by itself
        tokens = torch.tensor([[*prompt, *one.tokens, *([] if one.stop_id is None else [one.stop_id])]])
        places = torch.arange(tokens.shape[1])[None]
        rewards.append(scorer.rewards(scorer(tokens, places)[0, -1]).item())
    assert said == found[max(range(6), key=rewards.__getitem__)].text
    with pytest.raises(UserError, match="no reward model"):
        Conversation(talker, "cpu", sampling, 12, judge=Judge(talker, 2))
    other = tmp_path / "judge"
    shutil.copytree(judge, other)
    Tokenizer.train(["another text altogether"] * 50, vocab_size=275).save(other)
    with pytest.raises(UserError, match="another tokenizer"):
        Conversation(talker, "cpu", sampling, 12, judge=Judge(other, 2))


def run_example(folder: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """What the example of a model's README prints."""
    text = (folder / "README.md").read_text(encoding="utf-8")
    code = text.partition("```python\n")[2].partition("```")[0].replace("path/to/this/folder", str(folder))
    assert str(folder) in code
    capsys.readouterr()
    exec(code, {})
    return capsys.readouterr().out.removesuffix("\n")


def test_the_example_of_a_reward_models_readme_scores_as_the_model_does(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("transformers")
    from bottega.data.chat import encode_chat
    from bottega.data.comparisons import encode_answer
    from bottega.data.records import Answer
    from bottega.data.tokenizer import Tokenizer
    from bottega.model.hub import load_scorer

    judge = folder(home, "model", "judge")
    talk, answer = (Message("user", "What is 2 + 2?"),), Answer(Message("assistant", "4"))
    tokenizer = Tokenizer.load(judge)
    prompt = encode_chat(tokenizer, talk, add_generation_prompt=True).ids
    scorer = load_scorer(judge).eval()
    hidden = scorer(torch.tensor([[*prompt, *encode_answer(tokenizer, talk, answer)]]))
    assert float(run_example(judge, capsys)) == pytest.approx(scorer.rewards(hidden[0, -1]).item(), abs=1e-4)


def test_the_example_of_a_chat_models_readme_answers_as_the_model_does(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("transformers")
    talker = folder(home, "model", "talker")
    said = run_example(talker, capsys)
    with closing(Conversation(talker, "cpu", Sampling(temperature=0.0), 64)) as talk:
        assert said.strip() == "".join(talk.ask("What is 2 + 2?")).strip()


def test_a_second_build_makes_nothing_and_another_temperature_makes_what_follows_anew(
    home: Home, tmp_path: Path
) -> None:
    again = build(load(RECIPE), home, options(home.root), Heard(), source=str(RECIPE))
    assert not again.built
    text = RECIPE.read_text(encoding="utf-8").replace("answers = 3", "answers = 3\ntemperature = 0.9")
    changed = parse(text, str(RECIPE))
    report = build(changed, home, replace(options(home.root), evaluate=False), Heard(), source=str(RECIPE))
    assert [str(node) for node in report.built] == ["dataset rankings", "model judge", "model improved"]


def test_the_reward_of_a_model_it_goes_on_from_is_no_stranger_to_it(home: Home) -> None:
    """CORRECTNESS 35: what is tuned on top of an improved model has still learned from its reward."""
    later = """
[models.later]
stage = "sft"
chat = true
parent = "improved"
data = ["talks"]
evals = ["win-rate@talker/judge:preference-prompts"]
context = 256
batch_tokens = 2048
budget_tokens = 4_096
"""
    recipe = parse(RECIPE.read_text(encoding="utf-8") + later, "later.toml")
    report = build(recipe, home, options(home.root), Heard(), models=["later"], source="later.toml")
    assert [str(node) for node in report.built] == ["model later"]
    score = read_card(folder(home, "model", "later")).score("win-rate@talker/judge:preference-prompts")
    assert score is not None
    assert score.template.endswith("judge, a reward model that a model it goes on from was trained with")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('parent = "talker"\ndata = ["prompts", "graded"]', 'parent = "talkr"\ndata = ["prompts"]', "talker"),
        ("answers = 3", "answers = 1", "greater than or equal to 2"),
        ("answers = 3", "anwsers = 3", "did you mean 'answers'"),
        ("answers = 3", "written_share = 0.5", "less than or equal to 0.2"),
        (
            'parent = "reader"\ndata = ["talks"]',
            'parent = "reader"\ndata = ["talks", "rankings"]',
            "cannot be its own ancestor",
        ),
    ],
)
def test_a_collection_that_cannot_be_is_named_with_its_line(old: str, new: str, message: str) -> None:
    text = RECIPE.read_text(encoding="utf-8")
    assert text.count(old) == 1
    with pytest.raises(UserError, match=r"preference.toml:\d+.*") as caught:
        parse(text.replace(old, new), "preference.toml")
    assert message in str(caught.value)
