"""Conversations and cases about code: right answers, splits apart, items that depend on their index alone."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys

import pytest

from bottega.data.records import Conversation, Document, Prompt
from bottega.data.school import code_requests
from bottega.data.school.draw import Draw
from bottega.data.school.gaps import draw_bug, draw_gap, equivalents
from bottega.data.school.phrasing import UNSEEN
from bottega.data.school.registry import PARTS, TASKS, Language, world
from bottega.data.school.world import Split

MINE = [
    f"{part}-{language}"
    for part in ("programs", "traces", "arithmetic-prose", "reasoning", "code-instructions")
    for language in ("en", "zh")
]
LISTS = ("WRITE", "OUTPUT", "FILL", "EXPLAIN", "FIX", "DOCUMENT", "SHORTEN", "TRACE", "TEST")


def words_of(part: str, split: Split, index: int, seed: int = 0) -> str:
    record = PARTS[part].item(world(seed), split, index)
    if isinstance(record, Document):
        return record.text
    assert isinstance(record, Conversation)
    return "\n".join(message.content for message in record.messages)


def printed(source: str) -> str:
    out: list[str] = []
    exec(source, {"print": lambda value: out.append(str(value))})
    return "\n".join(out)


def outcome(source: str, tests: str) -> bool:
    try:
        exec(source + "\n" + tests, {})
    except AssertionError:
        return False
    return True


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_lines_that_fill_gaps_and_mend_bugs_do_what_the_docstring_says(language: Language) -> None:
    for index in range(300):
        draw = Draw(world(0), "gap", "train", index, language)
        gap = draw_gap(draw, language)
        outputs = set()
        for line in gap.accepted:
            names: dict[str, object] = {}
            exec(gap.before + gap.indent + line + gap.after, names)
            outputs.add(len(names))
        assert gap.line in gap.accepted and outputs
        bug = draw_bug(draw, language)
        assert bug.wrong != bug.right
        exec(bug.source, {})
        exec(bug.source.replace(bug.wrong, bug.right, 1), {})


def test_equals_of_a_line_are_equal() -> None:
    assert equivalents("total += x * 2") == (
        "total += x * 2",
        "total = total + x * 2",
        "total += 2 * x",
        "total += x + x",
        "total = total + 2 * x",
        "total = total + x + x",
    )
    for line in (
        "result = x * x",
        "kept = [x for x in xs if x % 2 == 1]",
        "ordered = xs[::-1]",
        "y = min(x, 7)",
    ):
        for other in equivalents(line)[1:]:
            for x in (-3, 0, 4, 9):
                left: dict[str, object] = {"x": x, "xs": [x, 1, 2]}
                right: dict[str, object] = {"x": x, "xs": [x, 1, 2]}
                exec(line, left)
                exec(other, right)
                left.pop("__builtins__"), right.pop("__builtins__")
                assert left == right


@pytest.mark.parametrize("task", ["code-output-en", "code-output-rephrased-en", "code-output-zh"])
def test_the_output_asked_for_is_what_the_program_prints(task: str) -> None:
    for prompt in TASKS[task].cases(world(0), 150):
        request = prompt.messages[0].content
        code = "\n\n".join(
            part for part in request.split("\n\n") if part.startswith(("def ", "\nprint", "print"))
        )
        assert printed(code) == prompt.check.accepted[0]


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_output_at_the_prompt_is_what_the_interpreter_shows(language: Language) -> None:
    for prompt in TASKS[f"program-output-{language}"].cases(world(0), 200):
        source, first, last = (
            prompt.messages[0].content.split("\n\n>>> ")[0],
            *prompt.messages[0].content.split(">>> ")[-2:],
        )
        names: dict[str, object] = {}
        exec(source, names)
        call, shown = first.rstrip("\n").split("\n")
        assert repr(eval(call, names)) == shown
        assert (
            repr(eval(last, names)) == prompt.check.accepted[0] != shown
        )  # copying the first output is wrong


@pytest.mark.parametrize("language", ["en", "zh"])
def test_programs_to_be_written_have_tests_that_a_right_body_passes_and_an_empty_one_fails(
    language: Language,
) -> None:
    for prompt in TASKS[f"programs-{language}"].cases(world(0), 150):
        head = prompt.messages[0].content
        assert head.startswith("def ") and head.endswith('"""\n')
        assert prompt.check.tests.count("assert ") == 5
        compile(head + "    return 0\n" + prompt.check.tests, "case", "exec")
        assert not outcome(head + "    return None\n", prompt.check.tests)


def test_what_a_conversation_says_a_program_prints_is_what_it_prints() -> None:
    asked = 0
    for index in range(600):
        record = PARTS["code-instructions-en"].item(world(0), "train", index)
        assert isinstance(record, Conversation)
        request, answer = record.messages[0].content, record.messages[1].content
        if "\nprint(" in request:
            code = "\n\n".join(p for p in request.split("\n\n") if p.startswith(("def ", "\nprint", "print")))
            assert printed(code) == answer
            asked += 1
        elif answer.startswith("def "):
            compile(answer, "answer", "exec")
    assert asked > 60


@pytest.mark.parametrize("name", LISTS)
def test_phrasings_are_many_different_and_some_are_never_trained_on(name: str) -> None:
    for phrasings in getattr(code_requests, name).values():
        assert len(phrasings) >= 8
        assert len(set(phrasings)) == len(phrasings)
    unseen = getattr(code_requests, name)["en"][-UNSEEN:]
    marks = [
        max(phrase.replace("{code}", "").replace("{s}", "").strip().split("{"), key=len).strip()
        for phrase in unseen
    ]
    for index in range(800):
        text = words_of("code-instructions-en", "train", index)
        assert not any(mark in text for mark in marks if len(mark) > 20)


@pytest.mark.parametrize("part", MINE)
def test_items_are_functions_of_their_index_alone(part: str) -> None:
    forwards = [words_of(part, "train", index) for index in range(30)]
    backwards = [words_of(part, "train", index) for index in reversed(range(30))]
    assert forwards == backwards[::-1]
    assert forwards != [words_of(part, "train", index, seed=1) for index in range(30)]


def test_items_are_the_same_in_another_process_with_another_hash_seed() -> None:
    program = (
        "import hashlib\n"
        "import bottega.data.school\n"
        "from bottega.data.school.registry import PARTS, TASKS, world\n"
        f"digest = hashlib.sha256()\nfor part in {MINE!r}:\n"
        "    for i in range(40):\n"
        "        digest.update(repr(PARTS[part].item(world(3), 'train', i)).encode())\n"
        "        digest.update(repr(PARTS[part].item(world(3), 'heldout', i)).encode())\n"
        "digest.update(repr(TASKS['programs-en'].cases(world(3), 20)).encode())\n"
        "print(digest.hexdigest())\n"
    )
    runs = [
        subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)},
        ).stdout
        for seed in ("1", "2")
    ]
    assert runs[0] == runs[1] and len(runs[0].strip()) == 64


@pytest.mark.parametrize("part", MINE)
def test_held_out_items_are_not_training_items(part: str) -> None:
    train = {hashlib.sha256(words_of(part, "train", index).encode()).digest() for index in range(2500)}
    heldout = {hashlib.sha256(words_of(part, "heldout", index).encode()).digest() for index in range(500)}
    assert not train & heldout
    assert len(train) > 2350 and len(heldout) > 450  # hardly an item comes twice


def test_cases_grow_by_appending() -> None:
    for name in ("programs-en", "program-fill-zh", "reasoning-steps-en", "code-fix-en"):
        few, many = TASKS[name].cases(world(0), 5), TASKS[name].cases(world(0), 12)
        assert many[:5] == few
        assert all(isinstance(prompt, Prompt) for prompt in many)


def test_floor_examples_are_of_the_training_split() -> None:
    for name in (
        "program-output-en",
        "code-output-zh",
        "code-fix-en",
        "program-fill-en",
        "reasoning-steps-zh",
    ):
        task = TASKS[name]
        assert task.floor_examples is not None
        asked = {"...".join(m.content for m in prompt.messages) for prompt in task.cases(world(0), 200)}
        examples = task.floor_examples(world(0), 200)
        assert len(examples) == 200
        assert not asked & {question for question, _ in examples}
