"""Instruction tuning: conversations of one request and one answer, and the tasks that evaluate it."""

from __future__ import annotations

import re
from collections.abc import Callable
from math import perm

from bottega.data.records import Check, Conversation, Message, Origin, Prompt
from bottega.data.school import wordings_en, wordings_zh
from bottega.data.school.asking import Wording, request
from bottega.data.school.draw import Draw, fresh_item
from bottega.data.school.exercise import Exercise
from bottega.data.school.exercises import WORD_ROWS, exercise, single_tasks
from bottega.data.school.list_exercises import (
    LIST_NOUNS,
    composition_is_heldout,
    compositions,
    list_exercise,
    list_tasks,
)
from bottega.data.school.prose import LICENCE
from bottega.data.school.registry import EvalTask, Language, Part, register_part, register_task
from bottega.data.school.text_exercises import styled
from bottega.data.school.world import Split, World

# What instruct-davinci-beta is taught. "read" stands more often: it is the widest of them.
FEW = ("read", "read", "read", "first", "last", "opposite", "translate", "category")
# How often a primitive task is asked among all; 1 where it is not named.
_OFTEN = {"read": 8, "truth": 2, "translate": 3, "opposite": 2, "category": 2, "reason": 2, "people": 2}
# And how often it is taught: what people ask most, most.
_TAUGHT = {**_OFTEN, "read": 16, "first": 4, "last": 4, "opposite": 6, "translate": 8, "category": 6}

Question = tuple[str, Exercise]


def _deck(language: Language, often: dict[str, int]) -> tuple[str, ...]:
    return tuple(task for task in single_tasks(language) for _ in range(often.get(task, 1)))


_DECKS: dict[Language, tuple[str, ...]] = {"en": _deck("en", _OFTEN), "zh": _deck("zh", _OFTEN)}
_TAUGHT_DECKS: dict[Language, tuple[str, ...]] = {"en": _deck("en", _TAUGHT), "zh": _deck("zh", _TAUGHT)}
_PAIRS: dict[Language, tuple[tuple[str, str], ...]] = {"en": compositions("en"), "zh": compositions("zh")}


def _composed(draw: Draw, heldout: bool) -> Exercise:
    """A two-step exercise whose pair of steps this world trains, or keeps from training."""
    language = draw.language
    pair = draw.one(_PAIRS[language])
    while composition_is_heldout(draw.world, pair) != heldout:
        pair = draw.one(_PAIRS[language])
    return list_exercise(draw, pair, language)


def few(draw: Draw, wording: Wording = "few") -> Question:
    """One of the few tasks."""
    made = exercise(draw, draw.one(FEW), draw.language)
    return request(draw, made, wording), made


def many(draw: Draw, wording: Wording | None = None) -> Question:
    """Any primitive task, a trained composition, or a trained wish for the answer's form.

    Training (no ``wording``) shows more compositions than are asked for, a fifth of all badly put, and the
    rest in more words.
    """
    kind = draw.below(20)
    if kind < (13 if wording else 11):
        decks = _DECKS if wording else _TAUGHT_DECKS
        made = exercise(draw, draw.one(decks[draw.language]), draw.language)
    elif kind < 18:
        made = _composed(draw, heldout=False)
    else:
        made = styled(draw, draw.language, heldout_pair=False)
    if wording is None and draw.chance(0.2):
        return re.sub(" {2,}", " ", request(draw, made, "clumsy")), made
    return request(draw, made, wording or "taught"), made


def asked_for_ranking(draw: Draw) -> Question:
    """Mostly one of the few tasks, which a small model answers now right and now wrong: only then is there
    something to rank."""
    return few(draw, draw.one(("taught", "taught", "seen", "clumsy"))) if draw.chance(0.8) else many(draw)


def unseen(draw: Draw) -> Question:
    """A composition that this world keeps from training."""
    draw.fresh = True
    if draw.chance(0.75):
        made = _composed(draw, heldout=True)
    else:
        made = styled(draw, draw.language, heldout_pair=True)
    return request(draw, made, "seen"), made


def distinct_few(language: Language, world: World) -> int:
    """At least: passages by people and things, lists of three to five, words; times the few wordings."""
    people, nouns = len(world.people), len(LIST_NOUNS)
    read = perm(people, 2) * perm(54, 2) * 90
    lists = 2 * sum(perm(nouns, k) for k in (3, 4, 5))
    words = sum(len(WORD_ROWS[language][task]) for task in ("opposite", "translate", "category"))
    return 8 * (read + lists) + words * 8


def distinct_many(language: Language, world: World) -> int:
    """As for the few, with every list task and composition, and all clean wordings that training uses."""
    book = wordings_en if language == "en" else wordings_zh
    nouns = len(LIST_NOUNS)
    frames = len(set(book.FRAMES)) * len(book.LAYOUTS)
    lists = sum(perm(nouns, k) for k in (3, 4, 5))
    singles = sum(len(book.SEEN[task]) for task in list_tasks(language)) * lists * frames
    trained = [pair for pair in _PAIRS[language] if not composition_is_heldout(world, pair)]
    doubles = sum(len(book.SEEN[one]) * len(book.SEEN[two]) for one, two in trained) * lists * frames
    return singles + doubles + distinct_few(language, world)


def _conversation(question: Question, origin: Origin) -> Conversation:
    asked, made = question
    return Conversation((Message("user", asked), Message("assistant", made.answer)), origin)


def _register_part(
    name: str,
    language: Language,
    make: Callable[[Draw], Question],
    distinct: Callable[[Language, World], int],
    described: str,
) -> None:
    full = f"{name}-{language}"

    def item(world: World, split: Split, index: int) -> Conversation:
        question = fresh_item(make, world, full, split, index, language)
        return _conversation(question, Origin(f"school:{full}", str(index), LICENCE))

    register_part(Part(full, "conversations", described, item, lambda world: distinct(language, world)))


def _register_prompts(language: Language) -> None:
    """Requests with their checks, to be answered by a model and ranked."""
    name = f"prompts-{language}"
    spoken = "English" if language == "en" else "Chinese"

    def item(world: World, split: Split, index: int) -> Prompt:
        asked, made = fresh_item(asked_for_ranking, world, name, split, index, language)
        origin = Origin(f"school:{name}", str(index), LICENCE)
        return Prompt((Message("user", asked),), Check("exact", made.accepted), origin)

    described = f"requests to be answered several times and ranked, {spoken}"
    register_part(Part(name, "cases", described, item, lambda world: distinct_many(language, world)))


def _register_task(
    name: str,
    language: Language,
    make: Callable[[Draw], Question],
    trained: Callable[[Draw], Question],
    described: str,
) -> None:
    full = f"{name}-{language}"

    def prompt(world: World, index: int) -> Prompt:
        asked, made = fresh_item(make, world, full, "heldout", index, language)
        return Prompt(
            (Message("user", asked),),
            Check("exact", made.accepted),
            Origin(f"school:{full}", str(index), LICENCE),
        )

    def cases(world: World, n: int) -> list[Prompt]:
        return [prompt(world, i) for i in range(n)]

    def floor_examples(world: World, n: int) -> list[tuple[str, str]]:
        questions = (fresh_item(trained, world, f"{full}/floor", "train", i, language) for i in range(n))
        return [(asked, made.answer) for asked, made in questions]

    register_task(EvalTask(full, "chat", language, described, cases, floor_examples))


def _seen_few(draw: Draw) -> Question:
    return few(draw, "seen")


def _clean_many(draw: Draw) -> Question:
    return many(draw, "seen")


_LANGUAGES: tuple[Language, ...] = ("en", "zh")
for _code in _LANGUAGES:
    _spoken = "English" if _code == "en" else "Chinese"
    _register_part("instruct-few", _code, few, distinct_few, f"six tasks in few wordings, {_spoken}")
    _register_part(
        "instruct-many",
        _code,
        many,
        distinct_many,
        f"all tasks in many wordings, clean and clumsy, {_spoken}",
    )
    _register_prompts(_code)
    _register_task(
        "preference-prompts",
        _code,
        asked_for_ranking,
        asked_for_ranking,
        f"requests to compare answers by, {_spoken}",
    )
    _register_task("instructions-few", _code, few, few, f"the six tasks as they were taught, {_spoken}")
    _register_task("instructions-seen", _code, _clean_many, _clean_many, f"all trained tasks, {_spoken}")
    _register_task(
        "instructions-unseen", _code, unseen, _clean_many, f"compositions kept from training, {_spoken}"
    )
    _register_task(
        "phrasing-unseen",
        _code,
        lambda draw: few(draw, "unseen"),
        _seen_few,
        f"the six tasks in unseen words, {_spoken}",
    )
    _register_task(
        "phrasing-clumsy",
        _code,
        lambda draw: few(draw, "clumsy"),
        _seen_few,
        f"the six tasks badly put, {_spoken}",
    )
