"""Rows of whole comparisons: a prompt with its answers beside each other, none seeing another.

A row is read in one piece, with every prompt once, or, where that is long, in strips: attention costs less in
them, for the price of a prompt that stands in every strip that has answers of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bottega.data.batches import Batch
from bottega.data.bestfit import pack_best_fit
from bottega.data.comparisons import Judged
from bottega.data.packing import StepPlan
from bottega.errors import UserError

ROWS = (128, 256, 512, 1024, 2048, 4096, 8192)  # lengths of rows: few shapes, few compilations
LONGEST_WHOLE = 1024  # rows up to this are never read in strips
_TOGETHER = 256  # comparisons that are packed into strips together; by as many the strips are chosen
_STEP = 128  # of the lengths of strips that attention takes in pieces


@dataclass(frozen=True, slots=True)
class _Part:
    """Some answers of a comparison, after their prompt, from a column of a row on."""

    answers: Sequence[int]
    column: int


_Row = list[tuple[int, list[_Part]]]  # which comparisons, and where their parts stand


class ComparisonPlan(StepPlan):
    """Steps of ``batch_rows`` rows, packed best-fit with whole comparisons, in a new order every epoch.

    The prompt of n tokens stands as its first n - 1; each answer's branch begins with the last of them, so
    that every token of an answer is predicted within its own branch. A batch's ``extra`` holds ``branches``
    int32 [B, S] (0 for prompts), ``ends`` int64 [B, A] (the column of each answer's last token, -1 for none),
    ``prompt_ends`` int64 [B, A] (the column of its prompt's last token, which is in its own branch),
    ``answer`` int32 [B, S] (1 + the answer's place among the row's, where a column predicts a token of it),
    ``wins`` float32 [B, A, A], ``ratings`` float32 [B, A] (NaN for none), ``prompts`` float32 [B] (how many
    there are), and ``item`` int64 [B, A] (which of ``judged``, -1 for none).

    With strips, a row of ``context`` positions is S / ``strip`` rows of the batch's arrays [B, S], one after
    the other: those are [B S / strip, strip], and columns count through all strips of a row.
    """

    def __init__(
        self,
        judged: Sequence[Judged],
        batch_tokens: int,
        seed: int,
        *,
        epochs: float = 1.0,
        context: int | None = None,
        strip: int | None = None,
        pad: int = 0,
    ) -> None:
        if not judged:
            raise UserError("there is no comparison and no rating to learn from")
        self.judged = judged
        if context is None:
            context, strip = row_and_strip(judged)
        self.strip = strip or context
        super().__init__(context, max(1, batch_tokens // context))
        order = np.random.default_rng(seed).permutation(len(judged))
        if self.strip == context:
            self._rows = _whole(judged, context, order)
        else:
            self._rows = _in_strips(judged, context, self.strip, order)
        self._seed, self._pad = seed, pad
        parts = [(judged[item], part) for row in self._rows for item, of_one in row for part in of_one]
        filled = sum(one.size_with(part.answers) for one, part in parts)
        self.fill = filled / (self.num_rows * context)
        most = max(sum(len(judged[item].answers) for item, _ in row) for row in self._rows)
        self.most_answers = -(-most // 8) * 8
        self._row_order = lru_cache(maxsize=2)(self._order)
        self._all_rows = max(1, round(self.num_rows * epochs))

    @property
    def num_rows(self) -> int:
        """Rows in one epoch."""
        return len(self._rows)

    @property
    def steps(self) -> int:
        """Steps that pass over everything ``epochs`` times; rows beyond, in the last, are empty."""
        return -(-self._all_rows // self.batch_rows)

    def rows(self, numbers: NDArray[np.int64]) -> Batch:
        """The rows of these numbers, which count on through the epochs."""
        batch = Batch.padding(len(numbers), self.context, self._pad)
        B, S, A = len(numbers), self.context, self.most_answers
        extra: dict[str, NDArray[Any]] = {
            "branches": np.zeros((B, S), np.int32),
            "answer": np.zeros((B, S), np.int32),
            "ends": np.full((B, A), -1, np.int64),
            "prompt_ends": np.full((B, A), -1, np.int64),
            "wins": np.zeros((B, A, A), np.float32),
            "ratings": np.full((B, A), np.nan, np.float32),
            "prompts": np.zeros(B, np.float32),
            "item": np.full((B, A), -1, np.int64),
        }
        for b, number in enumerate(numbers.tolist()):
            self._write_row(batch, extra, b, self._row_at(number))
        batch.extra.update(extra)
        return batch if self.strip == S else _folded(batch, self.strip)

    def _write_row(self, batch: Batch, extra: dict[str, NDArray[Any]], b: int, items: _Row) -> None:
        first = 0
        for segment, (item, parts) in enumerate(items, start=1):
            one = self.judged[item]
            K, shared = len(one.answers), len(one.prompt) - 1
            for part in parts:
                column = part.column
                stop = column + one.size_with(part.answers)
                batch.tokens[b, column : column + shared] = one.prompt[:-1]
                batch.positions[b, column : column + shared] = np.arange(shared)
                batch.segments[b, column:stop] = segment
                column += shared
                for k in part.answers:
                    answer = one.answers[k]
                    n = len(answer)
                    end = column + n
                    batch.tokens[b, column] = one.prompt[-1]
                    batch.tokens[b, column + 1 : end + 1] = answer
                    batch.targets[b, column:end] = answer
                    batch.weights[b, column:end] = 1.0
                    batch.positions[b, column : end + 1] = np.arange(shared, shared + n + 1)
                    extra["branches"][b, column : end + 1] = k + 1
                    extra["answer"][b, column:end] = first + k + 1
                    extra["ends"][b, first + k] = end
                    extra["prompt_ends"][b, first + k] = column
                    column = end + 1
            extra["wins"][b, first : first + K, first : first + K] = one.wins
            extra["ratings"][b, first : first + K] = one.ratings
            extra["item"][b, first : first + K] = item
            first += K
        extra["prompts"][b] = len(items)

    def _row_at(self, number: int) -> _Row:
        if number >= self._all_rows:
            return []
        epoch, place = divmod(number, self.num_rows)
        return self._rows[int(self._row_order(epoch)[place])]

    def _order(self, epoch: int) -> NDArray[np.int64]:
        return np.random.default_rng((self._seed, epoch)).permutation(self.num_rows)

    def row_provenance(self, number: int) -> str:
        """The records in one row."""
        return ", ".join(self.judged[item].name for item, _ in self._row_at(number))

    def row_epochs(self, rows: int) -> dict[str, float]:
        """How many times the first ``rows`` rows pass over everything."""
        return {"comparisons": rows / self.num_rows}


def row_length(size: int) -> int:
    """The shortest length of a row that holds ``size`` positions and is one of :data:`ROWS`."""
    for length in ROWS:
        if size <= length:
            return length
    raise UserError(
        f"a prompt with all its answers takes {size:,} tokens, and a row has {ROWS[-1]:,} at most: "
        "lower the context, or give fewer answers to a prompt"
    )


def row_and_strip(judged: Sequence[Judged]) -> tuple[int, int]:
    """The length of a row that holds each of these, and that of its strips: the row's own, or for a long
    row whichever costs least, a position in strips of n costing 1 + n / 1024."""
    whole = max(one.size for one in judged)
    if whole <= LONGEST_WHOLE:
        return row_length(whole), row_length(whole)
    some = judged[:_TOGETHER]
    order = np.arange(len(some))
    found: dict[float, tuple[int, int]] = {}
    if whole <= ROWS[-1]:
        row = row_length(whole)
        found[len(_whole(some, row, order)) * row * (1 + row / 1024)] = (row, row)
    for strip in _strips(max(one.longest for one in judged)):
        row = _strips_for(some, strip)
        found.setdefault(len(_in_strips(some, row, strip, order)) * row * (1 + strip / 1024), (row, strip))
    _, strip = found[min(found)]
    return _strips_for(judged, strip), strip


def _strips_for(judged: Sequence[Judged], strip: int) -> int:
    """Positions of as many strips as any of these needs."""
    return strip * max(len(_fitted([strip] * len(one.answers), one)) for one in judged)


def _strips(longest: int) -> Sequence[int]:
    """Lengths of strips that hold the longest prompt with an answer."""
    least = -(-longest // _STEP) * _STEP
    return range(least, LONGEST_WHOLE + 1, _STEP) or ROWS[ROWS.index(row_length(longest)) :]


def _whole(judged: Sequence[Judged], row: int, order: NDArray[np.int64]) -> list[_Row]:
    """Every comparison in one part, packed best-fit."""
    sizes = np.array([one.size for one in judged], np.int64)
    items, ends = pack_best_fit(sizes, row, order)
    rows = []
    for first, last in pairwise(ends.tolist()):
        column, found = 0, []
        for item in items[first:last].tolist():
            found.append((item, [_Part(range(len(judged[item].answers)), column)]))
            column += int(sizes[item])
        rows.append(found)
    return rows


def _in_strips(judged: Sequence[Judged], row: int, strip: int, order: NDArray[np.int64]) -> list[_Row]:
    """Every comparison in as many parts as it needs strips, all in one row: of some comparisons at a time the
    largest first, each in the first row with room."""
    found: list[_Row] = []
    for first in range(0, len(order), _TOGETHER):
        some = order[first : first + _TOGETHER].tolist()
        rows: list[_Row] = []
        rooms: list[list[int]] = []  # of the strips of each row
        for item in sorted(some, key=lambda item: -judged[item].size):
            one = judged[item]
            tried = ((n, _fitted(room, one)) for n, room in enumerate(rooms))
            n, parts = next(((n, parts) for n, parts in tried if parts), (len(rows), {}))
            if not parts:
                rows.append([])
                rooms.append([strip] * (row // strip))
                parts = _fitted(rooms[n], one)
            placed = []
            for which, answers in sorted(parts.items()):
                placed.append(_Part(sorted(answers), (which + 1) * strip - rooms[n][which]))
                rooms[n][which] -= one.size_with(answers)
            rows[n].append((item, placed))
        found += rows
    return found


def _fitted(room: Sequence[int], one: Judged) -> dict[int, list[int]]:
    """Which answers go to which strip: the longest first, where the prompt stands already if there is room,
    and there where least is left; none where one finds no room."""
    shared = len(one.prompt) - 1
    left, found = list(room), dict[int, list[int]]()
    for k in sorted(range(len(one.answers)), key=lambda k: -len(one.answers[k])):
        size = 1 + len(one.answers[k])
        fits = [which for which in found if left[which] >= size]
        if not fits:
            fits = [which for which, free in enumerate(left) if which not in found and free >= size + shared]
            size += shared
        if not fits:
            return {}
        which = min(fits, key=lambda which: left[which])
        found.setdefault(which, []).append(k)
        left[which] -= size
    return found


def _folded(batch: Batch, strip: int) -> Batch:
    """Arrays of one entry a position, a strip to a row."""
    extra = {
        name: array.reshape(-1, strip) if name in ("branches", "answer") else array
        for name, array in batch.extra.items()
    }
    return Batch(
        batch.tokens.reshape(-1, strip),
        batch.targets.reshape(-1, strip),
        batch.weights.reshape(-1, strip),
        batch.segments.reshape(-1, strip),
        batch.positions.reshape(-1, strip),
        extra,
    )
