from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
import torch
from launching import TWO_PROCESSES, environment
from safetensors.torch import load_file

from bottega.training.telemetry import read_metrics

from .conftest import random_shards
from .test_resume import PROGRAM, assert_same_weights, finish, start

STEPS = 20


def two_processes(folder: Path, optimizer: str, steps: int, *options: str) -> None:
    folder.mkdir(exist_ok=True)
    done = subprocess.run(
        [*TWO_PROCESSES, str(PROGRAM), str(folder), optimizer, str(steps), *options],
        capture_output=True,
        text=True,
        env=environment(),
        timeout=300,
    )
    assert done.returncode == 0, done.stderr


def losses(folder: Path) -> torch.Tensor:
    return torch.tensor([r["loss"] for r in read_metrics(folder / "metrics.jsonl")])


@pytest.mark.parametrize(("optimizer", "tolerance"), [("adamw", 1e-5), ("muon", 1e-3)])
def test_two_processes_equal_one(tmp_path: Path, optimizer: str, tolerance: float) -> None:
    random_shards(tmp_path / "shards")
    one, two = tmp_path / "one", tmp_path / "two"
    finish(start(one, optimizer, STEPS, "eps=1e-5"))
    two_processes(two, optimizer, STEPS, "eps=1e-5")
    torch.testing.assert_close(losses(one), losses(two), rtol=0, atol=tolerance)
    ours, theirs = load_file(one / "final.safetensors"), load_file(two / "final.safetensors")
    for name in ours:
        torch.testing.assert_close(ours[name], theirs[name], rtol=0, atol=tolerance)


def test_two_compiled_processes_equal_one_that_is_not(tmp_path: Path) -> None:
    random_shards(tmp_path / "shards")
    two_processes(tmp_path / "two", "muon", 6, "compile='on'")
    finish(start(tmp_path / "one", "muon", 6, "compile='off'"))
    torch.testing.assert_close(losses(tmp_path / "two"), losses(tmp_path / "one"), rtol=0, atol=1e-3)


def test_a_run_of_two_processes_resumes_and_may_go_on_as_one(tmp_path: Path) -> None:
    random_shards(tmp_path / "shards")
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    two_processes(whole, "muon", STEPS)
    two_processes(parts, "muon", STEPS, "stop_after_s=1e-9")
    assert len(losses(parts)) == 1
    alone = tmp_path / "alone"
    shutil.copytree(parts, alone)
    two_processes(parts, "muon", STEPS)
    assert_same_weights(whole, parts)
    assert "resumed from 1" in finish(start(alone, "muon", STEPS))
    torch.testing.assert_close(losses(alone), losses(whole), rtol=0, atol=1e-3)
