"""Passages: facts about a few people, and sentences that state them again, ask for them or draw what follows."""
# ruff: noqa: E501 (whole sentences; a Chinese character counts double)

from __future__ import annotations

from collections.abc import Sequence

from bottega.data.school import facts_en, facts_zh
from bottega.data.school.draw import Draw
from bottega.data.school.facts import KINDS, Fact, Slots, cast, draw_fact, slots_en, slots_zh
from bottega.data.school.nouns import NUMBERS_EN, PORTABLE, Noun, a, count_zh
from bottega.data.school.words import COLOURS
from bottega.data.school.world import Person

BOOK = {"en": facts_en, "zh": facts_zh}


def slots(fact: Fact, language: str) -> Slots:
    """The fact's strings in a language."""
    return slots_en(fact) if language == "en" else slots_zh(fact)


def capital(sentence: str) -> str:
    """With its first letter large; Chinese is left as it is."""
    return sentence[0].upper() + sentence[1:]


def state(draw: Draw, fact: Fact, again: bool = False) -> str:
    """A sentence for the fact; ``again`` uses a pronoun for its person."""
    book = BOOK[draw.language]
    templates = (book.AGAIN if again else book.SAY)[fact.kind]
    return capital(draw.one(templates).format_map(slots(fact, draw.language)))


def gap(language: str) -> str:
    """What stands between two sentences."""
    return " " if language == "en" else ""


def join_names(names: list[str], language: str) -> str:
    """ "A, B and C", or A、B和C."""
    if len(names) == 1:
        return names[0]
    if language == "en":
        return f"{', '.join(names[:-1])} and {names[-1]}"
    return f"{'、'.join(names[:-1])}和{names[-1]}"


def draw_facts(draw: Draw, people: list[Person], per_person: int) -> list[Fact]:
    """Facts of several kinds about each of the people; nothing (thing, place, colour, day) occurs twice."""
    taken: list[object] = list(people)
    facts: list[Fact] = []
    shared = draw.some(KINDS, per_person)
    for person in people:
        kinds = shared if draw.chance(0.6) else draw.some(KINDS, per_person)
        facts.extend(draw_fact(draw, kind, person, taken) for kind in kinds)
    return facts


def tell_facts(draw: Draw, facts: list[Fact]) -> str:
    """The facts in order; a person's second one in a row may take a pronoun."""
    sentences = []
    last: Person | None = None
    for fact in facts:
        sentences.append(state(draw, fact, again=fact.who is last and draw.chance(0.7)))
        # After "Mira gave Tolo ...", "she" could be either.
        last = None if fact.kind == "gave" else fact.who
    return gap(draw.language).join(sentences)


def passage(draw: Draw) -> str:
    """Facts, then some of them said again in other words, asked for, or summed up."""
    people = cast(draw, draw.between(2, 4))
    facts = draw_facts(draw, people, 1 if len(people) > 2 else draw.between(1, 2))
    told = draw.shuffled(facts) if draw.chance(0.3) else facts
    parts = [tell_facts(draw, told)]
    style = draw.below(10)
    chosen = draw.some(facts, draw.between(1, 3))
    if style < 4:
        parts.append(_restate(draw, chosen))
    elif style < 8:
        parts.extend(ask_and_answer(draw, fact) for fact in chosen)
    elif style < 9:
        parts.append(_sum_up(draw, people))
    return gap(draw.language).join(parts)


_SO_EN = ("So {s}", "This means that {s}", "In other words, {s}", "Remember: {s}", "We know that {s}", "{S}")
_SO_ZH = ("所以{s}", "这就是说，{s}", "也就是说，{s}", "记住：{s}", "我们知道，{s}", "{s}")


def _restate(draw: Draw, facts: list[Fact]) -> str:
    sentences = []
    for fact in facts:
        sentence = state(draw, fact)
        if draw.language == "en":
            # A name or a day keeps its large letter inside a sentence.
            names = (fact.who.en, fact.other.en if fact.other else fact.who.en)
            fixed = sentence.startswith(names)
            inner = sentence if fixed else sentence[0].lower() + sentence[1:]
            sentences.append(draw.one(_SO_EN).format(s=inner, S=sentence))
        else:
            sentences.append(draw.one(_SO_ZH).format(s=sentence))
    return gap(draw.language).join(sentences)


def other_people(fact: Fact, facts: Sequence[Fact]) -> list[Person]:
    """Whom the other facts are about, but for those whom this one names."""
    return [f.who for f in facts if f.who is not fact.who and f.who is not fact.other]


def ask_and_answer(draw: Draw, fact: Fact) -> str:
    """A question that the fact answers, and the answer as a sentence."""
    questions, answer, _ = draw.one(BOOK[draw.language].ASK[fact.kind])
    strings = slots(fact, draw.language)
    return f"{capital(draw.one(questions).format_map(strings))}{gap(draw.language)}{capital(answer.format_map(strings))}"


def _sum_up(draw: Draw, people: list[Person]) -> str:
    if draw.language == "en":
        names = join_names([p.en for p in people], "en")
        n = NUMBERS_EN[len(people)]
        return draw.one(
            (
                f"This text is about {names}.",
                f"There are {n} people here: {names}.",
                f"That was about {n} people.",
            )
        )
    names = join_names([p.zh for p in people], "zh")
    n = count_zh(len(people))
    return draw.one((f"这里说的是{names}。", f"这里一共有{n}个人：{names}。", f"上面说了{n}个人。"))


def same_thing(draw: Draw) -> str:
    """Two or three people with things of one kind in different colours: whose is which?"""
    people = cast(draw, draw.between(2, 3))
    thing = draw.paired(people[0].en, PORTABLE)
    facts = [Fact("has", p, thing, c) for p, c in zip(people, draw.some(COLOURS, len(people)), strict=True)]
    told = tell_facts(draw, facts)
    if draw.language == "en":
        turns = [f"the {f.value.en} one is {f.who.en}'s" for f in draw.shuffled(facts) if f.value]
        return f"{told} So {join_names(turns, 'en')}."
    turns = [f"{f.value.zh}的是{f.who.zh}的" for f in draw.shuffled(facts) if f.value]
    return f"{told}所以{'，'.join(turns)}。"


def portrait(draw: Draw) -> str:
    """One person, with several facts."""
    person = draw.one(draw.world.people)
    taken: list[object] = [person]
    kinds = ["lives", "job", *draw.some([k for k in KINDS if k not in ("lives", "job")], draw.between(2, 4))]
    return tell_facts(draw, [draw_fact(draw, kind, person, taken) for kind in kinds])


_RANKS_EN = (
    ("older", "younger", "oldest", "youngest"),
    ("taller", "shorter", "tallest", "shortest"),
    ("faster", "slower", "fastest", "slowest"),
    ("stronger", "weaker", "strongest", "weakest"),
    ("richer", "poorer", "richest", "poorest"),
)
_RANKS_ZH = (("年纪大", "年纪小"), ("高", "矮"), ("跑得快", "跑得慢"), ("力气大", "力气小"), ("有钱", "穷"))


def comparison(draw: Draw) -> str:
    """A before B before C by some quality, and what follows."""
    first, middle, last = cast(draw, 3)
    if draw.language == "en":
        more, less, most, least = draw.one(_RANKS_EN)
        A, B, C = first.en, middle.en, last.en
        given = [
            draw.one((f"{A} is {more} than {B}.", f"{B} is {less} than {A}.")),
            draw.one((f"{B} is {more} than {C}.", f"{C} is {less} than {B}.")),
        ]
        follows = draw.some(
            (f"So {A} is {more} than {C}.", f"So {C} is {less} than {A}.", f"{A} is the {most}.",
             f"{C} is the {least}.", f"The {most} of them is {A}.", f"The {least} is {C}.",
             f"Who is {more}, {A} or {C}? {A} is."), 2)  # fmt: skip
        return " ".join([*draw.shuffled(given), *follows])
    more, less = draw.one(_RANKS_ZH)
    A, B, C = first.zh, middle.zh, last.zh
    given = [
        draw.one((f"{A}比{B}{more}。", f"{B}比{A}{less}。")),
        draw.one((f"{B}比{C}{more}。", f"{C}比{B}{less}。")),
    ]
    follows = draw.some(
        (f"所以{A}比{C}{more}。", f"{C}比{A}{less}。", f"他们当中{A}最{more}。" if more in ("高", "有钱") else
         f"{A}比他们两个都{more}。", f"{A}和{C}谁{more}？是{A}。"), 2)  # fmt: skip
    return "".join([*draw.shuffled(given), *follows])


def inventory(draw: Draw) -> str:
    """Several things in one place, in order: first, last, how many."""
    person = draw.one(draw.world.people)
    things: list[Noun] = []
    for _ in range(draw.between(3, 5)):
        things.append(draw.paired(person.en, PORTABLE, things))
    n = len(things)
    middle = draw.between(1, n - 2) if n > 2 else 1
    if draw.language == "en":
        listed = join_names([a(t.en) for t in things], "en")
        ordinal = ("first", "second", "third", "fourth", "fifth")
        start = draw.one(
            (f"In {person.en}'s bag there are these things: {listed}.", f"{person.en} puts these on the table: {listed}.",
             f"{person.en} has {listed}.", f"{person.en} took with {'her' if person.female else 'him'} {listed}."))  # fmt: skip
        more = (
            f"That is {NUMBERS_EN[n]} things.",
            f"The first thing is the {things[0].en}.",
            f"The last thing is the {things[-1].en}.",
            f"The {ordinal[middle]} is the {things[middle].en}.",
            f"After the {things[0].en} comes the {things[1].en}.",
            f"From last to first: {', '.join(t.en for t in reversed(things))}.",
        )
        return " ".join([start, *draw.some(more, draw.between(1, 3))])
    listed = join_names([f"一{t.measure}{t.zh}" for t in things], "zh")
    start = draw.one(
        (f"{person.zh}的包里有这些东西：{listed}。", f"{person.zh}把这些放在桌子上：{listed}。", f"{person.zh}有{listed}。",
         f"{person.zh}带了{listed}。"))  # fmt: skip
    more = (
        f"一共{count_zh(n)}样东西。",
        f"第一样是{things[0].zh}。",
        f"最后一样是{things[-1].zh}。",
        f"第{'一二三四五'[middle]}样是{things[middle].zh}。",
        f"{things[0].zh}的后面是{things[1].zh}。",
        f"从后往前是：{'、'.join(t.zh for t in reversed(things))}。",
    )
    return "".join([start, *draw.some(more, draw.between(1, 3))])
