"""A question with choices, however a data set writes it down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bottega.data.rows import ShapeError, kind

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked, what may be answered, and which of that is right."""

    text: str
    choices: tuple[str, ...]
    right: int


def is_question(row: Mapping[str, object]) -> bool:
    """Whether a row has choices and says which is right."""
    return ("answer" in row or "answerKey" in row) and (
        "choices" in row or isinstance(row.get("question"), Mapping)
    )


def question_of(row: Mapping[str, object]) -> Question:
    """The question of a row.

    ``question`` is a text, or holds ``stem`` and ``choices``; the hub's OpenBookQA has ``question_stem``, and
    a row of one's own may have a ``context`` alone. ``choices`` are texts, ``{text, label}`` each, or one
    object with a list of both. ``answer`` or ``answerKey`` is a choice's label, its number from 0, its letter
    or its text. Raises ``ShapeError``.
    """
    asked = next((row[name] for name in ("question", "question_stem", "context") if name in row), None)
    given = row.get("choices")
    if isinstance(asked, Mapping):
        given, asked = asked.get("choices", given), asked.get("stem")
    if not isinstance(asked, str):
        raise ShapeError("a multiple-choice row needs a `question` in text and its `choices`")
    texts, labels = _texts_and_labels(given)
    key = row["answerKey"] if "answerKey" in row else row.get("answer")
    right = _place(key, texts, labels)
    if not 0 <= right < len(texts):
        raise ShapeError(f"the answer {key!r} is none of the {len(texts)} choices")
    return Question(asked, texts, right)


def _texts_and_labels(given: object) -> tuple[tuple[str, ...], list[str]]:
    labels: list[object] = []
    if isinstance(given, Mapping):  # {"text": [...], "label": [...]}
        listed = given.get("label")
        given, labels = given.get("text"), listed if isinstance(listed, list) else []
    if not isinstance(given, list) or not given:
        raise ShapeError(f"`choices` must be a list of texts; found {kind(given)}")
    if all(isinstance(choice, Mapping) and "text" in choice for choice in given):
        labels = [choice.get("label") for choice in given]
        given = [choice["text"] for choice in given]
    if not all(isinstance(choice, str | int | float) for choice in given):
        raise ShapeError("`choices` must be texts")
    return tuple(map(str, given)), [str(label).strip() for label in labels if label is not None]


def _place(key: object, texts: tuple[str, ...], labels: list[str]) -> int:
    """Which choice an answer names; -1 for none."""
    if isinstance(key, bool) or not isinstance(key, str | int | float):
        return -1
    said = str(key).strip()
    if said in labels:
        return labels.index(said)
    if not isinstance(key, str):
        return int(key) if float(key).is_integer() else -1
    letters = LETTERS[: len(texts)]
    if len(said) == 1 and said in letters:
        return letters.index(said)
    if said in texts:
        return texts.index(said)
    if len(said) == 1 and said.upper() in letters:
        return letters.index(said.upper())
    return int(said) if said.isdecimal() else -1
