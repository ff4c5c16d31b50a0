"""Prose about the world: what pretraining reads, in English and in Chinese."""

from __future__ import annotations

from collections.abc import Callable
from math import perm

from bottega.data.records import Document, Origin
from bottega.data.school import stories_en, stories_zh
from bottega.data.school.draw import Draw, fresh_item
from bottega.data.school.facts import KINDS
from bottega.data.school.knowledge import noun_entry, place_entry, word_sentences
from bottega.data.school.nouns import PORTABLE
from bottega.data.school.passages import comparison, inventory, passage, portrait, same_thing
from bottega.data.school.registry import Language, Part, register_part
from bottega.data.school.scenes import scene, tell
from bottega.data.school.words import HOUSE, SIGHTS
from bottega.data.school.world import Split, World

LICENCE = "Apache-2.0"

_BOOK = {"en": stories_en, "zh": stories_zh}
_GAP = {"en": " ", "zh": ""}


def _story(draw: Draw) -> str:
    return draw.settled(lambda: _told(draw, draw.one(_BOOK[draw.language].STORIES)))


def _diary(draw: Draw) -> str:
    return draw.settled(lambda: _told(draw, _BOOK[draw.language].DIARY))


def _letter(draw: Draw) -> str:
    def write() -> str:
        greeting, *body, name = _BOOK[draw.language].LETTER
        slots = scene(draw)
        text = tell(draw, tuple(body), slots, _GAP[draw.language])
        return f"{tell(draw, (greeting,), slots, '')}\n{text}\n{tell(draw, (name,), slots, '')}"

    return draw.settled(write)


def _talk(draw: Draw) -> str:
    return draw.settled(lambda: _told(draw, draw.one(_BOOK[draw.language].TALKS)))


def _how_to(draw: Draw) -> str:
    return draw.settled(lambda: _told(draw, draw.one(_BOOK[draw.language].HOW_TO)))


def _reasons(draw: Draw) -> str:
    def write() -> str:
        templates = draw.some(_BOOK[draw.language].REASONS, draw.between(2, 4))
        return _GAP[draw.language].join(template.format_map(scene(draw)) for template in templates)

    return draw.settled(write)


def _told(draw: Draw, beats: tuple[tuple[str, ...], ...]) -> str:
    return tell(draw, beats, scene(draw), _GAP[draw.language])


def _settled(make: Callable[[Draw], str]) -> Callable[[Draw], str]:
    return lambda draw: draw.settled(lambda: make(draw))


# The kinds of text with their shares in a hundred.
_KINDS: tuple[tuple[Callable[[Draw], str], int], ...] = (
    (passage, 28),
    (_story, 22),
    (portrait, 8),
    (_talk, 8),
    (same_thing, 5),
    (inventory, 6),
    (_settled(comparison), 5),
    (_reasons, 4),
    (_how_to, 3),
    (_diary, 3),
    (_letter, 3),
    (_settled(place_entry), 2),
    (_settled(noun_entry), 2),
    (_settled(word_sentences), 1),
)
_DECK = tuple(kind for kind, share in _KINDS for _ in range(share))


def prose_text(draw: Draw) -> str:
    """One text of some kind, in the language of the draw."""
    return draw.one(_DECK)(draw)


def distinct(language: Language, world: World) -> int:
    """At least: each story's choices of sentences times what it is sure to name; and passages of two people
    with one fact each. Wordings of passages, and all other kinds of text, are not counted."""
    people = len(world.people)
    choices = {
        "{A}": people,
        "{B}": people - 1,
        "{thing}": len(PORTABLE),
        "{room}": len(HOUSE),
        "{sight}": len(SIGHTS),
    }
    told = 0
    for beats in _BOOK[language].STORIES:
        ways = 1
        for beat in beats:
            ways *= len(beat)
        for slot, choice in choices.items():
            # Only what some beat names in each of its sentences is sure to be in the story.
            if any(all(slot in sentence for sentence in beat) for beat in beats):
                ways *= choice
        told += ways
    kinds = len(KINDS) * (len(KINDS) - 1)
    passages = perm(people, 2) * kinds * perm(6, 2)  # every kind has six values or more
    return told + passages


def _prose(language: Language) -> None:
    name = f"prose-{language}"

    def item(world: World, split: Split, index: int) -> Document:
        text = fresh_item(prose_text, world, name, split, index, language)
        return Document(text, Origin(f"school:{name}", str(index), LICENCE))

    described = "stories, passages, letters, talks and entries in " + (
        "English" if language == "en" else "Chinese"
    )
    register_part(Part(name, "documents", described, item, lambda world: distinct(language, world)))


_prose("en")
_prose("zh")
