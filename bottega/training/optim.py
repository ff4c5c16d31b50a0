"""AdamW, and Muon for the hidden matrices with AdamW for everything else."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import torch
from torch import Tensor, nn

from bottega.model.scorer import is_score_head
from bottega.training.distributed import fill, shard_like, whole

OptimizerName = Literal["adamw", "muon"]


class Muon(torch.optim.Muon):
    """torch's Muon with equal-shaped matrices orthogonalised together, in a number format of choice.

    torch's own iterates one matrix at a time and always in bfloat16, which a CPU without bfloat16 units runs
    a hundred times slower than float32. Sharded parameters (DTensor) are gathered: the iteration needs whole
    matrices.
    """

    def __init__(self, params: Iterable[nn.Parameter], *, dtype: torch.dtype, **options: Any) -> None:
        super().__init__(params, **options)
        self.compute_dtype = dtype

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """One update of every parameter that has a gradient; gradients are used up."""
        assert closure is None
        for group in self.param_groups:
            params = [p for p in group["params"] if p.grad is not None]
            if not params:
                continue
            grads = [p.grad for p in params]
            momenta = [self._momentum(p) for p in params]
            torch._foreach_lerp_(momenta, grads, 1 - group["momentum"])
            torch._foreach_lerp_(grads, momenta, group["momentum"])
            torch._foreach_mul_(params, 1 - group["lr"] * group["weight_decay"])
            self._apply(group, params, grads)

    def _momentum(self, p: nn.Parameter) -> Tensor:
        state = self.state[p]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(p)
        buffer: Tensor = state["momentum_buffer"]
        return buffer

    def _apply(self, group: dict[str, Any], params: list[Tensor], updates: list[Tensor]) -> None:
        by_shape: dict[tuple[int, int], list[int]] = {}
        for i, p in enumerate(params):
            rows, columns = p.shape
            by_shape.setdefault((min(rows, columns), max(rows, columns)), []).append(i)
        for (short, _), members in by_shape.items():
            # [M, short, long]: tall matrices lie on their side, so that one batch holds both kinds.
            stack = torch.stack([_wide(whole(updates[i]), short) for i in members]).to(self.compute_dtype)
            found = orthogonalise(stack, group).to(params[members[0]].dtype).unbind()
            for wide in (True, False):  # each kind has one step size and is updated at once
                kind = [
                    (params[i], x)
                    for i, x in zip(members, found, strict=True)
                    if (params[i].shape[0] == short) == wide
                ]
                if not kind:
                    continue
                some = kind[0][0]
                alpha = -group["lr"] * max(1.0, some.shape[0] / some.shape[1]) ** 0.5
                steps = [shard_like(x if wide else x.T, p) for p, x in kind]
                torch._foreach_add_([p for p, _ in kind], steps, alpha=alpha)


def orthogonalise(stack: Tensor, group: dict[str, Any]) -> Tensor:
    """Newton-Schulz on every matrix of stack [M, short, long]: singular values are drawn towards 1."""
    a, b, c = group["ns_coefficients"]
    x: Tensor = stack / stack.norm(dim=(1, 2), keepdim=True).clamp(min=group["eps"])
    for _ in range(group["ns_steps"]):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x


def _wide(x: Tensor, short: int) -> Tensor:
    return x if x.shape[0] == short else x.T


class Optimizers:
    """The optimisers of one run under one learning-rate schedule: AdamW alone, or Muon and AdamW."""

    def __init__(self, parts: dict[str, torch.optim.Optimizer]) -> None:
        self.parts = parts
        self._peaks = {name: [group["lr"] for group in part.param_groups] for name, part in parts.items()}

    def set_lr_factor(self, factor: float) -> None:
        """Multiply every group's peak learning rate by ``factor``."""
        for name, part in self.parts.items():
            for group, peak in zip(part.param_groups, self._peaks[name], strict=True):
                group["lr"] = peak * factor

    def step(self) -> None:
        """Update every parameter."""
        for part in self.parts.values():
            part.step()

    def state(self, parameters: dict[str, nn.Parameter]) -> dict[str, Tensor]:
        """Every state tensor by ``optimiser/parameter/state``; ``parameters`` are those it was built over."""
        names: dict[Tensor, str] = {p: n for n, p in parameters.items()}
        return {
            f"{part}/{names[p]}/{key}": value
            for part, optimizer in self.parts.items()
            for p, state in optimizer.state.items()
            for key, value in state.items()
        }

    def load_state(self, parameters: dict[str, nn.Parameter], saved: dict[str, Tensor]) -> None:
        """Put back what :meth:`state` gave; tensors of sharded parameters are sharded like them."""
        for key, value in saved.items():
            part, name, entry = key.split("/")
            p = parameters[name]
            if value.shape == p.shape:
                buffer = torch.empty_like(p)
                fill(buffer, value)
                value = buffer
            self.parts[part].state[p][entry] = value.to(p.device)

    def forget(self) -> None:
        """Begin anew: no moments, no count of steps, no gradient that waits."""
        for part in self.parts.values():
            part.state.clear()
        self.zero_grad()

    def zero_grad(self) -> None:
        """Drop all gradients."""
        for part in self.parts.values():
            part.zero_grad(set_to_none=True)


def build_optimizers(
    parameters: dict[str, nn.Parameter],
    *,
    optimizer: OptimizerName,
    lr: float,
    muon_lr: float,
    weight_decay: float,
    betas: tuple[float, float],
    eps: float,
    muon_dtype: torch.dtype,
) -> Optimizers:
    """Optimisers over named float32 parameters.

    Muon takes the hidden matrices, AdamW the rest: embeddings and heads too. Norms and biases have no weight
    decay.
    """
    hidden = {n: p for n, p in parameters.items() if p.ndim == 2 and not _is_embedding(n)}
    others = {n: p for n, p in parameters.items() if n not in hidden}
    embeddings = [p for n, p in others.items() if p.ndim >= 2]
    vectors = [p for p in others.values() if p.ndim < 2]
    parts: dict[str, torch.optim.Optimizer] = {}
    decayed = embeddings
    if optimizer == "muon" and hidden:
        parts["muon"] = Muon(hidden.values(), dtype=muon_dtype, lr=muon_lr, weight_decay=weight_decay)
    else:
        decayed = [*hidden.values(), *embeddings]
    groups = [
        {"params": decayed, "weight_decay": weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    groups = [g for g in groups if g["params"]]
    if groups:
        parts["adamw"] = torch.optim.AdamW(groups, lr=lr, betas=betas, eps=eps, fused=True)
    return Optimizers(parts)


def _is_embedding(name: str) -> bool:
    return "embed_tokens" in name or "lm_head" in name or is_score_head(name)
