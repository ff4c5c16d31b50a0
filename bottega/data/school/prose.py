"""Prose about the world: what pretraining reads."""

from __future__ import annotations

from bottega.data.records import Document, Origin
from bottega.data.school.draw import Draw
from bottega.data.school.nouns import PORTABLE
from bottega.data.school.registry import Part, register_part
from bottega.data.school.words import COLOURS
from bottega.data.school.world import Split, World

LICENCE = "Apache-2.0"


def _prose_en(world: World, split: Split, index: int) -> Document:
    draw = Draw(world, "prose-en", split, index, "en")
    lines = []
    for person in draw.some(world.people, 3):
        lines.append(f"{person.en} has a {draw.one(COLOURS).en} {draw.paired(person.en, PORTABLE).en}.")
    return Document(" ".join(lines), Origin("school:prose-en", str(index), LICENCE))


def _prose_zh(world: World, split: Split, index: int) -> Document:
    draw = Draw(world, "prose-zh", split, index, "zh")
    lines = []
    for person in draw.some(world.people, 3):
        thing = draw.paired(person.en, PORTABLE)
        lines.append(f"{person.zh}有一{thing.measure}{draw.one(COLOURS).zh}的{thing.zh}。")
    return Document("".join(lines), Origin("school:prose-zh", str(index), LICENCE))


register_part(Part("prose-en", "documents", "stories and descriptions in English", _prose_en, lambda world: 10**9))
register_part(Part("prose-zh", "documents", "stories and descriptions in Chinese", _prose_zh, lambda world: 10**9))
