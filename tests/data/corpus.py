"""A small text in two languages, and code, for tokenizers of tests."""

from __future__ import annotations

import random

_ENGLISH = [
    "the",
    "a",
    "river",
    "lamp",
    "keeper",
    "walks",
    "to",
    "old",
    "town",
    "and",
    "sells",
    "bread",
    "every",
    "morning",
    "it's",
    "don't",
    "we'll",
    "42",
    "cats",
]
_CHINESE = ["灯塔", "渔夫", "每天", "早上", "去", "市场", "，", "。", "他们", "有", "三", "条", "船"]
_CODE = ["def f(x):\n    return x + 1\n\n", "for i in range(10):\n\tprint(i)\n", "# m² costs ½\n"]


def sentences(count: int, seed: int = 0) -> list[str]:
    """Texts of a few words to a few lines."""
    rng = random.Random(seed)
    texts = []
    for _ in range(count):
        kind = rng.random()
        if kind < 0.6:
            texts.append(" ".join(rng.choices(_ENGLISH, k=rng.randint(1, 60))).capitalize() + ".\n")
        elif kind < 0.8:
            texts.append("".join(rng.choices(_CHINESE, k=rng.randint(1, 60))))
        else:
            texts.append("".join(rng.choices(_CODE, k=rng.randint(1, 5))))
    return texts
