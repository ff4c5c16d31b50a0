"""Seeded choice for one item: what every generator draws from."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TypeVar

from bottega.data.school.world import Split, World

T = TypeVar("T")


class Draw:
    """Choices that depend on (world, part, split, index) alone, whatever the process or its hash seed.

    ``on_side`` keeps the splits apart: a key (a pair of words, a list) belongs to one split for ever, and an item
    is built of keys of its own split only.
    """

    __slots__ = ("_random", "heldout", "language", "world")

    def __init__(self, world: World, part: str, split: Split, index: int, language: str = "en") -> None:
        self.world = world
        self.heldout = split == "heldout"
        self.language = language
        # A string seed goes through SHA-512, so the stream is the same in every process.
        self._random = random.Random(f"{world.seed}/{part}/{split}/{index}").random

    def below(self, n: int) -> int:
        """A whole number from 0 to n - 1."""
        return int(self._random() * n)

    def between(self, low: int, high: int) -> int:
        """A whole number from low to high, both included."""
        return low + int(self._random() * (high - low + 1))

    def chance(self, p: float) -> bool:
        """True with probability p."""
        return self._random() < p

    def one(self, items: Sequence[T]) -> T:
        """One of the items."""
        return items[int(self._random() * len(items))]

    def some(self, items: Sequence[T], k: int) -> list[T]:
        """k different items in random order (all of them where there are fewer)."""
        n = len(items)
        if k >= n:
            return self.shuffled(items)
        if k * 3 > n:
            return self.shuffled(items)[:k]
        seen: set[int] = set()
        picked: list[T] = []
        while len(picked) < k:
            i = int(self._random() * n)
            if i not in seen:
                seen.add(i)
                picked.append(items[i])
        return picked

    def shuffled(self, items: Sequence[T]) -> list[T]:
        """The items in random order."""
        result = list(items)
        for i in range(len(result) - 1, 0, -1):
            j = int(self._random() * (i + 1))
            result[i], result[j] = result[j], result[i]
        return result

    def on_side(self, *key: str) -> bool:
        """Whether this key belongs to the split that is being drawn."""
        return self.world.is_heldout(*key) == self.heldout

    def paired(self, subject: str, items: Sequence[T], taken: Sequence[T] = ()) -> T:
        """One of the items that may stand beside the subject in this split; its key is its ``en`` or itself.

        Raises ``LookupError`` where there is none: lists are long enough that a seed which has none is a defect.
        """
        for _ in range(400):
            item = items[int(self._random() * len(items))]
            if item not in taken and self.on_side(subject, getattr(item, "en", None) or str(item)):
                return item
        raise LookupError(f"nothing to pair with {subject} among {len(items)} items")
