"""First weights, a function of the seed alone."""

from __future__ import annotations

import math

import torch
from torch import nn

from bottega.model.decoder import Decoder


@torch.no_grad()
def initialise(model: Decoder, seed: int, *, std: float = 0.02) -> Decoder:
    """Fill ``model`` with N(0, std); projections into the residual stream with std / sqrt(2 x layers)
    (GPT-2).

    The latter keeps the stream's variance independent of depth. Norm weights are 1, biases 0. Drawn on the
    CPU in the order of the parameters' names' appearance, so that every device and dtype starts from the same
    numbers.
    """
    generator = torch.Generator().manual_seed(seed)
    residual_std = std / math.sqrt(2 * model.config.num_layers)
    for name, parameter in model.named_parameters():
        if parameter.ndim == 1:
            nn.init.constant_(parameter, 0.0 if name.endswith(".bias") else 1.0)
            continue
        scale = residual_std if name.endswith(("o_proj.weight", "down_proj.weight")) else std
        parameter.copy_(torch.randn(parameter.shape, generator=generator) * scale)
    return model
