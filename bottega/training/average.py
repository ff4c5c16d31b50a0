"""A moving average of the weights that are learned."""

from __future__ import annotations

import torch
from torch import Tensor

from bottega.training.learner import Learner


class Average:
    """The moving average of a network's weights, beside it: w <- d w + (1 - d) w_now."""

    def __init__(self, learner: Learner, decay: float) -> None:
        self._learner, self._decay = learner, decay
        self.weights = {name: p.data.clone() for name, p in learner.weights.masters.items()}

    @torch.no_grad()
    def update(self) -> None:
        """Take the weights of now into account."""
        now = [p.data for p in self._learner.weights.masters.values()]
        torch._foreach_lerp_(list(self.weights.values()), now, 1 - self._decay)

    def state(self) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """As a learner's, without an optimiser."""
        return self.weights, {}

    def put_back(self, weights: dict[str, Tensor], optimizer: dict[str, Tensor] | None = None) -> None:
        """Go on from what :meth:`state` gave."""
        for name, tensor in self.weights.items():
            tensor.copy_(weights[name])
