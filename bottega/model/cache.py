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
        self.capacity, self.extent = capacity, capacity
        self.rows = torch.arange(rows, device=device)

    def narrow(self, first: int, rows: int) -> KVCache:
        """The same memory as a cache of ``rows`` neighbouring rows, with an ``extent`` of its own."""
        part = copy.copy(self)
        part.keys = [keys[first : first + rows] for keys in self.keys]
        part.values = [values[first : first + rows] for values in self.values]
        part.rows = torch.arange(rows, device=self.rows.device)
        return part

    def copy(self, source: int, target: int, tokens: int) -> None:
        """Copy the first ``tokens`` slots of one row into another."""
        for kept in (*self.keys, *self.values):
            kept[target, :, :tokens] = kept[source, :, :tokens]

    def write(self, layer: int, k: Tensor, v: Tensor, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Store k, v [B, KV, S, hd] at positions [B, S]; return all up to ``extent`` as [B, KV, extent,
        hd]."""
        keys, values = self.keys[layer], self.values[layer]
        where = (
            self.rows[:, None],
            slice(None),
            positions,
        )  # [B, S, KV, hd]: the indexed dimensions come first
        keys[where] = k.transpose(1, 2)
        values[where] = v.transpose(1, 2)
        return keys[:, :, : self.extent], values[:, :, : self.extent]
