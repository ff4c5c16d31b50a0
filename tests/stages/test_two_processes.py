"""A stage under torchrun makes the model that one process makes."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from bottega import stages
from bottega.training.telemetry import read_metrics

from .test_kill_and_resume import SAMPLED, reward_model, spec_of
from .workshop import SHAPE, Workshop, run_under_torchrun

UNEVEN = {**SAMPLED, "batch_tokens": 512, "steps": 3, "batch_prompts": 7, "eval_prompts": 5, "eval_every": 2}
SMALL = {"context": 64, "batch_tokens": 512, "budget_tokens": 512 * 8, "optimizer": "adamw"}


@pytest.mark.parametrize(
    ("stage_name", "config"),
    [("pretrain", {**SMALL, "shape": SHAPE}), ("sft", {**SMALL, "lora": {"rank": 4, "alpha": 8.0}})],
)
def test_two_processes_make_the_model_of_one(
    stage_name: str, config: dict[str, Any], workshop: Workshop, base_model: Path, tmp_path: Path
) -> None:
    data = workshop.dataset("prose" if stage_name == "pretrain" else "talks")
    parent = None if stage_name == "pretrain" else base_model
    stage = stages.get(stage_name)
    one, two = (workshop.inputs(tmp_path / name, data, parent=parent) for name in ("one", "two"))
    stage.run(stage.Config.parse(config), one, 3)
    run_under_torchrun(json.dumps(spec_of(stage_name, config, two, 3)), tmp_path)
    alone, together = (load_file(inputs.out / "model.safetensors") for inputs in (one, two))
    assert alone.keys() == together.keys()
    for name in alone:
        torch.testing.assert_close(together[name], alone[name], rtol=0, atol=1e-5, msg=name)
    assert (two.out / "adapter").exists() == ("lora" in config)


@pytest.mark.parametrize(
    ("stage_name", "config"),
    [("reward", {"context": 64, "batch_tokens": 512}), ("dpo", {"context": 64, "batch_tokens": 512})],
)
def test_two_processes_learn_preferences_as_one_does(
    stage_name: str, config: dict[str, Any], workshop: Workshop, base_model: Path, tmp_path: Path
) -> None:
    stage = stages.get(stage_name)
    data = workshop.dataset("rankings")
    one, two = (workshop.inputs(tmp_path / name, data, parent=base_model) for name in ("one", "two"))
    stage.run(stage.Config.parse(config), one, 3)
    run_under_torchrun(json.dumps(spec_of(stage_name, config, two, 3)), tmp_path)
    alone, together = (load_file(inputs.out / "model.safetensors") for inputs in (one, two))
    for name in alone:
        torch.testing.assert_close(together[name], alone[name], rtol=0, atol=2e-5, msg=name)


@pytest.mark.parametrize(
    ("stage_name", "config"),
    [
        ("ppo", {"inner_epochs": 2, "minibatches": 3, "kl_target": 1.0, "ptx_coef": 0.5, "ptx_tokens": 128}),
        ("ppo", {"value": "shared"}),
        ("grpo", {"reward": "model", "kl_coef": 0.1, "answers_per_prompt": 2}),
        ("expert-iteration", {"answers_per_prompt": 2, "rounds": 2}),
    ],
)
def test_two_processes_sample_and_learn_as_one_does(
    stage_name: str, config: dict[str, Any], workshop: Workshop, base_model: Path, tmp_path: Path
) -> None:
    """Seven prompts in three parts: no process has as much as the other."""
    stage, config = stages.get(stage_name), UNEVEN | config
    data = [workshop.dataset("rankings")]
    if "ptx_coef" in config:
        data.append(workshop.dataset("prose", role="replay"))
    judge = reward_model(workshop, base_model, tmp_path / "reward")
    one, two = (
        replace(workshop.inputs(tmp_path / name, *data), parents=(base_model, judge))
        for name in ("one", "two")
    )
    result = stage.run(stage.Config.parse(config), one, 3)
    run_under_torchrun(json.dumps(spec_of(stage_name, config, two, 3)), tmp_path)
    rows = [read_metrics(inputs.work / "train" / "metrics.jsonl") for inputs in (one, two)]
    for alone, together in zip(*rows, strict=True):
        for name, value in alone.items():
            if not name.endswith("_s"):  # seconds, and tokens in a second
                assert together[name] == pytest.approx(value, rel=1e-3, abs=1e-4), name
    weights = [load_file(inputs.out / "model.safetensors") for inputs in (one, two)]
    for name in weights[0]:
        torch.testing.assert_close(weights[1][name], weights[0][name], rtol=0, atol=3e-5, msg=name)
    samples = [inputs.work / "train" / "samples.jsonl" for inputs in (one, two)]
    assert samples[1].read_text() == samples[0].read_text()
    assert result.cost.steps == UNEVEN["steps"]
    shutil.rmtree(two.out)  # as if killed before the model was written: what both saved, one goes on from
    assert stage.run(stage.Config.parse(config), two, 3).report["resumed_from"] == UNEVEN["steps"]
    for name, tensor in load_file(two.out / "model.safetensors").items():
        assert torch.equal(tensor, weights[1][name]), name
