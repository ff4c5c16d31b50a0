"""The clipped losses against plain loops, term by term."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bottega.training.policy_loss import (
    clipped_policy_loss,
    clipped_value_loss,
    explained_variance,
    importance_weights,
)

_FLOATS = st.floats(-2, 2, allow_subnormal=False)
_TOKENS = st.lists(st.tuples(_FLOATS, _FLOATS, _FLOATS), min_size=1, max_size=12)


@settings(max_examples=80, deadline=None)
@given(_TOKENS, st.sampled_from([0.1, 0.2]))
def test_the_policy_loss_is_a_plain_loop(tokens: list[tuple[float, float, float]], clip: float) -> None:
    """CORRECTNESS 24 and 32."""
    now, old, advantages = torch.tensor(tokens).unbind(1)
    parts = clipped_policy_loss(now, old, advantages, clip=clip)
    total = kl = 0.0
    for p, q, a in zip(now.tolist(), old.tolist(), advantages.tolist(), strict=True):
        ratio = math.exp(p - q)
        bounded = min(max(ratio, 1 - clip), 1 + clip)
        total += max(-a * ratio, -a * bounded)
        kl += ratio - 1 - (p - q)
    assert float(parts.loss_sum) == pytest.approx(total, rel=1e-4, abs=1e-5)
    assert float(parts.weight) == len(tokens)
    assert float(parts.metrics["approx_kl"]) == pytest.approx(kl, rel=1e-3, abs=1e-4)


def test_at_the_first_step_the_ratio_is_one_and_the_gradient_is_reinforces() -> None:
    """CORRECTNESS 16."""
    now = torch.tensor([-1.0, -2.0, -0.5], requires_grad=True)
    advantages = torch.tensor([1.0, -2.0, 0.5])
    parts = clipped_policy_loss(now, now.detach(), advantages, clip=0.2)
    parts.loss_sum.backward()
    assert parts.metrics["ratio"].item() == 3 and parts.metrics["ratio_square"].item() == 3
    assert parts.metrics["approx_kl"].item() == parts.metrics["clip_fraction"].item() == 0
    assert now.grad is not None
    assert now.grad.tolist() == (-advantages).tolist()


def test_beyond_the_clip_there_is_no_gradient_unless_it_leads_back() -> None:
    old = torch.zeros(4)
    now = torch.tensor([0.5, 0.5, -0.5, -0.5], requires_grad=True)
    advantages = torch.tensor([1.0, -1.0, 1.0, -1.0])
    clipped_policy_loss(now, old, advantages, clip=0.2).loss_sum.backward()
    assert now.grad is not None
    assert (now.grad != 0).tolist() == [False, True, True, False]


@pytest.mark.parametrize("weights", [None, torch.full((5,), 0.5), torch.full((5,), 2.0)], ids=str)
def test_the_clip_fraction_counts_tokens_without_a_gradient_whatever_their_weights(
    weights: torch.Tensor | None,
) -> None:
    now = torch.tensor([0.5, 0.5, -0.5, -0.5, 0.1])
    advantages = torch.tensor([1.0, -1.0, 1.0, -1.0, 1.0])
    parts = clipped_policy_loss(now, torch.zeros(5), advantages, clip=0.2, weights=weights)
    assert parts.metrics["clip_fraction"].item() == 2


@settings(max_examples=80, deadline=None)
@given(_TOKENS)
def test_the_value_loss_is_a_plain_loop(tokens: list[tuple[float, float, float]]) -> None:
    """CORRECTNESS 24 and 32."""
    values, old, returns = torch.tensor(tokens).unbind(1)
    parts = clipped_value_loss(values, old, returns, clip=0.2)
    total = 0.0
    for v, o, r in zip(values.tolist(), old.tolist(), returns.tolist(), strict=True):
        near = min(max(v, o - 0.2), o + 0.2)
        total += 0.5 * max((v - r) ** 2, (near - r) ** 2)
    assert float(parts.loss_sum) == pytest.approx(total, rel=1e-4, abs=1e-5)


def test_importance_weights_are_the_ratio_up_to_a_cap() -> None:
    """CORRECTNESS 16."""
    trainer, engine = torch.tensor([-1.0, -1.0, -3.0]), torch.tensor([-1.0, -3.0, -1.0])
    found = importance_weights(trainer, engine, cap=2.0)
    assert found.tolist() == pytest.approx([1.0, 2.0, math.exp(-2)])
    now = trainer.clone()
    weighted = clipped_policy_loss(now, trainer, torch.ones(3), clip=0.2, weights=found)
    assert float(weighted.loss_sum) == pytest.approx(-float(found.sum()))


def test_explained_variance_is_one_for_perfect_values_and_none_for_a_constant() -> None:
    returns = torch.tensor([1.0, 2.0, 4.0])
    assert explained_variance(returns, returns).item() == 1
    assert explained_variance(torch.zeros(3), returns).item() == 0
    assert explained_variance(returns, torch.ones(3)).item() == 0
