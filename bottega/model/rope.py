"""Rotary position embedding (RoFormer, 2104.09864) and its scaling variants.

Angles, sines and cosines are computed in float32 whatever the model's dtype: at position 10,000 a bfloat16
angle is off by whole turns.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from bottega.model.config import RopeScaling


def inverse_frequencies(head_dim: int, theta: float, scaling: RopeScaling | None) -> tuple[Tensor, float]:
    """Radians per position of each rotary pair, float32 [head_dim / 2], and the scale of sine and cosine."""
    frequencies = 1.0 / (theta ** (torch.arange(0, head_dim, 2, device="cpu").float() / head_dim))
    if scaling is None:
        return frequencies, 1.0
    if scaling.kind == "linear":
        return frequencies / scaling.factor, 1.0
    if scaling.kind == "llama3":
        return _llama3(frequencies, scaling), 1.0
    return _yarn(frequencies, head_dim, theta, scaling)


def _llama3(frequencies: Tensor, scaling: RopeScaling) -> Tensor:
    """Short wavelengths stay, long ones are divided by the factor, those between are blended."""
    assert scaling.original_max_positions is not None
    turns = scaling.original_max_positions * frequencies / (2 * math.pi)  # within the original context
    low, high = scaling.low_freq_factor, scaling.high_freq_factor
    kept_share = ((turns - low) / (high - low)).clamp(0.0, 1.0)
    return frequencies * (kept_share + (1.0 - kept_share) / scaling.factor)


def _yarn(frequencies: Tensor, head_dim: int, theta: float, scaling: RopeScaling) -> tuple[Tensor, float]:
    """YaRN, 2309.00071 section 3.2: interpolate slow pairs, keep fast ones, sharpen attention a little."""
    assert scaling.original_max_positions is not None
    context = scaling.original_max_positions

    def pair_with(turns: float) -> float:
        return head_dim * math.log(context / (turns * 2 * math.pi)) / (2 * math.log(theta))

    first, last = pair_with(scaling.beta_fast), pair_with(scaling.beta_slow)
    if scaling.truncate:
        first, last = math.floor(first), math.ceil(last)
    first, last = max(first, 0), min(last, head_dim - 1)
    if first == last:
        last += 0.001  # a ramp of no width would divide by zero
    slowed_share = ((torch.arange(head_dim // 2, device="cpu") - first) / (last - first)).clamp(0.0, 1.0)
    scaled = frequencies * ((1.0 - slowed_share) + slowed_share / scaling.factor)
    if scaling.attention_factor is not None:
        return scaled, scaling.attention_factor

    def sharpening(weight: float) -> float:
        return 0.1 * weight * math.log(scaling.factor) + 1.0

    if scaling.mscale and scaling.mscale_all_dim:
        return scaled, sharpening(scaling.mscale) / sharpening(scaling.mscale_all_dim)
    return scaled, sharpening(1.0)


class Rotary(nn.Module):
    """Sine and cosine of every position's angles."""

    frequencies: Tensor  # float32 [head_dim / 2], not saved

    def __init__(self, head_dim: int, theta: float, scaling: RopeScaling | None) -> None:
        super().__init__()
        self._shape = (head_dim, theta, scaling)
        frequencies, self.scale = inverse_frequencies(*self._shape)
        self.register_buffer("frequencies", frequencies, persistent=False)

    def forward(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Cosine and sine for :func:`rotate`, float32 [B, 1, S, head_dim], of positions [B, S].

        The pairs are (i, i + head_dim / 2); sines of the first half are negative.
        """
        angles = positions[:, None, :, None].float() * self.frequencies
        cos, sin = angles.cos() * self.scale, angles.sin() * self.scale
        return torch.cat((cos, cos), dim=-1), torch.cat((-sin, sin), dim=-1)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Rotary:
        # Module.to(dtype) would round the frequencies, and to_empty leave garbage: make them anew in float32.
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        if self.frequencies.device.type != "meta":
            self.frequencies = inverse_frequencies(*self._shape)[0].to(self.frequencies.device)
        return self


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn each pair of x [..., head_dim] by its position's angle, in float32; the result has x's dtype.
    ``cos`` and ``sin`` are those of :class:`Rotary` and have to broadcast to x."""
    x32 = x.float()
    # Halves change places along a dimension of their own: a compiler makes whole vectors of it.
    other = x32.view(*x.shape[:-1], 2, -1).flip(-2).flatten(-2)
    return (x32 * cos + other * sin).to(x.dtype)
