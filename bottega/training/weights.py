"""Float32 master weights, and the copy in the compute precision, cast once a step and not at every use."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from bottega.model.decoder import Backbone
from bottega.model.scorer import is_score_head
from bottega.training.distributed import World, shard, whole


class MasterWeights:
    """``masters``: the float32 parameters that the optimiser updates; ``model``: what to compute with.

    Alone and in float32 both are the given model. In bfloat16 the matrices of ``model``, and the biases added
    to their products, are bfloat16 copies; norms and the heads of scores stay float32. Among several
    processes both are a sharded copy, which casts as it gathers.
    """

    def __init__(self, model: Backbone, dtype: torch.dtype, world: World) -> None:
        self.given = model
        self.model = model
        self._copies: list[nn.Parameter] = []
        if world.size > 1 or dtype != torch.float32:
            self.model = copy.deepcopy(model)
        if world.size > 1:
            device = next(model.parameters()).device
            if device.type == "cuda":  # the given model may be on another process's card
                self.model.to(torch.device("cuda", torch.cuda.current_device()))
            shard(self.model, dtype, world)
            self.masters = _trained(self.model)
            return
        self.masters = _trained(model)
        if dtype != torch.float32:
            for name, parameter in self.model.named_parameters():
                if (parameter.ndim >= 2 or name.endswith(".bias")) and not is_score_head(name):
                    parameter.data = parameter.data.to(dtype)
            computing = dict(self.model.named_parameters())
            self._copies = [computing[name] for name in self.masters]

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

    @torch.no_grad()
    def write_back(self) -> None:
        """Put the masters into the model that was given, where they are not its own parameters."""
        given = dict(self.given.named_parameters())
        for name, master in self.masters.items():
            if given[name] is not master:
                given[name].copy_(whole(master.data))


def _trained(model: Backbone) -> dict[str, nn.Parameter]:
    return {name: p for name, p in model.named_parameters() if p.requires_grad}
