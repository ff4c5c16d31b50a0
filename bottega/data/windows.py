"""One source's documents as an endless stream of windows: no token lost, none seen twice in an epoch."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from bottega.data.batches import Batch
from bottega.data.shards import TokenShards
from bottega.errors import UserError

_EPOCHS_KEPT = 3  # a window touches its own epoch and the next, and a batch may straddle two


@dataclass(frozen=True, slots=True)
class _Epoch:
    documents: NDArray[np.int64]  # in this epoch's order
    ends: NDArray[np.int64]  # where each ends in the epoch's stream
    first_window: int
    windows: NDArray[np.int64]  # the windows that start in this epoch, in the order they are read


class WindowStream:
    """Documents in a new order every epoch, end to end, cut into windows without a gap.

    The last window of an epoch runs on into the next one, so each token of an epoch is a target exactly once.
    Windows that start in the same epoch are read in a permuted order too: the windows of one long document do
    not fill one batch. Access to any window costs O(log documents) once its epoch's order is known.
    """

    def __init__(self, shards: TokenShards, context: int, seed: tuple[int, ...]) -> None:
        if not shards.num_tokens:
            raise UserError(f"{shards.name} has no tokens: leave it out or give it documents")
        self._shards = shards
        self._context = context
        self._seed = seed
        self._lengths = np.diff(shards.offsets)
        self._epoch = lru_cache(maxsize=_EPOCHS_KEPT)(self._order)

    def _order(self, number: int) -> _Epoch:
        rng = np.random.default_rng((*self._seed, number))
        documents = rng.permutation(len(self._shards))
        total, context = self._shards.num_tokens, self._context
        first = -(-number * total // context)
        last = -(-(number + 1) * total // context)
        windows = first + rng.permutation(last - first)
        return _Epoch(documents, np.cumsum(self._lengths[documents]), first, windows)

    def _start(self, number: int) -> int:
        """Where the ``number``-th window that is read starts in the stream."""
        epoch = self._epoch(number * self._context // self._shards.num_tokens)
        return int(epoch.windows[number - epoch.first_window]) * self._context

    def _runs(self, start: int, length: int) -> list[tuple[int, int, int]]:
        """The documents in stream[start : start + length], as runs: (document, place in tokens, length)."""
        found = []
        number, offset = divmod(start, self._shards.num_tokens)
        while length:
            epoch = self._epoch(number)
            rank = bisect_right(epoch.ends, offset)
            while length and rank < len(epoch.documents):
                document, end = int(epoch.documents[rank]), int(epoch.ends[rank])
                size = min(end - offset, length)
                if size:
                    found.append((document, int(self._shards.offsets[document + 1]) - (end - offset), size))
                length -= size
                offset = end
                rank += 1
            number, offset = number + 1, 0
        return found

    def rows(self, numbers: NDArray[np.int64]) -> Batch:
        """One row per window number."""
        size = self._context + 1  # the inputs, and one more for the last target
        runs = [self._runs(self._start(number), size) for number in numbers.tolist()]
        lengths = np.array([length for row in runs for _, _, length in row])
        places = np.array([place for row in runs for _, place, _ in row])
        segments = np.array([segment for row in runs for segment in range(1, len(row) + 1)], np.int32)
        within = np.arange(size * len(runs)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        indices = np.repeat(places, lengths) + within
        shape = (len(runs), size)
        tokens = self._shards.tokens[indices].astype(np.int64).reshape(shape)
        return Batch(
            tokens[:, :-1],
            tokens[:, 1:],
            self._shards.weights(indices).reshape(shape)[:, 1:],
            np.repeat(segments, lengths).reshape(shape)[:, :-1],
            within.astype(np.int32).reshape(shape)[:, :-1],
        )

    def row_provenance(self, number: int) -> str:
        """The source, and the documents in one row."""
        documents = [str(document) for document, _, _ in self._runs(self._start(number), self._context)]
        return f"{self._shards.name}: {', '.join(documents)}"

    def row_epochs(self, rows: int) -> dict[str, float]:
        """How many times the first ``rows`` rows pass over the source."""
        return {self._shards.name: rows * self._context / self._shards.num_tokens}
