"""The lengths that the bars of preference are measured by are a fixed draw from real files."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from benchmarks.lengths import LONGEST, as_text, draw, read, tokens
from benchmarks.preference import LENGTHS

DATA = Path(__file__).parents[3] / "shared" / "data"


def said(words: int) -> str:
    return "word " * words


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two talks with three answers and two, a prompt with an answer that is too long, and four requests."""
    rankings: list[dict[str, Any]] = [
        {"messages": [{"content": said(4)}], "answers": [said(40), said(44), said(48)]},
        {"messages": [{"content": said(4)}, {"content": said(8)}], "answers": [said(80), said(84)]},
        {"messages": [{"content": said(4)}], "answers": [said(4), said(405)]},
    ]
    verdicts = [
        {"prompt": said(4 * i), "completion_a": said(40 * i), "completion_b": said(40 * i + 4)}
        for i in (3, 4, 5, 6)
    ]
    files = {"oasst-en-rankings": rankings, "oasst-zh-rankings": [], "tulu1-human": verdicts}
    for name, rows in files.items():
        with gzip.open(tmp_path / f"{name}.jsonl.gz", "wt", encoding="utf-8") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows)
    return tmp_path


@pytest.mark.parametrize(
    ("text", "words"),
    [("", 0), ("plain words", 2), ("it's 2026.", 8), ("你好，世界", 5), ("naïve", 3), ("a\n\n b", 2)],
)
def test_words_digits_marks_and_chinese_characters_are_counted_alike(text: str, words: int) -> None:
    assert tokens(text) == round(1.25 * words)


def test_a_prompt_is_all_turns_before_its_answers_and_too_long_an_answer_leaves_it_out(
    folder: Path,
) -> None:
    assert read(folder)[:3] == [
        (5 + 4, [51, 56, 61]),
        (5 + 4 + 10 + 4, [101, 106]),
        (15 + 8, [151, 156]),
    ]
    assert len(read(folder)) == 6


def test_pairs_are_two_different_answers_to_one_prompt(folder: Path) -> None:
    rows = dict(read(folder))
    pairs = draw(list(rows.items()), pairs=6, sixes=0)["pairs"]
    assert {prompt for prompt, *_ in pairs} == set(rows)
    assert all(len(two) == 2 and not Counter(two) - Counter(rows[prompt]) for prompt, *two in pairs)


def test_six_are_a_prompts_own_answers_and_of_others_what_fits(folder: Path) -> None:
    rows = dict(read(folder))
    drawn = draw(list(rows.items()), pairs=2, sixes=4)
    every = {n for answers in rows.values() for n in answers}
    for prompt, *six in drawn["six"]:
        assert len(six) == 6 and prompt + max(six) <= LONGEST
        assert not Counter(rows[prompt]) - Counter(six) and set(six) <= every
    assert sorted(row[0] for kind in drawn.values() for row in kind) == sorted(rows)


def test_of_more_answers_than_six_six_are_taken() -> None:
    answers = list(range(1, 11))
    ((prompt, *six),) = draw([(5, answers)], pairs=0, sixes=1)["six"]
    assert prompt == 5 and len(set(six)) == 6 and set(six) <= set(answers)


@pytest.mark.skipif(not DATA.exists(), reason="the shared data is not here")
def test_the_lengths_that_are_kept_are_drawn_again_to_the_byte() -> None:
    assert as_text(draw(read(DATA / "preferences"))) == LENGTHS.read_text()
