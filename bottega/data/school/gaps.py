"""Programs with something missing or wrong: a line to fill in, a planted bug, and what counts as right."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from bottega.data.school.composition import Program, draw_program
from bottega.data.school.describing import describe
from bottega.data.school.draw import Draw
from bottega.data.school.primitives import CHANGE, KEEP
from bottega.data.school.registry import Language
from bottega.data.school.rendering import function

_IN_PLACE = re.compile(r"^(\w+) ([+*-])= (.+)$")


@dataclass(frozen=True, slots=True)
class Gap:
    """A function without one line of its body. ``line`` is that line, bare; ``accepted`` are its equals."""

    before: str  # up to and including the newline before the gap
    indent: str  # of the missing line
    after: str  # from the newline after the gap
    line: str
    accepted: tuple[str, ...]


def draw_gap(draw: Draw, language: Language) -> Gap:
    """A function with docstring of the drawn split, one telling line of its body taken out."""
    program = draw_program(draw)
    lines = function(program, [describe(draw, program, language)]).split("\n")
    telling = [here for here, line in enumerate(lines) if here > 1 and _tells(line)]
    here = draw.one(telling or [len(lines) - 1])
    line = lines[here]
    bare = line.strip()
    indent = line[: len(line) - len(bare)]
    before = "".join(f"{earlier}\n" for earlier in lines[:here])
    after = "".join(f"\n{later}" for later in lines[here + 1 :]) + "\n"
    return Gap(before, indent, after, bare, equivalents(bare))


def _tells(line: str) -> bool:
    """Whether a line does part of the work, so that the docstring determines it."""
    bare = line.strip()
    return not bare.startswith(("def ", "else", '"""')) and bare not in (
        "return result",
        "result = []",
        "total = 0",
    )


def equivalents(line: str) -> tuple[str, ...]:
    """The line and other ways to write it that do the same."""
    found = [line]
    if match := _IN_PLACE.match(line):
        name, sign, gain = match.groups()
        found.append(f"{name} = {name} {sign} {gain}")
    for form in list(found):
        for pattern, other in _SAME:
            changed = re.sub(pattern, other, form)
            if changed != form:
                found.append(changed)
    return tuple(dict.fromkeys(found))


_SAME: tuple[tuple[str, str], ...] = (
    (r"(\w+) % 2 == 1", r"\1 % 2 != 0"),
    (r"(\w+) \* \1\b", r"\1 ** 2"),
    (r"(\w+) \* \1\b", r"\1**2"),
    (r"(\w+) \* 2\b", r"2 * \1"),
    (r"(\w+) \* 2\b", r"\1 + \1"),
    (r"sum\(([^\[\]()]+ for [^()]+)\)$", r"sum([\1])"),
    (r"sorted\(([^\[\]()]+ for [^()]+)\)$", r"sorted([\1])"),
    (r"(\w+)\[::-1\]$", r"list(reversed(\1))"),
    (r"min\((\w+), (\d+)\)", r"min(\2, \1)"),
    (r"(\w+) \+ (\d+)$", r"\2 + \1"),
)


@dataclass(frozen=True, slots=True)
class Bug:
    """A function whose docstring is right and one of whose lines is not."""

    source: str
    wrong: str
    right: str


def draw_bug(draw: Draw, language: Language) -> Bug:
    """A function of the drawn split in which one step was replaced by another of its kind."""
    while True:
        program = draw_program(draw)
        broken = _broken(draw, program)
        if broken is None:
            continue
        sentence = [describe(draw, program, language)]
        right, wrong = function(program, sentence).split("\n"), function(broken, sentence).split("\n")
        if len(right) != len(wrong):
            continue
        apart = [here for here in range(len(right)) if right[here] != wrong[here]]
        if len(apart) == 1 and apart[0] > 0:
            here = apart[0]
            return Bug("\n".join(wrong), wrong[here].strip(), right[here].strip())


def _broken(draw: Draw, program: Program) -> Program | None:
    """The program with one filter or map exchanged; None where it has neither."""
    places = [here for here, step in enumerate(program.steps) if step.role in ("keep", "change")]
    if not places or program.kind == "pair":
        return None
    here = draw.one(places)
    step = program.steps[here]
    shape = "strs" if step in _string_steps(program) else "ints"
    other = draw.one((KEEP if step.role == "keep" else CHANGE)[shape])(draw)
    if other.code == step.code or other.result != step.result:
        return None
    steps = (*program.steps[:here], replace(other, local=step.local), *program.steps[here + 1 :])
    return replace(program, steps=steps)


def _string_steps(program: Program) -> list[object]:
    """The steps that work on strings."""
    found: list[object] = []
    strings = program.kind in ("words", "text")
    for step in program.steps:
        if strings:
            found.append(step)
        strings = strings and step.result != "ints"
    return found
