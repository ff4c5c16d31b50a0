"""One source's examples, each whole and in one row, as an endless stream of rows: best-fit packing."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from bottega.data.batches import Batch
from bottega.data.shards import TokenShards
from bottega.errors import UserError

Overlong = Literal["drop", "truncate", "split"]


@dataclass(frozen=True, slots=True)
class PackingReport:
    """What became of one source's examples. Tokens are counted as targets."""

    source: str
    examples: int
    rows: int
    packed_targets: int
    fill: float  # the share of the rows' positions that is not padding
    dropped: int  # examples left out because they exceed the context
    truncated: int  # examples cut to the context; their end is lost
    split: int  # examples cut into several pieces; nothing is lost
    lost_targets: int  # targets of what was dropped or cut
    too_short: int  # examples of fewer than two tokens: they have no target
    without_loss: int  # packed pieces in which every weight is 0


class ExampleStream:
    """Examples packed whole into rows of ``context`` positions; the rows come in a new order every epoch.

    An example of n tokens takes n - 1 positions (its last token is only a target), so no row's loss reaches
    from one example into another. One of more than ``context`` + 1 tokens is treated as ``overlong`` says.
    """

    def __init__(
        self, shards: TokenShards, context: int, seed: tuple[int, ...], overlong: Overlong, pad: int
    ) -> None:
        if overlong not in get_args(Overlong):
            raise UserError(
                f"overlong = {overlong!r} is not known; choose one of {', '.join(get_args(Overlong))}"
            )
        self._shards = shards
        self._context = context
        self._seed = seed
        self._pad = pad
        lengths = np.diff(shards.offsets)
        self._example, self._place, self._size = _cut(lengths, shards.offsets[:-1], context, overlong)
        if not self._size.size:
            raise UserError(
                f"{shards.name}: none of its {len(shards)} examples fits a context of {context}; "
                "raise the context, or choose overlong = truncate or split"
            )
        rng = np.random.default_rng(seed)
        self._pieces, self._row_ends = pack_best_fit(self._size, context, rng.permutation(self._size.size))
        self._row_order = lru_cache(maxsize=2)(self._order)
        self.report = self._report(lengths, overlong)

    @property
    def num_rows(self) -> int:
        """Rows in one epoch."""
        return len(self._row_ends) - 1

    def _order(self, epoch: int) -> NDArray[np.int64]:
        return np.random.default_rng((*self._seed, epoch)).permutation(self.num_rows)

    def _rows_at(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        epochs, places = np.divmod(numbers, self.num_rows)
        return np.array(
            [self._row_order(e)[p] for e, p in zip(epochs.tolist(), places.tolist(), strict=True)]
        )

    def rows(self, numbers: NDArray[np.int64]) -> Batch:
        """One row per number of the stream."""
        rows = self._rows_at(numbers)
        counts = self._row_ends[rows + 1] - self._row_ends[rows]  # pieces in each row
        nth = _count_up(counts)
        pieces = self._pieces[np.repeat(self._row_ends[rows], counts) + nth]
        sizes = self._size[pieces]
        within = _count_up(sizes)  # position in its segment
        starts = np.cumsum(sizes) - sizes
        row_starts = np.repeat(starts[np.cumsum(counts) - counts], counts)  # where the piece's row starts
        column = np.repeat(starts - row_starts, sizes) + within
        row = np.repeat(np.repeat(np.arange(len(rows)), counts), sizes)
        source = np.repeat(self._place[pieces], sizes) + within
        batch = Batch.padding(len(rows), self._context, self._pad)
        batch.tokens[row, column] = self._shards.tokens[source]
        batch.targets[row, column] = self._shards.tokens[source + 1]
        batch.weights[row, column] = self._shards.weights(source + 1)
        batch.segments[row, column] = np.repeat(nth + 1, sizes)
        batch.positions[row, column] = within
        return batch

    def row_provenance(self, number: int) -> str:
        """The source, and the examples in one row."""
        row = int(self._rows_at(np.array([number]))[0])
        pieces = self._pieces[self._row_ends[row] : self._row_ends[row + 1]]
        return f"{self._shards.name}: {', '.join(map(str, self._example[pieces]))}"

    def row_epochs(self, rows: int) -> dict[str, float]:
        """How many times the first ``rows`` rows pass over the source."""
        return {self._shards.name: rows / self.num_rows}

    def _report(self, lengths: NDArray[np.int64], overlong: Overlong) -> PackingReport:
        long = int((lengths > self._context + 1).sum())
        packed = int(self._size.sum())
        counted = np.cumsum(self._shards.weights(np.arange(self._shards.num_tokens)) > 0)
        with_loss = counted[self._place + self._size] > counted[self._place]
        return PackingReport(
            source=self._shards.name,
            examples=len(lengths),
            rows=self.num_rows,
            packed_targets=packed,
            fill=packed / (self.num_rows * self._context),
            dropped=long if overlong == "drop" else 0,
            truncated=long if overlong == "truncate" else 0,
            split=long if overlong == "split" else 0,
            lost_targets=int(np.maximum(lengths - 1, 0).sum()) - packed,
            too_short=int((lengths < 2).sum()),
            without_loss=int((~with_loss).sum()),
        )


def _cut(
    lengths: NDArray[np.int64], places: NDArray[np.int64], context: int, overlong: Overlong
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """The pieces to pack: example, place of the first token, positions taken (one less than tokens)."""
    example = np.flatnonzero(lengths >= 2)
    place, size = places[example], lengths[example] - 1
    if overlong == "drop":
        keep = size <= context
        return example[keep], place[keep], size[keep]
    if overlong == "truncate":
        return example, place, np.minimum(size, context)
    counts = -(-size // context)
    nth = _count_up(counts)
    # Pieces share one token, the last target of one and the first input of the next: each is a target once.
    rest = np.repeat(size, counts) - nth * context
    return np.repeat(example, counts), np.repeat(place, counts) + nth * context, np.minimum(rest, context)


def pack_best_fit(
    sizes: NDArray[np.int64], capacity: int, order: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Best-fit decreasing: largest first, each into the fullest row that has room; ``order`` breaks ties.

    Returns the pieces row by row, and where each row starts and ends among them. O(n log n) for n pieces.
    """
    order = order[np.argsort(-sizes[order], kind="stable")]
    rows_with: list[list[int]] = [[] for _ in range(capacity + 1)]  # by room left
    rooms = 0  # bit r is set where a row with room r exists
    row_of = np.empty(len(sizes), np.int64)
    rows = 0
    for piece, size in zip(order.tolist(), sizes[order].tolist(), strict=True):
        fitting = rooms >> size
        if fitting:
            room = size + (fitting & -fitting).bit_length() - 1
            row = rows_with[room].pop()
            if not rows_with[room]:
                rooms ^= 1 << room
        else:
            room, row = capacity, rows
            rows += 1
        row_of[piece] = row
        rows_with[room - size].append(row)
        rooms |= 1 << (room - size)
    ends = np.zeros(rows + 1, np.int64)
    np.cumsum(np.bincount(row_of, minlength=rows), out=ends[1:])
    return np.argsort(row_of, kind="stable"), ends


def _count_up(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """0 .. c-1 for each c of ``counts``, joined."""
    return np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
