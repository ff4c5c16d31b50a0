"""DPO, IPO and KTO against plain loops over conversations alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from bottega.data.comparisons import Judged
from bottega.data.judged import ComparisonPlan
from bottega.model.decoder import Decoder
from bottega.model.lora import add_lora
from bottega.training.direct import FOREIGN, DirectPreference, Goal
from bottega.training.objective import TensorBatch

from .conftest import VOCAB, tiny_decoder


def some(seed: int, *, rated: bool = False) -> list[Judged]:
    draw = np.random.default_rng(seed)
    found = []
    for _ in range(7):
        K = int(draw.integers(2, 5))
        wins = draw.integers(0, 3, (K, K)).astype(np.float32)
        np.fill_diagonal(wins, 0)
        wins[0, 1] += 1
        ratings = np.full(K, np.nan, np.float32)
        if rated:
            ratings = draw.choice([0.0, 1.0, np.nan], K).astype(np.float32)
            ratings[-1] = FOREIGN
            wins[:] = 0
        found.append(
            Judged(
                draw.integers(1, VOCAB, draw.integers(1, 7)).astype(np.int32),
                tuple(draw.integers(1, VOCAB, draw.integers(1, 9)).astype(np.int32) for _ in range(K)),
                wins / max(wins.sum(), 1),
                ratings,
            )
        )
    return found


def alone(model: Decoder, one: Judged, *, mean: bool = False) -> Tensor:
    """The log-probability of each answer, from a pass over prompt and answer alone."""
    prompt, found = one.prompt.tolist(), []
    for answer in one.answers:
        tokens = torch.tensor([[*prompt, *answer.tolist()]])
        table = model.logits(model(tokens))[0, len(prompt) - 1 : -1].log_softmax(-1)
        by_token = table.gather(1, torch.tensor(answer, dtype=torch.long)[:, None])
        found.append(by_token.mean() if mean else by_token.sum())
    return torch.stack(found)


def packed(judged: list[Judged], strip: int | None = None) -> TensorBatch:
    plan = ComparisonPlan(judged, batch_tokens=100_000, seed=0, context=strip and 9 * strip, strip=strip)
    assert plan.steps == 1
    return TensorBatch.of(plan.batch(0), torch.device("cpu"))


@pytest.mark.parametrize("strip", [None, 16], ids=["whole", "in strips"])
@pytest.mark.parametrize(
    "goal", [Goal(beta=0.3), Goal(beta=0.3, label_smoothing=0.1), Goal("ipo", beta=0.3)], ids=repr
)
def test_loss_and_gradients_are_those_of_a_loop_over_pairs(goal: Goal, strip: int | None) -> None:
    """CORRECTNESS 32."""
    policy, plain, reference = tiny_decoder(seed=1), tiny_decoder(seed=1), tiny_decoder(seed=2)
    judged = some(3)
    parts = DirectPreference(goal, reference)(policy, packed(judged, strip))
    (parts.loss_sum / parts.weight).backward()

    total = torch.zeros(())
    for one in judged:
        mean = goal.loss == "ipo"
        with torch.no_grad():
            before = alone(reference, one, mean=mean)
        rewards = alone(plain, one, mean=mean) - before
        for i in range(len(one.answers)):
            for j in range(len(one.answers)):
                margin = rewards[i] - rewards[j]
                if goal.loss == "ipo":
                    loss = (margin - 1 / (2 * goal.beta)) ** 2
                else:
                    loss = -logsigmoid(goal.beta * margin) * (1 - goal.label_smoothing)
                    loss = loss - logsigmoid(-goal.beta * margin) * goal.label_smoothing
                total = total + float(one.wins[i, j]) * loss
    (total / len(judged)).backward()
    torch.testing.assert_close(parts.loss_sum / parts.weight, total / len(judged), atol=2e-6, rtol=1e-6)
    for a, b in zip(policy.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, atol=2e-6, rtol=1e-4)


def test_a_policy_that_is_its_reference_has_the_loss_of_a_coin() -> None:
    parts = DirectPreference(Goal(), tiny_decoder(seed=1))(tiny_decoder(seed=1), packed(some(1)))
    assert (parts.loss_sum / parts.weight).item() == pytest.approx(np.log(2), abs=1e-6)
    assert parts.metrics["margin"].item() == pytest.approx(0, abs=1e-6)


def test_the_reference_may_be_the_policy_without_its_adapters() -> None:
    policy = add_lora(tiny_decoder(seed=1), rank=2, alpha=4.0, seed=3)
    for name, parameter in policy.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.2)
    batch = packed(some(2))
    two = DirectPreference(Goal(), tiny_decoder(seed=1))(policy, batch)
    one = DirectPreference(Goal(), None)(policy, batch)
    torch.testing.assert_close(one.loss_sum, two.loss_sum, atol=1e-6, rtol=0)
    assert one.loss_sum.item() != pytest.approx(np.log(2) * 7)


def test_kto_is_a_plain_loop() -> None:
    """CORRECTNESS 32: the KL is that of answers to other prompts, without a gradient."""
    goal = Goal("kto", beta=0.4, desirable_weight=1.5, undesirable_weight=0.5)
    policy, plain, reference = tiny_decoder(seed=1), tiny_decoder(seed=1), tiny_decoder(seed=2)
    judged = some(5, rated=True)
    parts = DirectPreference(goal, reference)(policy, packed(judged))
    parts.loss_sum.backward()

    rows = []
    for one in judged:
        with torch.no_grad():
            before = alone(reference, one)
        rows.append(alone(plain, one) - before)
    kl = max(0.0, float(torch.stack([row[-1] for row in rows]).mean()))
    total, count = torch.zeros(()), 0
    for one, rewards in zip(judged, rows, strict=True):
        for reward, rating in zip(rewards[:-1], one.ratings[:-1].tolist(), strict=True):
            if np.isnan(rating):
                continue
            count += 1
            towards = 0.4 * (reward - kl if rating == 1 else kl - reward)
            total = total + (1.5 if rating == 1 else 0.5) * (1 - torch.sigmoid(towards))
    total.backward()
    assert parts.weight.item() == count > 0
    torch.testing.assert_close(parts.loss_sum, total, atol=1e-5, rtol=1e-5)
    for a, b in zip(policy.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, atol=1e-5, rtol=1e-3)
