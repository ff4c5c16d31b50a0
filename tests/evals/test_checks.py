from __future__ import annotations

import pytest

from bottega.data.records import Check
from bottega.data.rules import rule_text
from bottega.evals.checks import final_answer, is_correct


@pytest.mark.parametrize("answer", ["blue", " blue ", "blue.", "blue .", "\nblue。\n"])
def test_exact_forgives_outer_space_and_one_full_stop(answer: str) -> None:
    assert is_correct(answer, Check("exact", ("blue",)))


@pytest.mark.parametrize("answer", ["Blue", "blue..", "light blue", "", "blue\nred", "blu e"])
def test_exact_forgives_nothing_else(answer: str) -> None:
    assert not is_correct(answer, Check("exact", ("blue",)))


def test_any_accepted_answer_will_do_and_is_normalised_too() -> None:
    check = Check("exact", ("in the garden.", "the garden"))
    assert is_correct("in the garden", check)
    assert is_correct("the garden.", check)


@pytest.mark.parametrize(
    ("text", "final"),
    [
        ("3 + 4 = 7\nAnswer: 7", "7"),
        ("Answer: 5. No, wait.\nAnswer: 7\nGlad to help", "7"),
        ("先算三加四。\n答案：7", "7"),
        ("答案:7", "7"),
        ("first 3\nthen 7\n\n", "then 7"),
        ("Answer:\n12", "12"),
        ("3 + 4 is 7.\n#### 7", "7"),
        ("", ""),
    ],
)
def test_final_reads_after_the_last_mark_or_else_the_last_line(text: str, final: str) -> None:
    assert final_answer(text) == final


def test_final_is_held_to_the_same_normalisation() -> None:
    assert is_correct("3 + 4 = 7.\nAnswer: 7.", Check("final", ("7",)))
    assert not is_correct("Answer: 17", Check("final", ("7",)))


def test_an_answer_has_to_keep_to_every_rule() -> None:
    words = rule_text("length_constraints:number_words", {"num_words": 2, "relation": "at least"})
    check = Check("rules", (words, rule_text("punctuation:no_comma", {})))
    assert is_correct("Bread rises.", check)
    assert not is_correct("Bread, rises.", check)
    assert not is_correct("Bread", check)
