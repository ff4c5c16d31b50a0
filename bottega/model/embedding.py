"""The token embedding, with a gradient that is summed in float32 whatever the weights' dtype."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Embedding(nn.Embedding):
    """``nn.Embedding``; on a CPU in bfloat16 a frequent token's gradient does not stop growing at 256 terms.

    There torch adds one occurrence after the other in bfloat16, where 256 + 1 is 256. CUDA sums in float32.
    """

    def forward(self, tokens: Tensor) -> Tensor:
        """The rows of ``tokens`` [...] as [..., D]."""
        if self.weight.dtype != torch.bfloat16 or self.weight.is_cuda:
            return super().forward(tokens)
        rows: Tensor = _Lookup.apply(tokens, self.weight)  # type: ignore[no-untyped-call]
        return rows


class _Lookup(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tokens: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(tokens)
        ctx.rows = weight.shape[0]
        return F.embedding(tokens, weight)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[None, Tensor]:
        (tokens,) = ctx.saved_tensors
        summed = torch.ops.aten.embedding_dense_backward(grads[0].float(), tokens, ctx.rows, -1, False)
        return None, summed.to(grads[0].dtype)
