from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bottega.data.records import Conversation, Document, Message
from bottega.data.tokenizer import Tokenizer
from bottega.evals.bits import answer_bits_per_byte, answers
from bottega.evals.variants import AFTER_CHARS, BEFORE_CHARS, after_examples, badly_put, line_missing
from bottega.model.decoder import Decoder


def talk(asked: str, answer: str) -> Conversation:
    return Conversation((Message("user", asked), Message("assistant", answer)))


TALKS = [talk(f"Please write the word {word} for me, thank you.", word) for word in ("cat", "dog", "bird")]


def test_only_the_own_answer_counts_after_examples() -> None:
    shown = after_examples(TALKS[0], TALKS[1:])
    assert [m.content for m in shown.messages] == [
        m.content for one in (*TALKS[1:], TALKS[0]) for m in one.messages
    ]
    assert answers(shown) == ["cat"]


def test_answers_are_compared_however_they_are_asked_for(model: Decoder, tokenizer: Tokenizer) -> None:
    def cases(conversations: list[Conversation]) -> tuple[str, str]:
        score = answer_bits_per_byte(model, tokenizer, conversations, 256, chat=True)
        assert score.n == len(conversations)
        first, _, second = score.cases.partition("-")
        return first, second

    plain = cases(TALKS)
    few = cases([after_examples(one, TALKS[1:]) for one in TALKS])
    other = cases([talk("Please write the word cat for me, thank you.", "kitten"), *TALKS[1:]])
    assert plain[0] == few[0] != other[0]
    assert plain[1] != few[1]


def test_a_request_badly_put_is_another_one_for_the_same_answer_and_the_same_every_time() -> None:
    english = [badly_put(one.messages, i) for i, one in enumerate(TALKS)]
    assert english == [badly_put(one.messages, i) for i, one in enumerate(TALKS)]
    assert [put[1:] for put in english] == [one.messages[1:] for one in TALKS]
    assert all(put[0] != one.messages[0] for put, one in zip(english, TALKS, strict=True))
    chinese = [talk("请把下面的句子翻译成英文，谢谢。", "thanks") for _ in range(20)]
    put = [badly_put(one.messages, i)[0].content for i, one in enumerate(chinese)]
    assert len(set(put)) > 5


CODE = """def one(numbers):
    total = sum(numbers)
    # a remark about it
    return total + 1

print(one([1]))
"""


@given(st.integers(0, 10_000))
def test_the_missing_line_is_what_stands_between(index: int) -> None:
    gap = line_missing(Document(CODE), index)
    assert gap is not None
    before, after = (message.content for message in gap.messages)
    (line,) = gap.check.accepted
    assert before + line + after == CODE
    assert line.strip() in ("total = sum(numbers)", "return total + 1")


@given(st.lists(st.text("ab =\t#", max_size=30), max_size=60), st.integers(0, 100))
def test_gaps_are_of_lines_with_others_around_them_and_fit_a_small_context(
    lines: list[str], index: int
) -> None:
    text = "\n".join(lines)
    gap = line_missing(Document(text), index)
    if gap is None:
        return
    before, after = (message.content for message in gap.messages)
    (line,) = gap.check.accepted
    assert before.endswith("\n") and after.startswith("\n")
    assert len(before) <= BEFORE_CHARS and len(after) <= AFTER_CHARS
    assert f"{before}{line}{after}" in text
    assert "\n" not in line and line.strip()


def test_gaps_are_drawn_from_all_of_a_text() -> None:
    text = "\n".join(f"number_{i} = {i} * {i}" for i in range(12))
    found = {line_missing(Document(text), i).check.accepted[0] for i in range(200)}  # type: ignore[union-attr]
    assert len(found) == 10
    assert np.unique([len(line) for line in found]).size > 1
