"""Programs of the school: their code runs, means what it says, and is laid out as a formatter would."""

from __future__ import annotations

import ast
import doctest
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bottega.data.records import Document
from bottega.data.school.composition import Program, draw_program
from bottega.data.school.describing import describe
from bottega.data.school.draw import Draw
from bottega.data.school.programs import calls
from bottega.data.school.registry import PARTS, world
from bottega.data.school.rendering import assertion, body, function
from bottega.data.school.sequences import distinct_compositions
from bottega.data.school.world import Split

PROGRAMS = ("programs-en", "programs-zh")
TRACES = ("traces-en", "traces-zh")


def text(part: str, split: Split, index: int, seed: int = 0) -> str:
    record = PARTS[part].item(world(seed), split, index)
    assert isinstance(record, Document)
    return record.text


def source_of(document: str) -> str:
    """The Python of a document, without what follows at the interpreter's prompt."""
    return document.split("\n\n>>> ")[0] + "\n" if "\n\n>>> " in document else document


def drawn(n: int, split: Split = "train", seed: int = 0) -> list[Program]:
    return [draw_program(Draw(world(seed), "test", split, i)) for i in range(n)]


@pytest.mark.parametrize("split", ["train", "heldout"])
@pytest.mark.parametrize("part", PROGRAMS)
def test_the_tests_of_six_thousand_programs_pass(part: str, split: Split) -> None:
    asserted = 0
    for index in range(6000):
        source = source_of(text(part, split, index))
        exec(compile(source, f"{part}:{index}", "exec"), {"print": lambda *_: None})
        asserted += source.count("\nassert ")
    assert asserted > 800


@pytest.mark.parametrize("part", PROGRAMS)
def test_the_examples_of_docstrings_and_sessions_give_what_is_shown(part: str) -> None:
    parser, runner = doctest.DocTestParser(), doctest.DocTestRunner(verbose=False)
    shown = 0
    for index in range(800):
        document = text(part, "train", index)
        names: dict[str, object] = {"print": lambda *_: None}
        exec(compile(source_of(document), "document", "exec"), names)
        prompt = document.partition("\n\n>>> ")[1:]
        docstring = ast.get_docstring(ast.parse(source_of(document)).body[0]) or ""  # type: ignore[arg-type]
        for examples in (docstring, "".join(prompt)):
            test = parser.get_doctest(examples, dict(names), f"{part}:{index}", None, 0)
            shown += len(test.examples)
            assert runner.run(test).failed == 0
    assert shown > 400


def test_a_program_computes_what_its_code_computes_in_every_style() -> None:
    for index, program in enumerate(drawn(1500)):
        draw = Draw(world(0), "arguments", "train", index)
        names: dict[str, object] = {}
        exec(function(program), names)
        for arguments in calls(draw, program, 3):
            before = repr(arguments)
            assert names[program.name](*arguments) == program.run(arguments)  # type: ignore[operator]
            assert repr(arguments) == before  # the arguments are left as they were


def test_a_guarded_program_gives_for_an_empty_list_what_the_unguarded_one_gives() -> None:
    guarded = [program for program in drawn(2000) if program.guarded]
    assert len(guarded) > 50
    for program in guarded:
        names: dict[str, object] = {}
        exec(function(program), names)
        assert names[program.name]([]) == program.run(([],))  # type: ignore[operator]


@pytest.mark.parametrize("part", TRACES)
def test_scripts_print_what_their_comments_say(part: str) -> None:
    printed_lines = 0
    for index in range(600):
        document = text(part, "train", index)
        out: list[str] = []
        exec(
            compile(document, f"{part}:{index}", "exec"),
            {"print": lambda value, out=out: out.append(str(value))},
        )
        expected = [line.split("  # ")[1] for line in document.splitlines() if line.startswith("print(")]
        assert out == expected
        printed_lines += len(expected)
    assert printed_lines > 400


@pytest.mark.parametrize("part", TRACES)
def test_every_sum_in_a_comment_is_right(part: str) -> None:
    sums = 0
    for index in range(600):
        for line in text(part, "train", index).splitlines():
            comment = line.partition("# ")[2] or (line if re.match(r"\d+ [+*-] \d+ = ", line) else "")
            for piece in comment.replace("：", ":").split(": "):
                left, equals, right = piece.rpartition(" = ")
                if equals and left[:1].isdigit() and "=" not in left:
                    sums += 1
                    assert eval(left) == int(right)
    assert sums > 1000


def test_every_style_and_kind_of_program_comes_up() -> None:
    programs = drawn(2000)
    assert {program.kind for program in programs} == {"numbers", "words", "text", "number", "pair", "branch"}
    assert {program.style for program in programs} == {"compact", "steps", "loop"}
    bodies = "\n".join(line for program in programs for line in body(program))
    for phrase in (
        "    for ",
        "if not ",
        " for ",
        ".append(",
        "sum(",
        "sorted(",
        "[::-1]",
        ".upper()",
        "else:",
    ):
        assert phrase in bodies


def test_held_out_programs_are_compositions_that_training_never_shows() -> None:
    train = {program.key for program in drawn(6000)}
    heldout = {program.key for program in drawn(1500, "heldout")}
    assert len(heldout) > 300
    assert not train & heldout
    assert all(len(key) > 3 for key in heldout)  # at least two primitives


def test_every_primitive_of_a_held_out_program_is_seen_in_training() -> None:
    seen = {name for program in drawn(6000) for name in program.key[2:]}
    assert {name for program in drawn(1500, "heldout") for name in program.key[2:]} <= seen


def test_another_world_holds_other_compositions_out() -> None:
    here = {program.key for program in drawn(1500, "heldout", seed=0)}
    there = {program.key for program in drawn(1500, "heldout", seed=1)}
    assert len(here & there) < 0.4 * len(here)


def test_the_counted_compositions_are_all_that_come_up() -> None:
    for kind, n in (("pair", 9000), ("branch", 9000)):
        found = {
            draw_program(Draw(world(0), kind, split, index), (kind,)).key  # type: ignore[arg-type]
            for split, tries in (("train", n), ("heldout", n // 4))
            for index in range(tries)
        }
        counted = distinct_compositions(world(0), kind)  # type: ignore[arg-type]
        assert 0.9 * counted < len(found) <= counted


def test_documents_are_valid_and_fit_a_context_of_256_tokens() -> None:
    for part in (*PROGRAMS, *TRACES):
        for index in range(500):
            document = text(part, "train", index)
            ast.parse(source_of(document))
            assert len(document) < 900
            assert document.endswith("\n") and not document.endswith("\n\n")


def _format_check(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        "-m",
        "ruff",
        "format",
        "--isolated",
        "--check",
        "--line-length=88",
        str(folder),
    ]
    return subprocess.run(command, capture_output=True, text=True)


def test_programs_are_laid_out_as_ruff_lays_them_out(tmp_path: Path) -> None:
    for part in (*PROGRAMS, *TRACES):
        for index in range(120):
            (tmp_path / f"{part}-{index}.py").write_text(source_of(text(part, "train", index)), "utf-8")
    result = _format_check(tmp_path)
    assert result.returncode == 0, result.stdout[:2000]


def test_annotations_are_right(tmp_path: Path) -> None:
    programs = [program for program in drawn(600) if program.annotated]
    assert len(programs) > 150
    lines = []
    for index, program in enumerate(programs):
        lines += [
            function(program).replace(f"def {program.name}(", f"def {program.name}_{index}(", 1),
            "",
            "",
        ]
    module = tmp_path / "typed.py"
    module.write_text("\n".join(lines), "utf-8")
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--config-file=",
        "--cache-dir",
        str(tmp_path),
        str(module),
    ]
    result = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert result.returncode == 0, result.stdout[:2000]


def test_sentences_read_like_sentences() -> None:
    for index, program in enumerate(drawn(1500)):
        draw = Draw(world(0), "sentences", "train", index)
        english, chinese = describe(draw, program, "en"), describe(draw, program, "zh")
        assert english[0].isupper() and english.endswith(".") and "  " not in english
        assert chinese.endswith("。") and " " not in chinese.replace(program.name, "")
        for sentence in (english, chinese):
            assert not set(sentence) & set("@#~$")
        assert all(word not in english for word in ("each it ", "the the", " ones ones", " ."))


def test_a_wrong_program_fails_its_tests() -> None:
    """The tests can tell: a body that returns its argument passes few of them."""
    passed = 0
    programs = [program for program in drawn(300) if program.kind in ("numbers", "words")]
    for index, program in enumerate(programs):
        draw = Draw(world(0), "wrong", "train", index)
        names: dict[str, object] = {program.name: lambda values: values}
        try:
            for arguments in calls(draw, program, 4):
                exec(assertion(program, arguments), names)
            passed += 1
        except AssertionError:
            pass
    assert passed < 0.12 * len(programs)
