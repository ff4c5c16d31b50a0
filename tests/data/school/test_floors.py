"""Floors are what they say, on examples small enough to see through."""

from __future__ import annotations

import math

from bottega.data.records import Check
from bottega.data.school.floors import is_right, majority, nearest, ngram, ngram_bits_per_byte

EXAMPLES = [
    ("what is the colour of snow?", "white"),
    ("what is the colour of coal?", "black"),
    ("is snow cold?", "white"),
]


def test_the_majority_is_the_commonest_answer() -> None:
    assert majority(EXAMPLES, ["anything", "else"]) == ["white", "white"]


def test_the_nearest_neighbour_answers_as_the_likest_question() -> None:
    assert nearest(EXAMPLES, ["tell me the colour of coal", "is the snow cold?"]) == ["black", "white"]


def test_the_five_gram_model_continues_what_it_has_seen() -> None:
    assert ngram(EXAMPLES, ["the colour of coal?", "the colour of snow?"]) == ["black", "white"]


def test_an_answer_of_several_words_is_put_together_again() -> None:
    trained = [("list them", "cat, dog and fish"), ("dashes", "cat-dog"), ("说吧", "猫和狗")]
    assert ngram(trained, ["list them", "dashes", "说吧"]) == ["cat, dog and fish", "cat-dog", "猫和狗"]


def test_no_examples_answer_nothing() -> None:
    assert majority([], ["a"]) == nearest([], ["a"]) == ngram([], ["a"]) == [""]


def test_whitespace_and_a_final_stop_do_not_matter() -> None:
    check = Check("exact", ("It is red.", "red"))
    assert all(is_right(check, answer) for answer in ("red", " red. ", "It is red", "It is red.\n"))
    assert not is_right(check, "Red lamp")


def test_a_text_seen_often_costs_few_bits_and_an_unseen_character_its_bytes() -> None:
    assert ngram_bits_per_byte(["abcabcabc"] * 200, ["abcabcabc"]) < 0.3
    # Nothing known: each character and the end cost 8 bits a byte.
    assert math.isclose(ngram_bits_per_byte([], ["ab"]), (8 * 2 + 8) / 2)
