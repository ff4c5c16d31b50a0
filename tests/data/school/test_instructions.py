"""Instruction tasks: right answers, enough wordings, fair checks; lists by shots; dialogues."""

from __future__ import annotations

import re

import pytest

from bottega.data.school import wordings_en, wordings_zh
from bottega.data.school.asking import request
from bottega.data.school.clumsy import clumsy
from bottega.data.school.draw import Draw
from bottega.data.school.exercises import exercise, single_tasks
from bottega.data.school.floors import is_right
from bottega.data.school.instructions import FEW
from bottega.data.school.list_exercises import compositions, list_exercise
from bottega.data.school.lists import SHOTS, icl_prompt
from bottega.data.school.registry import TASKS, Language, world

BOOKS = {"en": wordings_en, "zh": wordings_zh}
TASKS_OF_BOTH = [(task, language) for language in ("en", "zh") for task in single_tasks(language)]  # type: ignore[arg-type]


def _draw(index: int, language: Language, split: str = "train") -> Draw:
    return Draw(world(5), "test", split, index, language)  # type: ignore[arg-type]


@pytest.mark.parametrize(("task", "language"), TASKS_OF_BOTH)
def test_every_task_has_twelve_clean_wordings_and_unseen_ones(task: str, language: Language) -> None:
    book = BOOKS[language]
    cores = book.SEEN[task]
    framed = set(book.FRAMES) if any(core[-1] not in "?？" for core in cores) else set(book.QUESTION_FRAMES)
    assert len(cores) * len(framed) >= 12
    assert book.UNSEEN[task] and not set(book.UNSEEN[task]) & set(cores)


@pytest.mark.parametrize(("task", "language"), TASKS_OF_BOTH)
@pytest.mark.parametrize("wording", ["few", "seen", "taught", "unseen", "clumsy"])
def test_every_task_can_be_asked_in_every_way(task: str, language: Language, wording: str) -> None:
    for i in range(30):
        draw = _draw(i, language)
        made = exercise(draw, task, language)
        asked = request(draw, made, wording)  # type: ignore[arg-type]
        assert asked and not re.search(r"\{\w*\}", asked), asked
        assert made.answer and made.answer in made.accepted
        # What the answer is made from is in the request, unharmed.
        assert made.data in asked


@pytest.mark.parametrize("language", ["en", "zh"])
def test_no_unseen_words_are_taught(language: Language) -> None:
    book = BOOKS[language]
    bare = re.compile(r"\{\w+\}|[\W_]")
    for unseen, *taught in (
        (book.UNSEEN, book.SEEN, book.MORE),
        (book.UNSEEN_FRAMES, book.FRAMES, book.MORE_FRAMES),
        (book.UNSEEN_QUESTION_FRAMES, book.QUESTION_FRAMES, book.MORE_QUESTION_FRAMES),
        (book.UNSEEN_LAYOUTS, book.LAYOUTS, book.MORE_LAYOUTS),
        (book.UNSEEN_TEXT_LAYOUTS, book.TEXT_LAYOUTS, book.MORE_TEXT_LAYOUTS),
    ):
        known = [wording for table in taught for wording in _flat(table)]
        said = [bare.sub("", wording).lower() for wording in known]
        for wording in _flat(unseen):
            words = bare.sub("", wording).lower()
            assert wording not in known
            assert not words or not any(words in one for one in said), wording
    assert set(book.MORE) <= set(book.SEEN)


def _flat(table: dict[str, tuple[str, ...]] | tuple[str, ...]) -> list[str]:
    return [one for core in table.values() for one in core] if isinstance(table, dict) else list(table)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_composition_can_be_asked(language: Language) -> None:
    for i, pair in enumerate(compositions(language)):
        draw = _draw(i, language)
        made = list_exercise(draw, pair, language)
        assert made.answer, pair
        assert "\ufffd" not in request(draw, made, "seen")


def _items(data: str) -> list[str]:
    return [item for item in re.split(r"[,;、，\s]+", data) if item]


@pytest.mark.parametrize("language", ["en", "zh"])
def test_list_answers_are_right(language: Language) -> None:
    """Told again here, from the data in the request alone."""
    mark = ", " if language == "en" else "、"
    rules = {
        "reverse": lambda x: mark.join(reversed(x)),
        "sort": lambda x: mark.join(map(str, sorted(map(int, x)))),
        "drop-first": lambda x: mark.join(x[1:]),
        "drop-last": lambda x: mark.join(x[:-1]),
        "swap": lambda x: mark.join([x[-1], *x[1:-1], x[0]]),
        "keep-two": lambda x: mark.join(x[:2]),
        "dashes": "-".join,
        "slashes": "/".join,
        "plus": "+".join,
        "json": lambda x: str(x).replace("'", '"'),
        "lines": "\n".join,
        "count": lambda x: str(len(x)),
        "first": lambda x: x[0],
        "last": lambda x: x[-1],
        "largest": lambda x: str(max(map(int, x))),
    }
    for task, rule in rules.items():
        for i in range(60):
            made = exercise(_draw(i, language), task, language)
            assert made.answer == rule(_items(made.data)), (task, made)


def test_a_composition_does_its_first_step_first() -> None:
    for i in range(60):
        made = list_exercise(_draw(i, "en"), ("sort", "first"), "en")
        assert made.answer == str(min(map(int, _items(made.data))))
        made = list_exercise(_draw(i, "en"), ("drop-first", "dashes"), "en")
        assert made.answer == "-".join(_items(made.data)[1:])


@pytest.mark.parametrize("language", ["en", "zh"])
def test_answers_about_a_text_stand_in_the_text_or_say_that_it_does_not_tell(language: Language) -> None:
    unknown = 0
    for i in range(400):
        made = exercise(_draw(i, language), "read", language)
        bare = made.accepted[1]
        if made.answer in ("The text does not say.", "文中没有说。"):
            unknown += 1
        else:
            assert bare in made.data or bare.capitalize() in made.data, made
    assert 20 < unknown < 90


def test_a_list_may_be_answered_with_other_separators() -> None:
    case = next(
        c
        for c in TASKS["instructions-seen-en"].cases(world(5), 300)
        if ", " in c.check.accepted[0] and "[" not in c.check.accepted[0]
    )
    right = case.check.accepted[0]
    assert is_right(case.check, right) and is_right(case.check, f" {right}. ")
    assert not is_right(case.check, right + ", lamp")


@pytest.mark.parametrize("language", ["en", "zh"])
def test_clumsy_requests_differ_from_clean_ones_and_keep_the_data(language: Language) -> None:
    changed = 0
    for i in range(200):
        draw = _draw(i, language)
        made = exercise(draw, "first", language)
        sentence = "Please name the first of these words." if language == "en" else "请你说出这些词的第一个。"
        spoiled = clumsy(draw, sentence, made.data)
        changed += spoiled != sentence
        assert spoiled
    assert changed > 180


def test_protected_words_are_never_misspelt() -> None:
    for i in range(200):
        spoiled = clumsy(_draw(i, "en"), "please find out where Mira put the lantern", "Mira lantern")
        assert "Mira" in spoiled and "lantern" in spoiled


def test_the_few_tasks_are_six() -> None:
    assert len(set(FEW)) == 6 and set(FEW) <= set(single_tasks("en")) & set(single_tasks("zh"))


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_same_query_is_asked_at_every_number_of_shots(language: Language) -> None:
    home = world(5)
    for i in range(60):
        prompts = {shots: icl_prompt(home, language, shots, i) for shots in SHOTS}
        longest = prompts[8].messages[0].content
        assert len({prompt.check.accepted for prompt in prompts.values()}) == 1
        for prompt in prompts.values():
            text = prompt.messages[0].content
            assert longest.endswith(text) and text == text.rstrip(" ")


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_last_example_and_the_query_are_neighbours_that_training_never_shows(language: Language) -> None:
    from tests.data.school.rooms import texts

    trained = "\n\n".join(texts(f"lists-{language}", 6000))
    for i in range(150):
        text = icl_prompt(world(5), language, 1, i).messages[0].content
        answer = icl_prompt(world(5), language, 1, i).check.accepted[0]
        gap = "" if text[-1] in "：" or text.endswith(("答：", "输出：")) else " "
        assert f"{text}{gap}{answer}\n" not in trained


@pytest.mark.parametrize("language", ["en", "zh"])
def test_one_query_has_several_possible_tasks(language: Language) -> None:
    """With no example, a word alone leaves the task open: the same word begins lists of several tasks."""
    from bottega.data.school.latent import LATENT

    home = world(5)
    tasks_of: dict[str, set[str]] = {}
    for task in LATENT[language]:
        for word, _ in task.pairs(home) if task.pairs else ():
            tasks_of.setdefault(word, set()).add(task.name)
    sizes = [len(tasks) for tasks in tasks_of.values()]
    assert sum(size >= 3 for size in sizes) / len(sizes) > 0.6


@pytest.mark.parametrize("language", ["en", "zh"])
def test_what_a_user_told_is_recalled(language: Language) -> None:
    for case in TASKS[f"dialogue-{language}"].cases(world(5), 80):
        *before, last = case.messages
        assert last.role == "user" and [m.role for m in before] == ["user", "assistant"] * (len(before) // 2)
        assert case.check.accepted[0]


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_assistant_is_called_bottega(language: Language) -> None:
    from tests.data.school.rooms import texts

    assert any("Bottega" in text for text in texts(f"dialogues-{language}", 200))
