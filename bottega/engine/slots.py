"""Rows of a key-value cache: which prompt each one holds, and what a new prompt can take over from them.

A row keeps the keys and values of the last prompt it read until another request needs it. Prompts are read in
blocks that begin at fixed positions, so that what a block computes does not depend on what was taken over:
whole blocks can be shared bitwise, and so can a whole prompt together with its last hidden state.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bottega.model.cache import KVCache
from bottega.model.config import ModelConfig

BLOCK_TOKENS = 64  # a prompt is read in blocks of so many tokens, the last one shorter
PAD_TOKENS = 16  # the last block's length is rounded up to a multiple of this


class Slots:
    """The rows of one cache. The last position of each is scratch, written by rows that stand idle."""

    def __init__(
        self, config: ModelConfig, rows: int, max_tokens: int, *, dtype: torch.dtype, device: torch.device
    ) -> None:
        capacity = -(-(max_tokens + PAD_TOKENS) // BLOCK_TOKENS) * BLOCK_TOKENS
        self.scratch = capacity
        self.cache = KVCache(config, rows, capacity + 1, dtype=dtype, device=device)
        self._held = np.zeros((rows, capacity), np.int64)  # the prompts, as far as they were read:
        self._lengths = np.zeros(rows, np.int64)  # so many tokens of each
        # [D], of a prompt's last token, once it was read whole
        self._hidden: list[Tensor | None] = [None] * rows
        self._busy = np.zeros(rows, np.bool_)
        self._used = np.zeros(rows, np.int64)  # when a row was given away last
        self._clock = 0

    @property
    def idle(self) -> int:
        """How many rows wait for a request."""
        return len(self._busy) - int(self._busy.sum())

    def claim(self, prompt: NDArray[np.int64]) -> int:
        """Take an idle row, and there has to be one: the one that holds most of the prompt, if no row holds
        more, else the one that was used longest ago."""
        shared = self._shared(prompt)
        idle = np.flatnonzero(~self._busy)
        best = int(idle[shared[idle].argmax()])
        if not shared[best] or shared[best] < shared.max():
            best = int(idle[self._used[idle].argmin()])
        self._clock += 1
        self._busy[best], self._used[best] = True, self._clock
        return best

    def take_over(self, row: int, prompt: NDArray[np.int64]) -> tuple[int, Tensor | None]:
        """Bring into a claimed row what any row holds of the prompt: so many tokens; where that is all of
        them, with the hidden state of the last."""
        shared = self._shared(prompt)
        tokens = int(shared.max())
        best = row if shared[row] == tokens else int(shared.argmax())
        if best != row and tokens:
            self.cache.copy(best, row, tokens)
        hidden = self._hidden[best] if tokens == len(prompt) else None
        self.read(row, prompt[:tokens], hidden)
        return tokens, hidden

    def read(self, row: int, prompt: NDArray[np.int64], hidden: Tensor | None) -> None:
        """The row now holds ``prompt``, or the beginning of it; ``hidden`` is its last token's."""
        self._held[row, : len(prompt)] = prompt
        self._lengths[row], self._hidden[row] = len(prompt), hidden

    def release(self, row: int) -> None:
        """The row's request has ended; what was read of its prompt stays."""
        self._busy[row] = False

    def forget(self) -> None:
        """No row holds anything: the weights have changed."""
        self._lengths.fill(0)
        self._hidden = [None] * len(self._hidden)

    def _shared(self, prompt: NDArray[np.int64]) -> NDArray[np.int64]:
        """How many of the prompt's tokens each row holds: all of them, or whole blocks without the last
        token, which has to be read for its hidden state."""
        n = len(prompt)
        differs = self._held[:, :n] != prompt
        same = np.minimum(np.where(differs.any(axis=1), differs.argmax(axis=1), n), self._lengths)
        whole = (same == n) & (self._lengths == n) & [hidden is not None for hidden in self._hidden]
        shared: NDArray[np.int64] = np.minimum(same, n - 1) // BLOCK_TOKENS * BLOCK_TOKENS
        shared[whole] = n
        return shared
