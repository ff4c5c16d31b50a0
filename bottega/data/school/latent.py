"""The latent tasks of in-context lists: pairs (input, output) whose rule is never named, in both languages."""

# ruff: noqa: E501 (tables of pairs; a Chinese character counts double)
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bottega.data.school.draw import Draw
from bottega.data.school.nouns import (
    CATEGORIES_ZH,
    NAMED_CATEGORIES,
    NOUNS,
    NUMBERS_EN,
    NUMBERS_ZH,
    PORTABLE,
    SOUNDS,
    YOUNG,
)
from bottega.data.school.registry import Language
from bottega.data.school.words import (
    ADJECTIVES,
    COLOURS,
    DAYS,
    FOODS,
    JOBS,
    MONTHS,
    NATURAL_COLOURS,
    OPPOSITES,
    ROOMS,
    SYNONYMS,
    VERBS,
    Word,
)
from bottega.data.school.world import World

Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Latent:
    """One rule. ``pairs`` lists what it maps in a world; where inputs are made, not listed, ``draw_pair`` makes one
    and ``inputs`` counts them."""

    name: str
    pairs: Callable[[World], tuple[Pair, ...]] | None = None
    draw_pair: Callable[[Draw], Pair] | None = None
    inputs: int = 0

    def count(self, world: World) -> int:
        """How many different inputs there are."""
        return len(self.pairs(world)) if self.pairs is not None else self.inputs


def _fixed(name: str, pairs: list[Pair]) -> Latent:
    # One input, one output: a word of two meanings keeps its first.
    unique = tuple(dict(reversed(pairs)).items())
    return Latent(name, lambda world: unique)


def _cycle(name: str, cycle: tuple[str, ...], step: int) -> list[Pair]:
    return [(word, cycle[(i + step) % len(cycle)]) for i, word in enumerate(cycle)]


# An opposite holds both ways.
_OPPOSITES_EN = [(w.en, w.opposite) for w in ADJECTIVES]
_OPPOSITES_EN += [pair for x, y in OPPOSITES for pair in ((x.en, y.en), (y.en, x.en))]
_OPPOSITES_ZH = [(w.zh, w.opposite_zh) for w in ADJECTIVES]
_OPPOSITES_ZH += [pair for x, y in OPPOSITES for pair in ((x.zh, y.zh), (y.zh, x.zh))]
_WORDS: tuple[Word, ...] = (
    *(Word(n.en, n.zh) for n in NOUNS),
    *(Word(w.en, w.zh) for w in ADJECTIVES),
    *COLOURS,
    *JOBS,
    *ROOMS,
    *FOODS,
    *DAYS,
)
_SPELT = [w.en for w in _WORDS if w.en.isalpha() and w.en.islower()] + [v.en for v in VERBS]
_LONG_ZH = [w.zh for w in _WORDS if 2 <= len(w.zh) <= 3]


def _tongue(language: Language) -> Latent:
    def pairs(world: World) -> tuple[Pair, ...]:
        return tuple(
            (noun.en if language == "en" else noun.zh, word)
            for noun, word in zip(NOUNS, world.tongue, strict=False)
        )

    return Latent("tongue", pairs)


def _bigger(draw: Draw) -> Pair:
    first, second = draw.some(NOUNS, 2)
    while abs(first.size - second.size) < 3:
        first, second = draw.some(NOUNS, 2)
    big = first if first.size > second.size else second
    if draw.language == "en":
        return f"{first.en}, {second.en}", big.en
    return f"{first.zh}、{second.zh}", big.zh


def _items(pick: Callable[[list[str]], list[str]], n: int) -> Callable[[Draw], Pair]:
    def pair(draw: Draw) -> Pair:
        en = draw.language == "en"
        names = [noun.en if en else noun.zh for noun in draw.some(PORTABLE, n)]
        mark = ", " if en else "、"
        return mark.join(names), mark.join(pick(names))

    return pair


def _add(k: int) -> Callable[[Draw], Pair]:
    def pair(draw: Draw) -> Pair:
        n = draw.between(1, 40)
        return str(n), str(n + k)

    return pair


def _times(k: int) -> Callable[[Draw], Pair]:
    def pair(draw: Draw) -> Pair:
        n = draw.between(1, 20)
        return str(n), str(n * k)

    return pair


_n = len(PORTABLE)
_COMMON = (
    Latent("bigger", draw_pair=_bigger, inputs=len(NOUNS) * (len(NOUNS) - 1) // 2),
    Latent("first-item", draw_pair=_items(lambda x: x[:1], 3), inputs=_n * (_n - 1) * (_n - 2)),
    Latent("last-item", draw_pair=_items(lambda x: x[-1:], 3), inputs=_n * (_n - 1) * (_n - 2)),
    Latent("middle-item", draw_pair=_items(lambda x: x[1:2], 3), inputs=_n * (_n - 1) * (_n - 2)),
    Latent("reversed", draw_pair=_items(lambda x: x[::-1], 3), inputs=_n * (_n - 1) * (_n - 2)),
    Latent("add-one", draw_pair=_add(1), inputs=40),
    Latent("add-two", draw_pair=_add(2), inputs=40),
    Latent("add-ten", draw_pair=_add(10), inputs=40),
    Latent("double", draw_pair=_times(2), inputs=20),
)

LATENT: dict[Language, tuple[Latent, ...]] = {
    "en": (
        _fixed("opposite", _OPPOSITES_EN),
        _fixed("plural", [(n.en, n.plural) for n in NOUNS if n.en != n.plural]),
        _fixed("past", [(v.en, v.past) for v in VERBS]),
        _fixed("ing", [(v.en, v.ing) for v in VERBS]),
        _fixed("category", [(n.en, n.category) for n in NAMED_CATEGORIES]),
        _fixed("colour", [(what.en, colour.en) for what, colour in NATURAL_COLOURS]),
        _fixed("comparative", [(w.en, w.comparative) for w in ADJECTIVES if " " not in w.comparative]),
        _fixed("translate", [(w.en, w.zh) for w in _WORDS]),
        _fixed("translate-verb", [(v.en, v.zh) for v in VERBS]),
        _fixed("first-letter", [(w, w[0]) for w in _SPELT]),
        _fixed("last-letter", [(w, w[-1]) for w in _SPELT]),
        _fixed("capitals", [(w, w.upper()) for w in _SPELT]),
        _fixed("sound", [(animal, sound) for animal, (sound, _) in SOUNDS.items()]),
        _fixed("young", [(animal, young) for animal, (young, _) in YOUNG.items()]),
        _fixed("alike", [pair for x, y in SYNONYMS for pair in ((x, y), (y, x))]),
        _fixed("next-day", _cycle("day", tuple(d.en for d in DAYS), 1)),
        _fixed("day-before", _cycle("day", tuple(d.en for d in DAYS), -1)),
        _fixed("next-month", _cycle("month", tuple(m.en for m in MONTHS), 1)),
        _fixed("next-number", [(NUMBERS_EN[i], NUMBERS_EN[i + 1]) for i in range(1, 20)]),
        _fixed("number-before", [(NUMBERS_EN[i], NUMBERS_EN[i - 1]) for i in range(1, 21)]),
        _fixed("digits", [(NUMBERS_EN[i], str(i)) for i in range(1, 21)]),
        _fixed("animal-or-not", [(n.en, "yes" if n.category == "animal" else "no") for n in NOUNS[:70]]),
        _tongue("en"),
        *_COMMON,
    ),
    "zh": (
        _fixed("opposite", _OPPOSITES_ZH),
        _fixed("category", [(n.zh, CATEGORIES_ZH[n.category]) for n in NAMED_CATEGORIES]),
        _fixed("colour", [(what.zh, colour.zh) for what, colour in NATURAL_COLOURS]),
        _fixed("translate", [(w.zh, w.en) for w in _WORDS]),
        _fixed("translate-verb", [(v.zh, v.en) for v in VERBS]),
        _fixed("measure", [(n.zh, n.measure) for n in NOUNS]),
        _fixed("one-of", [(n.zh, f"一{n.measure}{n.zh}") for n in NOUNS]),
        _fixed("two-of", [(n.zh, f"两{n.measure}{n.zh}") for n in NOUNS]),
        _fixed("first-character", [(w, w[0]) for w in _LONG_ZH]),
        _fixed("last-character", [(w, w[-1]) for w in _LONG_ZH]),
        _fixed("very", [(w.zh, f"很{w.zh}") for w in ADJECTIVES]),
        _fixed("more", [(w.zh, f"更{w.zh}") for w in ADJECTIVES]),
        _fixed("not", [(w.zh, f"不{w.zh}") for w in ADJECTIVES]),
        _fixed("done", [(v.zh, f"{v.zh}了") for v in VERBS if not v.zh.endswith("了")]),
        _fixed("not-done", [(v.zh, f"没{v.zh}") for v in VERBS if v.en != "know"]),
        _fixed("sound", [(n.zh, SOUNDS[n.en][1]) for n in NOUNS if n.en in SOUNDS]),
        _fixed("young", [(n.zh, YOUNG[n.en][1]) for n in NOUNS if n.en in YOUNG]),
        _fixed("next-day", _cycle("day", tuple(d.zh for d in DAYS), 1)),
        _fixed("day-before", _cycle("day", tuple(d.zh for d in DAYS), -1)),
        _fixed("next-month", _cycle("month", tuple(m.zh for m in MONTHS), 1)),
        _fixed("next-number", [(NUMBERS_ZH[i], NUMBERS_ZH[i + 1]) for i in range(1, 20)]),
        _fixed("number-before", [(NUMBERS_ZH[i], NUMBERS_ZH[i - 1]) for i in range(1, 21)]),
        _fixed("digits", [(NUMBERS_ZH[i], str(i)) for i in range(1, 21)]),
        _fixed("animal-or-not", [(n.zh, "是" if n.category == "animal" else "不是") for n in NOUNS[:70]]),
        _tongue("zh"),
        *_COMMON,
    ),
}
