"""What rates sampled answers: a reward model, or the check that comes with a prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor

from bottega.data.records import Message, Origin, Prompt
from bottega.errors import UserError

if TYPE_CHECKING:
    from bottega.model.scorer import Scorer
    from bottega.training.experience import Micro


class Reward(Protocol):
    """Scores of a step's answers."""

    def scores(
        self, asked: Sequence[Asked], texts: Sequence[str], micros: Sequence[Micro], count: int
    ) -> Tensor:
        """Float32 [count], the answers of a prompt side by side; ``texts`` and ``micros`` hold the same."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A prompt to sample answers to: its tokens, and what it was made of."""

    tokens: list[int]
    messages: tuple[Message, ...]
    prompt: Prompt | None  # with its check, where it has one
    origin: Origin


class ModelReward:
    """A reward model, its shift taken off, read at each answer's last token."""

    def __init__(self, scorer: Scorer) -> None:
        self._scorer = scorer

    @torch.no_grad()
    def scores(
        self, asked: Sequence[Asked], texts: Sequence[str], micros: Sequence[Micro], count: int
    ) -> Tensor:
        """The rewards of the answers in the microbatches."""
        found = torch.empty(count, device=next(self._scorer.parameters()).device)
        for micro in micros:
            batch = micro.batch
            hidden = self._scorer(
                batch.tokens, batch.positions, batch.segments, branches=batch.extra["branches"]
            )
            ends = hidden.reshape(-1, hidden.shape[-1]).index_select(0, micro.ends)
            found[micro.answers] = self._scorer.rewards(ends)
        return found


class CheckReward:
    """1 for an answer that passes its prompt's check and 0 for one that does not; programs are run in the
    sandbox."""

    def scores(
        self, asked: Sequence[Asked], texts: Sequence[str], micros: Sequence[Micro], count: int
    ) -> Tensor:
        """What the checks say of the texts."""
        from bottega.evals.verdicts import passes

        n = count // len(asked)
        prompts = [one.prompt for one in asked for _ in range(n)]
        if any(prompt is None for prompt in prompts):
            raise UserError("reward = checks needs prompts that come with a check; this data has others")
        return torch.tensor([float(v) for v in passes([p for p in prompts if p is not None], texts)])
