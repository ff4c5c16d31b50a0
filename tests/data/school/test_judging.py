"""True quality, and labelers who see it through a haze."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

import bottega.data.school  # noqa: F401  (fills the registry)
from bottega.data.comparisons import ordered_pairs
from bottega.data.records import Check, Comparison, Message, Prompt
from bottega.data.school.judging import _POLITE, _words, labelers, quality
from bottega.data.school.registry import records

ASKED = Prompt((Message("user", "Name four."),), Check("exact", ("cat, dog, cow and pig",)))
CHINESE = Prompt((Message("user", "说出四个。"),), Check("exact", ("猫、狗、牛和猪",)))


def comparisons(name: str, count: int, world_seed: int = 1, split: str = "train") -> list[Comparison]:
    made = records(name, world_seed, split)  # type: ignore[arg-type]
    found = [next(made) for _ in range(count)]
    return [one for one in found if isinstance(one, Comparison)]


@pytest.mark.parametrize(
    ("prompt", "texts"),
    [
        (ASKED, ("cat, dog, cow and pig", "cat, dog and pig", "The answer is a house.", "")),
        (CHINESE, ("猫、狗、牛和猪", "猫、狗和猪", "我住在一个房子里。", "")),
    ],
    ids=["en", "zh"],
)
def test_right_is_better_than_near_and_near_than_unrelated(prompt: Prompt, texts: tuple[str, ...]) -> None:
    found = [quality(prompt, text, correct=text in prompt.check.accepted) for text in texts]
    assert found[0] == 1 and found[-1] == 0
    assert found[0] > found[1] > found[2] >= found[3]
    assert found[1] <= 0.45


def test_form_takes_a_little_off_and_length_and_politeness_nothing() -> None:
    right = "cat, dog, cow and pig"
    assert quality(ASKED, right, correct=True, ended=False) == pytest.approx(0.8)
    assert quality(ASKED, "And so on " * 20 + right, correct=True) < 0.8
    assert quality(ASKED, "猫、狗、牛和猪", correct=True) == pytest.approx(0.9)
    assert quality(ASKED, f"Of course! {right}", correct=True) == 1


def test_labelers_are_the_same_every_time_and_see_equal_answers_alike() -> None:
    texts, true = ["a b", "c d", "a b"], [0.9, 0.2, 0.9]
    for labeler in (*labelers(3, "training"), *labelers(3, "independent")):
        ranking = labeler.rank("key", texts, true)
        assert ranking == labeler.rank("key", texts, true)
        assert any({0, 2} <= set(tier) for tier in ranking.tiers)
        assert sorted(i for tier in ranking.tiers for i in tier) == [0, 1, 2]
    names = [labeler.name for pool in ("training", "independent") for labeler in labelers(3, pool)]  # type: ignore[arg-type]
    assert len(set(names)) == len(names)


def test_a_pools_tastes_cancel_out() -> None:
    for pool in (labelers(1, "training"), labelers(1, "independent")):
        assert sum(one.length_taste for one in pool) == pytest.approx(0)
        assert sum(one.politeness_taste for one in pool) == pytest.approx(0)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_written_comparisons_are_ranked_by_quality_and_not_by_length_or_politeness(language: str) -> None:
    length, polite, place = [], [], []
    for one in comparisons(f"comparisons-{language}", 800):
        texts = [answer.message.content for answer in one.answers]
        assert len(set(texts)) == len(texts) == 4
        sizes = [len(_words(text)) for text in texts]
        for ranking in one.rankings:
            assert ranking.kind == "simulated"
            where = {answer: n for n, tier in enumerate(ranking.tiers) for answer in tier}
            for answer, text in enumerate(texts):
                length.append(sizes[answer] - sum(sizes) / 4)
                polite.append(bool(_POLITE.search(text)))
                place.append(-where[answer])
    assert abs(np.corrcoef(length, place)[0, 1]) < 0.12
    assert abs(np.corrcoef(polite, place)[0, 1]) < 0.12


def test_labelers_disagree_at_a_rate_and_one_is_careless() -> None:
    agree: Counter[tuple[str, str]] = Counter()
    met: Counter[tuple[str, str]] = Counter()
    pool = labelers(1, "training")
    for number, one in enumerate(comparisons("comparisons-en", 400)):
        texts = [answer.message.content for answer in one.answers]
        true = np.random.default_rng(number).choice([0.1, 0.2, 0.3, 1.0], 4).tolist()
        pairs = {labeler.name: set(ordered_pairs(labeler.rank(str(number), texts, true))) for labeler in pool}
        for a in pool:
            for b in pool:
                for x, y in pairs[a.name]:
                    if (x, y) in pairs[b.name] or (y, x) in pairs[b.name]:
                        met[a.name, b.name] += 1
                        agree[a.name, b.name] += (x, y) in pairs[b.name]
    others = [agree[k] / met[k] for k in met if k[0] < k[1]]
    assert 0.7 < sum(others) / len(others) < 0.95
    careless = np.mean([agree[k] / met[k] for k in met if k[0] == "labeler-5" != k[1]])
    careful = np.mean([agree[k] / met[k] for k in met if k[0] == "labeler-1" and k[1] not in k[0]])
    assert careless < careful - 0.05


def test_splits_are_disjoint_and_worlds_differ() -> None:
    for name in ("comparisons-en", "prompts-zh", "talk-prompts-en"):
        sides = {}
        for split in ("train", "heldout"):
            made = records(name, 1, split)  # type: ignore[arg-type]
            sides[split] = {repr(next(made).messages) for _ in range(400)}  # type: ignore[union-attr]
        assert not sides["train"] & sides["heldout"]
        other = records(name, 2, "train")
        assert {repr(next(other).messages) for _ in range(400)} != sides["train"]  # type: ignore[union-attr]
