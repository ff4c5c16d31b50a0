"""Entailment: does a claim follow from a text? yes, no, or the text does not say.

The claim is drawn before the label is looked at, so that the claim alone tells nothing; texts of all three labels
are made of the same words as far as can be, so that counting words tells little.
"""
# ruff: noqa: E501 (whole sentences; a Chinese character counts double)

from __future__ import annotations

from collections.abc import Callable
from math import comb, perm

from bottega.data.records import Check, Conversation, Message, Origin, Prompt
from bottega.data.school.draw import Draw, fresh_item
from bottega.data.school.facts import COUNTABLE, MAKEABLE, VALUES, Fact, cast, draw_fact
from bottega.data.school.nouns import CATEGORIES_ZH, NAMED_CATEGORIES, PORTABLE, Noun, a
from bottega.data.school.passages import BOOK, capital, gap, slots, state
from bottega.data.school.prose import LICENCE
from bottega.data.school.registry import EvalTask, Language, Part, register_part, register_task
from bottega.data.school.words import COLOURS, Word
from bottega.data.school.world import Place, Split, World

YES, NO, UNKNOWN = 0, 1, 2
LABELS: dict[Language, tuple[str, str, str]] = {
    "en": ("yes", "no", "it does not say"),
    "zh": ("对", "不对", "没有说"),
}
_FORM: dict[Language, str] = {
    "en": "Text: {premise}\nClaim: {claim}\nIs the claim true?",
    "zh": "短文：{premise}\n说法：{claim}\n这个说法对吗？",
}

# Facts of which a person (or thing) has exactly one: claim and denial.
_CLAIMS: dict[str, dict[str, tuple[str, str]]] = {
    "en": {
        "has": ("{who}'s {thing} is {value}.", "{who}'s {thing} is not {value}."),
        "kept": ("{who}'s {thing} is in the {value}.", "{who}'s {thing} is not in the {value}."),
        "at": ("{who} is in the {value}.", "{who} is not in the {value}."),
        "job": ("{who} is {a_value}.", "{who} is not {a_value}."),
        "lives": ("{who} lives in {value}.", "{who} does not live in {value}."),
        "made": ("{who}'s {thing} is made of {stuff}.", "{who}'s {thing} is not made of {stuff}."),
    },
    "zh": {
        "has": ("{who}的{thing}是{value}的。", "{who}的{thing}不是{value}的。"),
        "kept": ("{who}的{thing}在{value}里。", "{who}的{thing}不在{value}里。"),
        "at": ("{who}在{value}里。", "{who}不在{value}里。"),
        "job": ("{who}是{value}。", "{who}不是{value}。"),
        "lives": ("{who}住在{value}。", "{who}不住在{value}。"),
        "made": ("{who}的{thing}是{value}做的。", "{who}的{thing}不是{value}做的。"),
    },
}


def claim_and_denial(fact: Fact, language: str) -> tuple[str, str]:
    """The fact as a plain claim, and its denial. Only for facts of which there is exactly one."""
    strings = slots(fact, language)
    claim, denial = _CLAIMS[language][fact.kind]
    return claim.format_map(strings), denial.format_map(strings)


_ASIDE = ("eats", "drinks", "hobby", "feels", "went")


def _tell(draw: Draw, facts: list[Fact]) -> str:
    return gap(draw.language).join(state(draw, fact) for fact in draw.shuffled(facts))


def _attribute(draw: Draw, label: int) -> tuple[str, str]:
    kind = draw.one(tuple(_CLAIMS["en"]))
    A, B, C = cast(draw, 3)
    thing = None
    if kind in ("has", "kept", "made"):
        thing = draw.paired(A.en, MAKEABLE if kind == "made" else PORTABLE)
    values: tuple[Word | Place, ...] = draw.world.places if kind == "lives" else VALUES[kind]
    x = draw.paired(A.en, values)
    y = draw.one([v for v in values if v is not x])
    denied = draw.below(2)
    claim = claim_and_denial(Fact(kind, A, thing, x), draw.language)[denied]
    aside = draw.one(_ASIDE)
    if label == UNKNOWN:
        return _tell(
            draw, [Fact(kind, B, thing, x), Fact(kind, C, thing, y), draw_fact(draw, aside, A, [])]
        ), claim
    mine, other = (x, y) if (label == YES) != bool(denied) else (y, x)
    return _tell(
        draw, [Fact(kind, A, thing, mine), Fact(kind, B, thing, other), draw_fact(draw, aside, C, [])]
    ), claim


def _roles(draw: Draw, label: int) -> tuple[str, str]:
    A, B, C, D = cast(draw, 4)
    first = draw.paired(A.en, PORTABLE)
    second = draw.one([n for n in PORTABLE if n is not first])
    claim = state(draw, Fact("gave", A, first, other=B))
    if label == UNKNOWN:
        return _tell(draw, [Fact("gave", C, first, other=B), Fact("gave", A, second, other=D)]), claim
    giver, taker = (A, B) if label == YES else (B, A)
    return _tell(draw, [Fact("gave", giver, first, other=taker), Fact("gave", C, second, other=D)]), claim


_QUALITIES = {
    "en": (
        ("older", "younger"),
        ("taller", "shorter"),
        ("faster", "slower"),
        ("stronger", "weaker"),
        ("richer", "poorer"),
    ),
    "zh": (("年纪大", "年纪小"), ("高", "矮"), ("跑得快", "跑得慢"), ("力气大", "力气小"), ("有钱", "穷")),
}


def _order(draw: Draw, label: int) -> tuple[str, str]:
    more, less = draw.one(_QUALITIES[draw.language])
    A, C = cast(draw, 2)
    B = draw.paired(A.en, draw.world.people, (A, C))

    def above(x: str, y: str) -> str:
        if draw.language == "en":
            return f"{x} is {more} than {y}." if draw.chance(0.5) else f"{y} is {less} than {x}."
        return f"{x}比{y}{more}。" if draw.chance(0.5) else f"{y}比{x}{less}。"

    x, y, z = (A.en, B.en, C.en) if draw.language == "en" else (A.zh, B.zh, C.zh)
    claim = above(x, y)
    if label == UNKNOWN:
        told = [above(x, z), above(y, z)] if draw.chance(0.5) else [above(z, x), above(z, y)]
    else:
        high, low = (x, y) if label == YES else (y, x)
        told = [above(high, z), above(z, low)]
    return gap(draw.language).join(draw.shuffled(told)), claim


def _number(draw: Draw, label: int) -> tuple[str, str]:
    A, B = cast(draw, 2)
    thing = draw.paired(A.en, COUNTABLE)
    other_thing = draw.one([t for t in COUNTABLE if t is not thing])
    n, m = draw.some(range(2, 10), 2)
    claim = draw.one(BOOK[draw.language].SAY["count"][:2]).format_map(
        slots(Fact("count", A, thing, n=n), draw.language)
    )
    if label == UNKNOWN:
        told = [Fact("count", A, other_thing, n=m), Fact("count", B, thing, n=n)]
    elif label == YES:
        told = [Fact("count", A, thing, n=n), Fact("count", B, draw.one((thing, other_thing)), n=m)]
    else:
        told = [Fact("count", A, thing, n=m), Fact("count", B, draw.one((thing, other_thing)), n=n)]
    return _tell(draw, told), claim


_KINDS_EN = {"animal": "animals", "fruit": "fruits", "vegetable": "vegetables", "tool": "tools", "vehicle": "vehicles",
             "instrument": "instruments", "toy": "toys"}  # fmt: skip


def _category(draw: Draw, label: int) -> tuple[str, str]:
    A, B = cast(draw, 2)
    kind = draw.one(tuple(_KINDS_EN))
    member = draw.paired(A.en, [n for n in NAMED_CATEGORIES if n.category == kind])
    stranger = draw.one([n for n in NAMED_CATEGORIES if n.category in _KINDS_EN and n.category != kind])
    en = draw.language == "en"
    claim = f"{A.en} has {a(kind)}." if en else f"{A.zh}有{CATEGORIES_ZH[kind]}。"

    def has(person: str, noun_en: str, noun_zh: str) -> str:
        return f"{person} has {noun_en}." if en else f"{person}有{noun_zh}。"

    x, y = (A.en, B.en) if en else (A.zh, B.zh)
    one_member, one_stranger = f"一{member.measure}{member.zh}", f"一{stranger.measure}{stranger.zh}"
    if label == YES:
        told = [has(x, member.a, one_member), has(y, stranger.a, one_stranger)]
    elif label == UNKNOWN:
        told = [has(x, stranger.a, one_stranger), has(y, member.a, one_member)]
    else:
        none = f"{x} has no {_KINDS_EN[kind]}." if en else f"{x}没有{CATEGORIES_ZH[kind]}。"
        told = [none, has(y, member.a, one_member)]
    return gap(draw.language).join(draw.shuffled(told)), claim


def _quantity(draw: Draw, label: int) -> tuple[str, str]:
    A, B = cast(draw, 2)
    thing = draw.paired(A.en, COUNTABLE)
    colour, other_colour = draw.some(COLOURS, 2)
    claimed = draw.below(3)  # all, some, none
    en = draw.language == "en"
    x, y = (A.en, B.en) if en else (A.zh, B.zh)

    def quantified(person: str, how: int, colour: Word = colour) -> str:
        if en:
            return draw.one(
                (
                    (f"All of {person}'s {thing.plural} are {colour.en}.", f"Every {thing.en} of {person}'s is {colour.en}."),
                    (f"Some of {person}'s {thing.plural} are {colour.en}.", f"A few of {person}'s {thing.plural} are {colour.en}."),
                    (f"None of {person}'s {thing.plural} are {colour.en}.", f"Not one of {person}'s {thing.plural} is {colour.en}."),
                )[how]
            )  # fmt: skip
        return draw.one(
            (
                (f"{person}的{thing.zh}都是{colour.zh}的。", f"{person}所有的{thing.zh}都是{colour.zh}的。"),
                (f"{person}的{thing.zh}有的是{colour.zh}的。", f"{person}有几{thing.measure}{thing.zh}是{colour.zh}的。"),
                (f"{person}的{thing.zh}都不是{colour.zh}的。", f"{person}的{thing.zh}没有一{thing.measure}是{colour.zh}的。"),
            )[how]
        )  # fmt: skip

    claim = quantified(x, claimed)
    open_still = quantified(x, 1, other_colour)
    if claimed == 0:  # all: some of them leaves it open
        told = quantified(x, (0, 2, 1)[label])
    elif claimed == 1:
        told = (quantified(x, draw.below(2)), quantified(x, 2), open_still)[label]
    else:
        told = (quantified(x, 2), quantified(x, draw.below(2)), open_still)[label]
    return gap(draw.language).join(draw.shuffled([told, quantified(y, draw.below(3))])), claim


_ALIKE = {
    "en": (("big", "large", "small", "little"), ("clean", "not dirty", "dirty", "not clean"), ("cheap", "not expensive", "expensive", "not cheap"),
           ("old", "not new", "new", "not old"), ("beautiful", "pretty", "ugly", "not pretty"), ("heavy", "not light", "light", "not heavy")),
    "zh": (("大", "不小", "小", "不大"), ("干净", "不脏", "脏", "不干净"), ("便宜", "不贵", "贵", "不便宜"),
           ("旧", "不新", "新", "不旧"), ("漂亮", "好看", "难看", "不漂亮"), ("重", "不轻", "轻", "不重")),
}  # fmt: skip


def _wording(draw: Draw, label: int) -> tuple[str, str]:
    A, B = cast(draw, 2)
    thing = draw.paired(A.en, PORTABLE)
    x, x2, y, y2 = draw.one(_ALIKE[draw.language])
    if draw.chance(0.5):
        x, x2, y, y2 = y, y2, x, x2
    en = draw.language == "en"
    thing2 = draw.one([n for n in PORTABLE if n is not thing])

    def says(person: str, noun: Noun, quality: str) -> str:
        if en:
            return f"{person}'s {noun.en} is {quality}."
        return f"{person}的{noun.zh}{quality if quality[0] == '不' else '很' + quality}。"

    name, other = (A.en, B.en) if en else (A.zh, B.zh)
    claim = says(name, thing, x)
    if label == UNKNOWN:
        told = [says(name, thing2, draw.one((x2, y2))), says(other, thing, draw.one((x2, y, y2)))]
    elif label == YES:
        told = [says(name, thing, x2), says(other, draw.one((thing, thing2)), draw.one((x2, y, y2)))]
    else:
        told = [
            says(name, thing, draw.one((y, y2))),
            says(other, draw.one((thing, thing2)), draw.one((x2, y, y2))),
        ]
    return gap(draw.language).join(draw.shuffled(told)), claim


_KINDS: tuple[Callable[[Draw, int], tuple[str, str]], ...] = (
    _attribute,
    _attribute,
    _attribute,
    _roles,
    _order,
    _number,
    _category,
    _quantity,
    _wording,
)


def _pair(draw: Draw, label: int) -> tuple[str, str]:
    premise, claim = draw.one(_KINDS)(draw, label)
    return capital(premise), capital(claim)


def _item(world: World, language: Language, split: Split, index: int) -> tuple[str, str]:
    """(question, label) of this index; the labels take turns, so that every stretch is balanced."""
    label = index % 3
    premise, claim = fresh_item(
        lambda draw: _pair(draw, label), world, f"entailment-{language}", split, index, language
    )
    return _FORM[language].format(premise=premise, claim=claim), LABELS[language][label]


def claim_of(question: str) -> str:
    """The claim alone, for tests of what it gives away."""
    return question.split("\n")[1].split(": ", 1)[-1].split("：", 1)[-1]


def distinct(world: World) -> int:
    """At least so many: the choices of people, things and values of each kind, wordings not counted."""
    people, things = len(world.people), len(PORTABLE)
    exclusive = perm(people, 3) * (
        things * perm(len(COLOURS), 2) + things * perm(len(VALUES["kept"]), 2) + perm(len(VALUES["job"]), 2)
    )
    roles = perm(people, 4) * perm(things, 2)
    order = perm(people, 3) * len(_QUALITIES["en"])
    number = perm(people, 2) * len(COUNTABLE) * perm(8, 2)
    quantity = perm(people, 2) * len(COUNTABLE) * len(COLOURS) * 3
    wording = comb(people, 2) * things * len(_ALIKE["en"]) * 2
    return 3 * (exclusive + roles + order + number + quantity + wording)


def _register(language: Language) -> None:
    name = f"entailment-{language}"
    spoken = "English" if language == "en" else "Chinese"

    def item(world: World, split: Split, index: int) -> Conversation:
        question, label = _item(world, language, split, index)
        messages = (Message("user", question), Message("assistant", label))
        return Conversation(messages, Origin(f"school:{name}", str(index), LICENCE))

    def cases(world: World, n: int) -> list[Prompt]:
        prompts = []
        for i in range(n):
            question, label = _item(world, language, "heldout", i)
            origin = Origin(f"school:{name}", str(i), LICENCE)
            prompts.append(Prompt((Message("user", question),), Check("exact", (label,)), origin))
        return prompts

    def floor_examples(world: World, n: int) -> list[tuple[str, str]]:
        return [_item(world, language, "train", i) for i in range(n)]

    described = f"does a claim follow from a text: yes, no, it does not say; {spoken}"
    register_part(Part(name, "conversations", described, item, distinct))
    register_task(EvalTask(name, "chat", language, described, cases, floor_examples))


_register("en")
_register("zh")
