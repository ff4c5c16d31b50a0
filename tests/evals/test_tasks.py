from __future__ import annotations

import pytest

from bottega.data.records import Check, Message, Prompt
from bottega.data.tokenizer import Tokenizer
from bottega.engine.local import LocalEngine
from bottega.engine.requests import Request
from bottega.errors import UserError
from bottega.evals.prompting import encode_prompt, read_answer, stop_ids, stop_strings
from bottega.evals.score import compare
from bottega.evals.tasks import even_batches, exact_match, room_needed
from bottega.model.decoder import Decoder


def prompt(text: str, *accepted: str, kind: str = "exact") -> Prompt:
    return Prompt((Message("user", text),), Check(kind, tuple(accepted)))  # type: ignore[arg-type]


def own_answers(model: Decoder, tokenizer: Tokenizer, texts: list[str], mode: str) -> list[str]:
    """What the model says, asked one at a time; the stop is cut by hand."""
    answers = []
    for text in texts:
        ids = encode_prompt(tokenizer, prompt(text), mode)  # type: ignore[arg-type]
        ends, strings = stop_ids(tokenizer), stop_strings(mode)  # type: ignore[arg-type]
        with LocalEngine(model, tokenizer, slots=5) as engine:
            ((said,),) = engine.generate([Request(ids, 12, stop_ids=ends, stop=strings)])
        answers.append(read_answer(said.text, mode))  # type: ignore[arg-type]
    return answers


TEXTS = ["The cat", "2 + 2 =", "Q: What colour is the sky?\nA:", "猫坐在", "The dog lay by"]


@pytest.mark.parametrize("mode", ["completion", "chat", "plain"])
def test_a_model_is_right_where_its_own_answer_is_expected(
    model: Decoder, tokenizer: Tokenizer, mode: str
) -> None:
    answers = own_answers(model, tokenizer, TEXTS, mode)
    cases = [
        prompt(t, a if i % 2 == 0 else a + " never")
        for i, (t, a) in enumerate(zip(TEXTS, answers, strict=True))
    ]
    score = exact_match(model, tokenizer, cases, mode, max_new_tokens=12)  # type: ignore[arg-type]
    assert score.outcomes == (1.0, 0.0, 1.0, 0.0, 1.0)
    assert score.value == 0.6
    assert [e.answer for e in score.examples] == answers


def test_the_same_cases_give_the_same_score_twice(model: Decoder, tokenizer: Tokenizer) -> None:
    cases = [prompt(text, "blue") for text in TEXTS]
    assert exact_match(model, tokenizer, cases, "chat") == exact_match(model, tokenizer, cases, "chat")


def test_a_base_model_is_asked_from_the_end_of_text_mark_and_a_chat_model_by_the_template(
    tokenizer: Tokenizer,
) -> None:
    case = prompt("The cat", "sat")
    assert encode_prompt(tokenizer, case, "completion") == [tokenizer.eot, *tokenizer.encode("The cat")]
    assert encode_prompt(tokenizer, case, "plain") == [tokenizer.eot, *tokenizer.encode("The cat\n")]
    assert encode_prompt(tokenizer, case, "chat") == [
        tokenizer.im_start,
        *tokenizer.encode("user\nThe cat"),
        tokenizer.im_end,
        *tokenizer.encode("\n"),
        tokenizer.im_start,
        *tokenizer.encode("assistant\n"),
    ]


def test_a_gap_is_asked_for_by_the_marks_of_infilling(tokenizer: Tokenizer) -> None:
    case = Prompt((Message("user", "The cat "), Message("user", " the mat.")), Check("exact", ("sat on",)))
    assert encode_prompt(tokenizer, case, "fill") == [
        tokenizer.eot,
        tokenizer.fim_prefix,
        *tokenizer.encode("The cat "),
        tokenizer.fim_suffix,
        *tokenizer.encode(" the mat."),
        tokenizer.fim_middle,
    ]


def test_an_answer_outside_chat_is_its_first_line() -> None:
    assert read_answer(" blue.\nQ: and grass?", "completion") == " blue."
    assert read_answer("one\ntwo\n\nthree", "completion", "\n\n") == "one\ntwo"
    assert read_answer("\nblue\n", "plain") == "blue"
    assert read_answer("red\nblue", "chat") == "red\nblue"


def test_a_prompt_without_room_for_its_answer_is_wrong_and_counted(
    model: Decoder, tokenizer: Tokenizer
) -> None:
    cases = [prompt("The cat", "x"), prompt("The cat sat on the mat. " * 60, "x")]
    score = exact_match(model, tokenizer, cases, "completion", max_new_tokens=8)
    assert score.details == {"too_long": 1.0}
    assert score.n == 2


def test_a_long_prompt_gets_what_the_context_has_left(model: Decoder, tokenizer: Tokenizer) -> None:
    """A worked answer may take 96 tokens; a short one after a long prompt is not wrong for that."""
    text = "The cat sat on the mat. " * 8
    while len(encode_prompt(tokenizer, prompt(text), "completion")) < 256 - 40:
        text += "The cat sat. "
    (said,) = own_answers(model, tokenizer, [text], "completion")
    assert said
    score = exact_match(model, tokenizer, [prompt(text, said)], "completion", max_new_tokens=96)
    assert score.examples[0].answer.startswith(said)
    assert score.details == {}


def test_no_prompts_are_an_error(model: Decoder, tokenizer: Tokenizer) -> None:
    with pytest.raises(UserError, match="no prompts"):
        exact_match(model, tokenizer, [], "chat")


def test_equal_cases_are_comparable_however_they_are_put(model: Decoder, tokenizer: Tokenizer) -> None:
    cases = [prompt(text, "blue") for text in TEXTS]
    chat = exact_match(model, tokenizer, cases, "chat", max_new_tokens=4)
    plain = exact_match(model, tokenizer, cases, "plain", max_new_tokens=4)
    other = exact_match(model, tokenizer, cases[1:], "plain", max_new_tokens=4)
    assert chat.cases == plain.cases != other.cases


def test_answers_get_the_room_that_the_longest_accepted_one_needs(tokenizer: Tokenizer) -> None:
    short, long = prompt("a", "x"), prompt("b", "The dog lay by the fire and the bird sang.")
    need = len(tokenizer.encode("The dog lay by the fire and the bird sang."))
    assert need < room_needed(tokenizer, [short, long], "chat") <= need + 8
    assert room_needed(tokenizer, [short], "chat") < need


def test_the_same_question_with_other_examples_before_it_is_compared_only_when_asked(
    model: Decoder, tokenizer: Tokenizer
) -> None:
    few = exact_match(model, tokenizer, [prompt("c ->", "C")], "completion")
    many = exact_match(model, tokenizer, [prompt("a -> A\nb -> B\nc ->", "C")], "completion")
    other = exact_match(model, tokenizer, [prompt("c ->", "D")], "completion")
    with pytest.raises(UserError, match="same cases"):
        compare(many, few)
    assert compare(many, few, same_prompts=False).n == 1
    with pytest.raises(UserError, match="same cases"):
        compare(many, other, same_prompts=False)


@pytest.mark.parametrize(("prompts", "rows"), [(1, 1), (64, 64), (65, 33), (200, 50), (300, 60)])
def test_batches_are_evenly_filled(prompts: int, rows: int) -> None:
    assert even_batches(prompts) == rows
