"""Documents of code: a small function with docstring, examples and tests, or at the interpreter's prompt."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bottega.data.records import Document, Origin
from bottega.data.school.composition import (
    THEMES,
    Program,
    draw_arguments,
    draw_program,
)
from bottega.data.school.describing import describe
from bottega.data.school.draw import Draw
from bottega.data.school.registry import Language, Part, register_part
from bottega.data.school.rendering import WIDTH, assertion, call, function
from bottega.data.school.sequences import distinct_compositions
from bottega.data.school.world import Split, World

LICENCE = "Apache-2.0"
_LONGEST = (1, 1, 2, 2, 3, 3, 3, 3)  # of how many steps a training program may be at most


def calls(draw: Draw, program: Program, n: int) -> list[tuple[Any, ...]]:
    """Arguments of up to ``n`` different calls, at least one, whose assertions fit a line."""
    found: list[tuple[Any, ...]] = []
    for _ in range(4 * n):
        arguments = draw_arguments(draw, program)
        if arguments not in found and len(assertion(program, arguments)) <= WIDTH:
            found.append(arguments)
            if len(found) == n:
                break
    return found or [(arguments[0][:1], *arguments[1:])]  # only lists and texts grow too long


def session(program: Program, arguments: tuple[Any, ...]) -> list[str]:
    """A call and its output, as the interpreter shows them."""
    return [f">>> {call(program, arguments)}", repr(program.run(arguments))]


def _program_text(draw: Draw, language: Language) -> str:
    """One program. Half are of one step or two, so that the words are learnt before their compositions."""
    program = draw_program(draw, longest=draw.one(_LONGEST) if not draw.heldout else None)
    sentence = describe(draw, program, language)
    layout = draw.below(20)
    if layout < 9:  # a docstring with an example
        (shown,) = calls(draw, program, 1)
        return function(program, [sentence, "", *session(program, shown)]) + "\n"
    if layout < 10:  # a docstring alone
        return function(program, [sentence]) + "\n"
    if layout < 17:  # the function, then the interpreter's prompt
        lines = [function(program, [sentence] if layout < 15 else None), ""]
        for arguments in calls(draw, program, 2):
            lines.extend(session(program, arguments))
        return "\n".join(lines) + "\n"
    if layout < 19:  # a docstring, then tests
        tests = [assertion(program, arguments) for arguments in calls(draw, program, draw.between(1, 3))]
        return "\n".join([function(program, [sentence]), "", "", *tests]) + "\n"
    prints = [printed(program, arguments) for arguments in calls(draw, program, 2)]
    return "\n".join([f"# {sentence}", function(program), "", "", *prints]) + "\n"


def printed(program: Program, arguments: tuple[Any, ...]) -> str:
    """A line that prints a call's value, with what it prints."""
    shown = str(program.run(arguments)) or "(empty)"
    return f"print({call(program, arguments)})  # {shown}"


def _item(language: Language) -> Callable[[World, Split, int], Document]:
    name = f"programs-{language}"

    def item(world: World, split: Split, index: int) -> Document:
        draw = Draw(world, name, split, index, language)
        return Document(_program_text(draw, language), Origin(f"school:{name}", str(index), LICENCE))

    return item


def distinct_programs(world: World) -> int:
    """Compositions by theme and style; constants, names, layouts and arguments come on top."""
    return sum(distinct_compositions(world, kind) * len(themes) * 3 for kind, themes in THEMES.items())


_LANGUAGES: tuple[tuple[Language, str], ...] = (("en", "English"), ("zh", "Chinese"))
for _language, _what in _LANGUAGES:
    register_part(
        Part(
            f"programs-{_language}",
            "documents",
            f"Python functions with {_what} docstrings, examples and tests",
            _item(_language),
            distinct_programs,
        )
    )
