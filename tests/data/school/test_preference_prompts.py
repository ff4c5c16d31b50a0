"""Prompts to answer and rank, and the held-out ones that answers are compared by."""

from __future__ import annotations

from functools import cache
from itertools import islice
from pathlib import Path

import pytest

from bottega.data.frozen import FrozenDataset, freeze
from bottega.data.records import Prompt
from bottega.data.school.floors import question_of
from bottega.data.school.registry import PARTS, TASKS, Language, records, world
from bottega.data.school.world import Split, World
from bottega.data.sources import ReadOptions, SourceSpec
from bottega.evals.checks import is_correct

NAMES = [f"{name}-{language}" for name in ("prompts", "talk-prompts") for language in ("en", "zh")]
TASK_OF = {"prompts": "preference-prompts", "talk-prompts": "conversation-prompts"}


def prompts(name: str, count: int, split: Split = "train", world_seed: int = 5) -> list[Prompt]:
    found = list(islice(records(name, world_seed, split), count))
    assert all(isinstance(one, Prompt) for one in found)
    return found  # type: ignore[return-value]


def cases(name: str, count: int) -> list[Prompt]:
    """The first cases of the task that goes with a part."""
    part, _, language = name.rpartition("-")
    return TASKS[f"{TASK_OF[part]}-{language}"].cases(world(5), count)


@cache
def trained(language: Language) -> set[str]:
    """What training asks: of these prompts, of those with written answers, and of instruction tuning."""
    asked = set()
    for part in ("prompts", "talk-prompts", "comparisons", "instruct-many", "dialogues"):
        for record in islice(records(f"{part}-{language}", 5, "train"), 6000):
            messages = record.messages  # type: ignore[union-attr]
            for end in range(1, len(messages) + 1, 2):
                asked.add("\n".join(message.content for message in messages[:end]))
    return asked


@pytest.mark.parametrize("name", NAMES)
def test_no_heldout_prompt_is_asked_in_training(name: str) -> None:
    seen = trained("en" if name.endswith("en") else "zh")
    heldout = {question_of(one) for one in prompts(name, 1000, "heldout")}
    assert not seen & heldout
    assert not seen & {question_of(one) for one in cases(name, 500)}


@pytest.mark.parametrize("name", NAMES)
def test_splits_are_apart_where_half_of_all_pairs_are_held_out(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bottega.data.school.world.HELDOUT_ONE_IN", 2)
    strict, part = World(5), PARTS[name]
    sides = [
        {question_of(part.item(strict, split, i)) for i in range(1500)}  # type: ignore[arg-type]
        for split in ("train", "heldout")
    ]
    assert len(sides[0]) > 1000 and not sides[0] & sides[1]


@pytest.mark.parametrize("name", NAMES)
def test_a_prompt_does_not_depend_on_what_was_drawn_before_it(name: str) -> None:
    in_order, fresh = prompts(name, 12), World(5)
    assert [PARTS[name].item(fresh, "train", i) for i in reversed(range(12))] == in_order[::-1]
    assert cases(name, 12)[:5] == cases(name, 5)


@pytest.mark.parametrize("name", NAMES)
def test_another_world_asks_otherwise(name: str) -> None:
    # A few questions name nobody ("which day follows Friday?"): they may be asked in any world.
    one, two = ({question_of(p) for p in prompts(name, 400, world_seed=seed)} for seed in (5, 6))
    assert len(one & two) < 0.05 * len(one)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_accepted_passes_the_check_and_nothing_else_does(name: str) -> None:
    for one in (*prompts(name, 200), *cases(name, 100)):
        assert one.check.kind == "exact" and one.check.accepted
        assert all(is_correct(answer, one.check) for answer in one.check.accepted)
        assert not is_correct("", one.check) and not is_correct(one.messages[-1].content, one.check)


@pytest.mark.parametrize("name", NAMES)
def test_the_user_speaks_last_and_a_talk_has_turns_before(name: str) -> None:
    for one in (*prompts(name, 200), *cases(name, 100)):
        roles = [message.role for message in one.messages]
        assert roles == ["user", "assistant"] * (len(roles) // 2) + ["user"]
        assert (len(roles) >= 3) == name.startswith("talk")


@pytest.mark.parametrize("name", NAMES)
def test_floors_are_computed_from_training_questions(name: str) -> None:
    part, _, language = name.rpartition("-")
    task = TASKS[f"{TASK_OF[part]}-{language}"]
    assert task.mode == "chat" and task.language == language and task.floor_examples is not None
    examples = task.floor_examples(world(5), 300)
    assert len(examples) == 300 and all(answer for _, answer in examples)
    assert not {asked for asked, _ in examples} & {question_of(one) for one in cases(name, 500)}


@pytest.mark.parametrize("name", NAMES)
def test_prompts_survive_freezing(name: str, tmp_path: Path) -> None:
    spec = SourceSpec(uri=f"school:{name}", records=60)
    manifest = freeze([spec], tmp_path / "out", ReadOptions(heldout_fraction=0.2, world_seed=5), dedup="none")
    dataset = FrozenDataset(tmp_path / "out")
    assert (manifest.records("train"), manifest.records("heldout")) == (60, 12)
    assert list(dataset.records("train")) == prompts(name, 60)
    assert list(dataset.records("heldout")) == prompts(name, 12, "heldout")
