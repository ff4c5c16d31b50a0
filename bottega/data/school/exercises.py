"""Every primitive task of the instruction parts by its name; word tasks stand here, lists and texts in files of their own.

The key of the splits is (task, word).
"""
# ruff: noqa: E501 (tables of wordings; a Chinese character counts double)

from __future__ import annotations

from collections.abc import Callable

from bottega.data.school import text_exercises
from bottega.data.school.draw import Draw
from bottega.data.school.exercise import Exercise, name_in
from bottega.data.school.facts import Named
from bottega.data.school.list_exercises import OWN_LISTS, list_exercise, list_tasks
from bottega.data.school.nouns import (
    CATEGORIES_ZH,
    CATEGORY_PHRASES,
    NAMED_CATEGORIES,
    NOUNS,
    NUMBERS_EN,
    SOUNDS,
    YOUNG,
    a,
    count_zh,
)
from bottega.data.school.passages import capital
from bottega.data.school.registry import Language
from bottega.data.school.words import ADJECTIVES, COLOURS, DAYS, JOBS, OPPOSITES, VERBS

# Word tasks: (input, answer, input's slots beyond x).
Rows = tuple[tuple[str, str], ...]


_TRANSLATED: tuple[Named, ...] = (*NOUNS, *COLOURS, *JOBS, *DAYS)


def _rows(language: Language) -> dict[str, Rows]:
    if language == "en":
        return {
            "opposite": tuple(
                (w.en, w.opposite) for w in ADJECTIVES if w.en != "light" and w.opposite != "light"
            )
            + tuple(pair for x, y in OPPOSITES for pair in ((x.en, y.en), (y.en, x.en))),
            "plural": tuple((n.en, n.plural) for n in NOUNS if n.en != n.plural),
            "past": tuple((v.en, v.past) for v in VERBS),
            "comparative": tuple((w.en, w.comparative) for w in ADJECTIVES if " " not in w.comparative),
            "category": tuple((n.en, n.category) for n in NAMED_CATEGORIES),
            "translate": tuple((w.en, w.zh) for w in _TRANSLATED if w.en != "orange"),
            "young": tuple((animal, young) for animal, (young, _) in YOUNG.items()),
            "sound": tuple((animal, sound) for animal, (sound, _) in SOUNDS.items()),
            "next-day": tuple((DAYS[i].en, DAYS[(i + 1) % 7].en) for i in range(7)),
        }
    return {
        "opposite": (
            *tuple((w.zh, w.opposite_zh) for w in ADJECTIVES if w.en not in ("low", "tall", "old", "new")),
            ("旧", "新"),
            ("新", "旧"),
            *tuple(pair for x, y in OPPOSITES for pair in ((x.zh, y.zh), (y.zh, x.zh))),
        ),
        "measure": tuple((n.zh, n.measure) for n in NOUNS),
        "one-of": tuple((n.zh, f"一{n.measure}{n.zh}") for n in NOUNS),
        "very": tuple((w.zh, f"很{w.zh}") for w in ADJECTIVES),
        "category": tuple((n.zh, CATEGORIES_ZH[n.category]) for n in NAMED_CATEGORIES),
        "translate": tuple((w.zh, w.en) for w in _TRANSLATED),
        "young": tuple((n.zh, YOUNG[n.en][1]) for n in NOUNS if n.en in YOUNG),
        "sound": tuple((n.zh, SOUNDS[n.en][1]) for n in NOUNS if n.en in SOUNDS),
        "next-day": tuple((DAYS[i].zh, DAYS[(i + 1) % 7].zh) for i in range(7)),
    }


WORD_ROWS: dict[str, dict[str, Rows]] = {"en": _rows("en"), "zh": _rows("zh")}
# Lists too short to hold words out of: their words are all trained, their wordings are held out.
_SMALL = frozenset(("next-day", "young", "sound"))


def _word(draw: Draw, task: str, language: Language) -> Exercise:
    rows = WORD_ROWS[language][task]
    x, answer = draw.one(rows)
    if task not in _SMALL:
        for _ in range(400):
            if draw.on_side(task, x):
                break
            x, answer = draw.one(rows)
    accepted = [answer, capital(answer)]
    if task == "category":
        accepted += (
            [CATEGORY_PHRASES[answer], capital(CATEGORY_PHRASES[answer])]
            if language == "en"
            else [f"一种{answer}"]
        )
    if task == "translate":
        accepted += [y for z, y in rows if z == x]
    return Exercise(
        ((task, {"x": x, "a_x": a(x) if language == "en" else x}),),
        "",
        answer,
        tuple(dict.fromkeys(accepted)),
        "word",
    )


def _bigger(draw: Draw, language: Language) -> Exercise:
    first = draw.one(NOUNS)
    second = draw.paired(first.en, [n for n in NOUNS if abs(n.size - first.size) >= 3])
    big = name_in(first if first.size > second.size else second, language)
    x, w = name_in(first, language), name_in(second, language)
    strings = {"x": x, "w": w, "a_x": first.a, "a_w": second.a}
    return Exercise((("bigger", strings),), "", big, (big, capital(big), f"the {big}", f"The {big}"), "word")


def _repeat(draw: Draw, language: Language) -> Exercise:
    noun, n = draw.one(NOUNS), draw.between(2, 5)
    while not draw.on_side("repeat", noun.en, str(n)):
        noun, n = draw.one(NOUNS), draw.between(2, 5)
    x = name_in(noun, language)
    answer = (" " if language == "en" else "").join([x] * n)
    strings = {"x": x, "n": NUMBERS_EN[n] if language == "en" else count_zh(n)}
    return Exercise(
        (("repeat", strings),), "", answer, (answer, " ".join([x] * n), ", ".join([x] * n)), "word"
    )


_TEXTS: dict[str, Callable[[Draw, Language], Exercise]] = {
    "read": text_exercises.read,
    "truth": text_exercises.truth,
    "reason": text_exercises.reason,
    "people": text_exercises.people,
    "how-many-people": text_exercises.people_count,
    "copy": text_exercises.copy_text,
    "bigger": _bigger,
    "repeat": _repeat,
}


def single_tasks(language: Language) -> tuple[str, ...]:
    """Every primitive task of a language."""
    return (*list_tasks(language), *WORD_ROWS[language], *_TEXTS)


def exercise(draw: Draw, task: str, language: Language) -> Exercise:
    """One exercise of a primitive task."""
    if task in _TEXTS:
        return _TEXTS[task](draw, language)
    if task in WORD_ROWS[language]:
        return _word(draw, task, language)
    if task in OWN_LISTS:
        return OWN_LISTS[task](draw, language)
    return list_exercise(draw, (task,), language)
