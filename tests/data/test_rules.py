from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import py3langid
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bottega.data.rules import RULES, obeys, rule_text, sentences
from bottega.errors import UserError

ENGLISH = "The old baker got up before the sun and made bread for the whole village."
LETTER = "Dear all,\n\nwe meet on Monday.\n\nP.S. Bring [date] and **the keys**."

# Of every rule: its arguments, an answer that keeps to it and one that does not.
CASES: dict[str, tuple[dict[str, Any], str, str]] = {
    "change_case:capital_word_frequency": (
        {"capital_frequency": 2, "capital_relation": "at least"},
        "STOP and LOOK at it",
        "Stop and LOOK at it",
    ),
    "change_case:english_capital": ({}, ENGLISH.upper(), ENGLISH),
    "change_case:english_lowercase": ({}, ENGLISH.lower(), ENGLISH),
    "combination:repeat_prompt": (
        {"prompt_to_repeat": "Write a poem."},
        "write a poem.\nRoses",
        "A poem: Roses",
    ),
    "combination:two_responses": ({}, "One\n******\nTwo", "One\n******\nOne"),
    "detectable_content:number_placeholders": ({"num_placeholders": 2}, "[name] and [date]", "[name]"),
    "detectable_content:postscript": ({"postscript_marker": "P.S."}, LETTER, "Dear all"),
    "detectable_format:constrained_response": ({}, "My answer is no.", "No."),
    "detectable_format:json_format": ({}, '```json\n{"a": [1]}\n```', '{"a": [1}'),
    "detectable_format:multiple_sections": (
        {"section_spliter": "Section", "num_sections": 2},
        "Section 1\nA\nSection 2\nB",
        "Section 1\nA",
    ),
    "detectable_format:number_bullet_lists": ({"num_bullets": 2}, "* one\n- two", "* one\n* two\n* three"),
    "detectable_format:number_highlighted_sections": (
        {"num_highlights": 2},
        "*one* and *two*",
        "*one* and * *",
    ),
    "detectable_format:title": ({}, "<<On bread>>\nBread.", "<< >>\nBread."),
    "keywords:existence": ({"keywords": ["Bread", "sun"]}, ENGLISH, "Bread alone"),
    "keywords:forbidden_words": ({"forbidden_words": ["bake", "rain"]}, ENGLISH, "They bake."),
    "keywords:frequency": (
        {"keyword": "the", "frequency": 3, "relation": "at least"},
        ENGLISH,
        "The sun and the moon",
    ),
    "keywords:letter_frequency": (
        {"letter": "z", "let_frequency": 1, "let_relation": "less than"},
        ENGLISH,
        "A lazy baker",
    ),
    "language:response_language": ({"language": "de"}, "Der alte Bäcker stand früh auf.", ENGLISH),
    "length_constraints:nth_paragraph_first_word": (
        {"num_paragraphs": 3, "nth_paragraph": 3, "first_word": "p"},
        LETTER,
        LETTER.replace("P.S.", "Also:"),
    ),
    "length_constraints:number_paragraphs": ({"num_paragraphs": 2}, "One\n***\nTwo", "One\n\nTwo"),
    "length_constraints:number_sentences": (
        {"num_sentences": 3, "relation": "less than"},
        "Dr. Wu is in. Is she?",
        "One. Two! Three?",
    ),
    "length_constraints:number_words": (
        {"num_words": 4, "relation": "at least"},
        "one two three four",
        "one two",
    ),
    "punctuation:no_comma": ({}, ENGLISH, LETTER),
    "startend:end_checker": ({"end_phrase": "The end."}, "It rained. the end.", "The end. Really."),
    "startend:quotation": ({}, '"Bread."', '"Bread".'),
}
UNLIKE_THE_ORACLE = {  # told by marks, not by a model of the language
    "change_case:capital_word_frequency",
    "length_constraints:number_sentences",
}


@pytest.fixture(scope="module")
def oracle() -> Iterator[Any]:
    """lm-evaluation-harness's checkers, with the product's own language identification under them."""
    import nltk

    languages = ModuleType("langdetect")
    languages.detect = lambda text: py3langid.classify(text)[0]  # type: ignore[attr-defined]
    languages.LangDetectException = ValueError  # type: ignore[attr-defined]
    tables = ModuleType("immutabledict")
    tables.immutabledict = dict  # type: ignore[attr-defined]
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "immutabledict", tables)
        patch.setitem(sys.modules, "langdetect", languages)
        patch.setattr(nltk.data, "find", lambda *_: None)  # its sentence model, which would be downloaded
        from lm_eval.tasks.ifeval.instructions_registry import INSTRUCTION_DICT

        yield INSTRUCTION_DICT


def by_oracle(oracle: Any, name: str, arguments: dict[str, Any], answer: str) -> bool:
    rule = oracle[name](name)
    rule.build_description(**arguments)
    return bool(answer.strip()) and bool(rule.check_following(answer))


def test_every_rule_has_its_cases() -> None:
    assert set(CASES) == set(RULES)


@pytest.mark.parametrize("name", RULES)
def test_a_rule_tells_who_keeps_to_it(name: str) -> None:
    arguments, keeps, breaks = CASES[name]
    rule = rule_text(name, arguments)
    assert obeys(keeps, rule)
    assert not obeys(breaks, rule)
    assert not obeys(" \n", rule)


@pytest.mark.parametrize("name", sorted(set(RULES) - UNLIKE_THE_ORACLE))
def test_rules_are_judged_as_the_harness_judges_them(oracle: Any, name: str) -> None:
    arguments = CASES[name][0]
    rule = rule_text(name, arguments)
    for _, keeps, breaks in CASES.values():
        for answer in (keeps, breaks, f"{keeps}\n\n{breaks}", f'"{breaks}"', keeps.upper()):
            assert obeys(answer, rule) == by_oracle(oracle, name, arguments, answer), answer


PIECES = [
    "***",
    "*",
    "**",
    "-",
    '"',
    "[",
    "]",
    "<<",
    ">>",
    ",",
    ".",
    "******",
    "p.s.",
    "z",
    "the",
    "Bread",
    "SUN",
    "```json",
    "```",
    "{}",
]
PHRASES = ["\n", "\n\n", " ", "P. P. S", "section 1", "Section 2", "My answer is yes.", "The end."]
BY_LANGUAGE = {name for name in RULES if "language" in name or "english" in name}
MARKED = sorted(set(RULES) - UNLIKE_THE_ORACLE - BY_LANGUAGE)


@given(st.sampled_from(MARKED), st.lists(st.sampled_from(PIECES + PHRASES), max_size=14))
@settings(max_examples=600, deadline=None)
def test_no_mix_of_marks_is_judged_otherwise(oracle: Any, name: str, pieces: list[str]) -> None:
    answer, arguments = "".join(pieces), CASES[name][0]
    assert obeys(answer, rule_text(name, arguments)) == by_oracle(oracle, name, arguments, answer)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 0),
        ("One", 1),
        ("One. Two", 2),
        ("One! Two?! Three...", 3),
        ("It costs 3.50 at Mr. Wu's, e.g. on Monday.", 1),
        ('He said "Stop." Then he left.', 2),
        ("今天下雨。明天呢？“晴天！”", 3),
    ],
)
def test_sentences_are_counted_by_their_marks(text: str, count: int) -> None:
    assert sentences(text) == count


def test_arguments_that_are_null_are_left_out() -> None:
    told = {"num_words": 3, "relation": "at least", "keywords": None}
    assert rule_text("length_constraints:number_words", told) == (
        'length_constraints:number_words {"num_words": 3, "relation": "at least"}'
    )


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("length:words", {}, "there is no rule 'length:words'; known are"),
        ("length_constraints:number_words", {"num_words": 3}, "relation"),
        (
            "length_constraints:number_words",
            {"num_words": 3, "relation": "about"},
            "must be one of less than",
        ),
        ("length_constraints:number_words", {"num_words": "3", "relation": "at least"}, "cannot be checked"),
        ("keywords:existence", {"keywords": 3}, "cannot be checked"),
        ("punctuation:no_comma", {"number": 3}, "cannot be checked"),
    ],
)
def test_a_rule_that_cannot_be_checked_is_refused(name: str, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        rule_text(name, arguments)


def test_a_word_is_no_pattern() -> None:
    assert obeys("I write C++ (daily).", f"keywords:existence {json.dumps({'keywords': ['C++', '(daily)']})}")
