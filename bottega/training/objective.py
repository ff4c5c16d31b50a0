"""What a stage gives the loop: a batch on its device goes in, a sum of losses and its weight come out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from bottega.training.loss import token_loss

if TYPE_CHECKING:
    from bottega.data.packing import Batch
    from bottega.model.decoder import Decoder


@dataclass(frozen=True)
class TensorBatch:
    """A packed batch on a device. All [B, S]; segments count from 1 in every row, 0 is padding."""

    tokens: Tensor
    targets: Tensor
    weights: Tensor
    segments: Tensor
    positions: Tensor

    @classmethod
    def of(cls, batch: Batch, device: torch.device) -> TensorBatch:
        """The arrays of ``batch`` as tensors on ``device``."""
        arrays = (batch.tokens, batch.targets, batch.weights, batch.segments, batch.positions)
        return cls(*(torch.from_numpy(a).to(device, non_blocking=True) for a in arrays))


@dataclass(frozen=True)
class LossParts:
    """``loss_sum`` carries the gradient; the loop divides it by the sum of ``weight`` over the whole step.

    ``metrics`` are sums too, divided by the same weight before they are logged.
    """

    loss_sum: Tensor
    weight: Tensor
    metrics: dict[str, Tensor] = field(default_factory=dict)


Objective = Callable[["Decoder", TensorBatch], LossParts]


def language_modelling(model: Decoder, batch: TensorBatch) -> LossParts:
    """Predict every counted token from those before it in its own segment."""
    hidden = model(batch.tokens, batch.positions, batch.segments)
    loss_sum, weight = token_loss(model, hidden, batch.targets, batch.weights)
    return LossParts(loss_sum, weight)
