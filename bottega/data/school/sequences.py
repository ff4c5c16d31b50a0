"""Sequences of steps: which can follow which, which make sense together, and how many there are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import pairwise, product
from typing import Literal

from bottega.data.school.draw import Draw
from bottega.data.school.primitives import (
    ARRANGE,
    CHANGE,
    COMBINE,
    FINISH,
    KEEP,
    ORDERLESS,
    REORDERS,
    SCALAR_FINISH,
    Maker,
    Shape,
    Step,
)
from bottega.data.school.world import World

Kind = Literal["numbers", "words", "text", "number", "pair", "branch"]

# The roles of a list program's steps: K keep, C change, A arrange, F finish.
_PATTERNS: tuple[str, ...] = (
    *("K", "C", "A", "F", "KF", "KF", "KF", "CF", "CF", "AF", "KC", "KC", "KA", "CA", "AC", "CK", "AK"),
    *("KCF", "KCF", "KCF", "KCF", "CKF", "KAF", "CAF", "ACF", "KCA", "KAC", "CKA", "AAF", "AKF"),
)


@lru_cache(maxsize=16)
def distinct_compositions(world: World, kind: Kind) -> int:
    """How many compositions of this kind there are, constants left out, by going through them all."""
    draw = Draw(world, "count", "train", 0)
    if kind in ("numbers", "words"):
        start: Shape = "ints" if kind == "numbers" else "strs"
        return sum(_sensible(names) for pattern in set(_PATTERNS) for names in _paths(draw, pattern, start))
    ints, strs = _names(draw, CHANGE["ints"]), _names(draw, CHANGE["strs"][:-1])
    if kind == "branch":
        return len(KEEP["ints"]) * len(ints) * (len(ints) - 1)
    if kind == "pair":
        return len(COMBINE) * (1 + len(ints) + len(ints) * (len(ints) - 1))
    changes, ends = (strs, "str") if kind == "text" else (ints, "int")
    asked = _names(draw, SCALAR_FINISH[ends])
    chains = [chain for n in (1, 2, 3) for chain in product(changes, repeat=n)]
    chains += [(*chain, end) for chain in chains if len(chain) < 3 for end in asked]
    return len(asked) + sum(_progresses(chain) for chain in chains)


def _names(draw: Draw, makers: Sequence[Maker]) -> list[str]:
    return [maker(draw).name for maker in makers]


def _paths(draw: Draw, pattern: str, start: Shape) -> list[tuple[str, ...]]:
    """The names along every path through a pattern's roles."""
    paths: list[tuple[tuple[str, ...], Shape]] = [((), start)]
    for role in pattern:
        paths = [
            ((*names, step.name), step.result if role == "C" else shape)
            for names, shape in paths
            for step in (maker(draw) for maker in _makers(role, shape))
        ]
    return [names for names, _ in paths]


def _makers(role: str, shape: Shape) -> tuple[Maker, ...]:
    return ARRANGE if role == "A" else {"K": KEEP, "C": CHANGE, "F": FINISH}[role][shape]


def _sensible(names: tuple[str, ...]) -> bool:
    """Whether every step makes a difference: no order that the end does not see, nothing done twice."""
    if len(set(names)) < len(names):
        return False
    for here, name in enumerate(names):
        if name in REORDERS and len(names) > here + 1:
            seen = [after for after in names[here + 1 :] if after in _SEE_ORDER]
            if not seen and names[-1] in ORDERLESS:
                return False
            if names[here + 1] in REORDERS:
                return False
    if names[-1] == "count" and len(names) > 1 and names[-2] not in _FILTERS:
        return False
    return not _blind(names)


def _blind(names: Sequence[str]) -> bool:
    """Whether a step asks for what another took away: signs after ``abs``, small letters after ``upper``."""
    if "absolute" in names and _SIGNED_KEEPS & set(names):
        return True
    cased = min((here for here, name in enumerate(names) if name in _CASES), default=len(names))
    return any(name in _SEE_LETTERS for name in names[cased:])


_SEE_ORDER = frozenset({"first", "last", "skip", "alternate", "join", "longest", "shortest"})
_SHORTENS = frozenset({"head", "tail", "backwards"})
_FILTERS = frozenset(
    {"even", "odd", "positive", "negative", "above", "below", "multiple", "differs"}
    | {"longer", "shorter", "starts", "ends", "contains"}
)
_CASES = frozenset({"upper", "capital"})
_SEE_LETTERS = frozenset({"starts", "ends", "contains", "includes", "opens", "occurrences", "swap"})
_SIGNED_KEEPS = frozenset({"positive", "negative"})


def _list_steps(draw: Draw, start: Shape) -> tuple[Step, ...] | None:
    shape = start
    steps: list[Step] = []
    for role in draw.one(_PATTERNS):
        step = draw.one(_makers(role, shape))(draw)
        steps.append(step)
        if role == "C":
            shape = step.result
    found = tuple(steps)
    return found if _sensible(tuple(step.name for step in found)) else None


def _chain(draw: Draw, shape: Shape) -> tuple[Step, ...] | None:
    """One to three changes of a text or a number, perhaps with a closing question."""
    makers = CHANGE["strs"][:-1] if shape == "str" else CHANGE["ints"]
    ends = SCALAR_FINISH[shape]
    if draw.chance(0.12):
        return (draw.one(ends)(draw),)
    length = draw.one((1, 2, 2, 2, 3))
    steps = [draw.one(makers)(draw) for _ in range(length)]
    if length < 3 and draw.chance(0.3):
        steps.append(draw.one(ends)(draw))
    return tuple(steps) if _progresses(tuple(step.name for step in steps)) else None


def _progresses(names: tuple[str, ...]) -> bool:
    """Whether each change of a text or number adds to the one before."""
    if any(before == after for before, after in pairwise(names)) or _blind(names):
        return False
    return not ("initial" in names and _SHORTENS & set(names))


def _pair_steps(draw: Draw) -> tuple[Step, ...] | None:
    steps = [draw.one(COMBINE)(draw)]
    for _ in range(draw.one((0, 1, 1, 2))):
        steps.append(draw.one(CHANGE["ints"])(draw))
    return None if len({step.name for step in steps}) < len(steps) else tuple(steps)


def _branch_steps(draw: Draw) -> tuple[Step, ...] | None:
    condition = draw.one(KEEP["ints"])(draw)
    then, otherwise = draw.one(CHANGE["ints"])(draw), draw.one(CHANGE["ints"])(draw)
    return None if then.name == otherwise.name else (condition, then, otherwise)


_STEPS: dict[Kind, Callable[[Draw], tuple[Step, ...] | None]] = {
    "numbers": lambda draw: _list_steps(draw, "ints"),
    "words": lambda draw: _list_steps(draw, "strs"),
    "text": lambda draw: _chain(draw, "str"),
    "number": lambda draw: _chain(draw, "int"),
    "pair": _pair_steps,
    "branch": _branch_steps,
}


def draw_steps(kind: Kind, draw: Draw) -> tuple[Step, ...] | None:
    """The steps of a program of this kind; None where the draw made no sense."""
    return _STEPS[kind](draw)
