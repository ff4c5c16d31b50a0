"""Documents packed into rows of fixed length: no token lost, none seen twice in an epoch."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from bottega.data.batches import Batch, BatchPlan, RowPlan
from bottega.data.mixture import Mixture
from bottega.data.shards import TokenShards
from bottega.errors import UserError

__all__ = ["Batch", "BatchPlan", "DocumentPlan"]

_EPOCHS_KEPT = 3  # a window touches its epoch and the next; one more for a resume that straddles


@dataclass(frozen=True, slots=True)
class _Epoch:
    documents: NDArray[np.int64]  # in this epoch's order
    ends: NDArray[np.int64]  # where each ends in the epoch's stream
    first_window: int
    windows: NDArray[np.int64]  # the windows that start in this epoch, in the order they are read


class _Stream:
    """One source's endless token stream: its documents in a new order every epoch, cut into windows.

    The stream is cut without a gap, so the last window of an epoch runs on into the next one. Windows that start
    in the same epoch are read in a permuted order too: the pieces of one long document are not neighbours.
    """

    def __init__(self, shards: TokenShards, context: int, seed: int, index: int) -> None:
        if not shards.num_tokens:
            raise UserError(f"{shards.name} has no tokens: leave it out or give it documents")
        self.shards = shards
        self.context = context
        self._seed = (seed, index)
        self._lengths = np.diff(shards.offsets)
        self.epoch = lru_cache(maxsize=_EPOCHS_KEPT)(self._epoch)

    def _epoch(self, number: int) -> _Epoch:
        rng = np.random.default_rng((*self._seed, number))
        documents = rng.permutation(len(self.shards))
        total, context = self.shards.num_tokens, self.context
        first = -(-number * total // context)
        last = -(-(number + 1) * total // context)
        return _Epoch(
            documents, np.cumsum(self._lengths[documents]), first, first + rng.permutation(last - first)
        )

    def window_start(self, number: int) -> int:
        """Where the ``number``-th window that is read starts in the stream."""
        epoch = self.epoch(number * self.context // self.shards.num_tokens)
        return int(epoch.windows[number - epoch.first_window]) * self.context

    def pieces(self, start: int, length: int) -> list[tuple[int, int, int]]:
        """Runs of one document that make up stream[start : start + length]: (document, place in tokens, length)."""
        found = []
        number, offset = divmod(start, self.shards.num_tokens)
        while length:
            epoch = self.epoch(number)
            rank = bisect_right(epoch.ends, offset)
            while length and rank < len(epoch.documents):
                document, end = int(epoch.documents[rank]), int(epoch.ends[rank])
                size = min(end - offset, length)
                if size:
                    found.append((document, int(self.shards.offsets[document + 1]) - (end - offset), size))
                length -= size
                offset = end
                rank += 1
            number, offset = number + 1, 0
        return found

    def rows(self, numbers: NDArray[np.int64]) -> Batch:
        size = self.context + 1  # the inputs, and one more for the last target
        places: list[int] = []
        lengths: list[int] = []
        segments: list[int] = []
        for number in numbers.tolist():
            row = self.pieces(self.window_start(number), size)
            for segment, (_, place, length) in enumerate(row, 1):
                places.append(place)
                lengths.append(length)
                segments.append(segment)
        repeats = np.array(lengths)
        run_starts = np.cumsum(repeats) - repeats
        within = np.arange(size * len(numbers)) - np.repeat(run_starts, repeats)
        indices = np.repeat(np.array(places), repeats) + within
        shape = (len(numbers), size)
        tokens = self.shards.tokens[indices].astype(np.int64).reshape(shape)
        return Batch(
            tokens[:, :-1],
            tokens[:, 1:],
            self.shards.weights(indices).reshape(shape)[:, 1:],
            np.repeat(np.array(segments, np.int32), repeats).reshape(shape)[:, :-1],
            within.astype(np.int32).reshape(shape)[:, :-1],
        )

    def provenance(self, number: int) -> str:
        documents = [str(document) for document, _, _ in self.pieces(self.window_start(number), self.context)]
        return f"{self.shards.name}: {', '.join(documents)}"


class DocumentPlan(RowPlan):
    """Pretraining rows: windows over each source's permuted stream, sources mixed row by row.

    Every token of an epoch is a target exactly once. Segments and positions restart at each document and at each
    row: what a row holds of a long document is a segment of its own.
    """

    def __init__(
        self, sources: Sequence[tuple[TokenShards, float]], context: int, batch_rows: int, seed: int
    ) -> None:
        super().__init__(context, batch_rows)
        self._mixture = Mixture([weight for _, weight in sources])
        self._streams = [_Stream(shards, context, seed, i) for i, (shards, _) in enumerate(sources)]

    def rows(self, numbers: NDArray[np.int64]) -> Batch:
        """The rows of these numbers in the endless stream."""
        source, nth = self._mixture.locate(numbers)
        batch = Batch.empty(len(numbers), self.context)
        for i in np.unique(source).tolist():
            here = np.flatnonzero(source == i)
            batch.put(here, self._streams[i].rows(nth[here]))
        return batch

    def row_provenance(self, number: int) -> str:
        """The source and the documents in one row of the stream."""
        source, nth = self._mixture.locate(np.array([number]))
        return self._streams[int(source[0])].provenance(int(nth[0]))

    def epochs(self, steps: int) -> dict[str, float]:
        """How many times ``steps`` steps pass over each source."""
        rows = np.arange(steps * self.batch_rows)
        counts = np.bincount(self._mixture.locate(rows)[0], minlength=len(self._streams))
        return {
            stream.shards.name: int(n) * self.context / stream.shards.num_tokens
            for stream, n in zip(self._streams, counts, strict=True)
        }
