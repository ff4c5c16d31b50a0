"""The draw of lengths is fixed by its seed, and of the same kind as the one that is kept."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.lengths import LONGEST, PAIRS, SIXES, draw, read, tokens
from benchmarks.preference import LENGTHS

DATA = Path(__file__).parents[3] / "shared" / "data"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Prompts of one to six tokens, whose answers have ten times as many and one more each."""

    def said(count: int) -> str:
        return "word" * count

    rankings = [
        {"messages": [{"content": said(i)}], "answers": [said(10 * i + j) for j in range(3)]}
        for i in (1, 2, 3)
    ]
    rankings.append(
        {"messages": [{"content": "字" * 4}, {"content": "hm"}], "answers": [said(40), said(600)]}
    )
    verdicts = [
        {"prompt": said(i), "completion_a": said(10 * i), "completion_b": said(10 * i + 1)} for i in (5, 6)
    ]
    files: dict[str, list[dict[str, Any]]] = {
        "oasst-en-rankings": rankings,
        "oasst-zh-rankings": [],
        "tulu1-human": verdicts,
    }
    for name, rows in files.items():
        with gzip.open(tmp_path / f"{name}.jsonl.gz", "wt", encoding="utf-8") as file:
            file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    return tmp_path


def test_four_bytes_are_a_token_and_a_prompt_is_all_that_was_said_before() -> None:
    assert [tokens(text) for text in ("", "a", "abcd", "abcde", "字字")] == [1, 1, 1, 2, 2]


def test_pairs_are_two_answers_of_one_prompt_and_what_is_too_long_is_left_out(folder: Path) -> None:
    rows = read(folder)
    assert rows[3] == (4, [40, 600])
    pairs = draw(rows, 0)["pairs"]
    assert sorted(row[0] for row in pairs) == [1, 2, 3, 5, 6]
    assert all(len(row) == 3 and {row[1] // 10, row[2] // 10} == {row[0]} for row in pairs)


def test_six_are_drawn_from_the_answers_to_all_prompts(folder: Path) -> None:
    rows = read(folder)
    six = draw(rows, 0)["six"]
    assert len(six) == SIXES and {len(row) for row in six} == {7}
    assert {n for row in six for n in row[1:]} <= {n for _, answers in rows for n in answers if n < LONGEST}


def test_a_seed_gives_one_draw(folder: Path) -> None:
    rows = read(folder)
    assert draw(rows, 3) == draw(rows, 3) != draw(rows, 4)


@pytest.mark.skipif(not DATA.exists(), reason="the shared data is not here")
def test_the_lengths_that_are_kept_are_like_a_draw_of_today() -> None:
    """They cannot be drawn again: the tokenizer that counted them was not kept."""
    drawn, kept = draw(read(DATA / "preferences"), 0), json.loads(LENGTHS.read_text())
    assert {kind: len(rows) for kind, rows in kept.items()} == {"pairs": PAIRS, "six": SIXES}
    for kind, rows in kept.items():
        assert len(drawn[kind]) == len(rows)
        assert max(row[0] + max(row[1:]) for row in drawn[kind]) <= LONGEST
        assert max(row[0] + max(row[1:]) for row in rows) <= LONGEST
        means = [np.mean([n for row in found for n in row[1:]]) for found in (drawn[kind], rows)]
        assert means[0] == pytest.approx(means[1], rel=0.25)
