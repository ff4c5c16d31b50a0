"""CORRECTNESS 31: a stage killed and run again ends with the weights of the run that was never killed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from launching import environment

from bottega import stages
from bottega.stages.base import StageInputs

from .workshop import SCRIPT, SHAPE, Workshop

SMALL = {"context": 64, "batch_tokens": 512, "budget_tokens": 512 * 60}
SAMPLED = {
    "context": 64,
    "max_new_tokens": 8,
    "steps": 20,
    "batch_prompts": 8,
    "batch_tokens": 256,
    "eval_prompts": 4,
    "eval_every": 5,
    "min_score_spread": 0.0,
}
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "pretrain": ("pretrain", {**SMALL, "shape": SHAPE}),
    "code": ("code", SMALL),
    "sft": ("sft", SMALL),
    "sft-adamw": ("sft", {**SMALL, "optimizer": "adamw"}),
    "sft-lora": ("sft", {**SMALL, "lora": {"rank": 4, "alpha": 8.0}}),
    "reward": ("reward", {"context": 64, "batch_tokens": 256, "epochs": 3.0}),
    "dpo": ("dpo", {"context": 64, "batch_tokens": 256, "epochs": 3.0}),
    "kto": ("kto", {"context": 64, "batch_tokens": 512, "epochs": 3.0}),
    "ppo": (
        "ppo",
        {
            **SAMPLED,
            "inner_epochs": 2,
            "minibatches": 2,
            "kl_target": 1.0,
            "ptx_coef": 0.5,
            "ptx_tokens": 128,
            "ema_decay": 0.9,
        },
    ),
    "grpo": ("grpo", {**SAMPLED, "reward": "model", "kl_coef": 0.1, "answers_per_prompt": 2}),
    "rloo": ("rloo", {**SAMPLED, "reward": "model", "answers_per_prompt": 2}),
    "ppo-lora": ("ppo", {**SAMPLED, "lora": {"rank": 4, "alpha": 8.0}}),
    "ppo-shared": ("ppo", {**SAMPLED, "value": "shared", "value_coef": 0.1}),
    "rejection-sampling": ("rejection-sampling", {**SAMPLED, "answers_per_prompt": 2}),
    "expert-iteration": ("expert-iteration", {**SAMPLED, "answers_per_prompt": 2, "rounds": 5}),
    "backing-off": ("ppo", {**SAMPLED, "lr": 0.03, "max_kl": 2.0, "on_runaway": "back-off", "eval_every": 3}),
    "sft-from-scratch": ("sft", {**SMALL, "from_scratch": True}),
}
CHECKPOINT_EVERY, KILL_AT = 4, 10


def steps_done(metrics: Path) -> int:
    return metrics.read_bytes().count(b"\n") if metrics.exists() else 0


def spec_of(stage: str, config: dict[str, Any], inputs: StageInputs, seed: int) -> dict[str, Any]:
    """What ``run_stage.py`` reads."""
    return {
        "stage": stage,
        "config": config,
        "seed": seed,
        "parents": [str(parent) for parent in inputs.parents],
        "tokenizer": str(inputs.tokenizer),
        "datasets": [
            {"folder": str(d.folder), "weight": d.weight, "role": d.role, "name": d.name}
            for d in inputs.datasets
        ],
        "work": str(inputs.work),
        "out": str(inputs.out),
        "run": asdict(inputs.run),
    }


def run_and_kill(stage: str, config: dict[str, Any], inputs: StageInputs, seed: int) -> None:
    """Run the stage in another process, and kill it without warning when its metrics show ``KILL_AT``."""
    spec = spec_of(stage, config, inputs, seed)
    command = [sys.executable, str(SCRIPT)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, env=environment()) as process:
        assert process.stdin is not None
        process.stdin.write(json.dumps(spec).encode())
        process.stdin.close()
        while steps_done(inputs.work / "train" / "metrics.jsonl") < KILL_AT:
            assert process.poll() is None, "the stage ended before it could be killed"
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert not inputs.out.exists()


def reward_model(workshop: Workshop, base_model: Path, where: Path) -> Path:
    """One that has seen a few rankings."""
    stage = stages.get("reward")
    inputs = workshop.inputs(where, workshop.dataset("rankings"), parent=base_model)
    stage.run(stage.Config.parse({"context": 64, "batch_tokens": 512}), inputs, 0)
    return inputs.out


@pytest.mark.parametrize("case", CASES)
def test_a_killed_stage_resumes_to_bitwise_equal_weights(
    case: str, workshop: Workshop, base_model: Path, tmp_path: Path
) -> None:
    stage_name, config = CASES[case]
    data = {
        "pretrain": (workshop.dataset("prose"),),
        "code": (
            workshop.dataset("programs"),
            workshop.dataset("talks", weight=0.5),
            workshop.dataset("prose", weight=0.5, role="replay"),
        ),
        "reward": (workshop.dataset("rankings"),),
        "dpo": (workshop.dataset("rankings"),),
        "kto": (workshop.dataset("rankings"),),
        "ppo": (
            workshop.dataset("rankings"),
            *([workshop.dataset("prose", role="replay")] if "ptx_coef" in config else []),
        ),
        "grpo": (workshop.dataset("rankings"),),
        "rloo": (workshop.dataset("rankings"),),
        "expert-iteration": (workshop.dataset("rankings"),),
        "rejection-sampling": (workshop.dataset("rankings"),),
        "sft": (workshop.dataset("talks"), workshop.dataset("prose", weight=0.25, role="replay")),
    }[stage_name]
    parents: tuple[Path, ...] = () if stage_name == "pretrain" else (base_model,)
    if stage_name in ("ppo", "grpo", "rloo", "expert-iteration", "rejection-sampling"):
        parents = (base_model, reward_model(workshop, base_model, tmp_path / "reward"))
    stage = stages.get(stage_name)

    whole = replace(workshop.inputs(tmp_path / "whole", *data), parents=parents)
    reference = stage.run(stage.Config.parse(config), whole, 7)

    torn = replace(workshop.inputs(tmp_path / "torn", *data), parents=parents)
    torn = replace(torn, run=replace(torn.run, checkpoint_every_steps=CHECKPOINT_EVERY))
    run_and_kill(stage_name, config, torn, 7)
    resumed = stage.run(stage.Config.parse(config), torn, 7)

    assert resumed.report["resumed_from"] >= KILL_AT - CHECKPOINT_EVERY
    assert resumed.cost.tokens == reference.cost.tokens
    for file in sorted(p.relative_to(whole.out) for p in whole.out.rglob("*.safetensors")):
        assert (torn.out / file).read_bytes() == (whole.out / file).read_bytes(), file
    # And what the last step left, with its optimisers: what is kept may be of an earlier one.
    last = Path("train", "checkpoints", f"step-{reference.cost.steps:08d}")
    for name in ("weights.safetensors", "optimizer.safetensors"):
        assert (torn.work / last / name).read_bytes() == (whole.work / last / name).read_bytes(), name
    curve = [json.loads(line) for line in resumed.curves.read_text().splitlines()]
    assert [row["step"] for row in curve] == list(range(1, reference.cost.steps + 1))


class _Killed(BaseException):
    """What no handler of errors catches."""


@pytest.mark.parametrize("case", ["reward", "ppo", "backing-off"])
def test_a_stage_that_dies_between_any_two_writes_resumes_to_bitwise_equal_weights(
    case: str, workshop: Workshop, base_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twelve moments spread over every sync, rename and removal of a run's files, those of its checkpoints
    and of the best weights among them."""
    name, config = CASES[case]
    config = {**config, **({"epochs": 1.0} if name == "reward" else {"steps": 6, "eval_every": 2})}
    data = [workshop.dataset("rankings")]
    if "ptx_coef" in config:
        data.append(workshop.dataset("prose", role="replay"))
    parents: tuple[Path, ...] = (base_model,)
    if name == "ppo":
        parents = (base_model, reward_model(workshop, base_model, tmp_path / "reward"))
    stage = stages.get(name)
    calls, dies_at = 0, 0

    def counted(real: Any) -> Any:
        def call(*given: Any, **more: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == dies_at:
                raise _Killed
            return real(*given, **more)

        return call

    monkeypatch.setattr(os, "fsync", counted(os.fsync))
    monkeypatch.setattr(Path, "rename", counted(Path.rename))
    monkeypatch.setattr(shutil, "rmtree", counted(shutil.rmtree))

    def run(where: Path) -> tuple[dict[str, bytes], Any]:
        inputs = replace(workshop.inputs(where, *data), parents=parents)
        inputs = replace(inputs, run=replace(inputs.run, checkpoint_every_steps=2))
        result = stage.run(stage.Config.parse(config), inputs, 7)
        last = inputs.work / "train" / "checkpoints" / f"step-{result.cost.steps:08d}"
        files = [
            *inputs.out.glob("*.safetensors"),
            last / "weights.safetensors",
            last / "optimizer.safetensors",
        ]
        return {file.name + file.parent.name: file.read_bytes() for file in files}, result.report.get(
            "samples"
        )

    expected = run(tmp_path / "whole")
    moments = sorted({1 + calls * k // 12 for k in range(12)})
    assert len(moments) == 12
    for moment in moments:
        calls, dies_at = 0, moment
        where = tmp_path / f"dies-at-{moment}"
        with pytest.raises(_Killed):
            run(where)
        dies_at = 0
        assert run(where) == expected, f"killed at write {moment}"
