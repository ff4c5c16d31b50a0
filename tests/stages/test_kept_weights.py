"""Which weights a run of learning by trial ends with, and what it says of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from bottega import stages
from bottega.model.hub import load_model
from bottega.stages.policy import PolicyRun
from bottega.stages.policy_networks import networks_of
from bottega.stages.ppo import improve
from bottega.stages.prompts import read_prompts
from bottega.stages.rewards import Asked
from bottega.training.experience import Micro
from bottega.training.telemetry import read_metrics

from .test_ppo import SMALL, inputs_of, run, weights
from .workshop import Workshop

WILD = {"lr": 0.1, "steps": 40, "max_kl": 5.0, "eval_every": 30, "kl_coef": 0.0, "min_entropy": 0.0}


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return all(torch.equal(p, b[name]) for name, p in a.items())


class Length:
    """Rates an answer by its characters, ``sign`` times; with NaN when it is called for a chosen time."""

    def __init__(self, sign: float = 1.0, broken_call: int = -1) -> None:
        self._sign, self._broken, self._calls = sign, broken_call, 0

    def scores(
        self, asked: Sequence[Asked], texts: Sequence[str], micros: Sequence[Micro], count: int
    ) -> Tensor:
        self._calls += 1
        found = self._sign * torch.tensor([float(len(text)) for text in texts])
        return found * float("nan") if self._calls == self._broken else found


def go(
    workshop: Workshop, where: Path, parents: Sequence[Path], config: dict[str, Any], reward: Any, judge: Any
) -> PolicyRun:
    stage: Any = stages.get("ppo")
    made = stage.Config.parse(SMALL | config)
    inputs = inputs_of(workshop, where, *parents)
    networks = replace(networks_of(made, inputs, 0, "ppo"), reward=reward, judge=judge)
    asked = read_prompts(inputs, networks.tokenizer, made, heldout=made.eval_prompts)
    return improve(stage.Run, networks, asked, None, made, inputs, 0)[0]


@pytest.mark.parametrize("held", [4, 0])
def test_what_runs_away_before_the_first_look_ends_as_what_it_began_with(
    held: int, workshop: Workshop, policy: Path, reward_model: Path, tmp_path: Path
) -> None:
    inputs = inputs_of(workshop, tmp_path, policy, reward_model)
    result = run("ppo", WILD | {"eval_prompts": held}, inputs)
    assert result.report["ended"] and result.report["kept_step"] == 0
    assert same(weights(inputs.out), weights(policy))
    ended, kept = result.report["notes"]
    assert "lower the learning rate" in ended["en"] and "those before" in kept["en"]
    assert "降低学习率" in ended["zh"] and "第一步之前" in kept["zh"]


def test_what_the_judge_never_prefers_to_the_beginning_is_not_kept(
    workshop: Workshop, policy: Path, reward_model: Path, tmp_path: Path
) -> None:
    config = {"steps": 12, "eval_every": 12, "lr": 3e-3, "kl_coef": 0.0, "min_entropy": 0.0}
    config["eval_prompts"] = 16
    learned = go(workshop, tmp_path, (policy, reward_model), config, Length(-1), Length(+1))
    rows = read_metrics(tmp_path / "work" / "train" / "metrics.jsonl")
    assert rows[-1]["heldout_preference"] < 0.5
    assert learned.kept_step == 0 and "Lower the learning rate" in learned.notes[-1].en


def test_a_run_that_ended_goes_no_further_when_it_is_run_again(
    workshop: Workshop, policy: Path, reward_model: Path, tmp_path: Path
) -> None:
    """CORRECTNESS 31: killed after its last step and before the model was written."""
    whole = inputs_of(workshop, tmp_path / "whole", policy, reward_model)
    first = run("ppo", WILD, whole)
    again = run("ppo", WILD, replace(whole, out=tmp_path / "again"))
    assert first.cost.steps == again.cost.steps < WILD["steps"]
    assert again.report["ended"] == first.report["ended"]
    assert same(weights(whole.out), weights(tmp_path / "again"))


def test_a_line_of_samples_cut_short_by_a_kill_is_left_out(
    workshop: Workshop, policy: Path, reward_model: Path, tmp_path: Path
) -> None:
    """CORRECTNESS 31."""
    config = {"steps": 6, "lr": 1e-3}
    whole = inputs_of(workshop, tmp_path / "whole", policy, reward_model)
    samples = run("ppo", config, whole).report["samples"]
    torn = inputs_of(workshop, tmp_path / "torn", policy, reward_model)
    torn = replace(torn, run=replace(torn.run, checkpoint_every_steps=3))
    taken = PolicyRun.one_step

    def cut(self: PolicyRun) -> None:
        if self.step == 5:
            with (self.run_dir / "samples.jsonl").open("a") as file:
                file.write(json.dumps({"step": 5, "prompt": "Where did"})[:-9])
            raise KeyboardInterrupt
        taken(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PolicyRun, "one_step", cut)
        with pytest.raises(KeyboardInterrupt):
            run("ppo", config, torn)
    assert run("ppo", config, torn).report["samples"] == samples


def test_a_back_off_returns_to_the_best_so_far_and_not_to_that_of_a_killed_run(
    workshop: Workshop, policy: Path, reward_model: Path, tmp_path: Path
) -> None:
    """CORRECTNESS 31: killed between keeping a later best and the checkpoint that knows of it."""
    stage: Any = stages.get("ppo")
    config = stage.Config.parse(SMALL | {"steps": 4, "on_runaway": "back-off", "lr": 1e-3})
    inputs = inputs_of(workshop, tmp_path, policy, reward_model)
    networks = networks_of(config, inputs, 0, "ppo")
    asked = read_prompts(inputs, networks.tokenizer, config, heldout=4)

    class Killed(stage.Run):  # type: ignore[misc, name-defined]
        def one_step(self) -> None:
            super().one_step()
            self.save_best()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        improve(Killed, networks, asked, None, config, inputs, 0)

    class Back(stage.Run):  # type: ignore[misc, name-defined]
        def one_step(self) -> None:
            assert self.step == 0 and self.looks.best_step == 0
            self.return_to_best(self.looks.best_step)
            self.step = self.total_steps

    networks = networks_of(config, inputs, 0, "ppo")
    improve(Back, networks, asked, None, config, inputs, 0)
    masters = {name: p.data for name, p in networks.policy.weights.masters.items()}
    assert same(masters, dict(load_model(policy).named_parameters()))


def test_looks_are_at_the_average_where_that_is_what_is_kept(
    workshop: Workshop, policy: Path, reward_model: Path, tmp_path: Path
) -> None:
    config = {"steps": 8, "eval_every": 8, "lr": 3e-3, "kl_coef": 0.0, "min_entropy": 0.0, "eval_prompts": 16}
    slow = {**config, "ema_decay": 0.999999}
    found = {}
    for name, knobs in (("raw", config), ("average", slow)):
        learned = go(workshop, tmp_path / name, (policy, reward_model), knobs, Length(-1), Length(-1))
        rows = read_metrics(tmp_path / name / "work" / "train" / "metrics.jsonl")
        found[name] = rows[-1]["heldout_preference"], rows[-1]["kl"]
        assert learned.looks.begun
    assert found["raw"][0] != 0.5, "the policy itself answers otherwise by then"
    assert found["average"] == (0.5, found["raw"][1]), "and its average does not; what is learned is the same"


def test_a_policy_recovers_from_a_score_that_is_no_number(
    workshop: Workshop, policy: Path, reward_model: Path, tmp_path: Path
) -> None:
    config = {"steps": 8, "eval_every": 1, "on_runaway": "back-off", "lr": 1e-4, "kl_target": 1.0}
    learned = go(workshop, tmp_path, (policy, reward_model), config, Length(1, 3), Length(1))
    assert learned.backed_off == 1 and not learned.ended and learned.step == 8
    rows = read_metrics(tmp_path / "work" / "train" / "metrics.jsonl")
    assert all(torch.isfinite(torch.tensor(row["kl_coef"])) for row in rows)


def test_checks_may_reward_a_policy_that_shares_its_trunk_with_the_value(
    workshop: Workshop, policy: Path, tmp_path: Path
) -> None:
    stage: Any = stages.get("ppo")
    config = stage.Config.parse(SMALL | {"reward": "checks", "value": "shared", "eval_prompts": 0})
    inputs = inputs_of(workshop, tmp_path, policy)
    networks = networks_of(config, inputs, 0, "ppo")
    networks = replace(networks, reward=Length(), judge=Length())
    asked = read_prompts(inputs, networks.tokenizer, config, heldout=0)
    learned, _ = improve(stage.Run, networks, asked, None, config, inputs, 0)
    assert learned.step == SMALL["steps"]


def test_a_judge_that_is_the_reward_model_again_is_not_called_another(
    workshop: Workshop, policy: Path, reward_model: Path, base_model: Path, tmp_path: Path
) -> None:
    """CORRECTNESS 35."""
    again = run("ppo", {"steps": 1}, inputs_of(workshop, tmp_path / "a", policy, reward_model, reward_model))
    assert again.report["judged_by"]["en"] == "the training reward itself"
    stage: Any = stages.get("reward")
    inputs = workshop.inputs(tmp_path / "second", workshop.dataset("rankings"), parent=base_model)
    stage.run(stage.Config.parse({"context": 64, "batch_tokens": 512}), inputs, 1)
    apart = run("ppo", {"steps": 1}, inputs_of(workshop, tmp_path / "b", policy, reward_model, inputs.out))
    assert apart.report["judged_by"]["en"] == "a reward model that training did not use"
