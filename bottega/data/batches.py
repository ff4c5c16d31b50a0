"""What a training step reads: a batch of fixed shape, and the plan that gives the batch of any step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from bottega.errors import UserError


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows of packed examples. A position with segment 0 is padding and has weight 0."""

    tokens: NDArray[np.int64]  # [B, S]
    targets: NDArray[np.int64]  # [B, S] the token that follows
    weights: NDArray[np.float32]  # [B, S] of the target in the loss
    segments: NDArray[np.int32]  # [B, S] 1.. within a row; attention stays within a segment
    positions: NDArray[np.int32]  # [B, S] from 0 in every segment

    @classmethod
    def empty(cls, rows: int, context: int, pad: int = 0) -> Batch:
        """``rows`` rows of padding."""
        return cls(
            np.full((rows, context), pad, np.int64),
            np.full((rows, context), pad, np.int64),
            np.zeros((rows, context), np.float32),
            np.zeros((rows, context), np.int32),
            np.zeros((rows, context), np.int32),
        )

    @classmethod
    def concatenate(cls, parts: Sequence[Batch]) -> Batch:
        """The rows of all parts, in order."""
        return cls(*(np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(cls)))

    def put(self, rows: NDArray[np.int64], part: Batch) -> None:
        """Write the rows of ``part`` at these row numbers."""
        for field in fields(self):
            getattr(self, field.name)[rows] = getattr(part, field.name)


@runtime_checkable
class BatchPlan(Protocol):
    """The batch of every step, as a function of the seed and the step alone."""

    @property
    def tokens_per_step(self) -> int:
        """Positions in the batch of one step, over all ranks and micro-batches."""

    def batch(self, step: int, rank: int = 0, world: int = 1, micro: int = 0, micros: int = 1) -> Batch:
        """The rows of ``step`` that belong to this rank and micro-batch."""

    def provenance(self, step: int) -> list[str]:
        """For each row of the step, the source and the examples in it."""


class RowPlan:
    """A plan made of an endless stream of rows: step ``s`` has rows ``s * batch_rows`` and on.

    Ranks, then micro-batches, take consecutive slices, so that they concatenate to the full batch.
    """

    def __init__(self, context: int, batch_rows: int) -> None:
        if context < 1 or batch_rows < 1:
            raise UserError(f"context {context} and batch_rows {batch_rows} must both be at least 1")
        self.context = context
        self.batch_rows = batch_rows

    @property
    def tokens_per_step(self) -> int:
        """Positions in the batch of one step, over all ranks and micro-batches."""
        return self.context * self.batch_rows

    def rows(self, numbers: NDArray[np.int64]) -> Batch:
        """The rows of these numbers in the endless stream."""
        raise NotImplementedError

    def row_provenance(self, number: int) -> str:
        """The source and the examples in one row of the stream."""
        raise NotImplementedError

    def batch(self, step: int, rank: int = 0, world: int = 1, micro: int = 0, micros: int = 1) -> Batch:
        """The rows of ``step`` for this rank and micro-batch. Raises ``UserError`` on an uneven split."""
        parts = world * micros
        if self.batch_rows % parts:
            raise UserError(
                f"a batch of {self.batch_rows} rows cannot be split over {world} processes x {micros} "
                f"micro-batches; make the rows a multiple of {parts}"
            )
        size = self.batch_rows // parts
        first = step * self.batch_rows + (rank * micros + micro) * size
        return self.rows(np.arange(first, first + size))

    def provenance(self, step: int) -> list[str]:
        """For each row of the step, the source and the examples in it."""
        first = step * self.batch_rows
        return [self.row_provenance(number) for number in range(first, first + self.batch_rows)]
