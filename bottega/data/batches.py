"""What a training step reads: a batch of fixed shape, and the plan that gives the batch of any step."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows of packed examples. A position with segment 0 is padding and has weight 0."""

    tokens: NDArray[np.int64]  # [B, S]
    targets: NDArray[np.int64]  # [B, S] the token that follows
    weights: NDArray[np.float32]  # [B, S] of the target in the loss
    segments: NDArray[np.int32]  # [B, S] 1.. within a row; attention stays within a segment
    positions: NDArray[np.int32]  # [B, S] from 0 in every segment
    extra: dict[str, NDArray[Any]] = field(default_factory=dict)  # [B, ..] what one objective alone reads

    @classmethod
    def padding(cls, rows: int, context: int, pad: int = 0) -> Batch:
        """Rows that hold nothing."""
        shape = (rows, context)
        return cls(
            np.full(shape, pad, np.int64),
            np.full(shape, pad, np.int64),
            np.zeros(shape, np.float32),
            np.zeros(shape, np.int32),
            np.zeros(shape, np.int32),
        )

    def put(self, rows: NDArray[np.int64], part: Batch) -> None:
        """Write the rows of ``part`` at these row numbers."""
        for one in fields(self):
            if one.name != "extra":
                getattr(self, one.name)[rows] = getattr(part, one.name)


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
