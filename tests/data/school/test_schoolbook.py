"""Pages of the exercise book: what they show is right, and they show single steps only."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from bottega.data.records import Document
from bottega.data.school import wordings_en, wordings_zh
from bottega.data.school.registry import PARTS, Language, world
from bottega.data.school.schoolbook import LIST_LABELS

LANGUAGES: tuple[Language, ...] = ("en", "zh")


def exercises(language: Language, n: int, seed: int = 0) -> list[list[str]]:
    """The exercises of ``n`` pages, each as its lines."""
    found = []
    for index in range(n):
        record = PARTS[f"schoolbook-{language}"].item(world(seed), "train", index)
        assert isinstance(record, Document)
        found += [piece.split("\n") for piece in record.text.split("\n\n")]
    return found


def items(line: str) -> list[str]:
    return re.split(r"[,;] |[、，]| ", line)


@pytest.mark.parametrize("language", LANGUAGES)
def test_lists_are_answered_rightly(language: Language) -> None:
    right = {
        "first": lambda data: data[0],
        "last": lambda data: data[-1],
        "reverse": lambda data: data[::-1],
        "swap": lambda data: [data[-1], *data[1:-1], data[0]],
        "drop-first": lambda data: data[1:],
        "drop-last": lambda data: data[:-1],
        "keep-two": lambda data: data[:2],
        "twice": lambda data: [item for item in data for _ in range(2)],
        "dashes": lambda data: "-".join(data),
        "count": lambda data: str(len(data)),
        "largest": lambda data: max(data, key=int),
    }
    checked: Counter[str] = Counter()
    for lines in exercises(language, 1500):
        for line in lines[1:]:
            for task, compute in right.items():
                for label in LIST_LABELS[language][task]:
                    if line.startswith(label) and len(items(lines[0])) > 2:
                        expected = compute(items(lines[0]))
                        answer = line.removeprefix(label)
                        assert (items(answer) if isinstance(expected, list) else answer) == expected, lines
                        checked[task] += 1
    assert set(checked) == set(right) and min(checked.values()) > 20, checked


@pytest.mark.parametrize("language", LANGUAGES)
def test_sentences_about_a_text_are_judged_rightly(language: Language) -> None:
    people = [person.en if language == "en" else person.zh for person in world(0).people]
    verdicts = {"en": ("True.", "False.", "Not told."), "zh": ("不对。", "没有说。", "对。")}[language]
    seen: Counter[str] = Counter()
    for text, *lines in exercises(language, 1500):
        for line in lines:
            verdict = next((verdict for verdict in verdicts if line.endswith(verdict)), None)
            if verdict is None:
                continue
            seen[verdict] += 1
            named = [name for name in people if name in line.removesuffix(verdict)]
            if named:
                told = all(name in text for name in named)
                assert told != (verdict in ("Not told.", "没有说。")), (text, line)
    assert min(seen[verdict] for verdict in verdicts) > 60, seen


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_words_of_a_page_are_not_those_of_requests(language: Language) -> None:
    book = wordings_en if language == "en" else wordings_zh
    asked = {core for cores in (*book.SEEN.values(), *book.UNSEEN.values()) for core in cores}
    labels = {label.strip(": ：\n") for found in LIST_LABELS[language].values() for label in found}
    assert not labels & asked
    assert not {label.lower() for label in labels} & {core.lower() for core in asked}
