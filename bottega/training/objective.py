"""What a stage gives the loop: a batch on its device goes in, a sum of losses and its weight come out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from bottega.training.loss import token_loss

if TYPE_CHECKING:
    from bottega.data.packing import Batch
    from bottega.model.decoder import Decoder


@dataclass(frozen=True)
class TensorBatch:
    """A packed batch on a device. All [B, S]; segments count from 1 in every row, 0 is padding. ``extra`` is
    what its plan adds for its objective."""

    tokens: Tensor
    targets: Tensor
    weights: Tensor
    segments: Tensor
    positions: Tensor
    extra: dict[str, Tensor] = field(default_factory=dict)

    @classmethod
    def of(cls, batch: Batch, device: torch.device) -> TensorBatch:
        """The arrays of ``batch`` as tensors on ``device``."""

        def on_device(array: NDArray[Any]) -> Tensor:
            return torch.from_numpy(array).to(device, non_blocking=True)

        return cls(
            on_device(batch.tokens),
            on_device(batch.targets),
            on_device(batch.weights),
            on_device(batch.segments),
            on_device(batch.positions),
            {name: on_device(array) for name, array in batch.extra.items()},
        )


@dataclass(frozen=True)
class LossParts:
    """``loss_sum`` carries the gradient; the loop divides it by the sum of ``weight`` over the whole step.

    ``metrics`` are sums too, divided by the same weight before they are logged.
    """

    loss_sum: Tensor
    weight: Tensor
    metrics: dict[str, Tensor] = field(default_factory=dict)


Objective = Callable[[Any, TensorBatch], LossParts]  # the model is the one that the loop was given


def language_modelling(model: Decoder, batch: TensorBatch) -> LossParts:
    """Predict every counted token from those before it in its own segment."""
    hidden = model(batch.tokens, batch.positions, batch.segments)
    loss_sum, weight = token_loss(model, hidden, batch.targets, batch.weights)
    return LossParts(loss_sum, weight)
