"""Tasks about a short text: questions, wishes for the answer's form, true or false, reasons, people, copies.

The key of the splits is the passage's facts; which forms of answer go with which kinds of fact is the world's choice.
"""
# ruff: noqa: E501 (tables of wordings; a Chinese character counts double)

from __future__ import annotations

from dataclasses import replace

from bottega.data.school.draw import Draw
from bottega.data.school.entailment import claim_and_denial
from bottega.data.school.exercise import Exercise
from bottega.data.school.facts import KINDS, Fact, cast, draw_fact
from bottega.data.school.list_exercises import MARK, and_phrase, same_list
from bottega.data.school.nouns import a
from bottega.data.school.passages import BOOK, capital, gap, other_people, slots, state
from bottega.data.school.registry import Language
from bottega.data.school.world import World


def _passage(draw: Draw, least: int, most: int) -> tuple[list[Fact], str]:
    """Facts about different people, no thing or value twice, and their text."""
    taken: list[object] = []
    people = cast(draw, draw.between(least, most))
    taken.extend(people)
    kinds = draw.some(KINDS, 2)
    facts = [draw_fact(draw, draw.one(kinds), person, taken) for person in people]
    return facts, gap(draw.language).join(state(draw, fact) for fact in facts)


def read(draw: Draw, language: Language) -> Exercise:
    facts, text = _passage(draw, 2, 3)
    book = BOOK[language]
    if draw.chance(0.12):
        # Something of somebody in the text that the text does not tell.
        told = {fact.kind for fact in facts}
        who = draw.one(facts).who
        kind = draw.one([k for k in ("job", "lives", "eats", "drinks", "hobby", "feels") if k not in told])
        question = draw.one(book.ASK[kind][0][0]).format_map(slots(draw_fact(draw, kind, who, []), language))
        answer, bare = book.UNKNOWN
        return Exercise((("read", {}),), text, answer, (answer, bare), "text", capital(question))
    fact = draw.one(facts)
    questions, sentence, bare = draw.one(book.ASK[fact.kind])
    strings = slots(fact, language)
    answer, word = capital(sentence.format_map(strings)), bare.format_map(strings)
    accepted = (answer, word, capital(word), *_fuller(draw.language, word))
    return Exercise(
        (("read", {}),), text, answer, accepted, "text", capital(draw.one(questions).format_map(strings))
    )


def _fuller(language: str, word: str) -> tuple[str, ...]:
    if language == "zh":
        return (f"是{word}", f"在{word}里", f"在{word}")
    return (f"It is {word}", f"It is in the {word}", f"In the {word}", f"in the {word}", f"The {word}", a(word), capital(a(word)),
            f"{word} does", f"{word} is", f"{word} did", f"{word} has it", f"It is {word}'s", f"{word}'s", f"It was {word}")  # fmt: skip


def styles(language: Language) -> tuple[str, ...]:
    """How a question about a passage can ask to be answered."""
    return (
        ("one-word", "capitals", "quotes", "brackets", "twice")
        if language == "en"
        else ("one-word", "quotes", "brackets", "twice")
    )


def style_is_heldout(world: World, kind: str, style: str) -> bool:
    """Whether training never shows questions about this kind of fact with this style of answer. Bare words are free."""
    return style != "one-word" and world.is_heldout("style", kind, style)


def styled(draw: Draw, language: Language, heldout_pair: bool) -> Exercise:
    """A question about a passage with a wish for the answer's form; ``heldout_pair``: one that training never shows."""
    for _ in range(600):
        facts, text = _passage(draw, 2, 3)
        fact, style = draw.one(facts), draw.one(styles(language))
        if style_is_heldout(draw.world, fact.kind, style) != heldout_pair:
            continue
        questions, _, bare = draw.one(BOOK[language].ASK[fact.kind])
        strings = slots(fact, language)
        word = bare.format_map(strings)
        answer = _dress(word, style, language)
        question = capital(draw.one(questions).format_map(strings))
        accepted = (answer, capital(answer)) if style == "one-word" else (answer,)
        return Exercise((("read", {}),), text, answer, accepted, "text", question, style)
    raise AssertionError("this world holds no styled question out")


def _dress(word: str, style: str, language: Language) -> str:
    if style == "capitals":
        return word.upper()
    if style == "quotes":
        return f'"{word}"' if language == "en" else f"“{word}”"
    if style == "brackets":
        return f"[{word}]"
    if style == "twice":
        return f"{word} {word}" if language == "en" else word + word
    return word


def truth(draw: Draw, language: Language) -> Exercise:
    facts, text = _passage(draw, 2, 3)
    fact = draw.one(facts)
    true = draw.chance(0.5)
    if not true:
        fact = replace(fact, who=draw.one(other_people(fact, facts)))
    right = (("True.", "true", "True"), ("False.", "false", "False"))[not true]
    if language == "zh":
        right = (("对。", "对", "是的"), ("不对。", "不对", "错"))[not true]
    sentence = state(draw, fact)
    return Exercise((("truth", {}),), text, right[0], right, "text", sentence)


def reason(draw: Draw, language: Language) -> Exercise:
    people = cast(draw, 2)
    taken: list[object] = list(people)
    kind = draw.one(("has", "kept", "at", "job", "lives"))
    facts = [draw_fact(draw, kind, person, taken) for person in people]
    sentences = [state(draw, fact) for fact in facts]
    i = draw.below(2)
    shown, hidden = facts[i], facts[1 - i]
    yes = draw.chance(0.5)
    value = shown.value if yes else hidden.value
    claim, _ = claim_and_denial(replace(shown, value=value), language)
    head = ("Yes." if yes else "No.") if language == "en" else ("对。" if yes else "不对。")
    answer = f"{head}{gap(language)}{sentences[i]}"
    return Exercise(
        (("reason", {}),), gap(language).join(sentences), answer, (answer,), "text", capital(claim)
    )


def people(draw: Draw, language: Language) -> Exercise:
    facts, text = _passage(draw, 2, 4)
    names = sorted(
        {p.en if language == "en" else p.zh for f in facts for p in (f.who, f.other) if p is not None},
        key=text.index,
    )
    answer = MARK[language].join(names)
    return Exercise((("people", {}),), text, answer, (answer, and_phrase(names, language)), "text")


def people_count(draw: Draw, language: Language) -> Exercise:
    facts, text = _passage(draw, 2, 4)
    n = len({p.en for f in facts for p in (f.who, f.other) if p is not None})
    return Exercise((("how-many-people", {}),), text, str(n), same_list(str(n), [], str(n), "count"), "text")


def copy_text(draw: Draw, language: Language) -> Exercise:
    who = draw.one(draw.world.people)
    sentence = state(draw, draw_fact(draw, draw.one(KINDS), who, [who]))
    return Exercise((("copy", {}),), sentence, sentence, (sentence,), "list")


def read_twice(draw: Draw, language: Language) -> tuple[Exercise, str, str]:
    """A passage with a question, and a second question about another of its facts with its answer."""
    facts, text = _passage(draw, 2, 3)
    first, second = draw.some(facts, 2)
    found: list[tuple[str, str]] = []
    for fact in (first, second):
        questions, sentence, _ = draw.one(BOOK[language].ASK[fact.kind])
        strings = slots(fact, language)
        found.append(
            (capital(draw.one(questions).format_map(strings)), capital(sentence.format_map(strings)))
        )
    (question, answer), (question2, answer2) = found
    return Exercise((("read", {}),), text, answer, (answer,), "text", question), question2, answer2
