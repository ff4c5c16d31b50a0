"""CORRECTNESS 10: stop strings are cut before they are shown, and no character is split over two pieces."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bottega.data.tokenizer import Tokenizer
from bottega.engine.text import TextStream


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    # So few merges that most characters beyond ASCII take several tokens.
    return Tokenizer.train(["the cat sat on the mat, then it sat. 猫坐在垫子上。"] * 50, vocab_size=290)


def pieces(tokenizer: Tokenizer, ids: list[int], stop: tuple[str, ...] = ()) -> list[str]:
    stream = TextStream(tokenizer, stop)
    return [*(stream.push(token) for token in ids), stream.finish()]


@given(st.text(alphabet="ab c.\n猫垫🙂é", max_size=30))
def test_pieces_are_whole_characters_that_join_to_the_text(tokenizer: Tokenizer, text: str) -> None:
    shown = pieces(tokenizer, tokenizer.encode(text))
    assert "".join(shown) == text
    assert "\ufffd" not in "".join(shown)


@given(st.lists(st.integers(0, 289), max_size=30))
def test_any_ids_show_what_decoding_shows(tokenizer: Tokenizer, ids: list[int]) -> None:
    assert "".join(pieces(tokenizer, ids)) == tokenizer.decode(ids)


@given(
    st.text(alphabet="ab猫\n", max_size=40),
    st.lists(st.text(alphabet="ab猫\n", min_size=1, max_size=4), max_size=3),
)
def test_nothing_from_a_stop_string_on_is_ever_shown(
    tokenizer: Tokenizer, text: str, stop: list[str]
) -> None:
    shown = "".join(pieces(tokenizer, tokenizer.encode(text), tuple(stop)))
    met = [(text.find(each) + len(each), text.find(each)) for each in stop if each in text]
    assert shown == (text[: min(met)[1]] if met else text)


def test_a_stop_string_over_several_tokens_is_held_back_until_it_is_refuted(tokenizer: Tokenizer) -> None:
    stream = TextStream(tokenizer, ["猫猫"])
    first, second = tokenizer.encode("猫"), tokenizer.encode("坐")
    assert [stream.push(token) for token in first] == [""] * len(first)
    assert "".join(stream.push(token) for token in second) == "猫坐"
    assert "".join(stream.push(token) for token in first + first + second) + stream.finish() == ""
    assert stream.stopped


def test_what_was_held_back_is_shown_when_the_ids_end(tokenizer: Tokenizer) -> None:
    stream = TextStream(tokenizer, ["User:"])
    assert "".join(stream.push(token) for token in tokenizer.encode("a Use")) + stream.finish() == "a Use"
    assert not stream.stopped


def test_control_tokens_show_nothing(tokenizer: Tokenizer) -> None:
    assert tokenizer.im_end is not None
    assert "".join(pieces(tokenizer, [*tokenizer.encode("cat"), tokenizer.im_end])) == "cat"
