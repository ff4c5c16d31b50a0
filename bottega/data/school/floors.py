"""What methods that understand nothing reach on a task: the floors that stand beside every score.

Each takes training examples (question, answer) and held-out questions, and gives one answer per question.
Text is cut into words, single Chinese characters, and marks.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import pairwise

from bottega.data.records import Check, Prompt
from bottega.data.school.registry import EvalTask
from bottega.data.school.world import World

Examples = Sequence[tuple[str, str]]

_UNIT = re.compile(r"[A-Za-z']+|\d|\n|[^\sA-Za-z']")
_START, _END = "<question>", "<end>"
_ORDER = 5


def majority(examples: Examples, questions: Sequence[str]) -> list[str]:
    """The commonest training answer, whatever is asked."""
    if not examples:
        return [""] * len(questions)
    ((answer, _),) = Counter(answer for _, answer in examples).most_common(1)
    return [answer] * len(questions)


def nearest(examples: Examples, questions: Sequence[str]) -> list[str]:
    """The answer of the training question most like this one: cosine over words and pairs of words, rare
    ones weighing more (the first of equals)."""
    documents = [_features(question) for question, _ in examples]
    frequency = Counter(feature for document in documents for feature in document)
    n = len(documents)
    weight = {feature: math.log(1 + n / count) for feature, count in frequency.items()}
    postings: dict[str, list[int]] = defaultdict(list)
    norms = []
    for i, document in enumerate(documents):
        for feature in document:
            postings[feature].append(i)
        norms.append(math.sqrt(sum(weight[feature] ** 2 for feature in document)) or 1.0)
    answers = []
    for question in questions:
        overlap: dict[int, float] = defaultdict(float)
        for feature in _features(question):
            # What stands in half of all questions tells nothing and costs most.
            if feature in postings and len(postings[feature]) * 2 <= max(n, 20):
                squared = weight[feature] ** 2
                for i in postings[feature]:
                    overlap[i] += squared
        best = max(overlap, key=lambda i: (overlap[i] / norms[i], -i)) if overlap else 0
        answers.append(examples[best][1] if examples else "")
    return answers


def _features(question: str) -> set[str]:
    units = units_of(question)
    return {*units, *(f"{x} {y}" for x, y in pairwise(units))}


def ngram(examples: Examples, questions: Sequence[str], longest: int = 40) -> list[str]:
    """The likeliest continuation by a 5-gram model of "question, answer", backing off to shorter contexts."""
    following: dict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
    spaced: Counter[tuple[str, str]] = Counter()
    for question, answer in examples:
        units = [*units_of(question), _START, *units_of(answer), _END]
        start = units.index(_START) + 1
        for i in range(start, len(units)):
            for k in range(_ORDER):
                if i - k >= 0:
                    following[tuple(units[i - k : i])][units[i]] += 1
        spaced.update(_spaces(answer))
    # The commonest, and of equals the first in the alphabet: the same in every process.
    best = {
        context: min(counts.items(), key=lambda item: (-item[1], item[0]))[0]
        for context, counts in following.items()
    }
    answers = []
    for question in questions:
        units = [*units_of(question), _START]
        produced: list[str] = []
        while len(produced) < longest:
            unit = next(
                (
                    best[c]
                    for k in range(_ORDER - 1, -1, -1)
                    if (c := tuple(units[max(len(units) - k, 0) :])) in best
                ),
                _END,
            )
            if unit == _END:
                break
            produced.append(unit)
            units.append(unit)
        answers.append(_joined(produced, spaced))
    return answers


def units_of(text: str) -> list[str]:
    """Words, digits, single Chinese characters, marks and line ends."""
    return _UNIT.findall(text)


def _spaces(answer: str) -> list[tuple[str, str]]:
    found = list(_UNIT.finditer(answer))
    return [(x.group(), y.group()) for x, y in pairwise(found) if x.end() < y.start()]


def _joined(units: list[str], spaced: Counter[tuple[str, str]]) -> str:
    """The units as text; a space stands where training had one between the two, or between two words."""
    text = ""
    for before, unit in zip(["", *units], units, strict=False):
        words = before[-1:].isascii() and before[-1:].isalpha() and unit[0].isascii() and unit[0].isalpha()
        listed = before in (",", ".", ";") and unit[0].isascii() and unit[0].isalnum()
        text += f" {unit}" if spaced[before, unit] or words or listed else unit
    return text


def is_right(check: Check, answer: str) -> bool:
    """Whether an answer passes an ``exact`` or ``final`` check; programs are never right here."""
    given = _trimmed(answer.rsplit("\n", 1)[-1] if check.kind == "final" else answer)
    return any(given == _trimmed(accepted) for accepted in check.accepted)


def _trimmed(text: str) -> str:
    text = text.strip()
    return text[:-1].rstrip() if text.endswith((".", "。")) else text


def question_of(prompt: Prompt) -> str:
    """The prompt's turns as one text."""
    return "\n".join(message.content for message in prompt.messages)


def floors(task: EvalTask, world: World, cases: Sequence[Prompt], examples: int = 3000) -> dict[str, float]:
    """The share of the cases that each floor gets right; empty where the task has none (programs).

    The training examples are drawn afresh from what the task's models are trained on.
    """
    if task.floor_examples is None or not cases:
        return {}
    trained = task.floor_examples(world, examples)
    questions = [question_of(case) for case in cases]
    methods = {"majority": majority, "nearest": nearest, "5-gram": ngram}
    return {
        name: sum(
            is_right(c.check, answer) for c, answer in zip(cases, method(trained, questions), strict=True)
        )
        / len(cases)
        for name, method in methods.items()
    }


def ngram_bits_per_byte(train: Sequence[str], heldout: Sequence[str]) -> float:
    """Bits per byte of held-out documents under a 5-gram model of characters (Witten-Bell smoothing).

    An unseen character costs 8 bits for each of its UTF-8 bytes. A document's end counts as a character.
    """
    follow: dict[str, Counter[str]] = defaultdict(Counter)
    for document in train:
        text = "\0" * (_ORDER - 1) + document + "\0"
        for i in range(_ORDER - 1, len(text)):
            for k in range(_ORDER):
                follow[text[i - k : i]][text[i]] += 1
    totals = {context: sum(counts.values()) for context, counts in follow.items()}
    bits, size = 0.0, 0
    for document in heldout:
        text = "\0" * (_ORDER - 1) + document + "\0"
        size += len(document.encode())
        for i in range(_ORDER - 1, len(text)):
            probability = 2.0 ** (-8 * len(text[i].encode()))
            for k in range(_ORDER):
                counts = follow.get(text[i - k : i])
                if counts is None:
                    break
                total, kinds = totals[text[i - k : i]], len(counts)
                probability = (counts[text[i]] + kinds * probability) / (total + kinds)
            bits -= math.log2(probability)
    return bits / max(size, 1)
