from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from bottega.training.interrupt import StopRequest

from .conftest import random_shards

PROGRAM = Path(__file__).parent / "run_training.py"
REPOSITORY = Path(__file__).parents[2]


def start(folder: Path, optimizer: str, steps: int, *options: str) -> subprocess.Popen[str]:
    folder.mkdir(exist_ok=True)
    command = [sys.executable, str(PROGRAM), str(folder), optimizer, str(steps), *options]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPOSITORY)}
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )


def finish(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    return out


def steps_logged(folder: Path) -> list[int]:
    path = folder / "metrics.jsonl"
    return [json.loads(line)["step"] for line in path.read_text().splitlines()] if path.exists() else []


def signal_at_step(process: subprocess.Popen[str], folder: Path, step: int, number: signal.Signals) -> None:
    """Send a signal once ``step`` steps are logged."""
    while process.poll() is None:
        path = folder / "metrics.jsonl"
        if path.exists() and path.read_text().count("\n") >= step:
            process.send_signal(number)
            return


def assert_same_weights(a: Path, b: Path) -> None:
    ours, theirs = load_file(a / "final.safetensors"), load_file(b / "final.safetensors")
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.parametrize(
    ("optimizer", "kill_at", "options"),
    [
        ("adamw", 7, ()),
        ("muon", 11, ("micros=2",)),
        pytest.param("muon", 8, ("compile='on'",), marks=pytest.mark.prove),
    ],
)
def test_a_killed_run_resumes_to_bitwise_equal_weights(
    tmp_path: Path, optimizer: str, kill_at: int, options: tuple[str, ...]
) -> None:
    random_shards(tmp_path / "shards")
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    options = ("checkpoint_every_steps=5", *options)
    finish(start(whole, optimizer, 30, *options))
    process = start(killed, optimizer, 30, *options)
    signal_at_step(process, killed, kill_at, signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert not (killed / "final.safetensors").exists()
    out = finish(start(killed, optimizer, 30, *options))
    assert "resumed from None" not in out
    assert_same_weights(whole, killed)
    assert steps_logged(killed) == list(range(1, 31))


def test_the_second_ctrl_c_stops_at_once() -> None:
    with StopRequest() as stop:
        signal.raise_signal(signal.SIGINT)
        assert stop.asked
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_ctrl_c_saves_says_so_and_the_same_command_goes_on(tmp_path: Path) -> None:
    random_shards(tmp_path / "shards")
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    finish(start(whole, "adamw", 30))
    process = start(stopped, "adamw", 30)
    signal_at_step(process, stopped, 5, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "stopped at step" in err
    assert "Run the same command to go on." in err
    assert "Traceback" not in err
    at = steps_logged(stopped)[-1]
    out = finish(start(stopped, "adamw", 30))
    assert f"resumed from {at}" in out
    assert_same_weights(whole, stopped)
