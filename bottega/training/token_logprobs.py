"""Log-probabilities of given tokens with their gradient, without ever holding the logits of a whole batch.

A chunk of rows at a time, as the loss of language modelling does it; the gradient, whose factor for each
token is known only once all of a sequence is, computes a chunk's logits a second time.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from bottega.training.compilation import is_compiled
from bottega.training.loss import chunk_rows, padded_rows

if TYPE_CHECKING:
    from bottega.model.decoder import Decoder


class TokenLogprobs(NamedTuple):
    """Both float32 [N]; the entropy, of the distribution each token was drawn from, carries no gradient."""

    logprobs: Tensor
    entropy: Tensor


def token_logprobs(
    model: Decoder, hidden: Tensor, targets: Tensor, places: Tensor, *, temperature: float = 1.0
) -> TokenLogprobs:
    """log p(target) at some places of a batch, under logits divided by ``temperature``.

    hidden [B, S, D]; targets int64 [B, S]; places int64 [N], flat into B x S. Gradients flow to ``hidden``
    and to the output embedding.
    """
    rows = hidden.reshape(-1, hidden.shape[-1]).index_select(0, places)
    wanted = targets.reshape(-1).index_select(0, places)
    found: tuple[Tensor, Tensor] = _TokenLogprobs.apply(  # type: ignore[no-untyped-call]
        rows, model.output_weight, wanted, 1 / temperature, is_compiled(model)
    )
    return TokenLogprobs(*found)


class _TokenLogprobs(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor, scale: float, compiled: bool
    ) -> tuple[Tensor, Tensor]:
        rows = chunk_rows(weight.shape[0], hidden.device)
        chunk = _compiled(_forward) if compiled else _forward
        logprobs, entropy, normaliser = hidden.new_empty(3, hidden.shape[0], dtype=torch.float32)
        for part, n, (h, t) in _chunks(rows, compiled, hidden.detach(), targets):
            found = chunk(h, weight, t, scale)
            for whole, piece in zip((logprobs, entropy, normaliser), found, strict=True):
                whole[part] = piece[:n]
        ctx.save_for_backward(hidden, weight, targets, normaliser)
        ctx.scale, ctx.compiled, ctx.rows = scale, compiled, rows
        ctx.mark_non_differentiable(entropy)
        return logprobs, entropy

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        hidden, weight, targets, normaliser = ctx.saved_tensors
        chunk = _compiled(_backward) if ctx.compiled else _backward
        grad_hidden = torch.empty_like(hidden)
        grad_weight = torch.zeros_like(weight, dtype=torch.float32)
        given = (hidden.detach(), targets, normaliser, grads[0])
        for part, n, (h, t, z, g) in _chunks(ctx.rows, ctx.compiled, *given):
            grad_hidden[part] = chunk(h, weight, t, z, g, ctx.scale, grad_weight)[:n]
        return grad_hidden, grad_weight.to(weight.dtype), None, None, None


def _forward(hidden: Tensor, weight: Tensor, targets: Tensor, scale: float) -> tuple[Tensor, Tensor, Tensor]:
    """Log-probabilities, entropies and normalisers [R] of hidden [R, D]."""
    logits = (hidden @ weight.T).float() * scale  # [R, V]
    normaliser = logits.logsumexp(-1)
    chosen = logits.gather(1, targets.unsqueeze(1)).squeeze(1)
    mean = ((logits - normaliser.unsqueeze(1)).exp() * logits).sum(-1)
    return chosen - normaliser, normaliser - mean, normaliser


def _backward(
    hidden: Tensor,
    weight: Tensor,
    targets: Tensor,
    normaliser: Tensor,
    grad: Tensor,
    scale: float,
    grad_weight: Tensor,
) -> Tensor:
    """The gradient by hidden [R, D], given that by the log-probabilities [R]; adds to ``grad_weight``."""
    logits = (hidden @ weight.T).float() * scale
    index = targets.unsqueeze(1)
    hit = torch.arange(logits.shape[1], device=logits.device) == index
    # d log p / d logits = one-hot - softmax; the factors of a whole row scale rows of width D, not V.
    by_logits = (hit.float() - (logits - normaliser.unsqueeze(1)).exp()).to(weight.dtype)
    factor = (grad * scale).unsqueeze(1).to(hidden.dtype)
    grad_weight += by_logits.T @ (hidden * factor)
    return (by_logits @ weight) * factor


def _chunks(rows: int, compiled: bool, *arrays: Tensor) -> Any:
    """Parts of some arrays of equal length: the slice, its length, and the parts, which for a compiler are
    filled up to one of a handful of shapes."""
    for start in range(0, arrays[0].shape[0], rows):
        part = slice(start, min(start + rows, arrays[0].shape[0]))
        pieces = [array[part] for array in arrays]
        n = pieces[0].shape[0]
        yield part, n, [padded_rows(piece) for piece in pieces] if compiled else pieces


@functools.cache
def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    return torch.compile(function, dynamic=False)
