"""Multiple choice by likelihood, and the last word of a passage: rows of well-known benchmarks, or your own.

Counting is that of EleutherAI's lm-evaluation-harness: a choice is put after its context and one space, and
scored by the sum of its tokens' log-probabilities; the accuracy takes the likeliest choice, the normalised
one divides by the choice's length in characters.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bottega.data.choices import is_question, question_of
from bottega.data.rows import ShapeError
from bottega.errors import UserError
from bottega.evals.likelihood import Window, score_windows
from bottega.evals.score import Example, Score, proportion_score, wilson_interval

if TYPE_CHECKING:
    from bottega.data.tokenizer import Tokenizer
    from bottega.model.decoder import Decoder

CHOICES_TEMPLATE = "{context} {choice}; the choice with the highest log-probability is the answer"
LAST_WORD_TEMPLATE = "{passage without its last word} {word}; right where every token of it is the likeliest"


@dataclass(frozen=True, slots=True)
class Choice:
    """A context, what may follow it, and which of that is right."""

    context: str  # "" where the choices stand alone
    choices: tuple[str, ...]
    right: int


def choice_of(row: Mapping[str, Any]) -> Choice:
    """A multiple-choice question from the fields of a row.

    Known are HellaSwag (``ctx``, ``endings``, ``label``), PIQA (``goal``, ``sol1``, ``sol2``, ``label``),
    BLiMP (``sentence_good``, ``sentence_bad``), and what :func:`bottega.data.choices.question_of` reads:
    MMLU, ARC, CommonsenseQA, OpenBookQA, or a ``context`` with ``choices`` and ``answer``. Raises
    ``UserError`` for any other row.
    """
    if {"ctx", "endings", "label"} <= row.keys():
        return _checked(str(row["ctx"]), row["endings"], _label(row))
    if {"goal", "sol1", "sol2", "label"} <= row.keys():
        return _checked(f"Question: {row['goal']}\nAnswer:", [row["sol1"], row["sol2"]], _label(row))
    if {"sentence_good", "sentence_bad"} <= row.keys():
        return _checked("", [row["sentence_good"], row["sentence_bad"]], 0)
    if is_question(row):
        if not row.keys() & {"question", "question_stem", "context"}:
            raise UserError(f"a row with choices has neither question nor context: {', '.join(row)}")
        try:
            found = question_of(row)
        except ShapeError as error:
            raise UserError(f"{error}: {str(row)[:80]}") from None
        context = str(row["context"]) if "context" in row else f"Question: {found.text}\nAnswer:"
        return _checked(context, found.choices, found.right)
    raise UserError(
        f"a row has the fields {', '.join(row)}; known are ctx/endings/label, goal/sol1/sol2/label, "
        "sentence_good/sentence_bad, and question or context with choices and answer or answerKey"
    )


def _label(row: Mapping[str, Any]) -> int:
    try:
        return int(row["label"])
    except (TypeError, ValueError):
        raise UserError(f"a row's `label` is {row['label']!r}, not the number of a choice") from None


def _checked(context: str, choices: Sequence[Any], right: int) -> Choice:
    if len(choices) < 2 or not 0 <= right < len(choices):
        raise UserError(f"a question has {len(choices)} choices and no right one among them: {context!r:.80}")
    return Choice(context, tuple(str(choice) for choice in choices), right)


def multiple_choice(
    model: Decoder,
    tokenizer: Tokenizer,
    questions: Sequence[Choice],
    context: int,
    *,
    name: str = "choices",
    keep_examples: int = 8,
    seed: int = 0,
) -> Score:
    """The share of questions whose likeliest choice is the right one, beside chance.

    ``details["normalised"]`` is the accuracy where log-probabilities are divided by the choices' lengths in
    characters, with its interval. Raises ``UserError`` for no questions.
    """
    if not questions:
        raise UserError(f"{name}: there are no questions to score")
    pairs = [(question.context, choice) for question in questions for choice in question.choices]
    logprobs, _ = _scored(model, tokenizer, pairs, context)
    likeliest, normalised, at = [], [], 0
    for question in questions:
        scores = logprobs[at : at + len(question.choices)]
        at += len(question.choices)
        lengths = np.array([max(1, len(choice)) for choice in question.choices])
        likeliest.append(int(scores.argmax()))
        normalised.append(int((scores / lengths).argmax()))
    correct = [chosen == q.right for chosen, q in zip(likeliest, questions, strict=True)]
    of_length = sum(chosen == q.right for chosen, q in zip(normalised, questions, strict=True))
    low, high = wilson_interval(of_length, len(questions))
    chance = sum(1 / len(question.choices) for question in questions) / len(questions)
    return proportion_score(
        name,
        correct,
        seed=seed,
        template=CHOICES_TEMPLATE,
        cases=_digest([repr(question) for question in questions]),
        floors={"chance": chance},
        ceiling=1.0,
        details={
            "normalised": of_length / len(questions),
            "normalised_low": low,
            "normalised_high": high,
        },
        examples=tuple(
            Example(q.context, q.choices[chosen], (q.choices[q.right],), chosen == q.right)
            for q, chosen in list(zip(questions, likeliest, strict=True))[:keep_examples]
        ),
    )


def last_word(
    model: Decoder,
    tokenizer: Tokenizer,
    passages: Sequence[str],
    context: int,
    *,
    name: str = "last-word",
    seed: int = 0,
) -> Score:
    """The share of passages whose last word the model would have said, token by token (LAMBADA, 1606.06031).

    ``details["perplexity"]`` is of the last word as a whole. Raises ``UserError`` for a passage of one word.
    """
    if not passages:
        raise UserError(f"{name}: there are no passages to score")
    pairs = []
    for passage in passages:
        before, space, word = passage.rstrip().rpartition(" ")
        if not space or not before.strip():
            raise UserError(f"{name}: a passage has no word before its last: {passage!r:.80}")
        pairs.append((before, word))
    logprobs, greedy = _scored(model, tokenizer, pairs, context)
    return proportion_score(
        name,
        greedy,
        seed=seed,
        template=LAST_WORD_TEMPLATE,
        cases=_digest(list(passages)),
        ceiling=1.0,
        details={"perplexity": float(np.exp(-np.mean(logprobs)))},
    )


def _scored(
    model: Decoder, tokenizer: Tokenizer, pairs: Sequence[tuple[str, str]], context: int
) -> tuple[np.ndarray, list[bool]]:
    """The log-probability of each continuation after its context, and whether greedy decoding would give it.

    A context too long loses its beginning. Where there is none, the end-of-text mark stands before.
    """
    # Spaces at a context's end belong to what follows: tokens begin with their space.
    befores = tokenizer.encode_batch([before.rstrip() for before, _ in pairs])
    wholes = tokenizer.encode_batch([f"{before} {after}" if before else after for before, after in pairs])
    windows = []
    for before, whole in zip(befores, wholes, strict=True):
        start = len(before)
        ids = whole
        if not start:
            ids, start = [tokenizer.require("eot"), *whole], 1
        counted = np.zeros(len(ids) - 1, bool)
        counted[start - 1 :] = True
        tokens = np.array(ids, np.int64)
        windows.append(Window(tokens[-(context + 1) :], counted[-context:]))
    nats, greedy = score_windows(model, windows)
    return -nats, [bool(one) for one in greedy]


def _digest(asked: Sequence[str]) -> str:
    return hashlib.sha256("\0".join(asked).encode()).hexdigest()[:16]
