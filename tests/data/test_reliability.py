"""Labelers who agree with the others weigh more; those nobody met, and where nobody met, all the same."""

from __future__ import annotations

import random

import pytest

from bottega.data.records import Answer, Comparison, Message, Ranking
from bottega.data.reliability import LEAST, reliabilities

ASKED = (Message("user", "which?"),)
ANSWERS = tuple(Answer(Message("assistant", text)) for text in ("yes", "no"))


def comparison(**sides: bool) -> Comparison:
    """What each labeler says: True prefers the first answer."""
    rankings = (Ranking(name, ((0,), (1,)) if first else ((1,), (0,))) for name, first in sides.items())
    return Comparison(ASKED, ANSWERS, tuple(rankings))


def test_who_guesses_weighs_less_than_who_agrees() -> None:
    draw = random.Random(0)
    rows = []
    for _ in range(400):
        truth = draw.random() < 0.5
        rows.append(comparison(ann=truth, bob=truth, cho=truth, guess=draw.random() < 0.5))
    found = reliabilities(rows)
    assert found["ann"] == found["bob"] == found["cho"]
    assert found["guess"] < 0.5 * found["ann"]
    assert sum(found.values()) / 4 == pytest.approx(1)


def test_who_always_disagrees_keeps_a_little_weight() -> None:
    found = reliabilities([comparison(ann=True, bob=True, contrary=False)] * 300)
    assert 0 < found["contrary"] / found["ann"] < 3 * LEAST


def test_without_shared_prompts_everybody_weighs_the_same() -> None:
    assert reliabilities([comparison(ann=True), comparison(bob=False)]) == {"ann": 1.0, "bob": 1.0}
    assert reliabilities([]) == {}
