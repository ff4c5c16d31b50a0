"""Dialogues: small talk, what a user told and asks for, tasks that build on the last answer, stories."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import perm
from types import ModuleType

from bottega.data.records import Check, Conversation, Message, Origin, Prompt
from bottega.data.school import (
    assistant_en,
    assistant_zh,
    small_talk_en,
    small_talk_zh,
    stories_en,
    stories_zh,
)
from bottega.data.school.asking import request
from bottega.data.school.draw import Draw, different, fresh_item
from bottega.data.school.facts import Slots
from bottega.data.school.instructions import many
from bottega.data.school.list_exercises import LIST_NOUNS, list_again, list_exercise
from bottega.data.school.nouns import PETS, PORTABLE
from bottega.data.school.prose import LICENCE
from bottega.data.school.registry import EvalTask, Language, Part, register_part, register_task
from bottega.data.school.scenes import scene, tell
from bottega.data.school.small_talk_en import Exchange
from bottega.data.school.text_exercises import read_twice
from bottega.data.school.words import HOBBIES, HOUSE, JOBS
from bottega.data.school.world import Split, World

Turn = tuple[str, str]
Case = tuple[list[Turn], Turn, tuple[str, ...]]


def book(language: str) -> ModuleType:
    """The small talk of a language."""
    return small_talk_en if language == "en" else small_talk_zh


def say(draw: Draw, exchange: Exchange, slots: Slots) -> Turn:
    """One thing that is said, with one of its answers."""
    said, answered = exchange
    return draw.one(said).format_map(slots), draw.one(answered).format_map(slots)


def _task(draw: Draw) -> list[Turn]:
    asked, made = many(draw)
    return [(asked, made.answer)]


def _list_twice(draw: Draw) -> list[Turn]:
    """A list task, then one or two more on its answer."""
    language = draw.language
    made = list_exercise(draw, (draw.one(("reverse", "swap", "drop-first", "drop-last", "add")),), language)
    turns = [(request(draw, made, "seen"), made.answer)]
    again = book(language).AGAIN
    for step in draw.some(tuple(again), draw.between(1, 2)):
        turns.append((draw.one(again[step]), list_again(made.answer, step, language)))
    return turns


def _text_twice(draw: Draw) -> list[Turn]:
    """A passage with a question, then a second question about it."""
    first, question, answer = read_twice(draw, draw.language)
    return [(request(draw, first, "seen"), first.answer), (question, answer)]


def _story(draw: Draw, slots: Slots) -> list[Turn]:
    stories = (stories_en if draw.language == "en" else stories_zh).STORIES
    gap = " " if draw.language == "en" else ""
    text = draw.settled(lambda: tell(draw, draw.one(stories), slots, gap))
    return [(draw.one(book(draw.language).STORY_ASKED).format_map(slots), text)]


def middle(draw: Draw, slots: Slots) -> list[Turn]:
    """A few turns about anything."""
    words = book(draw.language)
    kind = draw.below(20)
    if kind < 5:
        return _task(draw)
    if kind < 8:
        return _list_twice(draw)
    if kind < 11:
        return _text_twice(draw)
    if kind < 13:
        return _story(draw, slots)
    if kind < 14:
        return [say(draw, words.JOKES, slots)]
    if kind < 17:
        return [say(draw, draw.one(words.ABOUT), slots)]
    return [say(draw, draw.one(words.REMARKS), slots)]


def tell_and_ask(draw: Draw, slots: Slots) -> tuple[Turn, Turn, str]:
    """What the user tells, its being asked for later, and what it is about. The sentence is of one split."""
    while True:
        for kind in draw.shuffled(_TOLD):
            told, answered, asked, recalled = book(draw.language).TOLD[kind]
            for sentence in draw.shuffled(told):
                said = sentence.format_map(slots)
                if draw.on_side("told", said):
                    answer = draw.one(answered).format_map(slots)
                    question = draw.one(asked).format_map(slots)
                    return (said, answer), (question, recalled.format_map(slots)), kind
        slots = scene(draw)


_TOLD = tuple(small_talk_en.TOLD)
# What an assistant answers to a question that small talk has too is as good.
_PERSONA = {
    language: {question: answers for questions, answers in table for question in questions}
    for language, table in (("en", assistant_en.PERSONA), ("zh", assistant_zh.PERSONA))
}


def _turns(draw: Draw) -> list[Turn]:
    words = book(draw.language)
    slots = scene(draw)
    turns: list[Turn] = []
    if draw.chance(0.5):
        greeting = draw.one(words.GREETINGS)
        turns.append(say(draw, greeting, slots))
        if greeting is words.GREETINGS[1] and draw.chance(0.7):
            turns.append(say(draw, words.I_AM_FINE, slots))
    if draw.chance(0.5):
        told, recalled, _ = tell_and_ask(draw, slots)
        turns.append(told)
        if draw.chance(0.7):
            turns.extend(middle(draw, slots))
        turns.append(recalled)
    else:
        turns.extend(middle(draw, slots))
        if draw.chance(0.3):
            turns.append(say(draw, draw.one(words.ABOUT), slots))
    if draw.chance(0.35):
        turns.append(say(draw, draw.one(words.CLOSINGS), slots))
    return turns


def _case(draw: Draw) -> Case:
    """What stands before, the last question with its answer, and the answers that are as good."""
    words = book(draw.language)
    slots = scene(draw)
    if draw.chance(0.6):
        told, (asked, answer), _ = tell_and_ask(draw, slots)
        between = [say(draw, draw.one((*words.ABOUT, *words.REMARKS)), slots)] if draw.chance(0.5) else []
        return [told, *between], (asked, answer), (answer,)
    turns = _text_twice(draw) if draw.chance(0.5) else _list_twice(draw)[:2]
    return turns[:-1], turns[-1], (turns[-1][1],)


def _compared(draw: Draw) -> Case:
    """A case to compare answers by: as those above, or small talk after what the user told."""
    if draw.chance(0.75):
        return _case(draw)
    words, slots = book(draw.language), scene(draw)
    told, _, _ = tell_and_ask(draw, slots)
    said, answers = draw.one((*words.GREETINGS, *words.ABOUT, *words.CLOSINGS, *words.REMARKS))
    asked = draw.one(said)
    as_an_assistant = _PERSONA[draw.language].get(asked, ())
    accepted = tuple(answer.format_map(slots) for answer in (*answers, *as_an_assistant))
    return [told], (asked.format_map(slots), accepted[0]), accepted


def messages_of(turns: list[Turn]) -> tuple[Message, ...]:
    """The turns as messages."""
    return tuple(
        message
        for asked, answer in turns
        for message in (Message("user", asked), Message("assistant", answer))
    )


def distinct(world: World) -> int:
    """At least: what is told of a user, times the lists of four words in the middle."""
    told = len(world.people) * (
        1 + len(HOBBIES) + len(world.places) + len(PETS) + len(JOBS) + len(PORTABLE) * len(HOUSE)
    )
    return told * perm(len(LIST_NOUNS), 4)


def _register(language: Language) -> None:
    spoken = "English" if language == "en" else "Chinese"
    name = f"dialogues-{language}"

    def item(world: World, split: Split, index: int) -> Conversation:
        turns = fresh_item(_turns, world, name, split, index, language)
        return Conversation(messages_of(turns), Origin(f"school:{name}", str(index), LICENCE))

    def prompt(make: Callable[[Draw], Case], world: World, part: str, split: Split, index: int) -> Prompt:
        before, (asked, _), accepted = fresh_item(make, world, part, split, index, language)
        messages = (*messages_of(before), Message("user", asked))
        return Prompt(messages, Check("exact", accepted), Origin(f"school:{name}", str(index), LICENCE))

    def cases(world: World, n: int) -> list[Prompt]:
        return [prompt(_case, world, f"{name}/case", "heldout", i) for i in range(n)]

    def conversation_cases(world: World, n: int) -> list[Prompt]:
        return different(lambda i: prompt(_compared, world, f"{name}/compared", "heldout", i), n)

    def talk(world: World, split: Split, index: int) -> Prompt:
        made = prompt(_compared, world, f"talk-prompts-{language}", split, index)
        return replace(made, origin=Origin(f"school:talk-prompts-{language}", str(index), LICENCE))

    def floor_examples(world: World, n: int) -> list[tuple[str, str]]:
        rows = []
        for i in range(n):
            before, (asked, answer), _ = fresh_item(_case, world, f"{name}/floor", "train", i, language)
            rows.append(("\n".join([*(text for turn in before for text in turn), asked]), answer))
        return rows

    register_part(Part(name, "conversations", f"talks of several turns, {spoken}", item, distinct))
    described = f"talks of several turns, the last to be answered, {spoken}"
    register_part(Part(f"talk-prompts-{language}", "cases", described, talk, distinct))
    register_task(
        EvalTask(
            f"conversation-prompts-{language}",
            "chat",
            language,
            f"talks to compare answers by, {spoken}",
            conversation_cases,
            floor_examples,
        )
    )
    register_task(
        EvalTask(
            f"dialogue-{language}",
            "chat",
            language,
            f"the last answer of a talk, {spoken}",
            cases,
            floor_examples,
        )
    )


_register("en")
_register("zh")
