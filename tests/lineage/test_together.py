"""A build that torchrun starts in several processes: the family of one, and nobody left waiting."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from launching import TWO_PROCESSES, environment
from recipes.tiny import TINY
from safetensors.torch import load_file

from bottega.cli.main import USER_ERROR
from bottega.cli.main import run as bottega
from bottega.lineage.card import read_card
from bottega.lineage.home import Home
from bottega.stages.base import StageConfig, StageInputs
from bottega.stages.together import run_stage

from .test_side_by_side import wait_for

SCRATCH = 'from_scratch = true\noptimizer = "adamw"\nbudget_tokens = 8192\ncontext = 64\nbatch_tokens = 512'
PLAIN = ["--precision", "float32", "--compile", "off", "--device", "cpu", "--threads", "1"]


def command(recipe: Path, data: Path, *what: str) -> list[str]:
    return ["-m", "bottega", "build", *what, "--recipe", str(recipe), "--data", str(data), *PLAIN]


def adamw(tmp_path: Path, *changes: tuple[str, str]) -> Path:
    """The tiny recipe with the one optimizer under which two processes add up as one does."""
    text = TINY.read_text(encoding="utf-8")
    for old, new in (("budget_tokens", 'optimizer = "adamw"\nbudget_tokens'), *changes):
        assert old in text
        text = text.replace(old, new)
    recipe = tmp_path / "together.toml"
    recipe.write_text(text, encoding="utf-8")
    return recipe


def run(line: list[str], home: Home) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        line,
        env=environment(BOTTEGA_HOME=str(home.root)),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=240,
    )


def test_two_processes_build_the_family_of_one(data: Path, tmp_path: Path) -> None:
    recipe = adamw(tmp_path)
    one, two = (Home(tmp_path / name) for name in ("one", "two"))
    alone = run([sys.executable, *command(recipe, data, "text-davinci")], one)
    together = run([*TWO_PROCESSES, *command(recipe, data, "text-davinci")], two)
    assert alone.returncode == together.returncode == 0, together.stdout
    assert together.stdout.count("Built 2 models") == 1
    for name in ("davinci", "text-davinci"):
        (version,) = one.versions("model", name)
        assert two.versions("model", name) == [version]
        folders = [home.path("model", name, version) for home in (one, two)]
        mine, theirs = (load_file(folder / "model.safetensors") for folder in folders)
        for key in mine:
            torch.testing.assert_close(theirs[key], mine[key], rtol=0, atol=1e-5, msg=f"{name} {key}")
        cards = [read_card(folder) for folder in folders]
        assert cards[0].scores.keys() == cards[1].scores.keys()
        assert cards[1].cost.device.endswith("2 processes")
    again = run([*TWO_PROCESSES, *command(recipe, data, "text-davinci")], two)
    assert again.returncode == 0
    assert "Everything stands already." in again.stdout


def test_what_fails_is_told_once_and_the_rest_is_built(data: Path, tmp_path: Path) -> None:
    # One model has no conversations, which only the first process finds out; another a batch of nine rows.
    recipe = adamw(
        tmp_path,
        ('chat = true\ndata = ["chats"]', 'chat = true\ndata = ["prose"]'),
        (SCRATCH, SCRATCH.replace("512", "576")),
    )
    home = Home(tmp_path / "home")
    done = run([*TWO_PROCESSES, *command(recipe, data, "--all")], home)
    assert done.returncode == 1
    assert done.stdout.count("failed model text-davinci:") == 1, done.stdout
    assert "nothing in it is of use here" in done.stdout
    assert home.names("model") == ["code-davinci", "davinci"]
    assert "576 tokens is 9 rows of 64, which cannot be split over 2 processes" in done.stdout
    assert "set batch_tokens to 640" in done.stdout


ONLY_ONE_FAILS = """
import torch
from bottega.stages import base, together
from bottega.stages.base import StageInputs
from bottega.stages.knobs import TrainingConfig
from pathlib import Path

class Odd:
    name, version, Config = "odd", 1, TrainingConfig
    def run(self, config, inputs, seed):
        if torch.distributed.get_rank() == 1:
            raise ValueError("only here")
        torch.distributed.barrier()

base.register(Odd())
config = TrainingConfig(budget_tokens=8, batch_tokens=8, context=8)
together._TO_FAIL_TOO_S = 1.0
world = together.join("cpu")
if world.is_first:
    inputs = StageInputs((), None, (), Path("work"), Path("out"), base.RunOptions(device="cpu"))
    with together.leading(world):
        together.run_stage(base.get("odd"), config, inputs, 0)
else:
    together.follow(world)
"""


def test_a_stage_that_fails_for_one_process_alone_ends_all(tmp_path: Path) -> None:
    script = tmp_path / "odd.py"
    script.write_text(ONLY_ONE_FAILS, encoding="utf-8")
    done = run([*TWO_PROCESSES, str(script)], Home(tmp_path / "home"))
    assert done.returncode == 1
    assert "ValueError: only here" in done.stdout


def test_what_does_not_train_is_run_by_the_first_process_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class Copies:
        name, version, Config = "copies", 1, StageConfig

        def run(self, config: StageConfig, inputs: StageInputs, seed: int) -> Any:
            return seed

    monkeypatch.setenv("WORLD_SIZE", "2")
    inputs = StageInputs((), None, (), tmp_path, tmp_path)
    assert run_stage(Copies(), StageConfig(), inputs, 7) == 7  # and nobody is waited for


def test_side_by_side_contradicts_together(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert bottega(["build", "davinci", "--jobs", "2"]) == USER_ERROR
    assert "leave out --jobs" in capsys.readouterr().err


def test_ctrl_c_saves_and_the_same_command_goes_on(data: Path, tmp_path: Path) -> None:
    recipe = adamw(tmp_path, ("16384", "4194304"))
    home = Home(tmp_path / "home")
    process = subprocess.Popen(
        [*TWO_PROCESSES, *command(recipe, data, "davinci")],
        env=environment(BOTTEGA_HOME=str(home.root)),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    metrics = wait_for(lambda: next(home.root.glob("runs/davinci-*/work/train/metrics.jsonl"), None), process)
    wait_for(lambda: metrics.read_text(encoding="utf-8").count("\n") > 5 or None, process)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "the same command goes on from here" in said, said
    assert [*home.root.glob("runs/davinci-*/work/train/checkpoints/*")]
