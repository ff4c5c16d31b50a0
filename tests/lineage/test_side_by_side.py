"""Nodes built side by side are those built one by one, and end as orderly."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from recipes.tiny import TINY, Heard, tiny_options

from bottega.lineage.build import build
from bottega.lineage.graph import Graph, Node
from bottega.lineage.home import Home
from bottega.lineage.options import BuildOptions
from bottega.lineage.recipe import load
from bottega.lineage.side_by_side import choose_jobs

JOBS = 2


def weights(home: Home) -> dict[str, bytes]:
    return {
        str(file.relative_to(home.root)): file.read_bytes()
        for file in sorted(home.root.glob("models/*/*/model.safetensors"))
    }


def test_the_same_family_comes_of_it(
    family: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, heard = Home(tmp_path / "home"), Heard()
    report = build(load(TINY), home, tiny_options(data), heard, source=str(TINY), jobs=JOBS)
    assert not report.failed, report.failed
    assert {str(node) for node in report.built} == {str(node) for node in Graph(load(TINY)).needs}
    assert weights(home) == weights(Home(family))  # one thread each, in both
    # Where all stands, no process is started to find that out.
    monkeypatch.setattr("bottega.lineage.side_by_side.ProcessPoolExecutor", None)
    again = build(load(TINY), home, tiny_options(data), Heard(), source=str(TINY), jobs=JOBS)
    assert not again.built
    assert set(again.found) == set(report.built)


def test_a_source_that_changes_meanwhile_is_read_as_it_was(data: Path, tmp_path: Path) -> None:
    changing = tmp_path / "data"
    shutil.copytree(data, changing)

    class Meddler(Heard):
        def done(self, node: Node, note: str) -> None:
            super().done(node, note)
            if str(node) == "dataset code":
                with (changing / "code.jsonl").open("a", encoding="utf-8") as file:
                    file.write('{"text": "def more(x):\\n    return x\\n"}\n')

    home = Home(tmp_path / "home")
    report = build(load(TINY), home, tiny_options(changing), Meddler(), source=str(TINY), jobs=JOBS)
    assert not report.failed, report.failed
    again = build(load(TINY), home, tiny_options(changing), Heard(), source=str(TINY), jobs=JOBS)
    assert "dataset code" in {str(node) for node in again.built}


def test_what_fails_takes_down_only_what_is_made_from_it(data: Path, tmp_path: Path) -> None:
    partial = tmp_path / "partial"
    shutil.copytree(data, partial)
    (partial / "code.jsonl").unlink()
    home = Home(tmp_path / "home")
    report = build(load(TINY), home, tiny_options(partial), Heard(), source=str(TINY), jobs=JOBS)
    assert [str(node) for node in report.failed] == ["dataset code"]
    assert {str(node) for node in report.skipped} == {"model code-davinci"}
    assert "model text-davinci" in {str(node) for node in report.built}
    assert "code.jsonl" in str(report.failed[Node("dataset", "code")])


def test_what_a_model_is_only_scored_on_does_not_take_it_down(data: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "scored.toml"
    text = TINY.read_text(encoding="utf-8")
    recipe.write_text(
        text.replace('["bits-per-byte:prose"]', '["bits-per-byte:prose", "bits-per-byte:code"]')
    )
    partial = tmp_path / "partial"
    shutil.copytree(data, partial)
    (partial / "code.jsonl").unlink()
    home = Home(tmp_path / "home")
    report = build(load(str(recipe)), home, tiny_options(partial), Heard(), source=str(recipe), jobs=JOBS)
    assert {str(node) for node in report.skipped} == {"model code-davinci"}
    assert {"model davinci", "model text-davinci"} <= {str(node) for node in report.built}


def slow_build(data: Path, tmp_path: Path) -> tuple[subprocess.Popen[str], Home]:
    """A build in a process of its own, whose model takes minutes and has begun to learn."""
    recipe = tmp_path / "slow.toml"
    recipe.write_text(TINY.read_text(encoding="utf-8").replace("16384", "4194304"), encoding="utf-8")
    home = Home(tmp_path / "home")
    command = [sys.executable, "-m", "bottega.cli.main", "build", "davinci", "--recipe", str(recipe)]
    command += ["--data", str(data), "--jobs", "2", "--threads", "2", "--compile", "off", "--device", "cpu"]
    environment = os.environ | {"BOTTEGA_HOME": str(home.root)}
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    metrics = wait_for(lambda: next(home.root.glob("runs/davinci-*/work/train/metrics.jsonl"), None), process)
    wait_for(lambda: metrics.read_text(encoding="utf-8").count("\n") > 5 or None, process)
    return process, home


def test_ctrl_c_saves_and_the_same_command_goes_on(data: Path, tmp_path: Path) -> None:
    process, home = slow_build(data, tmp_path)
    below = workers(process.pid)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "the same command goes on from here" in said
    assert list(home.root.glob("runs/davinci-*/work/train/checkpoints/*"))
    assert_all_end(below)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process of its parent's end")
def test_workers_end_when_the_build_is_killed(data: Path, tmp_path: Path) -> None:
    process, _ = slow_build(data, tmp_path)
    below = workers(process.pid)
    process.kill()
    process.communicate()
    assert_all_end(below)


def test_a_worker_that_is_killed_is_told_of(data: Path, tmp_path: Path) -> None:
    process, _ = slow_build(data, tmp_path)
    below = workers(process.pid)
    for pid in below:
        os.kill(pid, signal.SIGKILL)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 2, said
    assert "model davinci: its process was ended from outside" in said
    assert_all_end(below)


def assert_all_end(pids: list[int]) -> None:
    deadline = time.monotonic() + 30
    while any(alive(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert pids
    assert not any(alive(pid) for pid in pids)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def workers(pid: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        found += [int(child) for child in (task / "children").read_text().split()]
    return found


def wait_for(found: object, process: subprocess.Popen[str] | subprocess.Popen[bytes]) -> Path:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        assert process.poll() is None, process.stdout and process.stdout.read()
        value = found()  # type: ignore[operator]
        if value is not None:
            return value  # type: ignore[no-any-return]
        time.sleep(0.05)
    raise AssertionError("nothing came")


@pytest.mark.parametrize(
    ("cores", "gibibytes", "asked", "jobs"),
    [(2, 24, None, 2), (16, 64, None, 4), (8, 8, None, 1), (1, 24, None, 1), (2, 2, None, 1), (2, 24, 3, 3)],
)
def test_jobs_follow_cores_and_memory(
    cores: int, gibibytes: int, asked: int | None, jobs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: cores)
    monkeypatch.setattr("bottega.lineage.side_by_side._memory_bytes", lambda: gibibytes << 30)
    assert choose_jobs(asked, BuildOptions(device="cpu")) == jobs
    assert choose_jobs(None, BuildOptions(device="cpu", threads=1)) == 1
