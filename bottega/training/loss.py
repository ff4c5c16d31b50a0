"""Cross-entropy over the counted tokens only, without ever holding the logits of a whole batch.

The gradient is computed in the forward pass, a chunk of rows at a time, so that the logits of one chunk are
all that exists at once and nothing is computed twice. Rows without weight cost nothing, and compiled chunks
come in a handful of shapes, so that a new number of counted tokens compiles nothing anew.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from bottega.training.compilation import is_compiled

if TYPE_CHECKING:
    from bottega.model.decoder import Decoder

# Elements of the float32 logits alive at once. On a CPU 16 MiB: what a last-level cache holds.
CHUNK_ELEMENTS = {"cpu": 1 << 22, "cuda": 1 << 28}
MIN_ROWS = 128

_Chunk = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor | None], tuple[Tensor, Tensor | None]]


def token_loss(model: Decoder, hidden: Tensor, targets: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Sum of weight x cross-entropy over the tokens that have weight, and the sum of weights; float32.

    hidden [B, S, D]; targets [B, S] int64; weights [B, S] float32. A batch in which every token is masked
    gives loss 0 with gradient 0. Gradients flow to ``hidden`` and to the output embedding.
    """
    flat_weights = weights.reshape(-1).float()
    rows = flat_weights.nonzero().squeeze(1)  # [N]
    hidden_ND = hidden.reshape(-1, hidden.shape[-1])
    if rows.numel() < hidden_ND.shape[0]:
        hidden_ND = hidden_ND.index_select(0, rows)
    targets_N = targets.reshape(-1).index_select(0, rows)
    weights_N = flat_weights.index_select(0, rows)
    loss = head_loss(hidden_ND, model.output_weight, targets_N, weights_N, compiled=is_compiled(model))
    return loss, weights_N.sum()


def head_loss(
    hidden: Tensor, weight: Tensor, targets: Tensor, weights: Tensor, *, compiled: bool = False
) -> Tensor:
    """Sum of weights [N] x cross-entropy of ``hidden`` [N, D] @ ``weight`` [V, D].T at ``targets`` [N]."""
    loss: Tensor = _HeadLoss.apply(hidden, weight, targets, weights, compiled)  # type: ignore[no-untyped-call]
    return loss


def chunk_rows(vocab_size: int, device: torch.device) -> int:
    """Rows of logits computed at once: a power of two from 128 to 4,096."""
    wanted = max(1, CHUNK_ELEMENTS.get(device.type, CHUNK_ELEMENTS["cuda"]) // vocab_size)
    return min(4096, max(MIN_ROWS, _power_of_two_from(wanted + 1) // 2))


def _power_of_two_from(count: int) -> int:
    """The smallest power of two that is not below ``count``."""
    return 1 << max(0, count - 1).bit_length()


class _HeadLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor, weights: Tensor, compiled: bool
    ) -> Tensor:
        with_grad = ctx.needs_input_grad[0] or ctx.needs_input_grad[1]
        hidden = hidden.detach()  # as a chunk that was filled up is: one graph serves them all
        rows = chunk_rows(weight.shape[0], hidden.device)
        chunk = _compiled(_chunk) if compiled else _chunk
        loss = torch.zeros((), dtype=torch.float32, device=hidden.device)
        grad_hidden = torch.empty_like(hidden)
        grad_weight = torch.zeros_like(weight, dtype=torch.float32) if with_grad else None
        for start in range(0, hidden.shape[0], rows):
            stop = min(start + rows, hidden.shape[0])
            h, t, w = hidden[start:stop], targets[start:stop], weights[start:stop]
            if compiled:  # a handful of shapes, whatever the count
                h, t, w = (padded_rows(x) for x in (h, t, w))
            part, grad = chunk(h, weight, t, w, grad_weight)
            loss += part
            if grad is not None:
                grad_hidden[start:stop] = grad[: stop - start]
        if grad_weight is not None:
            ctx.save_for_backward(grad_hidden, grad_weight.to(weight.dtype))
        return loss

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        grad_hidden, grad_weight = ctx.saved_tensors
        return grad_hidden * grads[0], grad_weight * grads[0], None, None, None


def _chunk(
    hidden: Tensor, weight: Tensor, targets: Tensor, weights: Tensor, grad_weight: Tensor | None
) -> tuple[Tensor, Tensor | None]:
    """Loss and gradient by ``hidden`` of some rows; adds to ``grad_weight`` (None: no gradients at all)."""
    logits = hidden @ weight.T  # [R, V]
    index = targets.unsqueeze(1)
    # d loss / d logits = weight x (softmax - one-hot); factors of a whole row scale rows of width D, not V.
    if torch.compiler.is_compiling():
        # One fused pass for the normaliser and one for the gradient; float32 logits are never written.
        normaliser = logits.float().logsumexp(-1, keepdim=True)
        nll = normaliser - logits.gather(1, index).float()
        hit = torch.arange(logits.shape[1], device=logits.device) == index
        grad = (logits.float() - normaliser).exp() - hit.float()
        scale = weights.unsqueeze(1)
    else:
        # Fewest passes of separate kernels, all but the first in place; the softmax is never normalised.
        logits = logits.float()
        peak = logits.amax(-1, keepdim=True)
        hit = logits.gather(1, index) - peak
        grad = logits.sub_(peak).exp_()
        total = grad.sum(-1, keepdim=True)
        nll = total.log() - hit
        grad.scatter_add_(1, index, -total)
        scale = weights.unsqueeze(1) / total
    loss = (nll.squeeze(1) * weights).sum()
    if grad_weight is None:
        return loss, None
    grad = grad.to(weight.dtype)
    scale = scale.to(hidden.dtype)
    if grad.dtype == torch.float32:
        grad_weight.addmm_(grad.T, hidden * scale)
    else:
        grad_weight += grad.T @ (hidden * scale)
    return loss, (grad @ weight) * scale


def padded_rows(x: Tensor) -> Tensor:
    """``x`` with zero rows appended up to a power of two from :data:`MIN_ROWS` on."""
    rows = max(MIN_ROWS, _power_of_two_from(x.shape[0]))
    if x.shape[0] == rows:
        return x
    out = x.new_zeros(rows, *x.shape[1:])
    out[: x.shape[0]] = x
    return out


@functools.cache
def _compiled(function: _Chunk) -> _Chunk:
    return torch.compile(function, dynamic=False)
