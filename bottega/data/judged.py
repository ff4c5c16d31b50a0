"""Rows of whole comparisons: every prompt once, its answers beside each other, none seeing another."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bottega.data.batches import Batch
from bottega.data.bestfit import pack_best_fit
from bottega.data.comparisons import Judged
from bottega.data.packing import StepPlan
from bottega.errors import UserError

ROWS = (128, 256, 512, 1024, 2048, 4096, 8192)  # lengths of rows: few shapes, few compilations


class ComparisonPlan(StepPlan):
    """Steps of ``batch_rows`` rows, packed best-fit with whole comparisons, in a new order every epoch.

    The prompt of n tokens stands once, as its first n - 1; each answer's branch begins with the last of them,
    so that every token of an answer is predicted within its own branch. A batch's ``extra`` holds
    ``branches`` int32 [B, S] (0 for prompts), ``ends`` int64 [B, A] (the column of each answer's last token,
    -1 for none), ``prompt_ends`` int64 [B, A] (the column of its prompt's last token, which is in its own
    branch), ``answer`` int32 [B, S] (1 + the answer's place among the row's, where a column predicts a token
    of it), ``wins`` float32 [B, A, A], ``ratings`` float32 [B, A] (NaN for none), ``prompts`` float32 [B]
    (how many there are), and ``item`` int64 [B, A] (which of ``judged``, -1 for none).
    """

    def __init__(
        self,
        judged: Sequence[Judged],
        batch_tokens: int,
        seed: int,
        *,
        epochs: float = 1.0,
        context: int | None = None,
        pad: int = 0,
    ) -> None:
        if not judged:
            raise UserError("there is no comparison and no rating to learn from")
        self.judged = judged
        sizes = np.array([one.size for one in judged], np.int64)
        row = context or row_length(int(sizes.max()))
        super().__init__(row, max(1, batch_tokens // row))
        order = np.random.default_rng(seed).permutation(len(judged))
        self._items, self._row_ends = pack_best_fit(sizes, row, order)
        self._seed, self._pad = seed, pad
        self.fill = float(sizes.sum() / (self.num_rows * row))
        answers = np.array([len(one.answers) for one in judged])
        most = max(int(answers[self._in_row(r)].sum()) for r in range(self.num_rows))
        self.most_answers = -(-most // 8) * 8
        self._row_order = lru_cache(maxsize=2)(self._order)
        self._all_rows = max(1, round(self.num_rows * epochs))

    @property
    def num_rows(self) -> int:
        """Rows in one epoch."""
        return len(self._row_ends) - 1

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
        return batch

    def _write_row(
        self, batch: Batch, extra: dict[str, NDArray[Any]], b: int, items: NDArray[np.int64]
    ) -> None:
        column = first = 0
        for segment, item in enumerate(items.tolist(), start=1):
            one = self.judged[item]
            K, shared = len(one.answers), len(one.prompt) - 1
            stop = column + one.size
            batch.tokens[b, column : column + shared] = one.prompt[:-1]
            batch.positions[b, column : column + shared] = np.arange(shared)
            batch.segments[b, column:stop] = segment
            column += shared
            for k, answer in enumerate(one.answers):
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

    def _in_row(self, row: int) -> NDArray[np.int64]:
        return self._items[self._row_ends[row] : self._row_ends[row + 1]]

    def _row_at(self, number: int) -> NDArray[np.int64]:
        if number >= self._all_rows:
            return np.zeros(0, np.int64)
        epoch, place = divmod(number, self.num_rows)
        return self._in_row(int(self._row_order(epoch)[place]))

    def _order(self, epoch: int) -> NDArray[np.int64]:
        return np.random.default_rng((self._seed, epoch)).permutation(self.num_rows)

    def row_provenance(self, number: int) -> str:
        """The records in one row."""
        return ", ".join(self.judged[item].name for item in self._row_at(number).tolist())

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
