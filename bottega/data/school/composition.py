"""Programs as compositions of primitive steps: what they compute, on what, and which of them training never shows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

from bottega.data.school.draw import Draw
from bottega.data.school.nouns import NOUNS
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

Kind = Literal["numbers", "words", "text", "number", "pair", "branch"]
Style = Literal["compact", "steps", "loop"]


@dataclass(frozen=True, slots=True)
class Theme:
    """What a program is about: the names of its arguments and their nouns."""

    parameters: tuple[str, ...]
    item: str  # the loop variable
    zh: str


@dataclass(frozen=True, slots=True)
class Program:
    """A function: steps over a theme, under a name, in a style. ``run`` computes what the code computes."""

    kind: Kind
    steps: tuple[Step, ...]
    theme: Theme
    name: str
    style: Style
    annotated: bool
    guarded: bool  # returns early for an empty list

    @property
    def key(self) -> tuple[str, ...]:
        """The composition, without constants, names and style."""
        return composition_key(self.kind, self.steps)

    def run(self, arguments: tuple[Any, ...]) -> Any:
        """What a call gives."""
        if self.kind == "branch":
            condition, then, otherwise = self.steps
            (n,) = arguments
            return then.run(n) if condition.run([n]) else otherwise.run(n)
        if self.kind == "pair":
            value = self.steps[0].run(arguments)
            rest = self.steps[1:]
        else:
            value = list(arguments[0]) if isinstance(arguments[0], list) else arguments[0]
            rest = self.steps
        for step in rest:
            value = step.run(value)
        return value


THEMES: dict[Kind, tuple[Theme, ...]] = {
    "numbers": (
        Theme(("numbers",), "number", "数"),
        Theme(("numbers",), "n", "数"),
        Theme(("prices",), "price", "价格"),
        Theme(("scores",), "score", "分数"),
        Theme(("values",), "value", "值"),
        Theme(("ages",), "age", "年龄"),
        Theme(("weights",), "weight", "重量"),
        Theme(("points",), "point", "得分"),
    ),
    "words": (
        Theme(("words",), "word", "单词"),
        Theme(("words",), "w", "单词"),
        Theme(("names",), "name", "名字"),
        Theme(("labels",), "label", "标签"),
        Theme(("items",), "item", "物品"),
    ),
    "text": (
        Theme(("text",), "text", "文本"),
        Theme(("word",), "word", "单词"),
        Theme(("name",), "name", "名字"),
        Theme(("title",), "title", "标题"),
    ),
    "number": (Theme(("n",), "n", "数"), Theme(("number",), "number", "数"), Theme(("x",), "x", "数")),
    "pair": (Theme(("a", "b"), "a", "数"), Theme(("x", "y"), "x", "数"), Theme(("first", "second"), "first", "数")),
    "branch": (Theme(("n",), "n", "数"), Theme(("number",), "number", "数"), Theme(("x",), "x", "数")),
}
WORDS: tuple[str, ...] = tuple(
    noun.en for noun in NOUNS if noun.en.isascii() and noun.en.isalpha() and 3 <= len(noun.en) <= 6
)

# The roles of a list program's steps: K keep, C change, A arrange, F finish.
_PATTERNS = ("K C A F KF KF KF CF CF AF KC KC KA CA AC CK AK KCF KCF KCF KCF CKF KAF CAF ACF KCA KAC CKA AAF AKF").split()
_KINDS: tuple[Kind, ...] = (
    "numbers", "numbers", "numbers", "numbers", "words", "words", "words", "text", "text", "number", "pair", "branch",
)  # fmt: skip
_GENERIC_NAMES = "solve f compute transform answer process_all run g apply_all work_out".split()
_TRIES = 400
_NOTHINGS: tuple[Any, ...] = ([], "", 0, False)


def composition_key(kind: Kind, steps: tuple[Step, ...]) -> tuple[str, ...]:
    """What tells one composition from another."""
    return ("program", kind, *(step.name for step in steps))


def draw_program(draw: Draw, kinds: tuple[Kind, ...] = _KINDS, styles: tuple[Style, ...] | None = None) -> Program:
    """A program of the split that is drawn. Single primitives are all in training; held-out ones are compositions."""
    for _ in range(_TRIES):
        kind = draw.one(kinds)
        steps = _STEPS[kind](draw)
        if steps is None:
            continue
        if len(steps) == 1:
            if not draw.heldout:
                break
        elif draw.on_side(*composition_key(kind, steps)):
            break
    else:
        raise LookupError(f"no composition of {kinds} on this side of the split")
    theme = draw.one(THEMES[kind])
    style: Style = draw.one(styles or ("compact", "steps", "loop"))
    return Program(
        kind,
        steps,
        theme,
        _name(draw, kind, steps, theme),
        style,
        annotated=draw.chance(0.4),
        guarded=kind in ("numbers", "words") and style != "compact" and draw.chance(0.15),
    )


def draw_arguments(draw: Draw, program: Program) -> tuple[Any, ...]:
    """Arguments for one call; mostly such that something comes of it."""
    arguments = _arguments(draw, program)
    for _ in range(3):
        if program.run(arguments) not in _NOTHINGS or draw.chance(0.2):
            break
        arguments = _arguments(draw, program)
    return arguments


def _arguments(draw: Draw, program: Program) -> tuple[Any, ...]:
    kind = program.kind
    if kind == "numbers":
        return (draw_numbers(draw, negative=any(step.name in _SIGNED for step in program.steps)),)
    if kind == "words":
        return (draw.some(WORDS, draw.between(2, 4)),)
    if kind == "text":
        return (draw.one(WORDS),)
    if kind == "pair":
        return (draw.between(0, 12), draw.between(0, 12))
    if any(step.name in _SIGNED for step in program.steps):
        return (draw.between(-9, 20),)
    return (draw.between(0, 20),)


def draw_numbers(draw: Draw, *, negative: bool = False) -> list[int]:
    """A short list of small numbers."""
    low = -9 if negative else 0
    return [draw.between(low, 9 if draw.chance(0.6) else 20) for _ in range(draw.between(2, 5))]


def distinct_compositions(kind: Kind) -> int:
    """How many compositions of this kind there are, constants left out, by enumerating the patterns."""
    if kind in ("numbers", "words"):
        return sum(_count_pattern(pattern, "ints" if kind == "numbers" else "strs") for pattern in set(_PATTERNS))
    ints, strs = len(CHANGE["ints"]), len(CHANGE["strs"]) - 1
    if kind == "branch":
        return len(KEEP["ints"]) * ints * (ints - 1)
    if kind == "pair":
        return len(COMBINE) * (1 + ints + ints * (ints - 1))
    width, ends = (strs, len(SCALAR_FINISH["str"])) if kind == "text" else (ints, len(SCALAR_FINISH["int"]))
    return sum(width * (width - 1) ** (n - 1) * (1 + ends) for n in (1, 2)) + width * (width - 1) ** 2 + ends


def _count_pattern(pattern: str, shape: str) -> int:
    """Compositions of one pattern: paths through its roles that ``_list_steps`` would not turn down."""
    paths: list[tuple[tuple[str, ...], str]] = [((), shape)]
    for role in pattern:
        grown: list[tuple[tuple[str, ...], str]] = []
        for names, now in paths:
            for name, after in _named(role, now):
                grown.append(((*names, name), after))
        paths = grown
    return sum(1 for names, _ in paths if _sensible(names))


def _named(role: str, shape: str) -> list[tuple[str, str]]:
    """(name, shape after it) of each primitive that a role offers."""
    table: dict[str, tuple[Maker, ...]] = {"K": KEEP[shape], "C": CHANGE[shape], "A": ARRANGE, "F": FINISH[shape]}
    names = [maker.__name__.removeprefix("_") for maker in table[role]]
    return [(name, "ints" if name == "length" else shape) for name in names]


def _sensible(names: tuple[str, ...]) -> bool:
    """Whether every step makes a difference: no order is made that the end does not see, nothing is done twice."""
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
    """Whether a step asks for what another has just taken away: signs after ``abs``, small letters after ``upper``."""
    if "absolute" in names and _SIGNED_KEEPS & set(names):
        return True
    cased = min((here for here, name in enumerate(names) if name in _CASES), default=len(names))
    return any(name in _SEE_LETTERS for name in names[cased:])


_SEE_ORDER = frozenset({"first", "last", "skip", "alternate", "join", "longest", "shortest"})
_SHORTENS = frozenset({"head", "tail", "backwards"})
_FILTERS = frozenset(
    "even odd positive negative above below multiple differs longer shorter starts ends contains".split()
)
_CASES = frozenset({"upper", "capital"})
_SEE_LETTERS = frozenset({"starts", "ends", "contains", "includes", "opens", "occurrences", "swap"})
_SIGNED_KEEPS = frozenset({"positive", "negative"})
_SIGNED = _SIGNED_KEEPS | {"absolute", "largest", "smallest", "negate"}


def _list_steps(draw: Draw, start: Shape) -> tuple[Step, ...] | None:
    shape = start
    steps: list[Step] = []
    for role in draw.one(_PATTERNS):
        if role == "A":
            steps.append(draw.one(ARRANGE)(draw))
            continue
        step = draw.one({"K": KEEP, "C": CHANGE, "F": FINISH}[role][shape])(draw)
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
    names = [step.name for step in steps]
    if any(before == after for before, after in pairwise(names)) or _blind(names) or ("initial" in names and _SHORTENS & set(names)):
        return None
    return tuple(steps)


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


def _name(draw: Draw, kind: Kind, steps: tuple[Step, ...], theme: Theme) -> str:
    """A function's name: mostly what it does, sometimes nothing in particular."""
    if draw.chance(0.25):
        return draw.one(_GENERIC_NAMES)
    if kind == "branch":
        condition, then, otherwise = steps
        return f"{then.slug}_if_{condition.slug}" if draw.chance(0.5) else f"{then.slug}_or_{otherwise.slug}"
    verbs = [step.slug for step in steps if step.role != "keep"]
    subject = theme.parameters[0] if kind in ("numbers", "words") else ""
    for step in steps:
        if step.role == "keep":
            subject = f"{subject}_{step.slug}" if step.en.startswith(" ") else f"{step.slug}_{subject}"
    if not verbs:
        return f"keep_{subject}" if draw.chance(0.6) else subject
    name = "_and_".join(verbs)
    full = f"{name}_{subject}" if subject else name
    return full if len(full) <= 28 and (not subject or draw.chance(0.7)) else name
