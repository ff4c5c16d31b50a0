"""Conversations about code: write, run by head, complete, explain, mend, document and trace."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from bottega.data.records import Conversation, Message, Origin
from bottega.data.school import code_requests as ask
from bottega.data.school.composition import (
    THEMES,
    Program,
    draw_arguments,
    draw_program,
)
from bottega.data.school.describing import describe
from bottega.data.school.draw import Draw
from bottega.data.school.gaps import draw_bug, draw_gap
from bottega.data.school.phrasing import phrase
from bottega.data.school.programs import LICENCE, calls
from bottega.data.school.registry import Language, Part, register_part
from bottega.data.school.rendering import assertion, call, function
from bottega.data.school.sequences import distinct_compositions
from bottega.data.school.sums import may_show
from bottega.data.school.traces import loop_program, trace_lines
from bottega.data.school.world import Split, World

Turn = tuple[str, str]  # what is asked, what is answered


def call_form(program: Program) -> str:
    """The function as a request names it: ``total(numbers)``."""
    return f"{program.name}({', '.join(program.theme.parameters)})"


def printing(draw: Draw, program: Program, language: Language, n: int) -> tuple[str, str]:
    """A program that prints ``n`` calls, and its output."""
    document = [describe(draw, program, language)] if draw.chance(0.3) else None
    shown = calls(draw, program, n)
    lines = [f"print({call(program, arguments)})" for arguments in shown]
    output = "\n".join(str(program.run(arguments)) for arguments in shown)
    return "\n".join([function(program, document), "", "", *lines]), output


def write_request(draw: Draw, program: Program, language: Language, unseen: bool | None = None) -> str:
    """A request for the program."""
    sentence = describe(draw, program, language)
    return phrase(draw, ask.WRITE[language], unseen=unseen).format(f=call_form(program), s=sentence)


def output_request(draw: Draw, code: str, language: Language, unseen: bool | None = None) -> str:
    """A request for what the code prints."""
    return phrase(draw, ask.OUTPUT[language], unseen=unseen).format(code=code)


def _write(draw: Draw, language: Language) -> Turn:
    program = draw_program(draw)
    return write_request(draw, program, language), function(program)


def _output(draw: Draw, language: Language) -> Turn:
    program = draw_program(draw)
    code, output = printing(draw, program, language, draw.one((1, 1, 1, 2)))
    return output_request(draw, code, language), output


def _fill(draw: Draw, language: Language) -> Turn:
    gap = draw_gap(draw, language)
    return phrase(draw, ask.FILL[language]).format(
        code=f"{gap.before}{gap.indent}...{gap.after.rstrip()}"
    ), gap.line


def _fix(draw: Draw, language: Language) -> Turn:
    bug = draw_bug(draw, language)
    return phrase(draw, ask.FIX[language]).format(code=bug.source), bug.right


def _explain(draw: Draw, language: Language) -> Turn:
    program = draw_program(draw)
    return phrase(draw, ask.EXPLAIN[language]).format(code=function(program)), describe(
        draw, program, language
    )


def _document(draw: Draw, language: Language) -> Turn:
    program = draw_program(draw)
    sentence = describe(draw, program, language)
    return phrase(draw, ask.DOCUMENT[language]).format(code=function(program)), function(program, [sentence])


def _shorten(draw: Draw, language: Language) -> Turn:
    while True:
        program = draw_program(draw, ("numbers", "words"), ("loop",))
        short = _compacted(program)
        if "    for " in function(program) and "    for " not in short:
            return phrase(draw, ask.SHORTEN[language]).format(code=function(program)), short


def _compacted(program: Program) -> str:
    return function(replace(program, style="compact", guarded=False))


def _trace(draw: Draw, language: Language) -> Turn:
    while True:
        program = loop_program(draw)
        (numbers,) = draw_arguments(draw, program)
        rounds = "\n".join(trace_lines(program, numbers))
        if may_show(draw, rounds):
            break
    request = phrase(draw, ask.TRACE[language]).format(call=call(program, (numbers,)), code=function(program))
    return request, rounds


def _test(draw: Draw, language: Language) -> Turn:
    program = draw_program(draw)
    request = phrase(draw, ask.TEST[language]).format(code=function(program))
    return request, assertion(program, draw_arguments(draw, program))


_TURNS: tuple[Callable[[Draw, Language], Turn], ...] = (
    _write,
    _write,
    _write,
    _write,
    _output,
    _output,
    _output,
    _fill,
    _fill,
    _fix,
    _fix,
    _explain,
    _document,
    _shorten,
    _trace,
    _trace,
    _test,
)


def _item(name: str, language: Language) -> Callable[[World, Split, int], Conversation]:
    def item(world: World, split: Split, index: int) -> Conversation:
        draw = Draw(world, name, split, index, language)
        request, answer = draw.one(_TURNS)(draw, language)
        turns = (Message("user", request), Message("assistant", answer))
        return Conversation(turns, Origin(f"school:{name}", str(index), LICENCE))

    return item


def distinct_conversations(world: World) -> int:
    """Requests to write alone: compositions by theme, style and phrasing; constants come on top."""
    programs = sum(distinct_compositions(world, kind) * len(themes) * 3 for kind, themes in THEMES.items())
    return programs * len(ask.WRITE["en"])


_LANGUAGES: tuple[tuple[Language, str], ...] = (("en", "English"), ("zh", "Chinese"))
for _language, _what in _LANGUAGES:
    register_part(
        Part(
            f"code-instructions-{_language}",
            "conversations",
            f"requests about programs in {_what}: write, run by head, complete, mend, explain, trace",
            _item(f"code-instructions-{_language}", _language),
            distinct_conversations,
        )
    )
