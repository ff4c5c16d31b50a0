"""Keys and values of the tokens so far."""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from bottega.model.config import ModelConfig


class KVCache:
    """One tensor of keys and one of values per layer, [rows, capacity, KV, hd]; a slot's index is its
    position.

    Because of that, rows of different lengths need no padding on the left: a row writes at its own position,
    and what lies beyond it is masked until it is overwritten. ``extent`` says how many slots attention reads:
    the caller keeps it above the largest position of the batch.
    """

    def __init__(
        self,
        config: ModelConfig,
        rows: int,
        capacity: int,
        *,
        dtype: torch.dtype,
        device: torch.device | str = "cpu",
    ) -> None:
        shape = (rows, config.num_kv_heads, capacity, config.head_dim)
        # Zeros, for a masked slot must hold finite values: 0 x NaN is NaN.
        self.keys = [torch.zeros(shape, dtype=dtype, device=device) for _ in range(config.num_layers)]
        self.values = [torch.zeros(shape, dtype=dtype, device=device) for _ in range(config.num_layers)]
        self.extent = capacity
        self._rows = torch.arange(rows, device=device)
        self._selected = False

    def select(self, rows: Tensor) -> KVCache:
        """The same memory as a cache of these rows only, with an ``extent`` of its own."""
        selection = copy.copy(self)
        selection._rows = rows
        selection._selected = True
        return selection

    def write(self, layer: int, k: Tensor, v: Tensor, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Store k, v [B, KV, S, hd] at positions [B, S]; return all up to ``extent`` as [B, KV, extent,
        hd]."""
        keys, values = self.keys[layer], self.values[layer]
        where = (
            self._rows[:, None],
            slice(None),
            positions,
        )  # [B, S, KV, hd]: the indexed dimensions come first
        keys[where] = k.transpose(1, 2)
        values[where] = v.transpose(1, 2)
        keys, values = keys[:, :, : self.extent], values[:, :, : self.extent]
        if self._selected:
            keys, values = keys[self._rows], values[self._rows]
        return keys, values
