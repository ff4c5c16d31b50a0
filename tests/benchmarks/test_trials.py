"""The benchmarks of learning by trial run on a machine without a GPU, and say what a step is made of."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from benchmarks import gpu_ppo
from benchmarks.contenders import Job
from benchmarks.measure import Measured
from benchmarks.ppo import report
from benchmarks.preference import write_comparisons
from benchmarks.trials import ours


def job(folder: Path) -> Job:
    return Job(
        folder, rows=8, context=32, precision="float32", steps=1, warmup=1, started=0.0, shape="tiny",
        new_tokens=6, compile="off",
    )  # fmt: skip


@pytest.mark.parametrize("ptx", [False, True])
def test_every_step_of_ours_is_rollout_scoring_and_update(tmp_path: Path, ptx: bool) -> None:
    write_comparisons(tmp_path, "pairs")
    clock = ours(job(tmp_path), ptx=ptx)
    assert len(clock.step_s) == 2
    assert list(clock.parts) == ["rollout", "scoring", "update"]
    assert [sum(parts) for parts in zip(*clock.parts.values(), strict=True)] == pytest.approx(clock.step_s)
    assert all(seconds > 0 for part in clock.parts.values() for seconds in part)


def test_rollout_scoring_update_and_what_ptx_adds_are_rows_and_the_ratio_is_of_steps_without_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    parts = {"rollout": 1.0, "scoring": 2.0, "update": 5.0}
    results = {
        "ppo-ours": Measured("ppo-ours", [8.0], 9.0, 1, parts),
        "ppo-ours-ptx": Measured("ppo-ours-ptx", [10.0], 9.0, 1, parts | {"update": 7.0}),
        "rloo-trl": Measured("rloo-trl", [16.0], 9.0, 1, {"rollout": 8.0, "scoring": 4.0, "update": 4.0}),
    }
    report("ppo-step", results, 80)
    rows = [line for line in capsys.readouterr().out.splitlines() if line.split()[0] in ("PART", "RATIO")]
    assert rows == [
        "PART ppo-ours rollout 1.000 0.125",
        "PART ppo-ours scoring 2.000 0.250",
        "PART ppo-ours update 5.000 0.625",
        "PART ppo-ours ptx 2.000 0.250",
        "PART rloo-trl rollout 8.000 0.500",
        "PART rloo-trl scoring 4.000 0.250",
        "PART rloo-trl update 4.000 0.250",
        "RATIO ppo-step 10 5 2.000",
    ]


def test_no_ratio_is_said_where_the_peer_failed(capsys: pytest.CaptureFixture[str]) -> None:
    report("ppo-step", {"ppo-ours": Measured("ppo-ours", [8.0], 9.0, 1, {"rollout": 8.0})}, 80)
    assert "RATIO" not in capsys.readouterr().out


def test_without_a_gpu_the_full_size_says_how_to_try_a_small_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", ["gpu_ppo"])
    with pytest.raises(SystemExit, match=r"no GPU here.*--device cpu --shape tiny"):
        gpu_ppo.main()
