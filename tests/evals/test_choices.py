"""Multiple choice by likelihood, against a plain loop over the whole sequence."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch

from bottega.data.tokenizer import Tokenizer
from bottega.errors import UserError
from bottega.evals.choices import Choice, choice_of, last_word, multiple_choice
from bottega.evals.registry import score
from bottega.evals.subject import EvalOptions, Subject
from bottega.model.decoder import Decoder

QUESTIONS = [
    Choice("The cat sat on the", ("mat.", "dog in the tree.", "fire"), 0),
    Choice("", ("The bird sang.", "Bird the sang."), 1),
    Choice("2 + 2 =", ("4", "5", "22", "the"), 2),
    Choice("猫坐在", ("垫子上", "树上唱歌"), 0),
]


@torch.no_grad()
def loop(model: Decoder, tokenizer: Tokenizer, context: str, choice: str) -> tuple[float, bool]:
    """The log-probability of a choice, a token at a time, and whether each was the likeliest."""
    start = len(tokenizer.encode(context))
    ids = tokenizer.encode(f"{context} {choice}" if context else choice)
    if not start:
        ids, start = [tokenizer.eot or 0, *ids], 1
    total, greedy = 0.0, True
    for at in range(start, len(ids)):
        logs = model.logits(model(torch.tensor([ids[:at]]))[0, -1]).log_softmax(-1)
        total += float(logs[ids[at]])
        greedy &= int(logs.argmax()) == ids[at]
    return total, greedy


def test_the_likeliest_choice_is_the_answer(model: Decoder, tokenizer: Tokenizer) -> None:
    result = multiple_choice(model, tokenizer, QUESTIONS, 128)
    logs = [[loop(model, tokenizer, q.context, c)[0] for c in q.choices] for q in QUESTIONS]
    chosen = [row.index(max(row)) for row in logs]
    assert result.outcomes == tuple(float(c == q.right) for c, q in zip(chosen, QUESTIONS, strict=True))
    assert [e.answer for e in result.examples] == [
        q.choices[c] for q, c in zip(QUESTIONS, chosen, strict=True)
    ]
    by_length = [
        max(range(len(row)), key=lambda i, row=row, q=q: row[i] / len(q.choices[i]))  # type: ignore[misc]
        for row, q in zip(logs, QUESTIONS, strict=True)
    ]
    right = sum(c == q.right for c, q in zip(by_length, QUESTIONS, strict=True))
    assert result.details["normalised"] == right / 4
    assert result.floors["chance"] == pytest.approx((1 / 3 + 1 / 2 + 1 / 4 + 1 / 2) / 4)


def test_the_last_word_is_right_where_greedy_decoding_says_it(model: Decoder, tokenizer: Tokenizer) -> None:
    passages = ["The cat sat on the mat", "The dog lay by the fire", "Q: What colour is the sky"]
    said = [loop(model, tokenizer, *p.rsplit(" ", 1)) for p in passages]  # type: ignore[arg-type]
    result = last_word(model, tokenizer, passages, 128)
    assert result.outcomes == tuple(float(greedy) for _, greedy in said)
    assert result.details["perplexity"] == pytest.approx(math.exp(-sum(log for log, _ in said) / 3), rel=1e-4)


def test_a_long_context_loses_its_beginning(model: Decoder, tokenizer: Tokenizer) -> None:
    long = "The cat sat on the mat. " * 40
    result = multiple_choice(model, tokenizer, [Choice(long + "The dog", ("lay", "sang"), 0)], 32)
    tail = tokenizer.encode(long + "The dog lay")[-33:]
    with torch.no_grad():
        logs = model.logits(model(torch.tensor([tail[:-1]]))[0]).log_softmax(-1)
    assert result.n == 1
    assert torch.isfinite(logs).all()


HUB_CHOICES = {"text": ["x", "y"], "label": ["A", "B"]}


@pytest.mark.parametrize(
    ("row", "question"),
    [
        (
            {"ctx": "A man", "endings": ["runs.", "flies."], "label": 1},
            Choice("A man", ("runs.", "flies."), 1),
        ),
        (
            {"ctx": "A man", "endings": ["runs.", "flies."], "label": "0"},
            Choice("A man", ("runs.", "flies."), 0),
        ),
        (
            {"goal": "Open it", "sol1": "pull", "sol2": "push", "label": 1},
            Choice("Question: Open it\nAnswer:", ("pull", "push"), 1),
        ),
        ({"sentence_good": "He is.", "sentence_bad": "He are."}, Choice("", ("He is.", "He are."), 0)),
        (
            {"question": "Which?", "choices": ["a", "b", "c"], "answer": "C"},
            Choice("Question: Which?\nAnswer:", ("a", "b", "c"), 2),
        ),
        (
            {"context": "It is", "choices": ["hot", "cold"], "answer": "cold"},
            Choice("It is", ("hot", "cold"), 1),
        ),
        ({"context": "It is", "choices": [1, 2], "answer": 0}, Choice("It is", ("1", "2"), 0)),
        (
            {
                "question": {
                    "stem": "Which?",
                    "choices": [{"label": "A", "text": "x"}, {"label": "B", "text": "y"}],
                },
                "answerKey": "B",
            },
            Choice("Question: Which?\nAnswer:", ("x", "y"), 1),
        ),
        (
            {"question_stem": "Which?", "choices": HUB_CHOICES, "answerKey": "B"},
            Choice("Question: Which?\nAnswer:", ("x", "y"), 1),
        ),
    ],
)
def test_rows_of_benchmarks_are_known_by_their_fields(row: dict[str, object], question: Choice) -> None:
    assert choice_of(row) == question


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"text": "a"}, "a row has the fields text; known are ctx/endings/label"),
        ({"ctx": "a", "endings": ["b", "c"], "label": 2}, "no right one among them: 'a'"),
        ({"ctx": "a", "endings": ["b"], "label": 0}, "has 1 choices"),
        ({"question": "q", "choices": ["a", "b"], "answer": "Z"}, "the answer 'Z' is none of the 2 choices"),
        ({"ctx": "a", "endings": ["b", "c"], "label": ""}, "`label` is '', not the number of a choice"),
        ({"choices": ["a", "b"], "answer": "a"}, "neither question nor context"),
    ],
)
def test_other_rows_are_refused_with_a_reason(row: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        choice_of(row)


def test_files_are_scored_by_name(model: Decoder, tokenizer: Tokenizer, tmp_path: Path) -> None:
    subject = Subject(model, tokenizer, chat=False)
    rows = [{"ctx": f"The cat number {i}", "endings": ["sat", "sang"], "label": i % 2} for i in range(9)]
    (tmp_path / "swag.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = score(f"choices:file:{tmp_path}/swag.jsonl", subject, EvalOptions(cases=6))
    assert (found.n, found.floors) == (6, {"chance": 0.5})
    (tmp_path / "words.jsonl").write_text('{"text": "the cat sat on the mat"}\n')
    assert score(f"last-word:file:{tmp_path}/words.jsonl", subject, EvalOptions()).n == 1
    problem = {"text": "Give one.", "code": "", "test_list": ["assert one() == 1", "assert one() != 2"]}
    (tmp_path / "mbpp.jsonl").write_text(json.dumps(problem) + "\n")
    programs = score(f"pass@1:file:{tmp_path}/mbpp.jsonl", subject, EvalOptions())
    assert (programs.n, programs.value) == (1, 0.0)
    assert programs.examples[0].prompt == '"""\nGive one.\nassert one() == 1\n"""\n'
    with pytest.raises(UserError, match="no `text`; it has ctx, endings, label"):
        score(f"last-word:file:{tmp_path}/swag.jsonl", subject, EvalOptions())
    with pytest.raises(UserError, match="known are text or prompt with test_list"):
        score(f"pass@1:file:{tmp_path}/swag.jsonl", subject, EvalOptions())
