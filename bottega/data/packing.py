"""Plans: rows of fixed length for every training step, from documents, from conversations, or from both.

A plan is a function of its seed and the step alone. Any step can be asked for at any time, so a run resumes
by asking for the next one; ranks and micro-batches take disjoint slices of a step's rows.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bottega.data.batches import Batch, BatchPlan
from bottega.data.bestfit import ExampleStream, Overlong, PackingReport
from bottega.data.mixture import Mixture
from bottega.data.shards import TokenShards
from bottega.data.windows import WindowStream
from bottega.errors import UserError

__all__ = [
    "Batch",
    "BatchPlan",
    "ConversationPlan",
    "DocumentPlan",
    "MixedPlan",
    "Overlong",
    "PackingReport",
    "RowPlan",
    "StepPlan",
]


class RowStream(Protocol):
    """An endless stream of rows with random access."""

    def rows(self, numbers: NDArray[np.int64]) -> Batch:
        """One row per number of the stream."""

    def row_provenance(self, number: int) -> str:
        """The source and the examples in one row."""

    def row_epochs(self, rows: int) -> dict[str, float]:
        """By source, how many times the first ``rows`` rows pass over it."""


class Assignment(Protocol):
    """Which stream each row comes from."""

    def locate(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """For each row: its stream, and how many earlier rows came from that stream."""

    def counts(self, rows: int) -> NDArray[np.int64]:
        """How many of the first ``rows`` rows come from each stream."""


class StepPlan(ABC):
    """An endless stream of rows, cut into steps of ``batch_rows`` rows of ``context`` positions."""

    def __init__(self, context: int, batch_rows: int) -> None:
        self.context = context
        self.batch_rows = batch_rows

    @property
    def tokens_per_step(self) -> int:
        """Positions in the batch of one step, over all ranks and micro-batches."""
        return self.context * self.batch_rows

    def batch(self, step: int, rank: int = 0, world: int = 1, micro: int = 0, micros: int = 1) -> Batch:
        """The rows of ``step`` for this rank and micro-batch. Raises ``UserError`` on an uneven split.

        Ranks, then micro-batches within a rank, take consecutive slices: in order they make the full batch.
        """
        parts = world * micros
        if self.batch_rows % parts:
            raise UserError(
                f"a step of {self.tokens_per_step} tokens is {self.batch_rows} rows of {self.context}, which "
                f"cannot be split over {world} processes x {micros} micro-batches; set batch_tokens to "
                f"{-(-self.batch_rows // parts) * parts * self.context}"
            )
        size = self.batch_rows // parts
        first = step * self.batch_rows + (rank * micros + micro) * size
        return self.rows(np.arange(first, first + size))

    def provenance(self, step: int) -> list[str]:
        """For each row of the step, the source and the examples in it."""
        first = step * self.batch_rows
        return [self.row_provenance(number) for number in range(first, first + self.batch_rows)]

    def epochs(self, steps: int) -> dict[str, float]:
        """By source, how many times ``steps`` steps pass over it."""
        return self.row_epochs(steps * self.batch_rows)

    @abstractmethod
    def rows(self, numbers: NDArray[np.int64]) -> Batch:
        """One row per number of the stream."""

    @abstractmethod
    def row_provenance(self, number: int) -> str:
        """The source and the examples in one row."""

    @abstractmethod
    def row_epochs(self, rows: int) -> dict[str, float]:
        """By source, how many times the first ``rows`` rows pass over it."""


class RowPlan(StepPlan):
    """Streams mixed row by row into steps of ``batch_rows`` rows; itself a stream, so that plans can mix."""

    def __init__(
        self,
        streams: Sequence[tuple[RowStream, float]],
        context: int,
        batch_rows: int,
        assignment: Assignment | None = None,
    ) -> None:
        super().__init__(context, batch_rows)
        self._streams = [stream for stream, _ in streams]
        self._mixture = assignment or Mixture([weight for _, weight in streams])

    def rows(self, numbers: NDArray[np.int64]) -> Batch:
        """One row per number of the stream."""
        if len(self._streams) == 1:
            return self._streams[0].rows(numbers)
        source, nth = self._mixture.locate(numbers)
        batch = Batch.padding(len(numbers), self.context)
        for i in np.unique(source).tolist():
            here = np.flatnonzero(source == i)
            batch.put(here, self._streams[i].rows(nth[here]))
        return batch

    def row_provenance(self, number: int) -> str:
        """The source and the examples in one row."""
        source, nth = self._mixture.locate(np.array([number]))
        return self._streams[int(source[0])].row_provenance(int(nth[0]))

    def row_epochs(self, rows: int) -> dict[str, float]:
        """By source, how many times the first ``rows`` rows pass over it."""
        counts = self._mixture.counts(rows).tolist()
        total: dict[str, float] = {}
        for stream, count in zip(self._streams, counts, strict=True):
            for source, epochs in stream.row_epochs(count).items():
                total[source] = total.get(source, 0.0) + epochs
        return total


class DocumentPlan(RowPlan):
    """Pretraining rows: windows over each source's permuted documents, sources mixed row by row by weight.

    Segments and positions restart at each document and at each row: what a row holds of a long document is a
    segment of its own. The target of a document's last token is the next one's EOT.
    """

    def __init__(
        self, sources: Sequence[tuple[TokenShards, float]], context: int, batch_rows: int, seed: int
    ) -> None:
        _check_shape(context, batch_rows)
        streams = [
            (WindowStream(shards, context, (seed, i)), weight) for i, (shards, weight) in enumerate(sources)
        ]
        super().__init__(streams, context, batch_rows)


class ConversationPlan(RowPlan):
    """Instruction-tuning rows: whole examples, best-fit packed; sources mixed row by row by weight.

    ``overlong`` says what becomes of an example that exceeds the context; ``report`` counts it, by source.
    """

    def __init__(
        self,
        sources: Sequence[tuple[TokenShards, float]],
        context: int,
        batch_rows: int,
        seed: int,
        overlong: Overlong = "drop",
        pad: int = 0,
    ) -> None:
        _check_shape(context, batch_rows)
        streams = [
            (ExampleStream(shards, context, (seed, i), overlong, pad), weight)
            for i, (shards, weight) in enumerate(sources)
        ]
        super().__init__(streams, context, batch_rows)
        self.report: list[PackingReport] = [stream.report for stream, _ in streams]


class MixedPlan(RowPlan):
    """Rows of several plans by share: code with conversations, or new data with a replay of old."""

    def __init__(self, plans: Sequence[tuple[RowPlan, float]], batch_rows: int) -> None:
        contexts = {plan.context for plan, _ in plans}
        if len(contexts) != 1:
            raise UserError(f"mixed plans need one context, these have {sorted(contexts)}")
        _check_shape(context := contexts.pop(), batch_rows)
        super().__init__(plans, context, batch_rows)


class InTurnPlan(RowPlan):
    """A stream for the first ``steps`` steps, then a plan from its beginning."""

    def __init__(self, first: RowStream, steps: int, then: RowPlan) -> None:
        order = _Sequence(steps * then.batch_rows)
        super().__init__([(first, 1.0), (then, 1.0)], then.context, then.batch_rows, order)


class _Sequence:
    """Assigns the first rows to source 0 and all others to source 1."""

    def __init__(self, first: int) -> None:
        self._first = first

    def locate(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """For each row: its source, and how many earlier rows came from that source."""
        source = (rows >= self._first).astype(np.int64)
        return source, rows - source * self._first

    def counts(self, rows: int) -> NDArray[np.int64]:
        """How many of the first ``rows`` rows come from each source."""
        return np.array([min(rows, self._first), max(rows - self._first, 0)], np.int64)


def _check_shape(context: int, batch_rows: int) -> None:
    if context < 1 or batch_rows < 1:
        raise UserError(f"context {context} and batch_rows {batch_rows}: both must be at least 1")
