"""Keys and values of the tokens so far."""

from __future__ import annotations

import torch
from torch import Tensor

from bottega.model.config import ModelConfig


class KVCache:
    """One tensor of keys and one of values per layer, [rows, capacity, KV, head_dim]; a slot's index is its
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
        shape = (rows, capacity, config.num_kv_heads, config.head_dim)
        # Zeros, for a masked slot must hold finite values: 0 x NaN is NaN.
        self.keys = [torch.zeros(shape, dtype=dtype, device=device) for _ in range(config.num_layers)]
        self.values = [torch.zeros(shape, dtype=dtype, device=device) for _ in range(config.num_layers)]
        self.rows = torch.arange(rows, device=device)[:, None]
        self.capacity = capacity
        self.extent = capacity

    def write(self, layer: int, k: Tensor, v: Tensor, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Store k, v [B, KV, S, head_dim] at positions [B, S]; return all up to ``extent`` as [B, KV, extent,
        hd]."""
        keys, values = self.keys[layer], self.values[layer]
        keys[self.rows, positions] = k.transpose(1, 2)
        values[self.rows, positions] = v.transpose(1, 2)
        return keys[:, : self.extent].transpose(1, 2), values[:, : self.extent].transpose(1, 2)
