"""Learning byte-pair merges from word counts (Sennrich et al., 1508.07909, on bytes), vectorised.

The result is that of ``tokenizers``' trainer on the same words, ties included (a test holds the two equal).
It takes a fraction of the time: a merge touches arrays of positions, not words one by one; a pair's count is
an upper bound until the pair comes first; and pairs too rare to come up soon are not tracked at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from heapq import heapify, heappop, heappush

import numpy as np
from numpy.typing import NDArray

_END = -1  # follows every word, and so precedes every word but the first
_GONE = -2  # a symbol that was merged into the one before it
_SHIFT = 32  # the pair (a, b) is the key a << 32 | b, so that keys sort as pairs do
_MASK = (1 << _SHIFT) - 1
_BUCKET_MASK = (1 << 20) - 1
_SPREAD = 40503  # odd, and far from a power of two
_FLOOR_STEP = 64  # how much rarer pairs may be, at each re-indexing, to be tracked


def learn_merges(
    words: Mapping[str, int], num_symbols: int, *, byte_rank: list[int], min_count: int = 2
) -> list[tuple[int, int, int]]:
    """The merges (left, right, new) in order: the most frequent pair first, ties by the smaller pair.

    Symbols 0 to 255 are bytes, byte b being ``byte_rank[b]``; a merge makes the next symbol unless its bytes
    are a symbol already. Stops at ``num_symbols`` symbols, or when no pair occurs ``min_count`` times.
    """
    state = _State(words, byte_rank, min_count)
    known = {bytes([byte]): rank for byte, rank in enumerate(byte_rank)}
    spelling = {rank: text for text, rank in known.items()}
    merges: list[tuple[int, int, int]] = []
    while len(spelling) < num_symbols and (found := state.most_frequent()):
        left, right, at = found
        text = spelling[left] + spelling[right]
        new = known.setdefault(text, len(spelling))
        state.merge(left, right, new, at)
        if new in spelling:
            state.index()  # its pairs were indexed before these occurrences joined them
        spelling[new] = text
        merges.append((left, right, new))
    return merges


class _State:
    """All distinct words end to end, a linked list of symbols, and an index from pairs to positions.

    Between two indexings the occurrences of a pair never grow in number, so that positions found once
    suffice; those that have changed since are recognised by their symbols.
    """

    def __init__(self, words: Mapping[str, int], byte_rank: list[int], min_count: int) -> None:
        spelled = [word.encode() for word in words]
        lengths = np.fromiter(map(len, spelled), np.int64, len(spelled)) + 1
        raw = np.frombuffer(b"\0".join([*spelled, b""]), np.uint8)
        self._symbol = np.array(byte_rank, np.int64)[raw]
        self._symbol[np.cumsum(lengths) - 1] = _END
        self._weight = np.repeat(np.fromiter(words.values(), np.int64, len(spelled)), lengths)
        self._min_count = min_count
        self._floor = max(int(self._weight.sum()) // 4096, min_count)  # pairs rarer than this are not tracked
        self.index()

    def index(self) -> None:
        """Find all pairs that occur ``_floor`` times or more."""
        kept = self._symbol != _GONE
        self._symbol, self._weight = self._symbol[kept], self._weight[kept]
        self._next = np.arange(1, len(self._symbol) + 1)
        self._previous = self._next - 2  # the first word's is -1: the last position, which is an _END
        at = np.flatnonzero((self._symbol[:-1] >= 0) & (self._symbol[1:] >= 0))
        left, right = self._symbol[at], self._symbol[at + 1]
        # A bucket weighs no less than any pair in it: most rare pairs go before the slow sort.
        bucket = (left * _SPREAD + right) & _BUCKET_MASK
        common = np.bincount(bucket, weights=self._weight[at])[bucket] >= self._floor
        at, keys = at[common], left[common] << _SHIFT | right[common]
        self._positions: dict[int, NDArray[np.int64]] = {}
        self._heap: list[tuple[int, int]] = []
        for key, positions, count in self._groups(keys, at):
            self._positions[key] = positions
            self._heap.append((-count, key))
        heapify(self._heap)

    def most_frequent(self) -> tuple[int, int, NDArray[np.int64]] | None:
        """The pair (left, right) that occurs most, and where; ``None`` if none occurs ``min_count`` times."""
        while True:
            while self._heap:
                negative, key = heappop(self._heap)
                left, right = key >> _SHIFT, key & _MASK
                at = self._positions.pop(key)
                at = at[self._symbol[at] == left]
                at = at[self._symbol[self._next[at]] == right]
                count = int(self._weight[at].sum())
                if count == -negative:
                    return left, right, at
                if count >= self._floor:
                    self._positions[key] = at
                    heappush(self._heap, (-count, key))
            if self._floor == self._min_count:
                return None
            self._floor = max(self._floor // _FLOOR_STEP, self._min_count)
            self.index()

    def merge(self, left: int, right: int, new: int, at: NDArray[np.int64]) -> None:
        """Replace the pair by ``new`` at these positions, left to right."""
        if left == right:
            at = self._without_overlaps(at)
        symbol, following = self._symbol, self._next
        second = following[at]
        after = following[second]
        symbol[at], symbol[second] = new, _GONE
        following[at] = after
        self._previous[after] = at
        before = self._previous[at]
        for neighbours, starts, precedes in ((after, at, False), (before, before, True)):
            other = symbol[neighbours]
            inside = other >= 0
            if precedes:
                inside &= other != new  # new after new is found once, from the first of the two
            for key, positions, count in self._groups(other[inside], starts[inside]):
                pair = key << _SHIFT | new if precedes else new << _SHIFT | key
                self._positions[pair] = positions
                heappush(self._heap, (-count, pair))

    def _without_overlaps(self, at: NDArray[np.int64]) -> NDArray[np.int64]:
        """Of a run of overlapping occurrences, every second one."""
        at = np.sort(at)
        overlaps = np.zeros(len(at), bool)
        overlaps[1:] = self._next[at[:-1]] == at[1:]
        place = np.arange(len(at))
        run_start = np.maximum.accumulate(np.where(overlaps, 0, place))
        taken: NDArray[np.int64] = at[(place - run_start) % 2 == 0]
        return taken

    def _groups(
        self, keys: NDArray[np.int64], starts: NDArray[np.int64]
    ) -> Iterator[tuple[int, NDArray[np.int64], int]]:
        """(key, its positions, their weight) for each key whose weight is not below the floor."""
        if not keys.size:
            return
        order = np.argsort(keys)
        keys, starts = keys[order], starts[order]
        bounds = np.flatnonzero(np.concatenate(([True], keys[1:] != keys[:-1], [True])))
        counts = np.add.reduceat(self._weight[starts], bounds[:-1])
        for i in np.flatnonzero(counts >= self._floor).tolist():
            yield int(keys[bounds[i]]), starts[bounds[i] : bounds[i + 1]], int(counts[i])
