from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bottega.data.choices import LETTERS, Question, question_of
from bottega.data.rows import ShapeError

TEXTS = ["red", "blue", "green"]
HUB = {"text": TEXTS, "label": ["1", "2", "3"]}  # as ARC numbers some of its questions
EACH = [{"text": text, "label": label} for text, label in zip(TEXTS, "ABC", strict=True)]


@pytest.mark.parametrize(
    ("row", "right"),
    [
        ({"question": "?", "choices": TEXTS, "answer": 1}, 1),
        ({"question": "?", "choices": TEXTS, "answer": 1.0}, 1),
        ({"question": "?", "choices": TEXTS, "answer": " B "}, 1),
        ({"question": "?", "choices": TEXTS, "answer": "c"}, 2),
        ({"question": "?", "choices": TEXTS, "answer": "green"}, 2),
        ({"question": "?", "choices": TEXTS, "answer": "2"}, 2),
        ({"question": "?", "choices": HUB, "answerKey": "1"}, 0),  # a label before a number
        ({"question": "?", "choices": HUB, "answerKey": 3}, 2),
        ({"question_stem": "?", "choices": HUB, "answerKey": "3"}, 2),
        ({"question": {"stem": "?", "choices": EACH}, "answerKey": "C"}, 2),
        ({"context": "?", "choices": EACH, "answer": "B"}, 1),
    ],
)
def test_the_right_choice_is_named_in_many_ways(row: dict[str, object], right: int) -> None:
    assert question_of(row) == Question("?", tuple(TEXTS), right)


def test_a_capital_letter_is_a_letter_even_where_a_choice_is_that_letter() -> None:
    assert question_of({"question": "?", "choices": ["O", "B", "A", "AB"], "answer": "A"}).right == 0


@pytest.mark.parametrize("key", [3, -1, 0.5, float("nan"), True, None, "D", "9", "pink", ["A"]])
def test_an_answer_that_is_no_choice_is_an_error(key: object) -> None:
    with pytest.raises(ShapeError, match="is none of the 3 choices"):
        question_of({"question": "?", "choices": TEXTS, "answer": key})


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        (None, "found null"),
        ([], "found an empty list"),
        ("red, blue", "found text"),
        ({"label": ["A"]}, "found null"),
        ([["red"], ["blue"]], "`choices` must be texts"),
        ([{"text": "red"}, "blue"], "`choices` must be texts"),
    ],
)
def test_choices_have_to_be_a_list_of_texts(choices: object, message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        question_of({"question": "?", "choices": choices, "answer": "A"})


@given(st.lists(st.text(min_size=2), min_size=1, max_size=26, unique_by=str.strip), st.data())
def test_number_letter_label_and_text_name_the_same_choice(texts: list[str], data: st.DataObject) -> None:
    right = data.draw(st.integers(0, len(texts) - 1))
    labelled = {"text": texts, "label": [f"({i})" for i in range(len(texts))]}
    rows = [
        {"question": "?", "choices": texts, "answer": right},
        {"question": "?", "choices": texts, "answer": LETTERS[right]},
        {"question": "?", "choices": labelled, "answerKey": f"({right})"},
    ]
    assert {question_of(row).right for row in rows} == {right}
