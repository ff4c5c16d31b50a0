"""What the stages of learning by trial hand to the functions that are right alone: a step, done by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from bottega import stages
from bottega.data.frozen import freeze_records
from bottega.data.records import Check, Message, Origin, Prompt
from bottega.errors import UserError
from bottega.model.decoder import Backbone
from bottega.model.hub import load_scorer
from bottega.stages import ppo
from bottega.stages.base import DatasetInput, StageInputs
from bottega.stages.policy_networks import networks_of
from bottega.stages.rewards import Asked, CheckReward
from bottega.training.experience import Micro
from bottega.training.objective import TensorBatch

from .by_hand import (
    assert_close,
    generalised_advantages,
    gradient_of,
    reference_of,
    score,
    token_logprobs,
    token_values,
    watched,
    whitened,
)
from .test_ppo import SMALL, Share, inputs_of, weights
from .workshop import ANIMALS, PLACES, Workshop

ONE: dict[str, Any] = {**SMALL, "steps": 1, "eval_prompts": 0, "batch_tokens": 256}  # several microbatches


@pytest.fixture
def inputs(workshop: Workshop, policy: Path, reward_model: Path, tmp_path: Path) -> StageInputs:
    return inputs_of(workshop, tmp_path, policy, reward_model)


# ---------------------------------------------------------------- CORRECTNESS 15


@pytest.mark.parametrize("temperature", [0.7, 1.5])
def test_rollout_reference_and_update_have_one_temperature(temperature: float, inputs: StageInputs) -> None:
    """CORRECTNESS 15: at the first step all three say what the parent says at the temperature."""
    seen = watched("ppo", ONE | {"temperature": temperature}, inputs)
    (row,), (measured,), (talks,) = seen.rows, seen.measured, seen.talks
    parent = reference_of(inputs)
    with torch.no_grad():
        found = [token_logprobs(parent, talk, temperature) for talk in talks]
    expected, entropy = (torch.cat(part) for part in zip(*found, strict=True))
    for said in (measured.engine_logprobs, measured.logprobs, measured.ref_logprobs):
        torch.testing.assert_close(said, expected, atol=1e-4, rtol=0)
    torch.testing.assert_close(measured.entropy, entropy, atol=1e-4, rtol=0)
    assert row["kl"] == row["approx_kl"] == row["clip_fraction"] == 0 and row["ratio"] == 1
    assert abs(row["engine_kl"]) < 1e-5


def test_what_is_sampled_follows_the_temperature(inputs: StageInputs) -> None:
    """CORRECTNESS 15: first tokens of many answers come as often as the parent's distribution says."""
    count, temperature = 4000, 0.5
    knobs = {"max_new_tokens": 1, "temperature": temperature, "batch_prompts": 1}
    seen = watched("rloo", ONE | knobs | {"reward": "model", "answers_per_prompt": count}, inputs)
    ((prompt, _), *_), parent = seen.talks[0], reference_of(inputs)
    often = torch.bincount(
        torch.tensor([answer[0] for _, answer in seen.talks[0]]), minlength=parent.config.vocab_size
    )
    with torch.no_grad():
        logits = parent.logits(parent(torch.tensor([prompt])))[0, -1]
    away = [0.5 * (often / count - (logits / T).softmax(-1)).abs().sum().item() for T in (temperature, 1.0)]
    assert away[0] < 0.05 < 0.1 < away[1]


@pytest.mark.parametrize("name", ["ppo", "grpo", "rloo", "rejection-sampling", "expert-iteration"])
@pytest.mark.parametrize("knob", [{"top_p": 0.9}, {"top_k": 20}, {"min_p": 0.1}], ids=str)
def test_a_policy_is_never_sampled_from_part_of_its_distribution(name: str, knob: dict[str, Any]) -> None:
    """CORRECTNESS 15: truncated sampling in rollouts is refused; that nothing else truncates them is seen by
    the log-probabilities above."""
    with pytest.raises(UserError, match=f"unknown key '{next(iter(knob))}'"):
        stages.get(name).Config.parse(knob)


# ---------------------------------------------------------------- CORRECTNESS 16


@pytest.mark.parametrize("cap", [0.0, 1.1])
def test_tokens_weigh_by_the_trainers_over_the_engines_probability(cap: float, inputs: StageInputs) -> None:
    """CORRECTNESS 16: as a truncated importance weight, the engine's log-probabilities enter the gradient."""
    draw = torch.Generator().manual_seed(4)

    def drawn(logprobs: Tensor) -> Tensor:
        return logprobs + 0.5 * torch.randn(logprobs.shape, generator=draw)

    seen = watched("ppo", ONE | {"importance_cap": cap, "temperature": 0.7}, inputs, drawn=drawn)
    (measured,), (advantages,), policy = seen.measured, seen.advantages, seen.policy()
    now = torch.cat([token_logprobs(policy, talk, 0.7)[0] for talk in seen.talks[0]])
    weigh = [1.0] * len(now)
    if cap:
        pairs = zip(now.tolist(), measured.engine_logprobs.tolist(), strict=True)
        weigh = [min(math.exp(ours - theirs), cap) for ours, theirs in pairs]
        assert 0 < weigh.count(cap) < len(weigh) and min(weigh) < 0.8
    loss = -(torch.tensor(weigh) * torch.tensor(advantages) * now).sum() / len(now)
    assert_close(seen.updates["policy"][0].gradient, gradient_of(policy, loss))


# ---------------------------------------------------------------- CORRECTNESS 17


@pytest.mark.parametrize(
    "config",
    [{}, {"lora": {"rank": 4, "alpha": 8.0}}, {"value": "shared"}],
    ids=["plain", "lora", "shared"],
)
def test_two_passes_in_training_mode_are_the_same(config: dict[str, Any], inputs: StageInputs) -> None:
    """CORRECTNESS 17: whatever adapters or heads a network has."""
    stage: Any = stages.get("ppo")
    networks = networks_of(stage.Config.parse(SMALL | config), inputs, 0, "ppo")
    nets: list[Backbone] = [networks.policy.model, load_scorer(inputs.parents[1])]
    nets += [] if networks.value is None else [networks.value.model]
    tokens = torch.arange(3, 60)[None] % 50
    for net in nets:
        for name, p in net.named_parameters():
            if "lora_B" in name:  # begins at 0, which hides what its input is
                nn.init.normal_(p.data, std=0.1)
        net.train()
        first, second = net(tokens), net(tokens)
        assert first.abs().max() > 0 and torch.equal(first, second)


# ---------------------------------------------------------------- CORRECTNESS 20


def test_the_reward_of_a_token_is_what_it_costs_to_have_left_the_reference(
    inputs: StageInputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CORRECTNESS 20: -beta (log p - log p_ref), the score at the last; logged is the sum over an answer."""
    handed: list[tuple[Tensor, Tensor]] = []
    real = ppo.gae

    def gae(rewards: Tensor, values: Tensor, mask: Tensor, **rates: float) -> tuple[Tensor, Tensor]:
        handed.append((rewards, mask))
        return real(rewards, values, mask, **rates)

    monkeypatch.setattr(ppo, "gae", gae)
    seen = watched("ppo", ONE | {"kl_coef": 0.3, "no_end_score": -2.0}, inputs, moved=0.02)
    (talks,), (rollouts,), ((rewards, mask),) = seen.talks, seen.rollouts, handed
    policy, parent, scorer = seen.policy(), reference_of(inputs), load_scorer(inputs.parents[1])
    sums = []
    for i, talk in enumerate(talks):
        with torch.no_grad():
            apart = (token_logprobs(policy, talk)[0] - token_logprobs(parent, talk)[0]).tolist()
            expected = [-0.3 * log_ratio for log_ratio in apart]
            expected[-1] += score(scorer, talk) if rollouts.ended[i] else -2.0
        assert rewards[i][mask[i]].tolist() == pytest.approx(expected, abs=1e-4)
        sums.append(sum(apart))
    assert rollouts.ended.any() and not rollouts.ended.all()
    kl = sum(sums) / len(sums)
    assert seen.rows[0]["kl"] == pytest.approx(kl, abs=1e-4)
    assert abs(kl) > 0.05, "else a KL of another scale or sign would pass"


def test_rloo_takes_the_kl_of_a_whole_answer_off_its_score(
    inputs: StageInputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CORRECTNESS 20."""
    handed: list[Tensor] = []
    real = ppo.leave_one_out
    monkeypatch.setattr(ppo, "leave_one_out", lambda scores: (handed.append(scores), real(scores))[1])
    knobs = {"reward": "model", "answers_per_prompt": 3, "kl_coef": 0.3, "no_end_score": "own"}
    seen = watched("rloo", ONE | knobs, inputs, moved=0.02)
    policy, parent, scorer = seen.policy(), reference_of(inputs), load_scorer(inputs.parents[1])
    expected = []
    with torch.no_grad():
        for talk in seen.talks[0]:
            apart = token_logprobs(policy, talk)[0] - token_logprobs(parent, talk)[0]
            expected.append(score(scorer, talk) - 0.3 * float(apart.sum()))
    assert handed[0].flatten().tolist() == pytest.approx(expected, abs=1e-4)
    assert handed[0].shape == (8, 3)


def test_grpo_pays_for_the_kl_in_its_loss(inputs: StageInputs) -> None:
    """CORRECTNESS 20 and 32: beta times p_ref / p - log(p_ref / p) - 1 of every token."""
    knobs = {"reward": "model", "answers_per_prompt": 2, "kl_coef": 0.5, "temperature": 0.7}
    seen = watched("grpo", ONE | knobs, inputs, moved=0.02)
    policy, parent = seen.policy(), reference_of(inputs)
    loss, count = torch.zeros(()), 0
    advantages = iter(seen.advantages[0])
    for talk in seen.talks[0]:
        now = token_logprobs(policy, talk, 0.7)[0]
        before = token_logprobs(parent, talk, 0.7)[0].detach()
        for p, q in zip(now, before, strict=True):
            loss = loss - next(advantages) * (p - p.detach()).exp() + 0.5 * ((q - p).exp() - (q - p) - 1)
        count += len(now)
    assert_close(seen.updates["policy"][0].gradient, gradient_of(policy, loss / count))


# ---------------------------------------------------------------- CORRECTNESS 24 and 27


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_an_update_is_by_the_policys_gradient_and_gamma_times_that_of_pretraining(
    gamma: float, workshop: Workshop, policy: Path, reward_model: Path, tmp_path: Path
) -> None:
    """CORRECTNESS 24 and 27: of the mean over tokens and the mean over the text's tokens, summed; both
    updates of the pass, each with text of its own."""
    inputs = inputs_of(workshop, tmp_path, policy, reward_model, replay=gamma > 0)
    seen = watched("ppo", ONE | {"ptx_coef": gamma, "ptx_tokens": 128, "minibatches": 2, "lr": 1e-3}, inputs)
    order = seen.order[0]
    losses = []
    for update, answers in enumerate(order):
        learned = seen.policy(update)
        loss, count, start = torch.zeros(()), 0, 0
        for i, talk in enumerate(seen.talks[0]):
            n = len(talk[1])
            if i in answers:
                now = token_logprobs(learned, talk)[0]
                old = seen.measured[0].logprobs[start : start + n]
                for p, q, a in zip(now, old, seen.advantages[0][start : start + n], strict=True):
                    ratio = (p - q).exp()
                    loss = loss + torch.maximum(-a * ratio, -a * ratio.clamp(0.8, 1.2))
                count += n
            start += n
        loss = loss / count
        if gamma:
            batch = TensorBatch.of(seen.run.ptx.batch(update), torch.device("cpu"))
            hidden = learned(batch.tokens, batch.positions, batch.segments)
            entropies = cross_entropy(learned.logits(hidden).mT, batch.targets, reduction="none")
            of_text = (entropies * batch.weights).sum() / batch.weights.sum()
            losses.append(float(of_text.detach()))
            loss = loss + gamma * of_text
        assert_close(seen.updates["policy"][update].gradient, gradient_of(learned, loss))
    assert len(order) == 2 and sorted(i for part in order for i in part) == list(range(8))
    if gamma:
        assert losses[0] != pytest.approx(losses[1], abs=1e-3)


# ---------------------------------------------------------------- CORRECTNESS 28


def test_all_eleven_figures_of_a_step_are_what_they_are_called(inputs: StageInputs) -> None:
    """CORRECTNESS 28, and by the way 19, 22, 23, 24 and 26, in one step of two passes."""
    knobs = {"inner_epochs": 2, "temperature": 0.7, "kl_coef": 0.2, "gamma": 0.98, "lam": 0.9, "clip": 0.05}
    rates = {"lr": 3e-3, "value_lr": 3e-3, "value_clip": 0.02, "no_end_score": -2.0}
    seen = watched("ppo", ONE | knobs | rates, inputs, moved=0.02)
    (row,), (talks,), (rollouts,) = seen.rows, seen.talks, seen.rollouts
    parent, scorer = reference_of(inputs), load_scorer(inputs.parents[1])
    ended = rollouts.ended.tolist()
    old, entropies, kls, scores, values, returns, advantages = [], [], [], [], [], [], []
    with torch.no_grad():
        for i, talk in enumerate(talks):
            logprobs, entropy = token_logprobs(seen.policy(0), talk, 0.7)
            ref = token_logprobs(parent, talk, 0.7)[0]
            scores.append(score(scorer, talk) if ended[i] else -2.0)
            rewards = (-0.2 * (logprobs - ref)).tolist()
            rewards[-1] += scores[-1]
            values.append(token_values(seen.value(0), talk).tolist())
            advantages.append(generalised_advantages(rewards, values[-1], 0.98, 0.9))
            returns.append([a + v for a, v in zip(advantages[-1], values[-1], strict=True)])
            old.append(logprobs)
            entropies += entropy.tolist()
            kls.append(float((logprobs - ref).sum()))
    ratios, approximate, clipped = [], [], 0
    white = whitened(advantages)
    norm = 0.0
    for update in range(2):
        policy, loss = seen.policy(update), torch.zeros(())
        for talk, before, goods in zip(talks, old, white, strict=True):
            for p, q, a in zip(token_logprobs(policy, talk, 0.7)[0], before, goods, strict=True):
                ratio = (p - q).exp()
                loss = loss + torch.maximum(-a * ratio, -a * ratio.clamp(0.95, 1.05))
                r = float(ratio.detach())
                ratios.append(r)
                approximate.append(r - 1 - math.log(r))
                clipped += -a * min(max(r, 0.95), 1.05) > -a * r
        gradient = gradient_of(policy, loss / sum(map(len, old)))
        assert_close(seen.updates["policy"][update].gradient, gradient)
        norm = math.sqrt(sum(float(g.square().sum()) for g in gradient.values()))
        valuer, loss = seen.value(update), torch.zeros(())
        for talk, before, goals in zip(talks, values, returns, strict=True):
            for v, o, r in zip(token_values(valuer, talk), before, goals, strict=True):
                loss = loss + 0.5 * torch.maximum(
                    (v - r).square(), (v.clamp(o - 0.02, o + 0.02) - r).square()
                )
        assert_close(seen.updates["value"][update].gradient, gradient_of(valuer, loss / sum(map(len, old))))

    def mean(numbers: Sequence[float]) -> float:
        return sum(numbers) / len(numbers)

    def variance(numbers: Sequence[float]) -> float:
        return mean([(x - mean(numbers)) ** 2 for x in numbers])

    flat = [[x for one in rows for x in one] for rows in (values, returns)]
    left = [r - v for v, r in zip(*flat, strict=True)]
    expected = {
        "approx_kl": mean(approximate),
        "kl": mean(kls),
        "clip_fraction": clipped / len(ratios),
        "ratio": mean(ratios),
        "ratio_variance": variance(ratios),
        "entropy": mean(entropies),
        "explained_variance": 1 - variance(left) / variance(flat[1]),
        "score": mean(scores),
        "length": mean([len(answer) for _, answer in talks]),
        "ended": mean(ended),
        "grad_norm": norm,
    }
    for name, value in expected.items():
        assert row[name] == pytest.approx(value, rel=2e-3, abs=1e-4), name
    # Else a figure of another kind would pass too.
    assert min(abs(expected[name]) for name in ("approx_kl", "clip_fraction", "ratio_variance", "kl")) > 2e-3
    swapped = 1 - variance(left) / variance(flat[0])
    assert swapped != pytest.approx(expected["explained_variance"], abs=0.05)
    assert 0 < expected["ended"] < 1


# ---------------------------------------------------------------- rails


class _Long:
    """Long answers are liked."""

    def scores(
        self, asked: Sequence[Asked], texts: Sequence[str], micros: Sequence[Micro], count: int
    ) -> Tensor:
        return torch.tensor([float(len(text)) for text in texts])


def test_a_policy_whose_answers_grow_beyond_the_limit_is_stopped(inputs: StageInputs) -> None:
    knobs = {"steps": 40, "batch_prompts": 16, "max_new_tokens": 16, "lr": 3e-3, "kl_coef": 0.0}
    off = {"no_end_score": "own", "max_kl": 0.0, "min_entropy": 0.0, "eval_prompts": 0}
    seen = watched("ppo", SMALL | knobs | off | {"max_growth": 1.25}, inputs, reward=_Long(), judge=_Long())
    assert seen.result is not None
    assert "the answers' length by that at the start" in seen.result.report["ended"]
    assert "beyond its limit of 1.25" in seen.result.report["ended"]
    lengths = [row["length"] for row in seen.rows]
    beyond = [length > 1.25 * lengths[0] for length in lengths]
    assert len(lengths) < 40 and beyond[-3:] == [True] * 3 and [True] * 3 not in (beyond[-4:-1],)


class _Broken(Share):
    """Of the second step on, no number."""

    def __init__(self) -> None:
        super().__init__(5, 8)
        self.calls = 0

    def scores(self, asked: Any, texts: Any, micros: Any, count: int) -> Tensor:
        self.calls += 1
        found = super().scores(asked, texts, micros, count)
        return found if self.calls == 1 else found * math.nan


@pytest.mark.parametrize("value", ["separate", "shared"])
def test_a_gradient_that_is_no_number_ends_the_run_before_it_is_taken(
    value: str, inputs: StageInputs
) -> None:
    knobs = {"steps": 4, "eval_prompts": 0, "no_end_score": "own", "value": value}
    seen = watched("ppo", SMALL | knobs, inputs, reward=_Broken())
    assert seen.result is not None
    assert "the gradient of the " in seen.result.report["ended"]
    assert seen.result.report["ended"].endswith("is nan: lower the learning rate")
    assert len(seen.rows) == 2 and seen.result.report["stopped_early"]
    for updates in seen.updates.values():
        taken, refused = updates
        assert not all(g.isfinite().all() for g in refused.gradient.values())
        assert any(not torch.equal(p, taken.weights[name]) for name, p in taken.after.items())
        assert all(torch.equal(p, taken.after[name]) for name, p in refused.after.items())
    assert all(p.isfinite().all() for p in weights(inputs.out).values())


# ---------------------------------------------------------------- checks as the reward


@pytest.fixture(scope="session")
def checked(workshop: Workshop) -> DatasetInput:
    """Prompts whose checks a model of the talks passes now and then: of every other one in another way."""
    folder = workshop.root / "datasets" / "checked"
    prompts = [
        Prompt(
            (Message("user", f"Where did the {animal} number {i} sit?"),),
            Check("exact", tuple(f"On the {place}" for place in (PLACES[:4], PLACES[4:])[i % 2])),
            Origin("made", str(i), "CC0-1.0"),
        )
        for i, animal in enumerate(ANIMALS * 5)
    ]
    freeze_records({"made": {"train": prompts[:32], "heldout": prompts[32:]}}, folder)
    return DatasetInput(folder, name="checked")


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("grpo", {"answers_per_prompt": 4}),
        ("rloo", {"answers_per_prompt": 4}),
        ("ppo", {"reward": "checks", "value": "separate"}),
        ("ppo", {"reward": "checks", "value": "shared"}),
        ("expert-iteration", {"reward": "checks", "answers_per_prompt": 4, "rounds": 2}),
    ],
    ids=["grpo", "rloo", "ppo", "ppo-shared", "expert-iteration"],
)
def test_what_passes_its_check_is_learned_without_a_reward_model(
    name: str, config: dict[str, Any], checked: DatasetInput, workshop: Workshop, policy: Path, tmp_path: Path
) -> None:
    given = replace(workshop.inputs(tmp_path, checked), parents=(policy,))
    knobs = {"lr": 1e-3, "batch_prompts": 16, "temperature": 0.4}
    seen = watched(name, SMALL | knobs | config, given)
    assert isinstance(seen.networks.reward, CheckReward) and seen.result is not None
    accepted = {tuple(one.tokens): one.prompt.check.accepted for one in seen.run.prompts}
    passed: dict[str, set[float]] = {}
    for talks, rollouts, measured in zip(seen.talks, seen.rollouts, seen.measured, strict=True):
        said = zip(talks, rollouts.texts, rollouts.ended.tolist(), strict=True)
        expected = [
            float(text.strip().removesuffix(".") in accepted[tuple(prompt)])
            if ended
            else seen.config.no_end_score
            for (prompt, _), text, ended in said
        ]
        assert measured.scores.tolist() == expected
        for text, passes in zip(rollouts.texts, expected, strict=True):
            passed.setdefault(text, set()).add(passes)
    assert any({0.0, 1.0} <= found for found in passed.values()), "who is right depends on the prompt"
    assert len(seen.rows) == 3 and seen.rows[0]["kl"] == 0
    assert {row["step"] for row in seen.rows if "heldout_quality" in row} == {2, 3}
    first, second = seen.updates["policy"][:2]
    assert any(not torch.equal(p, second.weights[name]) for name, p in first.weights.items())
    assert all(p.isfinite().all() for p in weights(given.out).values())
