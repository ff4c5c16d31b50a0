"""What was sampled, as rows to compute on: every prompt once with its answers, in microbatches of one shape.

Numbers per token live in arrays [N, T], one row for each answer, filled up on the right, or flat: the
tokens of all answers one after the other. The microbatches of a step stay as they are through all of its
passes, so that a number computed twice is the same to the last bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from bottega.data.comparisons import Judged
from bottega.data.judged import ComparisonPlan
from bottega.training.objective import TensorBatch


@dataclass(frozen=True)
class Micro:
    """Some rows of a step, with where in them the answers' tokens stand."""

    batch: TensorBatch
    places: Tensor  # int64 [n], flat into B x S: the columns that predict tokens of answers
    tokens: Tensor  # int64 [n], which of all tokens, flat
    ends: Tensor  # int64 [m], flat into B x S: the last token of each answer
    answers: Tensor  # int64 [m], which of all answers


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
        self._firsts = np.array([len(prompt) - 1 for prompt in prompts], np.int64)
        self._judged = [
            Judged.unranked(prompt, answers[i * self.n : (i + 1) * self.n])
            for i, prompt in enumerate(prompts)
        ]

    def minibatches(self, count: int, order: Sequence[int]) -> list[list[Micro]]:
        """The prompts, in this order, in so many parts of even size, each in microbatches."""
        parts = np.array_split(np.asarray(order), min(count, len(order)))
        return [self._micros(part) for part in parts]

    def _micros(self, prompts: np.ndarray) -> list[Micro]:
        judged = [self._judged[i] for i in prompts.tolist()]
        plan = ComparisonPlan(judged, self._batch_tokens, seed=0, context=self._row, pad=self._pad)
        # As even as may be, so that the last is not mostly filler; few shapes, for a compiler's sake.
        even = -(-plan.num_rows // plan.steps)
        plan.batch_rows = min(plan.batch_rows, -(-even // 4) * 4)
        return [self._micro(plan, step, prompts) for step in range(plan.steps)]

    def _micro(self, plan: ComparisonPlan, step: int, prompts: np.ndarray) -> Micro:
        batch = plan.batch(step)
        answer, branches, items = (batch.extra[name] for name in ("answer", "branches", "item"))
        rows, columns = np.nonzero(answer)
        item = prompts[items[rows, answer[rows, columns] - 1]]
        sample = item * self.n + branches[rows, columns] - 1
        nth = batch.positions[rows, columns] - self._firsts[item]
        ends = batch.extra["ends"]
        ended_rows, slots = np.nonzero(ends >= 0)
        last = ends[ended_rows, slots]
        which = prompts[items[ended_rows, slots]] * self.n + branches[ended_rows, last] - 1
        batch.extra.clear()
        batch.extra["branches"] = branches
        parts = (
            rows * plan.context + columns,
            self._starts[sample] + nth,
            ended_rows * plan.context + last,
            which,
        )
        tensors = (torch.from_numpy(part.astype(np.int64)).to(self._device) for part in parts)
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
