"""Story sums: right, apart from what training shows, and asked in a fixed format."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest

from bottega.data.records import Conversation, Document
from bottega.data.school.draw import Draw
from bottega.data.school.reasoning import problem, worked
from bottega.data.school.registry import PARTS, TASKS, Language, world
from bottega.data.school.story_sums import Story, draw_story
from bottega.data.school.sums import LIMIT, chain_key, distinct_chains
from bottega.data.school.world import Split

SUM = re.compile(r"(\d+) ([+*-]) (\d+) = (-?\d+)")


def story(index: int, split: Split = "train", language: Language = "en", length: int = 2) -> Story:
    return draw_story(Draw(world(0), "test", split, index, language), language, length)


def pairs(texts: list[str]) -> set[tuple[str, ...]]:
    """Every two sums of which the second goes on from the first, however they are laid out."""
    found = set()
    for text in texts:
        sums = SUM.findall(text)
        for first, second in pairwise(sums):
            if first[3] == second[0]:
                found.add(("chain", first[0], first[1] + first[2], second[1] + second[2]))
    return found


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_numbers_of_a_story_are_those_of_its_sums_in_order(language: Language) -> None:
    for index in range(500):
        told = story(index, language=language, length=2 + index % 3)
        said = [int(number) for number in re.findall(r"\d+", told.text)]
        assert said == [told.moves[0].before, *(move.by for move in told.moves)]
        assert all(0 <= move.after <= LIMIT for move in told.moves)
        assert not re.findall(r"\d", told.question)


def test_each_sum_goes_on_from_the_one_before() -> None:
    for index in range(300):
        told = story(index, length=4)
        for first, second in pairwise(told.moves):
            assert first.after == second.before
        assert told.answer == told.moves[-1].after
        assert worked(told, "en").splitlines()[-1] == f"Answer: {told.answer}"
        assert worked(told, "zh").splitlines()[-1] == f"答案：{told.answer}"


def test_no_pair_of_sums_of_a_held_out_story_occurs_in_anything_that_training_reads() -> None:
    texts: list[str] = []
    for part in ("traces-en", "traces-zh"):
        for index in range(3000):
            record = PARTS[part].item(world(0), "train", index)
            assert isinstance(record, Document)
            texts.append(record.text)
    for part in ("reasoning-en", "reasoning-zh", "code-instructions-en"):
        for index in range(2000):
            conversation = PARTS[part].item(world(0), "train", index)
            assert isinstance(conversation, Conversation)
            texts.append(conversation.messages[-1].content)
    shown = pairs(texts)
    assert len(shown) > 3000
    asked = set()
    for index in range(1500):
        told = story(index, "heldout", length=2 + index % 2)
        asked |= {chain_key(a, b) for a, b in pairwise(told.moves)}
    assert len(asked) > 500
    assert not asked & shown


def test_prose_holds_single_sums_and_no_chains() -> None:
    for part in ("arithmetic-prose-en", "arithmetic-prose-zh"):
        for index in range(1500):
            record = PARTS[part].item(world(0), "train", index)
            assert isinstance(record, Document)
            for left, sign, right, result in SUM.findall(record.text):
                assert eval(f"{left} {sign} {right}") == int(result)
            assert "Answer:" not in record.text and "答案" not in record.text
            assert not pairs([record.text])


def test_code_holds_no_story_no_question_and_no_answer_line() -> None:
    people = {person.en for person in world(0).people} | {person.zh for person in world(0).people}
    for part in ("programs-en", "programs-zh", "traces-en", "traces-zh"):
        for index in range(500):
            record = PARTS[part].item(world(0), "train", index)
            assert isinstance(record, Document)
            assert not re.search(r"How many|多少|Answer:|答案|Question:|问题", record.text)
            assert not any(name in record.text for name in people)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_both_forms_ask_the_same_problems_and_the_shots_are_of_the_training_split(language: Language) -> None:
    steps = TASKS[f"reasoning-steps-{language}"].cases(world(0), 60)
    direct = TASKS[f"reasoning-direct-{language}"].cases(world(0), 60)
    head = "问题：" if language == "zh" else "Question: "
    mark = "答案：" if language == "zh" else "Answer:"
    for one, other in zip(steps, direct, strict=True):
        shown, plain = one.messages[0].content, other.messages[0].content
        assert one.check.accepted == other.check.accepted
        assert shown.split(head)[-1].rstrip("\n") == plain.split(head)[-1].removesuffix(f"\n{mark}")
        assert shown.count(head) == plain.count(head) == 3
        assert shown.count(mark) == 2 and plain.count(mark) == 3
        assert plain.endswith(mark) and shown.endswith("\n")
        assert not any(world(0).is_heldout(*pair) for pair in pairs(shown.split("\n\n")))


def test_a_worked_answer_passes_the_check_and_another_number_does_not() -> None:
    from bottega.evals.checks import is_correct

    task = TASKS["reasoning-steps-en"]
    for index, prompt in enumerate(task.cases(world(0), 20)):
        right = prompt.check.accepted[0]
        assert is_correct(f"1 + 1 = 2\nAnswer: {right}", prompt.check)
        assert not is_correct(f"{right} + 1 = {int(right) + 1}\nAnswer: {int(right) + 1}", prompt.check)
        assert index < 20
    assert task.stop == "\n\n"


def test_conversations_answer_in_the_form_that_was_asked_for() -> None:
    seen = set()
    for part in ("reasoning-en", "reasoning-zh"):
        for index in range(400):
            record = PARTS[part].item(world(0), "train", index)
            assert isinstance(record, Conversation)
            answer = record.messages[1].content
            seen.add(answer.isdigit())
            if not answer.isdigit():
                *sums, last = answer.splitlines()
                assert all(SUM.fullmatch(line) for line in sums)
                assert last in (f"Answer: {sums[-1].split(' = ')[1]}", f"答案：{sums[-1].split(' = ')[1]}")
    assert seen == {True, False}


def test_chains_are_counted_by_going_through_them() -> None:
    from bottega.data.school.sums import Move

    chains = 0
    for start in range(2, 26):
        for sign, tops in (("+", range(1, 13)), ("-", range(1, 13)), ("*", range(2, 5))):
            chains += sum(0 <= Move(start, sign, by).after <= LIMIT for by in tops)  # type: ignore[arg-type]
    assert distinct_chains(1) == chains
    assert distinct_chains(2) > 10_000


def test_stories_are_not_repeated() -> None:
    texts = [problem(story(index), "en") for index in range(4000)]
    assert len(set(texts)) == len(texts)
