"""Choosing a token from logits, with random numbers that belong to the request."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def request_seeds(seed: int, requests: int) -> list[int]:
    """The seeds of requests 0, 1, ... of a call with one ``seed``."""
    return [int(np.random.SeedSequence([seed, request]).generate_state(1)[0]) for request in range(requests)]


def uniforms(seed: int, steps: int) -> NDArray[np.float64]:
    """The numbers in [0, 1) that a request's tokens are drawn with: a function of its seed alone."""
    return np.random.Generator(np.random.Philox(seed)).random(steps)


def choose(logits: Tensor, uniform: Tensor, temperature: float, top_p: float) -> Tensor:
    """One token per row of logits [B, V], by inverting the cumulative distribution at ``uniform`` [B] in [0,
    1).

    Temperature 0 is the likeliest token. With ``top_p`` below 1 only the likeliest tokens are kept, as few as
    reach that mass (1904.09751), and one at least.
    """
    if temperature == 0.0:
        return logits.argmax(dim=-1)
    probabilities = (logits.double() / temperature).softmax(dim=-1)
    if top_p >= 1.0:
        return _invert(probabilities, uniform)
    ranked, ids = probabilities.sort(dim=-1, descending=True, stable=True)
    before = ranked.cumsum(dim=-1) - ranked
    kept = ranked.where((before < top_p) | (before <= 0.0), 0.0)
    return ids.gather(1, _invert(kept, uniform)[:, None])[:, 0]


def _invert(weights: Tensor, uniform: Tensor) -> Tensor:
    """The first index whose cumulative weight exceeds ``uniform`` times the whole: never one of weight 0."""
    cumulative = weights.cumsum(dim=-1)
    total = cumulative[:, -1:]
    # u x total may round up to total itself, which nothing exceeds.
    target = torch.minimum(uniform[:, None] * total, torch.nextafter(total, torch.zeros_like(total)))
    return torch.searchsorted(cumulative, target, right=True)[:, 0]
