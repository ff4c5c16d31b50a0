"""One network under training: its float32 masters, what is computed with, and the optimisers over them."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn

from bottega.model.decoder import Backbone
from bottega.training.distributed import ALONE, World, fill, whole
from bottega.training.optim import OptimizerName, build_optimizers
from bottega.training.weights import MasterWeights


class Rates(Protocol):
    """How the optimisers step; ``TrainConfig`` has these fields."""

    @property
    def optimizer(self) -> OptimizerName: ...
    @property
    def lr(self) -> float: ...
    @property
    def muon_lr(self) -> float: ...
    @property
    def betas(self) -> tuple[float, float]: ...
    @property
    def eps(self) -> float: ...
    @property
    def weight_decay(self) -> float: ...
    @property
    def clip_norm(self) -> float: ...


class Learner:
    """``model`` is what to compute with; gradients are collected after every backward pass, then applied.

    The processes of a ``world`` shard the network, or with ``replicated`` each hold all of it, as an engine
    that samples from it needs.
    """

    def __init__(
        self, model: Backbone, rates: Rates, dtype: torch.dtype, world: World, *, replicated: bool = False
    ) -> None:
        self._clip_norm = rates.clip_norm
        self._shards, self._replicas = (ALONE, world) if replicated else (world, ALONE)
        model.train()
        self.weights = MasterWeights(model, dtype, self._shards)
        self.optimizers = build_optimizers(
            self.weights.masters,
            optimizer=rates.optimizer,
            lr=rates.lr,
            muon_lr=rates.muon_lr,
            weight_decay=rates.weight_decay,
            betas=rates.betas,
            eps=rates.eps,
            muon_dtype=dtype,
        )

    @property
    def model(self) -> Backbone:
        """The network in the precision that it is computed in."""
        return self.weights.model

    @property
    def device(self) -> torch.device:
        """Where it is computed."""
        return next(self.weights.model.parameters()).device

    def collect(self) -> list[Tensor]:
        """Take over what the last backward pass left; all gradients so far."""
        return self.weights.collect_grads()

    @torch.no_grad()
    def summed(self) -> list[Tensor]:
        """The gradients of all microbatches: of replicas, those of every process."""
        if self._replicas.size == 1:
            return self.collect()
        for master in self.weights.masters.values():  # a process may have had no microbatch
            master.grad = torch.zeros_like(master) if master.grad is None else master.grad
        grads = self.collect()
        total = self._replicas.sum(torch.cat([grad.flatten() for grad in grads]))
        parts = torch.split(total, [grad.numel() for grad in grads])
        torch._foreach_copy_(grads, [p.view_as(g) for p, g in zip(parts, grads, strict=True)])
        return grads

    @torch.no_grad()
    def scale(self, grads: list[Tensor], weight: float, norm: float | None = None) -> float:
        """Turn gradients of a sum into those of the mean over the global ``weight``, clipped.

        ``norm`` is the sum's where it is known already. Returns the norm of the mean's before clipping.
        """
        # FSDP averages over the processes, and a mean over the global weight needs their sum.
        scale = self._shards.size / weight if weight else 0.0
        norm = (gradient_norm(grads).item() if norm is None else norm) * scale
        if self._clip_norm and norm > self._clip_norm:
            scale *= self._clip_norm / norm
        torch._foreach_mul_(grads, scale)
        return norm

    def step(self, lr_factor: float) -> None:
        """One update by the gradients there are, which are dropped."""
        self.optimizers.set_lr_factor(lr_factor)
        self.optimizers.step()
        self.optimizers.zero_grad()
        self.weights.refresh()

    def state(self) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """What a checkpoint holds: weights, and the optimisers' own."""
        masters = self.weights.masters
        return {name: p.data for name, p in masters.items()}, self.optimizers.state(masters)

    def put_back(self, weights: dict[str, Tensor], optimizer: dict[str, Tensor] | None = None) -> None:
        """Go on from what :meth:`state` gave; without ``optimizer``, from the weights alone."""
        for name, master in self.weights.masters.items():
            fill(master.data, weights[name])
        if optimizer is not None:
            self.optimizers.load_state(self.weights.masters, optimizer)
        self.weights.refresh()


def gradient_norm(grads: list[Tensor]) -> Tensor:
    """The global norm, a tensor of one number."""
    return whole(nn.utils.get_total_norm(grads))
