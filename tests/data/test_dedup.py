from __future__ import annotations

import random

import numpy as np
import pytest

from bottega.data.dedup import ExactDuplicates, NearDuplicates, full_text, judgement, minhash
from bottega.data.records import (
    Answer,
    Check,
    Comparison,
    Conversation,
    Document,
    Message,
    Prompt,
    Ranking,
    Rated,
)
from bottega.data.splits import text_key

CHINESE = [chr(0x4E00 + i) for i in range(3000)]


def text_of(words: list[str], chinese: bool) -> str:
    return "".join(words) if chinese else " ".join(words)


def vocabulary(chinese: bool) -> list[str]:
    return CHINESE if chinese else [f"word{i}" for i in range(3000)]


def similarity(a: list[str], b: list[str]) -> float:
    """Jaccard over runs of five, the plain way."""
    runs_a, runs_b = ({tuple(words[i : i + 5]) for i in range(len(words) - 4)} for words in (a, b))
    return len(runs_a & runs_b) / len(runs_a | runs_b)


@pytest.mark.parametrize("chinese", [False, True])
def test_signatures_estimate_the_jaccard_similarity(chinese: bool) -> None:
    rng, words = random.Random(0), vocabulary(chinese)
    errors = []
    for _ in range(200):
        a = rng.choices(words, k=rng.randrange(20, 400))
        b = [rng.choice(words) if rng.random() < 0.03 else word for word in a]
        one, other = minhash([text_of(a, chinese), text_of(b, chinese)])
        errors.append(float((one == other).mean()) - similarity(a, b))
    assert abs(np.mean(errors)) < 0.015  # unbiased
    assert np.std(errors) < 0.06  # sqrt(1/4 / 128) = 0.044 at worst for whole bins, more for short texts


@pytest.mark.parametrize("chinese", [False, True])
def test_planted_near_duplicates_are_found_and_others_are_left(chinese: bool) -> None:
    rng, words = random.Random(1), vocabulary(chinese)
    originals = [rng.choices(words, k=300) for _ in range(300)]
    near = NearDuplicates()
    assert not any(near.add([text_of(one, chinese) for one in originals]))
    found, planted = 0, 0
    for one in originals:
        copy = [rng.choice(words) if rng.random() < 0.008 else word for word in one]
        if similarity(one, copy) >= 0.9:
            planted += 1
            found += near.add([text_of(copy, chinese)])[0]
    assert planted > 150 and found >= 0.99 * planted
    fresh = [rng.choices(words, k=150) + one[:150] for one in originals]  # half is copied: similarity 1/3
    assert sum(near.add([text_of(one, chinese) for one in fresh])) == 0


def test_near_duplicates_within_one_batch_are_found_and_the_first_is_kept() -> None:
    text = " ".join(f"w{i}" for i in range(100))
    assert NearDuplicates().add([text, f"{text} more", "something else entirely here now", text.upper()]) == [
        False, True, False, True,
    ]  # fmt: skip


def test_near_duplicates_are_found_across_many_batches() -> None:
    rng = random.Random(2)
    texts = [" ".join(rng.choices(CHINESE, k=60)) for _ in range(600)]
    near = NearDuplicates()
    for start in range(0, 600, 7):
        assert not any(near.add(texts[start : start + 7]))
    assert all(near.add(texts[::-1]))


def test_the_answer_is_the_same_every_time() -> None:
    rng = random.Random(3)
    texts = [" ".join(rng.choices(CHINESE[:40], k=rng.randrange(1, 30))) for _ in range(400)]
    assert NearDuplicates().add(texts) == NearDuplicates().add(texts)


def test_texts_of_few_or_no_words() -> None:
    near = NearDuplicates()
    assert near.add(["", "?!", "...", "yes", "Yes!", "no", "是", "是。"]) == [
        False, False, False, False, True, False, False, True,
    ]  # fmt: skip


def test_exact_duplicates_are_told_by_key() -> None:
    seen = ExactDuplicates()
    keys = [text_key(text) for text in ("A cat.", "a  CAT.", "A dog.")]
    assert [seen.add(key) for key in keys] == [False, True, False]


def test_verdicts_are_part_of_what_is_compared() -> None:
    asked, answer = (Message("user", "Q"),), Answer(Message("assistant", "A"))
    up, down = (Rated(asked, answer, rating) for rating in (1.0, 0.0))
    assert full_text(up) == full_text(down) == "Q\nA" and judgement(up) != judgement(down)
    one = Comparison(asked, (answer, answer), (Ranking("ann", ((0, 1),)),))
    assert full_text(one) == "Q\nA\nA" and "ann" in judgement(one)
    assert (
        judgement(Document("x"))
        == judgement(Conversation(asked))
        == judgement(Prompt(asked, Check("exact")))
        == ""
    )
