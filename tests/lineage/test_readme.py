"""The README of a model that learned from preference: what it is, how it is used, what it answered."""

from __future__ import annotations

from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from bottega.lineage.card import Card, Sample, read_card
from bottega.lineage.home import Home
from bottega.lineage.readme import LONGEST_SHOWN, readme
from bottega.stages.base import _BUILT_IN

EVIL = "```\n# No heading\n\n````\n<script>alert(1)</script>\r~~~\r</details> | a cell | [x](y)"


@pytest.fixture
def card(family: Path) -> Card:
    home = Home(family)
    return read_card(home.path("model", "text-davinci", home.versions("model", "text-davinci")[0]))


def looks(*steps: int, prompt: str = "Which?", worst: str = "the worst", kept: int = 0) -> dict[str, object]:
    """What a policy's stage reports of its looks: some answers each, in no order of their scores."""
    rows = [
        {"step": step, "prompt": prompt, "answer": f"{answer} of {step}", "score": score}
        for step in steps
        for answer, score in (("the second", 0.5), ("the best", 1.25), (worst, -2.0), ("the third", 0.0))
    ]
    return {"samples": rows, "judged_by": "a reward model that training did not use", "kept_step": kept}


def parsed(text: str) -> list[Token]:
    """The blocks of a README without its header, as a hub reads it."""
    return MarkdownIt("commonmark").enable("table").parse(text.partition("\n---\n")[2])


def test_best_and_worst_answers_of_the_first_middle_and_last_look_are_shown(card: Card) -> None:
    text = readme(card.model_copy(update={"report": looks(20, 40, 60, 80, 100)}))
    section = text.partition("## Learning by trial\n")[2].partition("\n## ")[0]
    assert "by the score of a reward model that training did not use." in section
    assert [line for line in section.splitlines() if line.startswith("### ")] == [
        "### Step 20",
        "### Step 60",
        "### Step 100",
    ]
    fences = [token.content for token in parsed("\n---\n" + section) if token.type == "fence"]
    assert fences[:4] == ["Which?\n", "the best of 20\n", "Which?\n", "the worst of 20\n"]
    assert len(fences) == 12
    assert section.count("Best, score 1.250:") == section.count("Worst, score -2.000:") == 3


@pytest.mark.parametrize(
    ("kept", "shown"),
    [
        (0, ["Before the first step, whose weights are kept", "Step 60", "Step 100"]),
        (40, ["Before the first step", "Step 40, whose weights are kept", "Step 100"]),
        (100, ["Before the first step", "Step 60", "Step 100, whose weights are kept"]),
    ],
)
def test_the_look_at_the_weights_that_are_kept_is_shown_and_named(
    kept: int, shown: list[str], card: Card
) -> None:
    text = readme(card.model_copy(update={"report": looks(0, 20, 40, 60, 80, 100, kept=kept)}))
    assert [line[4:] for line in text.splitlines() if line.startswith("### ")] == shown


@pytest.mark.parametrize(("steps", "shown"), [((7,), [7]), ((7, 9), [7, 9])])
def test_fewer_looks_than_three_are_shown_once_each(
    steps: tuple[int, ...], shown: list[int], card: Card
) -> None:
    text = readme(card.model_copy(update={"report": looks(*steps)}))
    assert [line for line in text.splitlines() if line.startswith("### ")] == [f"### Step {n}" for n in shown]


def test_a_run_that_never_looked_has_no_such_section(card: Card) -> None:
    assert "Learning by trial" not in readme(card)


def test_nothing_in_an_answer_is_taken_for_markdown_or_html(card: Card) -> None:
    told = looks(5, prompt=EVIL, worst=EVIL)
    text = readme(card.model_copy(update={"report": told, "samples": (Sample(prompt=EVIL, answer=EVIL),)}))
    tokens = parsed(text)
    assert not any(token.type == "html_block" for token in tokens)
    inline = [child for token in tokens for child in token.children or ()]
    assert not any(child.type in ("html_inline", "link_open") for child in inline)
    headings = {tokens[i + 1].content for i, token in enumerate(tokens) if token.type == "heading_open"}
    assert "No heading" not in headings
    assert headings >= {"What it says", "Learning by trial", "Data", "Use"}
    assert sum("alert(1)" in token.content for token in tokens if token.type == "fence") == 5


def test_long_texts_of_looks_are_cut_and_say_so(card: Card) -> None:
    text = readme(card.model_copy(update={"report": looks(5, prompt="x" * 2_000)}))
    assert f"> {'x' * LONGEST_SHOWN} […]\n" in text


def test_a_reward_model_is_a_classifier_of_texts_and_a_language_model_is_none(card: Card) -> None:
    judge = readme(card.model_copy(update={"stage": "reward", "chat": False}), scorer=True)
    assert "\npipeline_tag: text-classification\n" in judge
    assert "AutoModelForSequenceClassification.from_pretrained" in judge
    assert "AutoModelForCausalLM" not in judge
    talker = readme(card)
    assert "\npipeline_tag: text-generation\n" in talker
    assert "AutoModelForCausalLM.from_pretrained" in talker
    assert "AutoModelForSequenceClassification" not in talker


@pytest.mark.parametrize(("chat", "shown"), [(False, False), (True, True)])
def test_a_reward_model_made_elsewhere_has_the_example_only_where_it_has_a_chat_template(
    chat: bool, shown: bool, card: Card
) -> None:
    text = readme(card.model_copy(update={"stage": "import", "chat": chat}), scorer=True)
    assert ("apply_chat_template" in text) is shown
    assert "AutoModelForSequenceClassification.from_pretrained" in text


@pytest.mark.parametrize("stage", _BUILT_IN)
def test_what_every_stage_does_is_said_in_both_languages(stage: str, card: Card) -> None:
    text = readme(card.model_copy(update={"stage": stage}))
    assert "made by the stage" not in text
    assert "阶段制成" not in text
