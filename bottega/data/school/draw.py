"""Seeded choice for one item: what every generator draws from."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import TypeVar

from bottega.data.records import Message, Prompt
from bottega.data.school.world import Language, Split, World

T = TypeVar("T")


class NothingToPairError(Exception):
    """All that is left of a short list is held out for this subject: the item has to be drawn anew."""


class Draw:
    """Choices that depend on (world, part, split, index) alone, whatever the process or its hash seed.

    ``on_side`` keeps the splits apart: a key (a pair of words, a list) belongs to one split for ever,
    and a training item is built of training keys only.
    """

    __slots__ = ("_random", "fresh", "heldout", "language", "world")

    def __init__(self, world: World, part: str, split: Split, index: int, language: Language = "en") -> None:
        self.world = world
        self.heldout = split == "heldout"
        self.language = language
        self.fresh = False
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
        """Whether this key may be used here. Training uses training keys only; a held-out item that used a
        held-out key is ``fresh``: it cannot occur in training."""
        return self._used(self.world.is_heldout(*key))

    def any_side(self, *keys: tuple[str, ...]) -> bool:
        """Whether these keys may be used together: in training none may be held out; a held-out text takes
        any, and is fresh by the held-out ones among them."""
        usable = [self.on_side(*key) for key in keys]
        return self.heldout or all(usable)

    def _used(self, heldout: bool) -> bool:
        if heldout and self.heldout:
            self.fresh = True
        return heldout == self.heldout

    def settled(self, make: Callable[[], str]) -> str:
        """``make``'s text, made again until the whole text belongs to the split: for texts without a key."""
        for _ in range(400):
            text = make()
            if self.on_side("text", text):
                return text
        raise AssertionError("no text of this kind belongs to the split")

    def _may_pair(self, subject: str, item: object) -> bool:
        return self._used(self.world.is_heldout_pair(subject, getattr(item, "en", None) or str(item)))

    def paired(self, subject: str, items: Sequence[T], taken: Sequence[object] = ()) -> T:
        """One of the items that may stand beside the subject in this split (an item's key is its ``en``).

        Where a short list has no held-out item for the subject, a held-out text takes any: it must then be
        fresh by another of its pairs (``fresh_item`` sees to that). Raises ``NothingToPairError`` where a
        training item can have none of them.
        """
        n = len(items)
        for _ in range(24):
            item = items[int(self._random() * n)]
            if item not in taken and self._may_pair(subject, item):
                return item
        start = int(self._random() * n)
        rest = [items[(start + i) % n] for i in range(n)]
        rest = [item for item in rest if item not in taken]
        for item in rest:
            if self._may_pair(subject, item):
                return item
        if not (self.heldout and rest):
            raise NothingToPairError(f"nothing to pair with {subject} among {n} items")
        return rest[0]


def different(make: Callable[[int], Prompt], n: int) -> list[Prompt]:
    """The first ``n`` prompts of ``make(0), make(1), ...`` of which none asks what another does.

    Only for what has many more: a short supply would be drawn from for ever.
    """
    found: dict[tuple[Message, ...], Prompt] = {}
    index = 0
    while len(found) < n:
        one = make(index)
        found.setdefault(one.messages, one)
        index += 1
    return list(found.values())


def fresh_item(
    make: Callable[[Draw], T], world: World, part: str, split: Split, index: int, language: Language = "en"
) -> T:
    """``make``'s item for this index; a held-out one is drawn again until it holds a held-out key, and any
    that leads to where nothing can be paired."""
    for attempt in range(200):
        draw = Draw(world, part if attempt == 0 else f"{part}/{attempt}", split, index, language)
        try:
            item = make(draw)
        except NothingToPairError:
            continue
        if draw.fresh or not draw.heldout:
            return item
    raise AssertionError(f"{part}: item {index} has nothing that is held out")
