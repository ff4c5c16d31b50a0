"""The texts read as people write: no unfilled slots, no doubled spaces, right articles, own marks."""

from __future__ import annotations

import re

import pytest

from bottega.data.school.knowledge import capital
from bottega.data.school.nouns import BY_EN, NOUNS, a
from bottega.data.school.words import ADJECTIVE, ADJECTIVES, VERBS
from tests.data.school.rooms import CONVERSATIONS, DOCUMENTS, PARTS, texts

PROSE_ZH = ("prose-zh",)
WRONG_ARTICLE = re.compile(r"\b[Aa] [aeio]\w|\b[Aa]n [bcdfghjklmnpqrstvwxz]\w")


@pytest.mark.parametrize("name", PARTS)
def test_no_slot_is_left_and_no_space_is_doubled(name: str) -> None:
    for text in texts(name, 1500):
        assert not re.search(r"\{\w*\}|\bNone\b(?! of)|\bnull\b", text), text
        assert "  " not in text and text == text.strip(), repr(text)


@pytest.mark.parametrize("name", [*DOCUMENTS, "entailment-en", "dialogues-en"])
def test_articles_fit_the_word_after_them(name: str) -> None:
    for text in texts(name, 1500):
        # A list of words may read "a" (the letter) before a word; sentences may not.
        if name.startswith("lists") or ("hand" not in name and "\n" in text and "." not in text):
            continue
        assert not WRONG_ARTICLE.search(text), text


def test_an_article_is_chosen_by_sound() -> None:
    assert [a(word) for word in ("apple", "umbrella", "hour", "uniform", "cat")] == [
        "an apple",
        "an umbrella",
        "an hour",
        "a uniform",
        "a cat",
    ]


def test_chinese_prose_uses_chinese_marks_only() -> None:
    for text in texts("prose-zh", 2000):
        assert not re.search(r"[,.?!:;\"'a-zA-Z]", text), text
        assert text[-1] in "。？！”" or "\n" in text, text


def test_chinese_marks_are_never_doubled() -> None:
    for name in ("prose-zh", "entailment-zh", "dialogues-zh"):
        for text in texts(name, 1500):
            assert not re.search(r"[，。？：、]{2}", text), text


def test_english_sentences_begin_with_a_capital_and_end_with_a_mark() -> None:
    for text in texts("prose-en", 1500):
        assert text[0].isupper() or text[0] in '"', text
        assert text[-1] in '.?!"' or "\n" in text, text
        assert not re.search(r"[.?!] [a-z]", re.sub(r'[.?!]" [a-z]', "", text)), text


def test_a_count_of_two_takes_the_right_chinese_word() -> None:
    cat = BY_EN["cat"]
    assert (cat.many_zh(2), cat.many_zh(3), cat.many(1), cat.many(3)) == (
        "两只猫",
        "三只猫",
        "one cat",
        "three cats",
    )
    for text in texts("prose-zh", 1500):
        assert not re.search(r"(?<![十期第])二[只条个把本张件顶面]", text), text


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_every_conversation_alternates_and_ends_with_the_assistant(name: str) -> None:
    from itertools import islice

    from bottega.data.records import Conversation
    from bottega.data.school.registry import records

    for record in islice(records(name, 5, "train"), 500):
        assert isinstance(record, Conversation)
        roles = [message.role for message in record.messages]
        assert roles == ["user", "assistant"] * (len(roles) // 2) and roles
        assert all(message.content for message in record.messages)


def test_the_vocabulary_is_small_enough_for_a_tiny_model() -> None:
    words: set[str] = set()
    characters: set[str] = set()
    for name in PARTS:
        for text in texts(name, 1500):
            words.update(word.lower() for word in re.findall(r"[A-Za-z]+", text))
            characters.update(re.findall(r"[\u4e00-\u9fff]", text))
    names = sum(1 for word in words if word.isalpha())
    assert len(characters) < 1000, len(characters)
    assert names < 4000, names


def test_every_noun_is_listed_once_and_has_its_forms() -> None:
    assert len({noun.en for noun in NOUNS}) == len(NOUNS) == len({noun.zh for noun in NOUNS})
    assert all(len(noun.measure) == 1 and noun.size > 0 for noun in NOUNS)


def test_opposites_hold_both_ways() -> None:
    assert len({adjective.en for adjective in ADJECTIVES}) == len(ADJECTIVES)
    for adjective in ADJECTIVES:
        assert ADJECTIVE[adjective.opposite].opposite == adjective.en
    assert len({verb.en for verb in VERBS}) == len(VERBS)


def test_a_capital_changes_the_first_letter_only() -> None:
    assert (capital("the Sea"), capital("猫")) == ("The Sea", "猫")
