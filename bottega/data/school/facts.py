"""Facts about the world: what prose states, passages hide, questions ask and entailment turns around."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from bottega.data.school.draw import Draw
from bottega.data.school.nouns import EDIBLE, NUMBERS_EN, NUMBERS_ZH, PETS, PORTABLE, Noun, a, count_zh
from bottega.data.school.words import (
    COLOURS,
    DAYS,
    DRINKS,
    FEELINGS,
    FOODS,
    HOBBIES,
    HOUSE,
    JOBS,
    MATERIALS,
    ROOMS,
    SIGHTS,
    Word,
)
from bottega.data.school.world import Person, Place

Slots = dict[str, str]


class Named(Protocol):
    """Whatever has an English and a Chinese name."""

    @property
    def en(self) -> str: ...
    @property
    def zh(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Fact:
    """One statement about a person: its ``kind`` says which of the other fields are filled."""

    kind: str
    who: Person
    thing: Noun | None = None
    value: Word | Place | None = None  # colour, room, place, job, food, hobby, feeling, material
    other: Person | None = None
    day: Word | None = None
    n: int = 0


# kind -> what the value is drawn from ("" where the world's places are meant)
VALUES: dict[str, tuple[Word, ...]] = {
    "has": COLOURS,
    "kept": HOUSE,
    "at": ROOMS,
    "job": JOBS,
    "eats": FOODS,
    "drinks": DRINKS,
    "hobby": HOBBIES,
    "feels": FEELINGS,
    "made": MATERIALS,
    "went": SIGHTS,
}
KINDS = (
    "has",
    "kept",
    "at",
    "job",
    "eats",
    "drinks",
    "hobby",
    "feels",
    "made",
    "went",
    "lives",
    "count",
    "gave",
    "bought",
    "pet",
)
WITH_THING = frozenset(("has", "kept", "made", "gave", "bought", "count", "pet"))
MAKEABLE = tuple(
    noun
    for noun in PORTABLE
    if noun.en
    in ["ring", "cup", "bowl", "box", "bell", "jar", "bottle", "bucket", "basket", "doll", "whistle", "key"]
)
COUNTABLE = tuple(noun for noun in (*PORTABLE, *EDIBLE, *PETS) if noun.en != "fish")


def draw_fact(draw: Draw, kind: str, who: Person, taken: list[object]) -> Fact:
    """A fact of this kind about somebody, apart from what is ``taken``; what it uses is added there."""
    thing: Noun | None = None
    value: Word | Place | None = None
    other: Person | None = None
    day: Word | None = None
    n = 0
    key = who.en
    if kind in WITH_THING:
        pool = {"made": MAKEABLE, "count": COUNTABLE, "pet": PETS}.get(kind, PORTABLE)
        thing = draw.paired(key, pool, taken)
        taken.append(thing)
    if kind in VALUES:
        if thing is None:
            value = draw.paired(key, VALUES[kind], taken)
        else:
            value = draw.one([v for v in VALUES[kind] if v not in taken])
        taken.append(value)
    elif kind == "lives":
        value = draw.paired(key, draw.world.places, taken)
        taken.append(value)
    elif kind == "gave":
        other = draw.one([p for p in draw.world.people if p is not who and p not in taken])
        taken.append(other)
    if kind in ("went", "bought"):
        day = draw.one([d for d in DAYS if d not in taken])
        taken.append(day)
    if kind == "count":
        n = draw.between(2, 9)
    return Fact(kind, who, thing, value, other, day, n)


def slots_en(fact: Fact) -> Slots:
    """The strings that English templates name."""
    who = fact.who
    slots = {
        "who": who.en,
        "he": "she" if who.female else "he",
        "He": "She" if who.female else "He",
        "his": "her" if who.female else "his",
        "His": "Her" if who.female else "His",
        "him": "her" if who.female else "him",
    }
    thing, value = fact.thing, fact.value
    if thing is not None:
        slots["thing"] = thing.en
        slots["a_thing"] = a(thing.en)
        slots["things"] = thing.plural
    if value is not None:
        slots["value"] = value.en
        slots["a_value"] = a(value.en)
        if thing is not None:
            slots["a_value_thing"] = a(f"{value.en} {thing.en}")
        if fact.kind == "made":
            slots["stuff"] = _STUFF.get(value.en, value.en)
    if fact.other is not None:
        slots["other"] = fact.other.en
    if fact.day is not None:
        slots["day"] = fact.day.en
    if fact.n:
        slots["n"] = NUMBERS_EN[fact.n]
    return slots


_STUFF = {"wooden": "wood"}


def slots_zh(fact: Fact) -> Slots:
    """The strings that Chinese templates name."""
    who = fact.who
    slots = {"who": who.zh, "he": "她" if who.female else "他"}
    thing, value = fact.thing, fact.value
    if thing is not None:
        slots["thing"] = thing.zh
        slots["m"] = thing.measure
    if value is not None:
        slots["value"] = value.zh
    if fact.other is not None:
        slots["other"] = fact.other.zh
    if fact.day is not None:
        slots["day"] = fact.day.zh
    if fact.n:
        slots["n"] = count_zh(fact.n)
        slots["number"] = NUMBERS_ZH[fact.n]
    return slots


def cast(draw: Draw, n: int) -> list[Person]:
    """n different people who cannot be taken for one another: no name begins with another's."""
    return draw.some(draw.world.people, n)
