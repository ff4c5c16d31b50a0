"""Held-out cases about programs: write them, run them by head, fill in a line; in completion and in chat."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bottega.data.records import Check, Message, Origin, Prompt
from bottega.data.school.code_requests import FIX
from bottega.data.school.code_talk import output_request, printing, write_request
from bottega.data.school.composition import Program, draw_arguments, draw_program
from bottega.data.school.describing import describe
from bottega.data.school.draw import Draw
from bottega.data.school.gaps import draw_bug, draw_gap, equivalents
from bottega.data.school.phrasing import phrase
from bottega.data.school.programs import LICENCE, session
from bottega.data.school.registry import Cases, EvalTask, FloorExamples, Language, register_task
from bottega.data.school.rendering import assertion, call, function, signature
from bottega.data.school.world import World

Case = Callable[[Draw, Language], Prompt]
TESTS = 5  # assertions that a written program must pass
_ROUNDS = 60


def asked_program(draw: Draw, n: int) -> tuple[Program, list[tuple[Any, ...]]]:
    """A held-out program and arguments of ``n`` different calls, the last with a value of its own."""
    while True:
        program = draw_program(draw)
        found: list[tuple[Any, ...]] = []
        for _ in range(_ROUNDS):
            arguments = draw_arguments(draw, program)
            if arguments in found:
                continue
            if len(found) + 1 == n and any(_same(program, arguments, earlier) for earlier in found):
                continue
            found.append(arguments)
            if len(found) == n:
                return program, found


def _same(program: Program, arguments: tuple[Any, ...], others: tuple[Any, ...]) -> bool:
    return repr(program.run(arguments)) == repr(program.run(others))


def _tests(program: Program, calls: list[tuple[Any, ...]]) -> Check:
    return Check("tests", tests="".join(f"{assertion(program, arguments)}\n" for arguments in calls))


def _prompt(text: str, check: Check) -> Prompt:
    return Prompt((Message("user", text),), check)


def _program(draw: Draw, language: Language) -> Prompt:
    """Signature, docstring and an example; the program is the prompt and its completion, the body."""
    program, (shown, *tested) = asked_program(draw, TESTS + 1)
    sentence = describe(draw, program, language)
    head = [signature(program), f'    """{sentence}', ""]
    head += [f"    {line}" for line in session(program, shown)] + ['    """', ""]
    return _prompt("\n".join(head), _tests(program, tested))


def _output(draw: Draw, language: Language) -> Prompt:
    """A function, one call with its output, and a call whose output is asked for."""
    program, (shown, asked) = asked_program(draw, 2)
    document = [describe(draw, program, language)] if draw.chance(0.66) else None
    lines = [function(program, document), "", *session(program, shown), f">>> {call(program, asked)}", ""]
    return _prompt("\n".join(lines), Check("exact", (repr(program.run(asked)),)))


def _fill(draw: Draw, language: Language) -> Prompt:
    gap = draw_gap(draw, language)
    return Prompt((Message("user", gap.before), Message("user", gap.after)), Check("exact", gap.accepted))


def _chat_write(unseen: bool) -> Case:
    def case(draw: Draw, language: Language) -> Prompt:
        program, tested = asked_program(draw, TESTS)
        return _prompt(write_request(draw, program, language, unseen), _tests(program, tested))

    return case


def _chat_output(unseen: bool) -> Case:
    def case(draw: Draw, language: Language) -> Prompt:
        code, output = printing(draw, draw_program(draw), language, 1)
        return _prompt(output_request(draw, code, language, unseen), Check("exact", (output,)))

    return case


def _chat_fix(draw: Draw, language: Language) -> Prompt:
    bug = draw_bug(draw, language)
    request = phrase(draw, FIX[language], unseen=False).format(code=bug.source)
    return _prompt(request, Check("exact", equivalents(bug.right)))


def _cases(name: str, language: Language, case: Case) -> Cases:
    def cases(world: World, n: int) -> list[Prompt]:
        prompts = []
        for index in range(n):
            prompt = case(Draw(world, f"cases/{name}", "heldout", index, language), language)
            prompts.append(
                Prompt(prompt.messages, prompt.check, Origin(f"school:{name}", str(index), LICENCE))
            )
        return prompts

    return cases


def _floor(name: str, language: Language, case: Case) -> FloorExamples:
    def examples(world: World, n: int) -> list[tuple[str, str]]:
        found = []
        for index in range(n):
            prompt = case(Draw(world, f"cases/{name}", "train", index, language), language)
            question = "...".join(message.content for message in prompt.messages)
            found.append((question, prompt.check.accepted[0]))
        return found

    return examples


_LANGUAGES: tuple[tuple[Language, str], ...] = (("en", "English"), ("zh", "Chinese"))
for _language, _what in _LANGUAGES:
    for _task, _mode, _case, _description in (
        ("programs", "completion", _program, f"write the body under a signature and a {_what} docstring"),
        (
            "program-output",
            "completion",
            _output,
            f"the output of a call of a function, documented in {_what} or not",
        ),
        ("program-fill", "fill", _fill, f"the missing line of a function documented in {_what}"),
        ("code-write", "chat", _chat_write(False), f"write the function that is asked for in {_what}"),
        ("code-write-rephrased", "chat", _chat_write(True), "the same, asked for in words never seen"),
        ("code-output", "chat", _chat_output(False), f"say what a program prints, asked in {_what}"),
        ("code-output-rephrased", "chat", _chat_output(True), "the same, asked for in words never seen"),
        ("code-fix", "chat", _chat_fix, f"the corrected line of a function with a bug, asked for in {_what}"),
    ):
        _name = f"{_task}-{_language}"
        _programs = "write" in _task or _task == "programs"
        register_task(
            EvalTask(
                _name,
                _mode,  # type: ignore[arg-type]
                _language,
                f"{_description}; compositions of steps never seen",
                _cases(_name, _language, _case),
                None if _programs else _floor(_name, _language, _case),
                stop="\n\n" if _task == "programs" else "\n",
                programs=_programs,
            )
        )
