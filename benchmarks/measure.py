"""Running contenders and printing what came out, in the lines that the bars are read from."""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from benchmarks.contenders import Job
from bottega.training.precision import Precision, PrecisionName, choose_precision


@dataclass(frozen=True)
class Measured:
    """One contender's result."""

    name: str
    step_s: list[float]
    first_step_s: float
    peak_memory_bytes: int
    parts: dict[str, float] = field(default_factory=dict)  # median seconds of a step's parts

    @property
    def median_s(self) -> float:
        return statistics.median(self.step_s)


def arguments(description: str | None, parts: Sequence[str] = ()) -> argparse.Namespace:
    """The options that every benchmark has; ``precision`` comes back decided. One of several ``parts`` may be
    asked for alone."""
    parser = argparse.ArgumentParser(description=description)
    if parts:
        parser.add_argument("--only", choices=parts, help="this one alone, and not all")
    parser.add_argument("--precision", choices=("auto", "float32", "bfloat16"), default="auto")
    parser.add_argument("--rows", type=int, default=16, help="rows of a batch")
    parser.add_argument("--context", type=int, default=512, help="tokens of a row")
    parser.add_argument("--repeats", type=int, default=5, help="measured steps of a round")
    parser.add_argument(
        "--rounds", type=int, default=3, help="of all contenders; the median of all steps counts"
    )
    parser.add_argument("--warmup", type=int, default=2, help="steps of a round before the measured ones")
    given = parser.parse_args()
    given.precision = decide_precision(given.precision).name
    return given


def precision_and_repeats(description: str | None) -> tuple[Precision, int]:
    """The options of the benchmarks of generation, decided."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--precision", choices=("auto", "float32", "bfloat16"), default="auto")
    parser.add_argument("--repeats", type=int, default=5, help="of which the median counts")
    given = parser.parse_args()
    return decide_precision(given.precision), given.repeats


def decide_precision(asked: PrecisionName) -> Precision:
    """The precision to measure in; says what it is, and whether the bars apply."""
    chosen = choose_precision("cpu", asked)
    print(f"precision {chosen.name}: {chosen.reason}")
    if chosen.name != "bfloat16":
        print("the bars are for machines that are fast at bfloat16; this run is in float32 and only informs")
    return chosen


def write_examples(folder: Path, examples: list[dict[str, Any]]) -> None:
    """Where the contenders read them."""
    with (folder / "examples.jsonl").open("w") as file:
        for example in examples:
            file.write(json.dumps(example) + "\n")


def measure_in_turns(names: Sequence[str], folder: Path, given: argparse.Namespace) -> dict[str, Measured]:
    """Every contender's steps of all rounds; one that fails, with what it said, is left out.

    They take turns, for the pace of a machine changes, after a round that does not count: it fills the
    compile caches, so that each first step is a warm one.
    """
    found: dict[str, list[Measured]] = {}
    for name in names:
        print(f"warming up: {name}", file=sys.stderr, flush=True)
        if measure(name, folder, given) is not None:
            found[name] = []
    for number in range(given.rounds):
        for name in list(found):
            print(f"round {number + 1} of {given.rounds}: {name}", file=sys.stderr, flush=True)
            result = measure(name, folder, given)
            if result is None:
                del found[name]
            else:
                found[name].append(result)
    return {name: _together(results) for name, results in found.items()}


def _together(results: list[Measured]) -> Measured:
    return Measured(
        results[0].name,
        [seconds for result in results for seconds in result.step_s],
        statistics.median(result.first_step_s for result in results),
        max(result.peak_memory_bytes for result in results),
        {part: statistics.median(result.parts[part] for result in results) for part in results[0].parts},
    )


def measure(name: str, folder: Path, given: argparse.Namespace) -> Measured | None:
    """Run a contender in a process of its own; None, with what it said, where it fails."""
    options = {one.name: getattr(given, one.name) for one in fields(Job) if hasattr(given, one.name)}
    options |= {"steps": given.repeats, "started": time.time()}
    command = [sys.executable, "-m", "benchmarks.contenders", name, str(folder)]
    for key, value in options.items():
        command += [f"--{key}", str(value)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    if done.returncode or not found:
        print(f"{name}: failed: {done.stderr.strip().splitlines()[-1:]}")
        return None
    return Measured(name, **json.loads(found[0].removeprefix("RESULT ")))


def describe(measured: Measured, tokens: float) -> None:
    """One line for people: the median and how far the steps spread."""
    speeds = sorted(tokens / s for s in measured.step_s)
    print(
        f"{measured.name:14s} {tokens / measured.median_s:9,.0f} tokens/s "
        f"({speeds[0]:,.0f} to {speeds[-1]:,.0f}, {len(speeds)} steps), first step after "
        f"{measured.first_step_s:.1f} s, peak memory {measured.peak_memory_bytes / 2**20:,.0f} MiB",
        flush=True,
    )


def ratio(name: str, ours: float, peer: float) -> None:
    """The line that a bar is read from."""
    print(f"RATIO {name} {ours:.4g} {peer:.4g} {ours / peer:.3f}", flush=True)


def part(name: str, what: str, seconds: float, step_s: float) -> None:
    """A row of what a step is made of: seconds of a step, and their share of it."""
    print(f"PART {name} {what} {seconds:.3f} {seconds / step_s:.3f}", flush=True)


def share(name: str, fraction: float) -> None:
    """The line that a bar is read from."""
    print(f"SHARE {name} {fraction:.3f}", flush=True)


def matmul_peak_flops(precision: str, sizes: tuple[int, ...] = (1024, 2048, 4096)) -> float:
    """The best, over the sizes, of the median speed of a square matrix product."""
    import torch

    dtype = getattr(torch, precision)
    best = 0.0
    for size in sizes:
        a, b = torch.randn(size, size).to(dtype), torch.randn(size, size).to(dtype)
        a @ b
        seconds = []
        for _ in range(5):
            began = time.perf_counter()
            a @ b
            seconds.append(time.perf_counter() - began)
        best = max(best, 2 * size**3 / statistics.median(seconds))
    return best
