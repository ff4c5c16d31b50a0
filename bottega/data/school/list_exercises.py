"""List tasks: one step or two (sort, then join with dashes) on words or numbers.

Which pairs of steps training never shows is the world's choice. The key of the splits is the first two items.
"""
# ruff: noqa: E501 (tables of wordings; a Chinese character counts double)

from __future__ import annotations

from collections.abc import Callable

from bottega.data.school.draw import Draw
from bottega.data.school.exercise import Exercise, name_in, show
from bottega.data.school.facts import Slots
from bottega.data.school.nouns import (
    ANIMALS,
    NAMED_CATEGORIES,
    NOUNS,
    NUMBERS_EN,
    NUMBERS_ZH,
    PORTABLE,
    Noun,
    count_zh,
)
from bottega.data.school.registry import Language
from bottega.data.school.world import World

_ANIMAL_NAMES = frozenset(name for noun in ANIMALS for name in (noun.en, noun.zh))

# List steps. Each takes the items and the slots of its wording, and gives items again.
_CHANGES: dict[str, Callable[[list[str], Slots], list[str]]] = {
    "reverse": lambda items, s: items[::-1],
    "sort": lambda items, s: sorted(items, key=int),
    "alphabet": lambda items, s: sorted(items),
    "drop-first": lambda items, s: items[1:],
    "drop-last": lambda items, s: items[:-1],
    "swap": lambda items, s: [items[-1], *items[1:-1], items[0]],
    "keep-two": lambda items, s: items[:2],
    "add": lambda items, s: [*items, s["w"]],
    "replace": lambda items, s: [s["w"] if item == s["x"] else item for item in items],
    "without": lambda items, s: [item for item in items if item != s["x"]],
    "animals": lambda items, s: [item for item in items if item in _ANIMAL_NAMES],
    "twice": lambda items, s: [item for item in items for _ in range(2)],
    "capitals": lambda items, s: [item.upper() for item in items],
}


def and_phrase(items: list[str], language: Language) -> str:
    """The items with commas and a final "and", or 和."""
    if len(items) == 1:
        return items[0]
    if language == "en":
        return f"{', '.join(items[:-1])} and {items[-1]}"
    return f"{'、'.join(items[:-1])}和{items[-1]}"


# The last step of a list task: items to text.
_FORMS: dict[str, Callable[[list[str], Language], str]] = {
    "dashes": lambda items, _: "-".join(items),
    "slashes": lambda items, _: "/".join(items),
    "plus": lambda items, _: "+".join(items),
    "json": lambda items, _: "[" + ", ".join(f'"{item}"' for item in items) + "]",
    "lines": lambda items, _: "\n".join(items),
    "numbered": lambda items, _: "\n".join(f"{i}. {item}" for i, item in enumerate(items, 1)),
    "brackets": lambda items, _: " ".join(f"[{item}]" for item in items),
    "and": and_phrase,
    "count": lambda items, _: str(len(items)),
    "first": lambda items, _: items[0],
    "last": lambda items, _: items[-1],
}
MARK: dict[str, str] = {"en": ", ", "zh": "、"}
_FIRST_STEPS = tuple(_CHANGES)
_SECOND_STEPS = ("reverse", "swap", "drop-first", "drop-last", "keep-two", "twice", "capitals", *_FORMS)
_ENGLISH_ONLY = frozenset(("alphabet", "capitals"))

# What undoes itself, leaves nothing, or has the same answer without the first step.
_SENSELESS = {("keep-two", "keep-two"), ("keep-two", "drop-first"), ("keep-two", "drop-last"), ("reverse", "reverse"),
              ("swap", "swap"), ("twice", "twice"), ("capitals", "capitals"), ("keep-two", "count"),
              ("twice", "first"), ("twice", "last")}  # fmt: skip


def compositions(language: Language) -> tuple[tuple[str, str], ...]:
    """All pairs of list steps that make sense one after the other in a language."""
    return tuple(
        (one, two)
        for one in _FIRST_STEPS
        for two in _SECOND_STEPS
        if (one, two) not in _SENSELESS and (language == "en" or not {one, two} & _ENGLISH_ONLY)
    )


def composition_is_heldout(world: World, pair: tuple[str, str]) -> bool:
    """Whether this world keeps the pair from training."""
    return world.is_heldout("composition", *pair)


def list_tasks(language: Language) -> tuple[str, ...]:
    """The one-step list tasks."""
    extra = ("nth", "odd", "contains", "largest")
    names = (*_CHANGES, *_FORMS, *extra)
    return tuple(name for name in names if language == "en" or name not in _ENGLISH_ONLY)


LIST_NOUNS: tuple[Noun, ...] = tuple(noun for noun in NOUNS if noun.en not in ("orange", "fish"))


def _nouns(draw: Draw, n: int, pool: tuple[Noun, ...] = LIST_NOUNS) -> list[Noun]:
    """n nouns whose first two are a pair of the draw's split."""
    first = draw.one(pool)
    found = [first, draw.paired(first.en, pool, (first,))]
    while len(found) < n:
        noun = draw.one(pool)
        if noun not in found:
            found.append(noun)
    return found


def _numbers(draw: Draw, n: int) -> list[str]:
    pool = [str(i) for i in range(1, 31)]
    first = draw.one(pool)
    found = [first, draw.paired(f"number {first}", pool, (first,))]
    while len(found) < n:
        number = draw.one(pool)
        if number not in found:
            found.append(number)
    return found


def list_exercise(draw: Draw, names: tuple[str, ...], language: Language) -> Exercise:
    """One or two list steps on words or numbers."""
    numeric = bool({"sort", "largest"} & set(names)) or (
        not {"animals", "capitals", "alphabet", "add", "replace", "without"} & set(names)
        and draw.chance(0.15)
    )
    n = draw.between(4 if len(names) > 1 else 3, 5)
    if numeric:
        items = _numbers(draw, n)
    elif names[0] == "animals":
        first = draw.one(ANIMALS)
        others = [noun for noun in PORTABLE if noun is not first]
        beasts = [
            first,
            *draw.some([x for x in ANIMALS if x is not first and x.en != "fish"], draw.between(1, 2)),
        ]
        chosen = draw.shuffled([*beasts, draw.paired(first.en, others), *draw.some(others, 1)])
        items = list(dict.fromkeys(name_in(noun, language) for noun in chosen))
    else:
        items = [name_in(noun, language) for noun in _nouns(draw, n)]
    data = show(draw, items)
    strings: Slots = {}
    if {"add", "replace", "without"} & set(names):
        strings["x"] = draw.one(items)
        strings["w"] = name_in(
            draw.one([x for x in LIST_NOUNS if name_in(x, language) not in items]), language
        )
    text: str | None = None
    for name in names:
        if name in _CHANGES:
            items = _CHANGES[name](items, strings)
        else:
            text = _FORMS[name](items, language)
    answer = text if text is not None else MARK[language].join(items)
    steps = tuple((name, strings) for name in names)
    return Exercise(
        steps, data, answer, same_list(answer, items, text, names[-1]), "numbers" if numeric else "list"
    )


def same_list(answer: str, items: list[str], text: str | None, last: str) -> tuple[str, ...]:
    """The answer and what is as good: other separators for a bare list, other spacing."""
    if text is None:
        return (
            answer,
            *(mark.join(items) for mark in (", ", "、", ",", "，", " ") if mark.join(items) != answer),
        )
    if last == "json":
        return (answer, answer.replace(", ", ","))
    if last == "count":
        n = int(answer)
        return (
            answer,
            NUMBERS_EN[n],
            NUMBERS_EN[n].capitalize(),
            NUMBERS_ZH[n],
            f"{answer}个",
            f"{count_zh(n)}个",
        )
    if last in ("dashes", "slashes", "plus"):
        mark = {"dashes": "-", "slashes": "/", "plus": "+"}[last]
        return (answer, answer.replace(mark, f" {mark} "))
    if last == "brackets":
        return (answer, answer.replace("] [", "]["))
    return (answer,)


def _nth(draw: Draw, language: Language) -> Exercise:
    items = [name_in(noun, language) for noun in _nouns(draw, draw.between(4, 6))]
    i = draw.between(1, len(items) - 2)
    nth = ("first", "second", "third", "fourth", "fifth")[i] if language == "en" else "一二三四五"[i]
    return Exercise(
        (("nth", {"nth": nth, "n": str(i + 1)}),), show(draw, items), items[i], (items[i],), "list"
    )


def _odd(draw: Draw, language: Language) -> Exercise:
    category = draw.one(("animal", "fruit", "vegetable", "clothing", "tool", "vehicle", "furniture"))
    alike = draw.some([n for n in NAMED_CATEGORIES if n.category == category and n.en != "orange"], 3)
    odd = draw.paired(
        alike[0].en, [n for n in NAMED_CATEGORIES if n.category != category and n.en != "orange"]
    )
    items = [name_in(noun, language) for noun in draw.shuffled([*alike, odd])]
    answer = name_in(odd, language)
    return Exercise((("odd", {}),), show(draw, items), answer, (answer,), "list")


def _contains(draw: Draw, language: Language) -> Exercise:
    nouns = _nouns(draw, draw.between(3, 6))
    there = draw.chance(0.5)
    asked = draw.one(nouns) if there else draw.one([n for n in LIST_NOUNS if n not in nouns])
    yes, no = (
        (("Yes.", "yes", "Yes"), ("No.", "no", "No"))
        if language == "en"
        else (("有。", "有"), ("没有。", "没有"))
    )
    right = yes if there else no
    data = show(draw, [name_in(noun, language) for noun in nouns])
    return Exercise((("contains", {"x": name_in(asked, language)}),), data, right[0], right, "list")


def _largest(draw: Draw, language: Language) -> Exercise:
    items = _numbers(draw, draw.between(3, 5))
    answer = max(items, key=int)
    return Exercise((("largest", {}),), show(draw, items), answer, (answer,), "numbers")


OWN_LISTS = {"nth": _nth, "odd": _odd, "contains": _contains, "largest": _largest}


def list_again(text: str, step: str, language: Language) -> str:
    """One more list step on a list that was answered."""
    items = text.split(MARK[language])
    if step in _CHANGES:
        return MARK[language].join(_CHANGES[step](items, {}))
    return _FORMS[step](items, language)
