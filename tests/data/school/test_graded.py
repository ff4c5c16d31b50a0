"""Comparisons that the school writes: the same every time, not told by their form, kept by freezing."""

from __future__ import annotations

from itertools import islice, permutations
from pathlib import Path

import numpy as np
import pytest

from bottega.data.comparisons import ordered_pairs
from bottega.data.frozen import FrozenDataset, freeze
from bottega.data.records import Comparison, Prompt
from bottega.data.school.draw import Draw, fresh_item
from bottega.data.school.graded import _comparison, _Written
from bottega.data.school.instructions import asked_for_ranking
from bottega.data.school.judging import _POLITE, _words, labelers, quality
from bottega.data.school.registry import PARTS, Language, records, world
from bottega.data.school.world import Split, World
from bottega.data.sources import ReadOptions, SourceSpec


def comparisons(name: str, count: int, split: Split = "train", world_seed: int = 5) -> list[Comparison]:
    found = list(islice(records(name, world_seed, split), count))
    assert all(isinstance(one, Comparison) for one in found)
    return found  # type: ignore[return-value]


def written(language: Language, count: int) -> list[tuple[Prompt, list[_Written]]]:
    """Prompts and answers with what is true of them, as the part of the language makes them."""
    name = f"comparisons-{language}"
    return [fresh_item(_comparison, world(5), name, "train", i, language) for i in range(count)]


def true_of(prompt: Prompt, answers: list[_Written]) -> list[float]:
    return [quality(prompt, one.text, correct=one.correct, ended=one.ended) for one in answers]


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_comparison_does_not_depend_on_what_was_drawn_before_it(language: Language) -> None:
    name = f"comparisons-{language}"
    for split in ("train", "heldout"):
        in_order = comparisons(name, 12, split)
        fresh = World(5)
        assert [PARTS[name].item(fresh, split, i) for i in reversed(range(12))] == in_order[::-1]


@pytest.mark.parametrize("language", ["en", "zh"])
def test_another_world_asks_and_answers_otherwise(language: Language) -> None:
    one, two = (comparisons(f"comparisons-{language}", 100, world_seed=seed) for seed in (5, 6))
    assert not {repr(c.messages + c.answers) for c in one} & {repr(c.messages + c.answers) for c in two}


@pytest.mark.parametrize("language", ["en", "zh"])
def test_two_labelers_of_the_training_pool_rank_all_answers_and_no_stranger_does(language: Language) -> None:
    seen = set()
    for one in comparisons(f"comparisons-{language}", 200):
        assert {answer.model for answer in one.answers} == {"school"}
        assert len({ranking.labeler for ranking in one.rankings}) == len(one.rankings) == 2
        for ranking in one.rankings:
            assert sorted(i for tier in ranking.tiers for i in tier) == list(range(len(one.answers)))
            seen.add(ranking.labeler)
    assert seen == {labeler.name for labeler in labelers(5, "training")}
    assert not seen & {labeler.name for labeler in labelers(5, "independent")}


@pytest.mark.parametrize("language", ["en", "zh"])
def test_neither_length_nor_politeness_tells_the_quality_of_an_answer(language: Language) -> None:
    sizes, polite, true = [], [], []
    for prompt, answers in written(language, 1000):
        true += true_of(prompt, answers)
        sizes += [len(_words(one.text)) for one in answers]
        polite += [bool(_POLITE.search(one.text)) for one in answers]
    assert len(true) == 4000 and 0.05 < np.mean(polite) < 0.3
    assert abs(np.corrcoef(sizes, true)[0, 1]) < 0.1
    assert abs(np.corrcoef(polite, true)[0, 1]) < 0.1


@pytest.mark.parametrize("language", ["en", "zh"])
def test_answers_are_of_every_grade(language: Language) -> None:
    true = np.concatenate([true_of(prompt, answers) for prompt, answers in written(language, 400)])
    for low, high in ((0.0, 0.15), (0.15, 0.45), (0.9, 1.0)):
        assert np.mean((true >= low) & (true <= high)) > 0.1


@pytest.mark.parametrize("pool", ["training", "independent"])
def test_labelers_are_right_about_real_gaps_as_often_as_they_are_careful(pool: str) -> None:
    right: dict[str, list[bool]] = {}
    for number, (prompt, answers) in enumerate(written("en", 400)):
        true, texts = true_of(prompt, answers), [one.text for one in answers]
        for labeler in labelers(5, pool):  # type: ignore[arg-type]
            pairs = set(ordered_pairs(labeler.rank(str(number), texts, true)))
            for better, worse in permutations(range(len(texts)), 2):
                if true[better] - true[worse] > 0.15 and pairs & {(better, worse), (worse, better)}:
                    right.setdefault(labeler.name, []).append((better, worse) in pairs)
    share = {labeler.name: float(np.mean(right[labeler.name])) for labeler in labelers(5, pool)}  # type: ignore[arg-type]
    *others, careless = share.values()
    assert min(others) > careless + 0.02
    assert careless > 0.75


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_heldout_comparison_is_held_out_by_its_request_and_not_by_its_answers(language: Language) -> None:
    """CORRECTNESS 5."""
    name = f"comparisons-{language}"
    heldout = comparisons(name, 2000, "heldout")
    for i, one in enumerate(heldout):
        alone = Draw(world(5), name, "heldout", i, language)
        asked, _ = asked_for_ranking(alone)
        assert alone.fresh or asked != one.messages[0].content
    trained = {one.messages for one in comparisons(name, 8000)}
    assert not trained & {one.messages for one in heldout}


def test_comparisons_survive_freezing(tmp_path: Path) -> None:
    spec = SourceSpec(uri="school:comparisons-zh", records=60)
    manifest = freeze([spec], tmp_path / "out", ReadOptions(heldout_fraction=0.2, world_seed=5), dedup="none")
    dataset = FrozenDataset(tmp_path / "out")
    assert (manifest.records("train"), manifest.records("heldout")) == (60, 12)
    assert list(dataset.records("train")) == comparisons("comparisons-zh", 60)
    assert list(dataset.records("heldout")) == comparisons("comparisons-zh", 12, "heldout")
