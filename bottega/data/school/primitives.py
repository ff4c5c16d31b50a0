"""The words of the program grammar: every primitive by its role and by the shape it works on."""

from __future__ import annotations

from bottega.data.school.list_steps import ARRANGE, FINISH_NUMBERS, FINISH_WORDS
from bottega.data.school.number_steps import CHANGE_NUMBERS, KEEP_NUMBERS
from bottega.data.school.scalar_steps import COMBINE, SCALAR_FINISH
from bottega.data.school.steps import Maker, Shape, Step
from bottega.data.school.word_steps import CHANGE_WORDS, KEEP_WORDS

KEEP: dict[str, tuple[Maker, ...]] = {"ints": KEEP_NUMBERS, "strs": KEEP_WORDS}
CHANGE: dict[str, tuple[Maker, ...]] = {"ints": CHANGE_NUMBERS, "strs": CHANGE_WORDS}
FINISH: dict[str, tuple[Maker, ...]] = {"ints": FINISH_NUMBERS, "strs": FINISH_WORDS}
ORDERLESS = frozenset(
    {"total", "count", "largest", "smallest", "has", "ascend", "descend"}
)  # any order will do
REORDERS = frozenset({"reverse", "ascend", "descend"})

__all__ = [
    "ARRANGE",
    "CHANGE",
    "COMBINE",
    "FINISH",
    "KEEP",
    "ORDERLESS",
    "REORDERS",
    "SCALAR_FINISH",
    "Maker",
    "Shape",
    "Step",
]
