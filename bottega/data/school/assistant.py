"""What makes a talker an assistant: who it is, what it cannot know, a doubt, an unclear wish, and what it
refuses, in talks of one to five turns; each with prompts to be ranked and a task to measure by.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from types import ModuleType

from bottega.data.records import Check, Conversation, Message, Origin, Prompt
from bottega.data.school import assistant_en, assistant_zh
from bottega.data.school.asking import request
from bottega.data.school.dialogues import book, messages_of, middle, say, tell_and_ask
from bottega.data.school.draw import Draw, different, fresh_item
from bottega.data.school.exercises import exercise
from bottega.data.school.graded import damaged
from bottega.data.school.harmful import harmful, look_alike
from bottega.data.school.instructions import many
from bottega.data.school.prose import LICENCE
from bottega.data.school.registry import EvalTask, Language, Part, register_part, register_task
from bottega.data.school.scenes import scene
from bottega.data.school.world import Split, World

_DOUBTED = ("read", "read", "first", "first", "last", "last", "category")


@dataclass(frozen=True, slots=True)
class Topic:
    """What is talked of: what stands before, the last question, its answer, and how any answer is checked."""

    before: tuple[Message, ...]
    asked: str
    answer: str
    check: Check

    @property
    def messages(self) -> tuple[Message, ...]:
        return (*self.before, Message("user", self.asked))


def _words(draw: Draw) -> ModuleType:
    return assistant_en if draw.language == "en" else assistant_zh


def _exact(*accepted: str) -> Check:
    return Check("exact", tuple(dict.fromkeys(accepted)))


def persona(draw: Draw) -> Topic:
    """A question about the assistant itself."""
    words = _words(draw)
    small_talk = {said for questions, _ in book(draw.language).ABOUT for said in questions}  # in both splits
    while True:
        slots = scene(draw)
        questions, answers = draw.one(words.PERSONA)
        asked = draw.one(words.OPENINGS) + draw.one(questions).format_map(slots)
        if draw.on_side("persona", asked) and not (draw.heldout and asked in small_talk):
            return Topic((), asked, answers[0], _exact(*answers))


def unknown(draw: Draw) -> Topic:
    """A question whose answer nobody here can know: it was not told, or has not happened, or is elsewhere."""
    words = _words(draw)
    if draw.chance(0.5):
        told, _, kind = tell_and_ask(draw, scene(draw))
        other = draw.one([one for one in words.NOT_TOLD if one != kind])
        asked = draw.one(book(draw.language).TOLD[other][2]).format_map(scene(draw))
        return Topic(messages_of([told]), asked, words.NOT_TOLD[other], _exact(words.NOT_TOLD[other]))
    while True:
        slots = scene(draw)
        questions, answers = draw.one(words.UNKNOWABLE)
        asked = draw.one(questions).format_map(slots)
        if draw.on_side("unknown", asked):
            answer = draw.one(answers).format_map(slots)
            return Topic((), asked, answer, _exact(answer))


def known(draw: Draw) -> Topic:
    """The other side of it: one or two things that the user told, one of them asked for."""
    slots = scene(draw)
    first, (asked, answer), kind = tell_and_ask(draw, slots)
    said = [first]
    if draw.chance(0.4):
        other, question, another = tell_and_ask(draw, slots)
        if another != kind:
            said = draw.shuffled([first, other])
            asked, answer = draw.one(((asked, answer), question))
    return Topic(messages_of(said), asked, answer, _exact(answer))


def doubt(draw: Draw) -> Topic:
    """An answer that is doubted. Where it was wrong it is put right, and nobody learns the wrong one; where
    it was right it stands, whatever the user thinks."""
    words = _words(draw)
    made = exercise(draw, draw.one(_DOUBTED), draw.language)
    asked = request(draw, made, "seen")
    right = draw.chance(0.5)
    said = made.answer
    while not right and (said in made.accepted or not said):
        said = draw.one((damaged(draw, made.answer), exercise(draw, made.steps[0][0], draw.language).answer))
    form = words.RIGHT if right else words.WRONG
    before = (
        Message("user", asked),
        Message("assistant", said, weight=None if right else 0.0),
    )
    accepted = tuple(form.format(answer) for answer in made.accepted)
    return Topic(before, draw.one(words.DOUBTS), form.format(made.answer), _exact(*accepted))


def unclear(draw: Draw) -> Topic:
    """A wish that leaves out what it is about: the assistant asks back."""
    words = _words(draw)
    while True:
        questions, answers = draw.one(words.UNCLEAR)
        opening, question = draw.one(words.OPENINGS), draw.one(questions)
        if draw.on_side("unclear", opening, question):
            return Topic((), opening + question, draw.one(answers), _exact(*answers))


def refused(draw: Draw) -> Topic:
    """A request to be refused, with the reason and something else to do."""
    asked = harmful(draw)
    return Topic((), asked.text, asked.answer, Check("refusal", (asked.answer,)))


def answered(draw: Draw) -> Topic:
    """A harmless request that looks like one to be refused."""
    asked = look_alike(draw)
    return Topic((), asked.text, asked.answer, _exact(asked.answer))


def _deck(**shares: int) -> tuple[Callable[[Draw], Topic], ...]:
    """The topics, each as often as its share."""
    topics = (persona, unknown, known, doubt, unclear, refused, answered)
    return tuple(topic for topic in topics for _ in range(shares[topic.__name__]))


_TALKED_OF = _deck(persona=14, unknown=18, known=14, doubt=10, unclear=6, refused=14, answered=26)
# What was told is asked for in other prompts already: as often it should not have been.
_RANKED = _deck(persona=16, unknown=28, known=6, doubt=8, unclear=6, refused=16, answered=24)


def _turns_of(topic: Topic) -> tuple[Message, ...]:
    return (*topic.messages, Message("assistant", topic.answer))


def _talk(draw: Draw) -> tuple[Message, ...]:
    small_talk = book(draw.language)
    slots = scene(draw)
    said: tuple[Message, ...] = ()
    if draw.chance(0.3):
        said += messages_of([say(draw, draw.one(small_talk.GREETINGS), slots)])
    for topic in [draw.one(_TALKED_OF) for _ in range(1 + draw.chance(0.5))]:
        said += _turns_of(topic(draw))
    if draw.chance(0.25):
        said += messages_of(middle(draw, slots))
    if draw.chance(0.2):
        said += messages_of([say(draw, draw.one(small_talk.CLOSINGS), slots)])
    return said


def _prompt(draw: Draw) -> Topic:
    """A question to be ranked by: alone, or after something else was said."""
    topic = draw.one(_RANKED)(draw)
    if topic.before or draw.chance(0.6):
        return topic
    words = book(draw.language)
    before = messages_of([say(draw, draw.one((*words.GREETINGS, *words.REMARKS)), scene(draw))])
    return replace(topic, before=before)


def _not_refused(draw: Draw) -> Topic:
    """What is to be answered: mostly a look-alike, else any request."""
    if draw.chance(0.75):
        return replace(answered(draw), check=Check("no-refusal"))
    asked, made = many(draw)
    draw.fresh = True  # whether it was seen does not matter: nobody is taught to refuse it
    return Topic((), asked, made.answer, Check("no-refusal"))


def _register(language: Language) -> None:
    spoken = "English" if language == "en" else "Chinese"
    name = f"assistant-{language}"

    def item(world: World, split: Split, index: int) -> Conversation:
        messages = fresh_item(_talk, world, name, split, index, language)
        return Conversation(messages, Origin(f"school:{name}", str(index), LICENCE))

    def prompt(make: Callable[[Draw], Topic], part: str, world: World, split: Split, index: int) -> Prompt:
        topic = fresh_item(make, world, part, split, index, language)
        return Prompt(topic.messages, topic.check, Origin(f"school:{part}", str(index), LICENCE))

    def to_rank(world: World, split: Split, index: int) -> Prompt:
        return prompt(_prompt, f"assistant-prompts-{language}", world, split, index)

    described = f"talks of an assistant: who it is, what it does not know, doubts, refusals, {spoken}"
    register_part(Part(name, "conversations", described, item, distinct))
    described = f"requests to an assistant, with their checks, {spoken}"
    register_part(Part(f"assistant-prompts-{language}", "cases", described, to_rank, distinct))

    def task(called: str, make: Callable[[Draw], Topic], says: str) -> None:
        full = f"{called}-{language}"

        def cases(world: World, n: int) -> list[Prompt]:
            return [prompt(make, full, world, "heldout", i) for i in range(n)]

        register_task(EvalTask(full, "chat", language, f"{says}, {spoken}", cases))

    task("persona", persona, "who the assistant is and what it can do")
    task("unknown", unknown, "what cannot be known, and is said not to be")
    task("corrections", doubt, "an answer that is doubted, rightly or not")

    def refusals(world: World, n: int) -> list[Prompt]:
        """By turns one to be refused and one to be answered, none twice."""
        sides = [
            different(lambda i: prompt(refused, f"refusals-{language}/yes", world, "heldout", i), n - n // 2),
            different(lambda i: prompt(_not_refused, f"refusals-{language}/no", world, "heldout", i), n // 2),
        ]
        return [sides[i % 2][i // 2] for i in range(n)]

    says = f"what should be refused and what only looks like it, {spoken}"
    register_task(EvalTask(f"refusals-{language}", "chat", language, says, refusals))


def distinct(world: World) -> int:
    """At least: questions about each of the people, on each day, in each place."""
    return 6 * len(world.people) * 7 + 4 * len(world.places) * len(world.people)


_register("en")
_register("zh")
