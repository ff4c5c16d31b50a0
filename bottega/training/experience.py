"""What was sampled, as rows to compute on: a prompt with as many of its answers as a row has room for, in
microbatches of one shape.

Numbers per token live in arrays [N, T], one row for each answer, filled up on the right, or flat: the
tokens of all answers one after the other. The microbatches of a step stay as they are through all of its
passes, so that a number computed twice is the same to the last bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from bottega.data.bestfit import pack_best_fit
from bottega.data.comparisons import Judged
from bottega.data.judged import ROWS, ComparisonPlan, row_length
from bottega.training.distributed import ALONE, World
from bottega.training.objective import TensorBatch

_TRIED = 256  # prompts by which the length of a row is chosen


@dataclass(frozen=True)
class Micro:
    """Some rows of a step, with where in them the answers' tokens stand."""

    batch: TensorBatch
    places: Tensor  # int64 [n], flat into B x S: the columns that predict tokens of answers
    tokens: Tensor  # int64 [n], which of all tokens, flat
    ends: Tensor  # int64 [m], flat into B x S: the last token of each answer
    answers: Tensor  # int64 [m], which of all answers


def cuts(prompt: int, answers: Sequence[int], row: int) -> list[tuple[int, int]]:
    """Where the answers of a prompt are parted, so that each part fits a row: as (from, to), by lengths."""
    ends, room = [0], row - (prompt - 1)
    for i, length in enumerate(answers):
        if length + 1 > room and i > ends[-1]:
            ends.append(i)
            room = row - (prompt - 1)
        room -= length + 1
    return list(pairwise([*ends, len(answers)]))


def row_for(prompts: Sequence[int], n: int, longest: int) -> int:
    """The length of a row that holds the longest prompt with an answer and, with ``n`` answers of ``longest``
    tokens each, takes the fewest positions: a prompt that stands twice may cost less than filler."""
    least, whole = row_length(max(prompts) + longest + 1), max(prompts) + n * (longest + 1)
    some = prompts[:_TRIED]

    def positions(row: int) -> int:
        parts = [(prompt, b - a) for prompt in some for a, b in cuts(prompt, [longest] * n, row)]
        sizes = [prompt - 1 + answers * (longest + 1) for prompt, answers in parts]
        _, ends = pack_best_fit(np.array(sizes, np.int64), row, np.arange(len(sizes)))
        return (len(ends) - 1) * row

    return min((least, *(row for row in ROWS if least < row < 2 * whole)), key=positions)


class Experience:
    """``answers`` of ``prompts``, the ``n`` of each prompt side by side, to be laid out for a network.

    ``mask`` bool [N, T] on ``device`` says which entries of an array [N, T] are tokens.
    """

    def __init__(
        self,
        prompts: Sequence[Sequence[int]],
        answers: Sequence[Sequence[int]],
        *,
        row: int,
        batch_tokens: int,
        pad: int,
        device: torch.device,
    ) -> None:
        self.n = len(answers) // len(prompts)
        assert len(answers) == self.n * len(prompts)
        self._row, self._batch_tokens, self._pad, self._device = row, batch_tokens, pad, device
        lengths = np.array([len(answer) for answer in answers], np.int64)
        self.lengths = torch.from_numpy(lengths).to(device)
        self.mask = torch.arange(max(1, int(lengths.max())), device=device) < self.lengths[:, None]
        self._starts = np.cumsum(lengths) - lengths  # of each answer among all tokens
        self._judged: list[Judged] = []  # parts: a prompt with some of its answers, which stand in one row
        self._parts_of: list[range] = []  # of each prompt
        firsts: list[int] = []  # which of all answers the first one of each part is
        for i, prompt in enumerate(prompts):
            begun, own = i * self.n, len(firsts)
            for a, b in cuts(len(prompt), lengths[begun : begun + self.n].tolist(), row):
                self._judged.append(Judged.unranked(prompt, answers[begun + a : begun + b]))
                firsts.append(begun + a)
            self._parts_of.append(range(own, len(firsts)))
        self._firsts = np.array(firsts, np.int64)
        self._shared = np.array([len(one.prompt) - 1 for one in self._judged], np.int64)

    def minibatches(self, count: int, order: Sequence[int], world: World = ALONE) -> list[list[Micro]]:
        """The prompts, in this order, in so many parts of even size, each in microbatches.

        ``order`` numbers the prompts of all processes, of which this one holds rank, rank + size and so on.
        """
        parts = np.array_split(np.asarray(order), min(count, len(order)))
        return [self._micros(part[part % world.size == world.rank] // world.size) for part in parts]

    def _micros(self, prompts: np.ndarray) -> list[Micro]:
        if not len(prompts):
            return []
        parts = np.array([part for i in prompts.tolist() for part in self._parts_of[i]], np.int64)
        judged = [self._judged[part] for part in parts.tolist()]
        plan = ComparisonPlan(judged, self._batch_tokens, seed=0, context=self._row, pad=self._pad)
        # As even as may be, so that the last is not mostly filler; few shapes, for a compiler's sake.
        even = -(-plan.num_rows // plan.steps)
        plan.batch_rows = min(plan.batch_rows, -(-even // 4) * 4)
        return [self._micro(plan, step, parts) for step in range(plan.steps)]

    def _micro(self, plan: ComparisonPlan, step: int, parts: np.ndarray) -> Micro:
        batch = plan.batch(step)
        answer, branches, items = (batch.extra[name] for name in ("answer", "branches", "item"))
        rows, columns = np.nonzero(answer)
        part = parts[items[rows, answer[rows, columns] - 1]]
        sample = self._firsts[part] + branches[rows, columns] - 1
        nth = batch.positions[rows, columns] - self._shared[part]
        ends = batch.extra["ends"]
        ended_rows, slots = np.nonzero(ends >= 0)
        last = ends[ended_rows, slots]
        which = self._firsts[parts[items[ended_rows, slots]]] + branches[ended_rows, last] - 1
        batch.extra.clear()
        batch.extra["branches"] = branches
        numbers = (
            rows * plan.context + columns,
            self._starts[sample] + nth,
            ended_rows * plan.context + last,
            which,
        )
        tensors = (torch.from_numpy(part.astype(np.int64)).to(self._device) for part in numbers)
        return Micro(TensorBatch.of(batch, self._device), *tensors)

    @property
    def tokens(self) -> int:
        """Tokens of all answers."""
        return int(self.lengths.sum())

    def padded(self, flat: Tensor, fill: float = 0.0) -> Tensor:
        """Flat numbers as an array [N, T]."""
        out = flat.new_full(self.mask.shape, fill)
        out[self.mask] = flat
        return out

    def flat(self, padded: Tensor) -> Tensor:
        """The numbers of an array [N, T] that belong to tokens, flat."""
        return padded[self.mask]
