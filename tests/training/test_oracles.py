"""CORRECTNESS 32 to its last digit: in float64, against plain loops, and against TRL's own trainer."""

from __future__ import annotations

import math
from collections import defaultdict
from statistics import fmean, pvariance, stdev
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from bottega.data.comparisons import Judged
from bottega.training.advantages import gae, group_relative, leave_one_out, whiten
from bottega.training.direct import DirectPreference, Goal
from bottega.training.policy_loss import clipped_policy_loss, clipped_value_loss

from .conftest import VOCAB, tiny_decoder
from .test_direct import alone, packed

LENGTHS = [5, 0, 3, 7, 1]


def drawn(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def close(found: Tensor, expected: list[float]) -> None:
    assert found.flatten().tolist() == pytest.approx(expected, rel=0, abs=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_advantages_are_plain_loops(seed: int) -> None:
    """CORRECTNESS 22, 23 and 32."""
    rewards, values = drawn(seed, 5, 7), drawn(seed + 50, 5, 7)
    mask = torch.arange(7) < torch.tensor(LENGTHS)[:, None]
    advantages, returns = gae(rewards, values, mask, gamma=0.97, lam=0.9)
    plain = []
    for i, length in enumerate(LENGTHS):
        later = 0.0
        found = []
        for t in reversed(range(length)):
            after = float(values[i, t + 1]) if t + 1 < length else 0.0
            later = float(rewards[i, t]) + 0.97 * after - float(values[i, t]) + 0.97 * 0.9 * later
            found.append(later)
        plain += found[::-1]
    close(advantages[mask], plain)
    close(returns[mask], [a + float(v) for a, v in zip(plain, values[mask], strict=True)])
    spread = math.sqrt(pvariance(plain) + 1e-8)
    close(whiten(advantages, mask)[mask], [(a - fmean(plain)) / spread for a in plain])


@pytest.mark.parametrize("seed", range(5))
def test_group_advantages_are_plain_loops(seed: int) -> None:
    """CORRECTNESS 32."""
    scores = drawn(seed, 6, 4)
    scaled, left = [], []
    for row in scores.tolist():
        scaled += [(score - fmean(row)) / (stdev(row) + 1e-4) for score in row]
        left += [score - (sum(row) - score) / 3 for score in row]
    close(group_relative(scores), scaled)
    close(leave_one_out(scores), left)


@pytest.mark.parametrize("seed", range(5))
def test_clipped_losses_are_plain_loops(seed: int) -> None:
    """CORRECTNESS 24 and 32."""
    now, old, goods = 0.5 * drawn(seed, 30), 0.5 * drawn(seed + 10, 30), drawn(seed + 20, 30)
    policy = value = 0.0
    for p, q, a in zip(now.tolist(), old.tolist(), goods.tolist(), strict=True):
        ratio = math.exp(p - q)
        policy += max(-a * ratio, -a * min(max(ratio, 0.8), 1.2))
        value += 0.5 * max((p - a) ** 2, (min(max(p, q - 0.2), q + 0.2) - a) ** 2)
    close(clipped_policy_loss(now, old, goods, clip=0.2).loss_sum, [policy])
    close(clipped_value_loss(now, old, goods, clip=0.2).loss_sum, [value])


def pairs(count: int) -> list[Judged]:
    """Comparisons of two answers, the first of which is preferred."""
    draw = np.random.default_rng(4)
    found = []
    for _ in range(count):
        answers = tuple(draw.integers(1, VOCAB, draw.integers(1, 9)).astype(np.int32) for _ in range(2))
        prompt = draw.integers(1, VOCAB, draw.integers(1, 7)).astype(np.int32)
        wins = np.array([[0, 1], [0, 0]], np.float32)
        found.append(Judged(prompt, answers, wins, np.full(2, np.nan, np.float32)))
    return found


@pytest.mark.parametrize(
    ("goal", "theirs"),
    [
        (Goal(beta=0.3), {"loss_types": ["sigmoid"]}),
        (Goal("ipo", beta=0.3), {"loss_types": ["ipo"]}),
    ],
    ids=["dpo", "ipo"],
)
def test_dpo_is_what_trl_computes(goal: Goal, theirs: dict[str, Any]) -> None:
    """CORRECTNESS 32: TRL's trainer is handed log-probabilities of passes over each conversation alone."""
    trl = pytest.importorskip("trl")
    policy, reference = tiny_decoder(seed=1).double(), tiny_decoder(seed=2).double()
    judged = pairs(6)
    parts = DirectPreference(goal, reference)(policy, packed(judged))

    width = 1 + max(len(answer) for one in judged for answer in one.answers)
    by_token = torch.zeros(2 * len(judged), width - 1, dtype=torch.float64)
    mask = torch.zeros(2 * len(judged), width, dtype=torch.long)
    before = torch.zeros(2 * len(judged), dtype=torch.float64)
    for i, one in enumerate(judged):
        for k, answer in enumerate(one.answers):
            row = i + k * len(judged)  # all that were chosen, then all that were not
            single = Judged.unranked(one.prompt.tolist(), [answer.tolist()])
            prompt = one.prompt.tolist()
            table = policy.logits(policy(torch.tensor([[*prompt, *answer.tolist()]])))
            table = table[0, len(prompt) - 1 : -1].log_softmax(-1)
            said = table.gather(1, torch.tensor(answer, dtype=torch.long)[:, None]).squeeze(1)
            by_token[row, : len(answer)] = said.detach()
            mask[row, 1 : 1 + len(answer)] = 1
            before[row] = alone(reference, single)[0].detach()
    outputs = SimpleNamespace(
        log_probs=by_token,
        entropy=torch.zeros_like(by_token),
        mean_logits=torch.zeros_like(by_token),
        is_top1=torch.zeros_like(by_token, dtype=torch.bool),
    )
    alike = lambda tensor: tensor  # noqa: E731  (one process)
    trainer = SimpleNamespace(
        model=SimpleNamespace(training=True),
        accelerator=SimpleNamespace(device="cpu", gather=alike, gather_for_metrics=alike),
        aux_loss_enabled=False,
        ld_alpha=None,
        precompute_ref_logps=True,
        f_divergence_type="reverse_kl",
        loss_weights=[1.0],
        beta=goal.beta,
        label_smoothing=0.0,
        use_weighting=False,
        _metrics={"train": defaultdict(list)},
        _total_train_tokens=0,
        _tp_size=1,
        **theirs,
    )
    chosen, rejected = before.chunk(2)
    batch = {
        "input_ids": mask,
        "attention_mask": mask,
        "completion_mask": mask,
        "ref_chosen_logps": chosen,
        "ref_rejected_logps": rejected,
    }
    loss = trl.DPOTrainer._compute_loss(trainer, lambda **_: outputs, batch, False)
    close(parts.loss_sum / parts.weight, [float(loss)])
    assert abs(float(loss) - (math.log(2) if goal.loss == "sigmoid" else 0.0)) > 0.01
