"""Entailment needs the text: no rule that reads the claim alone, or counts words, gets far."""

from __future__ import annotations

import itertools
import math
from collections import Counter, defaultdict

import pytest

from bottega.data.school.entailment import LABELS, claim_of
from bottega.data.school.floors import floors, units_of
from bottega.data.school.registry import TASKS, Language, world


def naive_bayes(train: list[tuple[str, str]], test: list[tuple[str, str]]) -> float:
    """Accuracy of a bag of words and pairs of words."""

    def features(text: str) -> set[str]:
        units = units_of(text)
        return {*units, *(f"{x} {y}" for x, y in itertools.pairwise(units))}

    counts: dict[str, Counter[str]] = defaultdict(Counter)
    labels: Counter[str] = Counter()
    for text, label in train:
        labels[label] += 1
        counts[label].update(features(text))
    right = 0
    for text, label in test:
        known = features(text)
        scores = {
            guess: sum(math.log((counts[guess][f] + 0.5) / (labels[guess] + 1.0)) for f in known)
            for guess in labels
        }
        right += max(scores, key=lambda guess: scores[guess]) == label
    return right / len(test)


def _pairs(language: Language, n: int) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    task, home = TASKS[f"entailment-{language}"], world(5)
    assert task.floor_examples is not None
    heldout = [(case.messages[0].content, case.check.accepted[0]) for case in task.cases(home, 900)]
    return task.floor_examples(home, n), heldout


@pytest.mark.parametrize("language", ["en", "zh"])
def test_labels_are_balanced(language: Language) -> None:
    train, heldout = _pairs(language, 900)
    for pairs in (train, heldout):
        assert Counter(label for _, label in pairs) == dict.fromkeys(LABELS[language], 300)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_claim_alone_tells_nothing(language: Language) -> None:
    train, heldout = _pairs(language, 4000)
    alone = [(claim_of(question), label) for question, label in train]
    asked = [(claim_of(question), label) for question, label in heldout]
    assert naive_bayes(alone, asked) < 0.39  # chance is 0.333, its 95% band at 900 cases ends at 0.365


@pytest.mark.parametrize("language", ["en", "zh"])
def test_counting_words_tells_little(language: Language) -> None:
    train, heldout = _pairs(language, 4000)
    assert naive_bayes(train, heldout) < 0.50


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_floors_stay_near_chance(language: Language) -> None:
    task, home = TASKS[f"entailment-{language}"], world(5)
    found = floors(task, home, task.cases(home, 600), examples=3000)
    assert 0.30 < found["majority"] < 0.37
    assert found["5-gram"] < 0.40
    assert found["nearest"] < 0.45
