from __future__ import annotations

import torch
from torch import nn

from bottega.training.optim import Muon, build_optimizers, orthogonalise

from .conftest import tiny_decoder


def matrices() -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    shapes = [(16, 40), (40, 16), (16, 16), (16, 40)]
    return [nn.Parameter(torch.randn(shape, generator=generator)) for shape in shapes]


def test_batched_muon_takes_the_steps_of_torchs_own() -> None:
    ours, theirs = matrices(), matrices()
    mine = Muon(ours, dtype=torch.bfloat16, lr=0.02, weight_decay=0.1)
    reference = torch.optim.Muon(theirs, lr=0.02, weight_decay=0.1)
    for step in range(3):
        for a, b in zip(ours, theirs, strict=True):
            a.grad = torch.randn(a.shape, generator=torch.Generator().manual_seed(step))
            b.grad = a.grad.clone()
        mine.step()
        reference.step()
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=2e-3)  # bfloat16 rounds 3 updates of 0.02 differently


def test_newton_schulz_draws_singular_values_towards_one() -> None:
    stack = torch.randn(3, 16, 40, generator=torch.Generator().manual_seed(0))
    group = torch.optim.Muon(matrices()).param_groups[0]
    values = torch.linalg.svdvals(orthogonalise(stack, group))
    assert values.min() > 0.5
    assert values.max() < 1.3


def test_muon_takes_hidden_matrices_and_adamw_the_rest() -> None:
    model = tiny_decoder(tie_embeddings=False)
    parameters = dict(model.named_parameters())
    optimizers = build_optimizers(
        parameters, optimizer="muon", lr=1e-3, muon_lr=0.02, weight_decay=0.1, betas=(0.9, 0.95), eps=1e-8,
        muon_dtype=torch.float32,
    )  # fmt: skip
    names = {p: n for n, p in parameters.items()}
    by_muon = {names[p] for g in optimizers.parts["muon"].param_groups for p in g["params"]}
    adamw = optimizers.parts["adamw"].param_groups
    assert len(by_muon) == 7 * model.config.num_layers
    assert {names[p] for p in adamw[0]["params"]} == {"model.embed_tokens.weight", "lm_head.weight"}
    assert all(p.ndim == 1 for p in adamw[1]["params"])
    assert adamw[1]["weight_decay"] == 0.0
    assert len(by_muon) + sum(len(g["params"]) for g in adamw) == len(parameters)
