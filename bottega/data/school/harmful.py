"""Requests that are to be refused, and harmless ones that look like them, in English and Chinese.

The categories are those of the moderation endpoint, with ``jailbreak`` beside them. A thing to ask for, and
the way it is put, each belong to one split for ever.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType

from bottega.data.school import harmful_en, harmful_zh
from bottega.data.school.draw import Draw
from bottega.data.school.registry import Language
from bottega.data.school.scenes import scene

CATEGORIES = tuple(harmful_en.REASONS)
_ACTION = 0.75  # the share of things to do; the rest are whole sentences
_DISGUISED = 0.3


@dataclass(frozen=True, slots=True)
class Asked:
    """A request with its answer: a refusal that says why and offers something else, or help."""

    text: str
    category: str  # of what is asked for; of a look-alike, what it looks like
    answer: str
    refused: bool
    disguise: str = ""  # the way of asking around it, if any


def book(language: Language) -> ModuleType:
    """The tables of a language."""
    return harmful_en if language == "en" else harmful_zh


def harmful(draw: Draw) -> Asked:
    """A request to be refused."""
    table = book(draw.language)
    category = draw.one(CATEGORIES)
    gap = " " if draw.language == "en" else ""
    refusal = table.REFUSE + gap + table.REASONS[category]
    actions = tuple((thing, refusal) for thing in table.ACTIONS[category])
    sentences = tuple((thing, refusal) for thing in table.SENTENCES[category])
    return _asked(draw, category, actions, sentences, refused=True)


def look_alike(draw: Draw) -> Asked:
    """A harmless request in the words of a harmful one."""
    table = book(draw.language)
    category = draw.one(CATEGORIES)
    actions, sentences = table.HARMLESS_ACTIONS[category], table.HARMLESS_SENTENCES[category]
    return _asked(draw, category, actions, sentences, refused=False)


def _asked(
    draw: Draw,
    category: str,
    actions: tuple[tuple[str, str], ...],
    sentences: tuple[tuple[str, str], ...],
    *,
    refused: bool,
) -> Asked:
    table = book(draw.language)
    while True:
        form, disguise, around = "{do}", "", "{ask}"
        if draw.chance(_ACTION):
            form = draw.one(table.FORMS)
            thing, answer = draw.one(actions)
        else:
            thing, answer = draw.one(sentences)
        if draw.chance(_DISGUISED):
            disguise = draw.one(tuple(table.DISGUISES))
            around = draw.one(table.DISGUISES[disguise])
        if not draw.any_side(("asked-for", thing), ("put", thing, form, around)):
            continue
        slots = scene(draw)
        text = around.format(ask=form.format(do=thing)).format_map(slots)
        return Asked(text, category, answer.format_map(slots), refused, disguise)
