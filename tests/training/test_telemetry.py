from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

from rich.console import Console

from bottega.training.telemetry import Telemetry, keep_steps, read_metrics


def record(step: int, loss: float = 1.0) -> dict[str, Any]:
    return {"step": step, "tokens": step * 10, "loss": loss, "step_s": 0.5, "tokens_per_s": 20.0}


def logged(folder: Path) -> list[int]:
    return [r["step"] for r in read_metrics(folder / "metrics.jsonl")]


def test_going_on_drops_the_steps_beyond_the_checkpoint_and_a_line_cut_short(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text("".join(json.dumps(record(s)) + "\n" for s in range(1, 8)) + '{"step": 8, "lo')
    with Telemetry(tmp_path, console=Console(quiet=True)) as telemetry:
        telemetry.start(total_steps=10, done_steps=5)
        telemetry.step(record(6, loss=2.0))
    assert logged(tmp_path) == [1, 2, 3, 4, 5, 6]
    assert read_metrics(path)[-1]["loss"] == 2.0


def test_a_fresh_start_drops_what_an_earlier_run_left(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text(json.dumps(record(1)) + "\n")
    keep_steps(tmp_path / "metrics.jsonl", 0)
    assert logged(tmp_path) == []


def test_without_a_terminal_lines_are_printed_and_no_bar(tmp_path: Path) -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=False, width=200)
    with Telemetry(tmp_path, title="davinci", console=console) as telemetry:
        telemetry.start(total_steps=3)
        for step in (1, 2, 3):
            telemetry.step(record(step))
    lines = out.getvalue().splitlines()
    assert lines == [
        "davinci: step 1/3, loss 1.000, 20 tokens/s, about 1 s left",
        "davinci: step 3/3, loss 1.000, 20 tokens/s, about 0 s left",
    ]


def test_on_a_terminal_a_bar_shows_loss_speed_and_steps(tmp_path: Path) -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=120, color_system=None)
    with Telemetry(tmp_path, title="davinci", console=console) as telemetry:
        telemetry.start(total_steps=2)
        telemetry.step(record(1, loss=3.25))
        telemetry.step(record(2, loss=2.5))
    shown = out.getvalue()
    assert "davinci" in shown
    assert "2/2" in shown
    assert "loss 2.500" in shown
    assert "20 tokens/s" in shown


def test_a_quiet_process_writes_nothing(tmp_path: Path) -> None:
    out = io.StringIO()
    with Telemetry(tmp_path, quiet=True, console=Console(file=out)) as telemetry:
        telemetry.start(total_steps=1)
        telemetry.message("hello")
        telemetry.step(record(1))
    assert out.getvalue() == ""
    assert not (tmp_path / "metrics.jsonl").exists()
