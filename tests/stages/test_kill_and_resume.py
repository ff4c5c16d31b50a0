"""CORRECTNESS 31: a stage killed and run again ends with the weights of the run that was never killed."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from launching import environment

from bottega import stages
from bottega.data.frozen import FrozenDataset
from bottega.stages.base import StageInputs
from bottega.training.telemetry import read_metrics

from .workshop import SHAPE, Workshop

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
    # Of seven steps a round: who goes on at the eighth has to know from whom its answers come.
    "expert-iteration": ("expert-iteration", {**SAMPLED, "answers_per_prompt": 2, "rounds": 3}),
    "backing-off": ("ppo", {**SAMPLED, "lr": 0.03, "max_kl": 2.0, "on_runaway": "back-off", "eval_every": 3}),
    "sft-from-scratch": ("sft", {**SMALL, "from_scratch": True}),
}
CHECKPOINT_EVERY, KILL_AT = 4, 10


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


class Mortals:
    """Another Python, in whose forks stages run that are killed (``mortal.py``)."""

    def __init__(self) -> None:
        script = Path(__file__).with_name("mortal.py")
        self.process = subprocess.Popen(
            [sys.executable, str(script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment(),
        )

    def run(self, spec: dict[str, Any], *, dies_at: int = 0, named: str = "") -> dict[str, Any]:
        """Run a stage, killed without warning before a change to its files, or to those of a name."""
        order = {"spec": spec, "root": str(Path(spec["work"]).parent), "dies_at": dies_at, "named": named}
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        ended: dict[str, Any] = json.loads(self.process.stdout.readline())
        assert not ended["failed"]
        return ended

    def killed_until_done(self, whole: dict[str, Any], torn: dict[str, Any], *, seed: str) -> int:
        """Run the one unharmed, and kill the other at a random moment, each time a little later, until it has
        come to its end; how often it was killed."""
        changes = self.run(whole)["changes"]
        draw, later = random.Random(seed), max(2, changes // 16)
        for kills in range(changes):
            if not self.run(torn, dies_at=kills * later + draw.randint(1, later))["killed"]:
                return kills
        raise AssertionError("killed after its last change")


@pytest.fixture(scope="module")
def mortals() -> Iterator[Mortals]:
    made = Mortals()
    yield made
    made.process.communicate(timeout=60)


def reward_model(workshop: Workshop, base_model: Path, where: Path) -> Path:
    """One that has seen a few rankings."""
    stage = stages.get("reward")
    inputs = workshop.inputs(where, workshop.dataset("rankings"), parent=base_model)
    stage.run(stage.Config.parse({"context": 64, "batch_tokens": 512}), inputs, 0)
    return inputs.out


def left_by(run: Path) -> dict[str, bytes]:
    """The weights that a run ended with, and those of its last step with their optimisers: what is kept may
    be of an earlier one."""
    last = max((run / "work" / "train" / "checkpoints").iterdir())
    files = [
        *(run / "model").rglob("*.safetensors"),
        last / "weights.safetensors",
        last / "optimizer.safetensors",
    ]
    return {str(file.relative_to(run)): file.read_bytes() for file in files}


def short(
    case: str, workshop: Workshop, base_model: Path, where: Path, steps: int
) -> tuple[str, dict[str, Any], Callable[[str], StageInputs]]:
    """A case of few steps and many checkpoints: its stage, its configuration, and what it is run on in a
    folder of a name."""
    name, config = CASES[case]
    config = {**config, **({"epochs": 1.0} if name == "reward" else {"steps": steps, "eval_every": 2})}
    data = [workshop.dataset("rankings")]
    if "ptx_coef" in config:
        data.append(workshop.dataset("prose", role="replay"))
    parents: tuple[Path, ...] = (base_model,)
    if name == "ppo":
        parents = (base_model, reward_model(workshop, base_model, where / "reward"))

    def inputs(folder: str) -> StageInputs:
        made = replace(workshop.inputs(where / folder, *data), parents=parents)
        return replace(made, run=replace(made.run, checkpoint_every_steps=2))

    return name, config, inputs


@pytest.mark.parametrize("case", CASES)
def test_a_killed_stage_resumes_to_bitwise_equal_weights(
    case: str, workshop: Workshop, base_model: Path, tmp_path: Path, mortals: Mortals
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
    # As the line of the step after KILL_AT would be written.
    killed = mortals.run(spec_of(stage_name, config, torn, 7), dies_at=KILL_AT + 1, named="metrics.jsonl")
    assert killed["killed"] and not torn.out.exists()
    resumed = stage.run(stage.Config.parse(config), torn, 7)

    assert resumed.report["resumed_from"] >= KILL_AT - CHECKPOINT_EVERY
    assert resumed.cost.tokens == reference.cost.tokens
    expected, found = left_by(tmp_path / "whole"), left_by(tmp_path / "torn")
    assert any(f"step-{reference.cost.steps:08d}" in name for name in expected)
    assert found.keys() == expected.keys()
    for file, content in expected.items():
        assert found[file] == content, file
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
    name, config, inputs = short(case, workshop, base_model, tmp_path, steps=6)
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

    def run(folder: str) -> tuple[dict[str, bytes], Any]:
        result = stage.run(stage.Config.parse(config), inputs(folder), 7)
        return left_by(tmp_path / folder), result.report.get("samples")

    expected = run("whole")
    moments = sorted({1 + calls * k // 12 for k in range(12)})
    assert len(moments) == 12
    for moment in moments:
        calls, dies_at = 0, moment
        folder = f"dies-at-{moment}"
        with pytest.raises(_Killed):
            run(folder)
        dies_at = 0
        assert run(folder) == expected, f"killed at write {moment}"


def steps_of(work: Path, log: str) -> list[int]:
    """The steps that have lines in a log."""
    return [row["step"] for row in read_metrics(work / "train" / log)]


@pytest.mark.parametrize("case", ["reward", "ppo", "backing-off"])
def test_a_stage_that_is_killed_again_and_again_resumes_to_bitwise_equal_weights(
    case: str, workshop: Workshop, base_model: Path, tmp_path: Path, mortals: Mortals
) -> None:
    """``kill -9`` before any file is opened for writing, renamed or removed, on and on; some of the kills
    strike before the first checkpoint, within one, and after the last."""
    name, config, inputs = short(case, workshop, base_model, tmp_path, steps=8)
    specs = [spec_of(name, config, inputs(folder), 7) for folder in ("whole", "torn")]
    assert mortals.killed_until_done(*specs, seed=case) >= 4
    whole, torn = tmp_path / "whole", tmp_path / "torn"
    expected, found = left_by(whole), left_by(torn)
    assert len(expected) >= 3 and found.keys() == expected.keys()
    for file, content in expected.items():
        assert found[file] == content, file
    assert steps_of(torn / "work", "samples.jsonl") == steps_of(whole / "work", "samples.jsonl")
    assert steps_of(torn / "work", "metrics.jsonl") == steps_of(whole / "work", "metrics.jsonl")


def test_a_run_that_backs_off_has_every_step_in_its_curve_wherever_it_was_killed(
    workshop: Workshop, base_model: Path, tmp_path: Path, mortals: Mortals
) -> None:
    name, config, inputs = short("backing-off", workshop, base_model, tmp_path, steps=8)
    whole, torn = (spec_of(name, config, inputs(folder), 7) for folder in ("whole", "torn"))
    mortals.run(whole)
    kept = max(int(folder.name[5:]) for folder in (tmp_path / "whole/work/train/best").iterdir())
    assert kept, "some look was better than the beginning"
    mortals.run(torn, dies_at=kept, named="metrics.jsonl")  # as the line of that step would be written
    mortals.run(torn)
    assert steps_of(tmp_path / "torn" / "work", "metrics.jsonl") == list(range(1, 9))


def test_collecting_that_is_killed_again_and_again_makes_the_same_dataset(
    workshop: Workshop, base_model: Path, tmp_path: Path, mortals: Mortals
) -> None:
    config = {"prompts": 24, "heldout_prompts": 4, "answers": 2, "context": 64, "max_new_tokens": 8}

    def spec(where: str) -> dict[str, Any]:
        inputs = workshop.inputs(tmp_path / where, workshop.dataset("talks"), parent=base_model)
        return spec_of("collect", config | {"labelers": "none"}, inputs, 3)

    assert mortals.killed_until_done(spec("whole"), spec("torn"), seed="collect") >= 6
    whole, torn = (FrozenDataset(tmp_path / where / "model") for where in ("whole", "torn"))
    assert torn.digest == whole.digest
    for part in ("train", "heldout"):
        assert list(torn.records(part)) == list(whole.records(part))
