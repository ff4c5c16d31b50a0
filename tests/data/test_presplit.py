from __future__ import annotations

from collections import Counter
from itertools import chain

from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import Regex, pre_tokenizers

from bottega.data.presplit import SPLIT_EXPRESSION, chunks, count_words

EXACT = pre_tokenizers.Split(Regex(SPLIT_EXPRESSION), "isolated")
# Every class the expression tells apart, and characters that Python and Unicode disagree on.
TRICKY = st.text(
    st.sampled_from(list("ab'stZ é中字1२²Ⅷ½_.,!()。\n\r\t\v\x1c\x85\xa0\u2028\u3000\u0301\u200d😀\U00020000"))
)


def exact(text: str) -> list[str]:
    return [text[first:last] for _, (first, last) in EXACT.pre_tokenize_str(text)]


@settings(max_examples=600, deadline=None)
@given(TRICKY | st.text())
@example("x\n \n y")
@example("it's.\n\n  \n\tfoo ")
def test_the_words_of_the_chunks_are_the_words_of_the_text(text: str) -> None:
    pieces = chunks(text)
    assert "".join(pieces) == text
    assert list(chain.from_iterable(map(exact, pieces))) == exact(text)


@settings(max_examples=600, deadline=None)
@given(st.lists(TRICKY, max_size=4))
def test_words_are_counted_as_the_exact_expression_splits_them(texts: list[str]) -> None:
    assert count_words(texts) == Counter(chain.from_iterable(map(exact, texts)))


def test_digits_are_split_one_by_one() -> None:
    assert exact("in 2024") == ["in", " ", "2", "0", "2", "4"]
