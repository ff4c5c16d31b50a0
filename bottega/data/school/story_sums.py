"""Sums told as stories about the world's people: what happens, the question, the steps and the answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bottega.data.school.draw import Draw
from bottega.data.school.nouns import CONTAINERS, EDIBLE, GOODS, TOYS, Noun
from bottega.data.school.registry import Language
from bottega.data.school.sums import Move, Sign, chain_key, draw_move, draw_moves
from bottega.data.school.world import Person

# {n} the number, {q} another person; what one does with things. The Chinese adds the measure word as {m}.
_DEEDS: dict[Sign, tuple[tuple[str, str], ...]] = {
    "+": (
        ("buys {n} more", "又买了{n}{m}"),
        ("finds {n} more", "又找到{n}{m}"),
        ("gets {n} more from {q}", "从{q}那里得到{n}{m}"),
        ("makes {n} more", "又做了{n}{m}"),
        ("wins {n} more", "又赢了{n}{m}"),
    ),
    "-": (
        ("gives {n} to {q}", "送给{q}{n}{m}"),
        ("loses {n}", "弄丢了{n}{m}"),
        ("sells {n}", "卖掉{n}{m}"),
        ("lends {n} to {q}", "借给{q}{n}{m}"),
        ("throws {n} away", "扔掉{n}{m}"),
    ),
    "*": (
        ("ends up with {n} times as many", "后来把数量变成了原来的{n}倍"),
        ("later has {n} times as many", "后来手里的数量变成了{n}倍"),
    ),
}
_EDIBLE_DEEDS: dict[Sign, tuple[tuple[str, str], ...]] = {
    "+": (
        ("buys {n} more", "又买了{n}{m}"),
        ("picks {n} more", "又摘了{n}{m}"),
        ("gets {n} more from {q}", "从{q}那里得到{n}{m}"),
    ),
    "-": (
        ("eats {n}", "吃了{n}{m}"),
        ("gives {n} to {q}", "送给{q}{n}{m}"),
        ("sells {n}", "卖掉{n}{m}"),
    ),
    "*": _DEEDS["*"],
}
_PLACE_DEEDS: dict[Sign, tuple[tuple[str, str], ...]] = {
    "+": (
        ("buys {n} more", "又买了{n}{m}"),
        ("gets {n} more", "又得到{n}{m}"),
        ("makes {n} more", "又做了{n}{m}"),
        ("finds {n} more", "又找到{n}{m}"),
    ),
    "-": (
        ("sells {n}", "卖掉{n}{m}"),
        ("loses {n}", "弄丢了{n}{m}"),
        ("gives {n} away", "送出{n}{m}"),
        ("throws {n} away", "扔掉{n}{m}"),
    ),
    "*": (
        ("ends up with {n} times as many", "后来把数量变成了原来的{n}倍"),
        ("later has {n} times as many", "后来的数量变成了{n}倍"),
    ),
}
COUNTED: tuple[Noun, ...] = (*EDIBLE, *TOYS, *(noun for noun in GOODS if noun.size <= 6))
_NOBODY = Person("", "", False)


@dataclass(frozen=True, slots=True)
class Story:
    """A story sum: its text up to the question, the question, and the chain of sums that answers it."""

    text: str
    question: str
    moves: tuple[Move, ...]

    @property
    def answer(self) -> int:
        """The number asked for."""
        return self.moves[-1].after

    @property
    def steps(self) -> str:
        """The sums, a line each."""
        return "\n".join(map(str, self.moves))


def deeds(
    draw: Draw, moves: Sequence[Move], thing: Noun, others: Sequence[Person], language: Language
) -> list[str]:
    """What somebody does that changes the number of things by these moves; no verb comes twice running.

    Without others it is a place that the things come to and go from, and nobody eats or wins any.
    """
    table = _PLACE_DEEDS if not others else _EDIBLE_DEEDS if thing in EDIBLE else _DEEDS
    told: list[str] = []
    last: tuple[str, str] | None = None
    for move in moves:
        words = draw.one([pair for pair in table[move.sign] if pair != last] or table[move.sign])
        last = words
        other = draw.one(others) if others else _NOBODY
        if language == "zh":
            told.append(words[1].format(n=move.by, q=other.zh, m=thing.measure))
        else:
            told.append(words[0].format(n=move.by, q=other.en))
    return told


def counted(n: int, thing: Noun, language: Language) -> str:
    """ "12 apples", "1 apple"; 12个苹果."""
    if language == "zh":
        return f"{n}{thing.measure}{thing.zh}"
    return f"{n} {thing.en if n == 1 else thing.plural}"


def held(first: Move, thing: Noun, box: Noun | None, language: Language) -> str:
    """What there is at the beginning: "12 apples", or with a box "3 boxes with 4 apples in each"."""
    if box is None:
        return counted(first.before, thing, language)
    if language == "zh":
        each = f"每{box.measure}{box.zh}里有{first.by}{thing.measure}{thing.zh}"
        return f"{first.before}{box.measure}{box.zh}，{each}"
    return f"{first.before} {box.plural} with {first.by} {thing.plural} in each"


def draw_story(draw: Draw, language: Language, length: int) -> Story:
    """A story of ``length`` sums, of the split that is drawn."""
    person, other, third = draw.some(draw.world.people, 3)
    thing = draw.one(COUNTED)
    boxed = draw.chance(0.2) and length > 1
    moves = boxed_moves(draw, length) if boxed else draw_moves(draw, length)
    done = deeds(draw, moves[1:] if boxed else moves, thing, (other, third), language)
    box = draw.one(HOLDERS)
    start = held(moves[0], thing, box if boxed else None, language)
    if language == "zh":
        pronoun = "她" if person.female else "他"
        asked = draw.one(
            (
                f"{person.zh}现在有多少{thing.measure}{thing.zh}？",
                f"最后{pronoun}有多少{thing.measure}{thing.zh}？",
            )
        )
        return Story(f"{person.zh}有{start}。{pronoun}{'，'.join(done)}。", asked, tuple(moves))
    pronoun = "She" if person.female else "He"
    asked = draw.one(
        (
            f"How many {thing.plural} does {person.en} have now?",
            f"How many {thing.plural} does {pronoun.lower()} have in the end?",
        )
    )
    return Story(f"{person.en} has {start}. {pronoun} {series(done)}.", asked, tuple(moves))


HOLDERS = tuple(noun for noun in CONTAINERS if noun.en in ("box", "bag", "basket", "jar"))


def boxed_moves(draw: Draw, length: int) -> list[Move]:
    """A chain that begins with boxes of so many each: a product."""
    while True:
        moves = [Move(draw.between(2, 6), "*", draw.between(2, 6))]
        for _ in range(32):
            if len(moves) == length:
                return moves
            move = draw_move(draw, moves[-1].after)
            if draw.on_side(*chain_key(moves[-1], move)):
                moves.append(move)


def series(done: list[str]) -> str:
    """ "buys 3 more", "buys 3 more and then sells 2", "buys 3 more, sells 2, and then eats 1"."""
    if len(done) < 2:
        return "".join(done)
    if len(done) == 2:
        return f"{done[0]} and then {done[1]}"
    return f"{', '.join(done[:-1])}, and then {done[-1]}"
