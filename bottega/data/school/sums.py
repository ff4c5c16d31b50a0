"""Sums and chains of sums: which number follows which, and which chains training never shows."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from bottega.data.school.draw import Draw

Sign = Literal["+", "-", "*"]
LIMIT = 60  # no value in a chain exceeds this
_SUM = re.compile(r"(-?\d+) ([+*-]) (\d+) = (-?\d+)")
_SIGNS: tuple[Sign, ...] = ("+", "-", "+", "-", "*")


@dataclass(frozen=True, slots=True)
class Move:
    """One sum as a change of a count: ``before sign by = after``."""

    before: int
    sign: Sign
    by: int

    @property
    def after(self) -> int:
        """The count after it."""
        if self.sign == "+":
            return self.before + self.by
        return self.before - self.by if self.sign == "-" else self.before * self.by

    def __str__(self) -> str:
        return f"{self.before} {self.sign} {self.by} = {self.after}"


def draw_move(draw: Draw, before: int) -> Move:
    """A change of a count that keeps it between 0 and ``LIMIT``."""
    while True:
        sign = draw.one(_SIGNS) if before else "+"
        move = Move(before, sign, draw.between(2, 4) if sign == "*" else draw.between(1, 12))
        if 0 <= move.after <= LIMIT:
            return move


def draw_moves(draw: Draw, n: int) -> list[Move]:
    """A chain of ``n`` changes, each of what the one before left; every pair is of the drawn split."""
    while True:
        moves = [draw_move(draw, draw.between(2, 25))]
        for _ in range(64):
            if len(moves) == n:
                return moves
            move = draw_move(draw, moves[-1].after)
            if draw.on_side(*chain_key(moves[-1], move)):
                moves.append(move)


def chain_key(first: Move, second: Move) -> tuple[str, ...]:
    """A pair of sums in a chain has one split: what a held-out story asks for, no trace has written out."""
    return ("chain", str(first.before), f"{first.sign}{first.by}", f"{second.sign}{second.by}")


def chains_in(text: str) -> list[tuple[str, ...]]:
    """The keys of all pairs of neighbouring sums in a text of which the second goes on from the first."""
    sums = _SUM.findall(text)
    return [
        ("chain", before, first_sign + first_by, second_sign + second_by)
        for (before, first_sign, first_by, after), (start, second_sign, second_by, _) in pairwise(sums)
        if after == start
    ]


def may_show(draw: Draw, text: str) -> bool:
    """Whether a text of the drawn split may be shown: no pair that is held out ever stands in training."""
    pairs = [draw.world.is_heldout(*key) for key in chains_in(text)]
    return not pairs or any(pairs) == draw.heldout


def distinct_chains(length: int) -> int:
    """How many chains of this length ``draw_moves`` can make, in both splits together, by counting."""
    ways = dict.fromkeys(range(2, 26), 1)
    for _ in range(length):
        following: dict[int, int] = {}
        for before, count in ways.items():
            for after in _afters(before):
                following[after] = following.get(after, 0) + count
        ways = following
    return sum(ways.values())


def _afters(before: int) -> list[int]:
    """The counts that one move leads to."""
    moves = [Move(before, "+", by) for by in range(1, 13)]
    if before:
        moves += [Move(before, "-", by) for by in range(1, 13)]
        moves += [Move(before, "*", by) for by in range(2, 5)]
    return [move.after for move in moves if 0 <= move.after <= LIMIT]
