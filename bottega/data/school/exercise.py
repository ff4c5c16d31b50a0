"""One exercise: what is asked, of which data, and the right answer, apart from how it is worded."""

from __future__ import annotations

from dataclasses import dataclass

from bottega.data.school.draw import Draw
from bottega.data.school.facts import Named, Slots

Step = tuple[str, Slots]


@dataclass(frozen=True, slots=True)
class Exercise:
    """A task with its data. ``steps`` are (task, slots of its wording); ``question`` is about a passage."""

    steps: tuple[Step, ...]
    data: str
    answer: str
    accepted: tuple[str, ...]
    kind: str  # "list", "numbers", "word" or "text"
    question: str = ""
    style: str = ""


def name_in(word: Named, language: str) -> str:
    """The word in a language."""
    return word.en if language == "en" else word.zh


def show(draw: Draw, items: list[str]) -> str:
    """The items as a request shows them: mostly with commas."""
    if draw.language == "en":
        return draw.one((", ", ", ", ", ", ", ", "; ", " ")).join(items)
    return draw.one(("、", "、", "、", "、", "，", " ")).join(items)
