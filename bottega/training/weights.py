"""Float32 master weights, and the copy in the compute precision, cast once a step and not at every use."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from bottega.model.decoder import Decoder


class MasterWeights:
    """``masters``: the float32 parameters that the optimiser updates; ``model``: what to compute with.

    In float32 the two are one. In bfloat16 the matrices of ``model`` are bfloat16 copies; norms and biases
    stay float32.
    """

    def __init__(self, model: Decoder, dtype: torch.dtype) -> None:
        self.masters: dict[str, nn.Parameter] = {n: p for n, p in model.named_parameters() if p.requires_grad}
        self.model = model
        self._copies: list[nn.Parameter] = []
        if dtype == torch.float32:
            return
        self.model = copy.deepcopy(model)
        for parameter in self.model.parameters():
            if parameter.ndim >= 2:
                parameter.data = parameter.data.to(dtype)
        trained = dict(self.model.named_parameters())
        self._copies = [trained[name] for name in self.masters]

    def collect_grads(self) -> list[Tensor]:
        """Add what the last backward pass left to the masters' float32 gradients; return those that exist."""
        for master, copied in zip(self.masters.values(), self._copies, strict=False):
            if copied.grad is None:
                continue
            if master.grad is None:
                master.grad = copied.grad.float()
            else:
                master.grad += copied.grad
            copied.grad = None
        return [p.grad for p in self.masters.values() if p.grad is not None]

    @torch.no_grad()
    def refresh(self) -> None:
        """Cast the masters into the copies that the model computes with."""
        if self._copies:
            torch._foreach_copy_([p.data for p in self._copies], [p.data for p in self.masters.values()])
