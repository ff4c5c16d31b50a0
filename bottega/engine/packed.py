"""Linear layers whose weights lie as oneDNN's bfloat16 kernels read them.

``F.linear`` brings a weight into that order at every call, which for a few rows costs as much as the product.
"""

from __future__ import annotations

import torch
from torch import Tensor

ROWS = 32  # that the order is chosen for; others are as fast


def can_pack(weight: Tensor) -> bool:
    """Whether ``weight`` is of a kind that packing makes faster here."""
    if weight.device.type != "cpu" or weight.dtype != torch.bfloat16:
        return False
    known = hasattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported")  # not in a torch without oneDNN
    return known and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def pack(weight: Tensor) -> Tensor:
    """A copy of ``weight`` [out, in] for :func:`packed_linear`; opaque to everything else, a compiler too."""
    packed: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight.detach(), ROWS)
    return packed


def packed_linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``F.linear`` of x [..., in] by a packed weight: [..., out]."""
    out: Tensor = torch.ops.mkldnn._linear_pointwise.default(x, weight, bias, "none", [], None)
    return out
