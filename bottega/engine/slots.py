"""Rows of a key-value cache: which prompt each one holds, and what a new prompt can take over from them.

A row keeps the keys and values of the last prompt it read until another request needs it. Prompts are read in
blocks that begin at fixed positions, so that what a block computes does not depend on what was taken over:
whole blocks can be shared bitwise, and so can a whole prompt together with its last hidden state.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bottega.model.cache import KVCache
from bottega.model.config import ModelConfig

BLOCK_TOKENS = 64  # a prompt is read in blocks of so many tokens, the last one shorter
PAD_TOKENS = 16  # the last block's length is rounded up to a multiple of this


@dataclass(slots=True)
class _Row:
    prompt: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))  # as far as it was read
    hidden: Tensor | None = None  # [D], of the prompt's last token, once it was read whole
    busy: bool = False
    used: int = 0  # when it was given away last


class Slots:
    """The rows of one cache. The last position of each is scratch, written by rows that stand idle."""

    def __init__(
        self, config: ModelConfig, rows: int, max_tokens: int, *, dtype: torch.dtype, device: torch.device
    ) -> None:
        capacity = -(-(max_tokens + PAD_TOKENS) // BLOCK_TOKENS) * BLOCK_TOKENS
        self.scratch = capacity
        self.cache = KVCache(config, rows, capacity + 1, dtype=dtype, device=device)
        self._rows = [_Row() for _ in range(rows)]
        self._clock = 0

    @property
    def idle(self) -> int:
        """How many rows wait for a request."""
        return sum(not row.busy for row in self._rows)

    def claim(self, prompt: NDArray[np.int64]) -> int:
        """Take an idle row, and there has to be one: the one that holds most of the prompt, if no row holds
        more, else the one that was used longest ago."""
        shared = [self._shared(row, prompt) for row in self._rows]
        idle = [i for i, row in enumerate(self._rows) if not row.busy]
        best = max(idle, key=lambda i: shared[i])
        if not shared[best] or shared[best] < max(shared):
            best = min(idle, key=lambda i: self._rows[i].used)
        self._clock += 1
        self._rows[best].busy, self._rows[best].used = True, self._clock
        return best

    def take_over(self, row: int, prompt: NDArray[np.int64]) -> tuple[int, Tensor | None]:
        """Bring into a claimed row what any row holds of the prompt: so many tokens; where that is all of
        them, with the hidden state of the last."""
        shared = [self._shared(one, prompt) for one in self._rows]
        best = max(range(len(shared)), key=lambda i: (shared[i], i == row))
        tokens, source = shared[best], self._rows[best]
        if best != row and tokens:
            self.cache.copy(best, row, tokens)
        hidden = source.hidden if tokens == len(prompt) else None
        self.read(row, prompt[:tokens], hidden)
        return tokens, hidden

    def read(self, row: int, prompt: NDArray[np.int64], hidden: Tensor | None) -> None:
        """The row now holds ``prompt``, or the beginning of it; ``hidden`` is its last token's."""
        self._rows[row].prompt, self._rows[row].hidden = prompt, hidden

    def release(self, row: int) -> None:
        """The row's request has ended; what was read of its prompt stays."""
        self._rows[row].busy = False

    def forget(self) -> None:
        """No row holds anything: the weights have changed."""
        for row in self._rows:
            row.prompt, row.hidden = row.prompt[:0], None

    def _shared(self, row: _Row, prompt: NDArray[np.int64]) -> int:
        """How many of the prompt's tokens the row holds: all of them, or whole blocks without the last token,
        which has to be read for its hidden state."""
        n = min(len(row.prompt), len(prompt))
        if not n:
            return 0
        differs = row.prompt[:n] != prompt[:n]
        same = int(differs.argmax()) if differs.any() else n
        if same == len(prompt) == len(row.prompt) and row.hidden is not None:
            return same
        return min(same, len(prompt) - 1) // BLOCK_TOKENS * BLOCK_TOKENS
