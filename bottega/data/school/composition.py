"""Programs as compositions of primitive steps: what they compute, and which of them training never shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from bottega.data.school.draw import Draw
from bottega.data.school.nouns import NOUNS
from bottega.data.school.primitives import Step
from bottega.data.school.sequences import Kind, draw_steps

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
    "pair": (
        Theme(("a", "b"), "a", "数"),
        Theme(("x", "y"), "x", "数"),
        Theme(("first", "second"), "first", "数"),
    ),
    "branch": (Theme(("n",), "n", "数"), Theme(("number",), "number", "数"), Theme(("x",), "x", "数")),
}
WORDS: tuple[str, ...] = tuple(
    noun.en for noun in NOUNS if noun.en.isascii() and noun.en.isalpha() and 3 <= len(noun.en) <= 6
)

_KINDS: tuple[Kind, ...] = (
    "numbers",
    "numbers",
    "numbers",
    "numbers",
    "words",
    "words",
    "words",
    "text",
    "text",
    "number",
    "pair",
    "branch",
)
_GENERIC_NAMES = [
    "solve",
    "f",
    "compute",
    "transform",
    "answer",
    "process_all",
    "run",
    "g",
    "apply_all",
    "work_out",
]
_TRIES = 400
_SIGNED = frozenset({"positive", "negative", "absolute", "largest", "smallest", "negate"})
_NOTHINGS: tuple[Any, ...] = ([], "", 0, False)


def composition_key(kind: Kind, steps: tuple[Step, ...]) -> tuple[str, ...]:
    """What tells one composition from another."""
    return ("program", kind, *(step.name for step in steps))


def draw_program(
    draw: Draw,
    kinds: tuple[Kind, ...] = _KINDS,
    styles: tuple[Style, ...] | None = None,
    longest: int | None = None,
) -> Program:
    """A program of the drawn split, of at most ``longest`` steps where that is given.

    Single primitives are all in training; held-out are compositions.
    """
    for _ in range(_TRIES):
        kind = draw.one(kinds)
        steps = draw_steps(kind, draw)
        if steps is None or (longest is not None and len(steps) > longest):
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
    if len(name) > 28:
        name = f"{verbs[0]}_and_{verbs[-1]}" if len(verbs) > 2 else verbs[-1]
    full = f"{name}_{subject}" if subject else name
    return full if len(full) <= 28 and (not subject or draw.chance(0.7)) else name
