"""Reward models and DPO of the 13.8M shape on comparisons: ours beside TRL's trainers.

Lengths are those of a fixed draw from real rankings (``lengths.json``, made by ``benchmarks.lengths``):
pairs, and six answers to a prompt.
``reward-k2`` is in answers a second, ``reward-k6`` and ``dpo`` in comparisons a second.
``python -m benchmarks.preference [--only dpo] [--precision auto|float32|bfloat16] [--rows 16] [--repeats 5]``
"""

from __future__ import annotations

import json
import tempfile
from argparse import Namespace
from pathlib import Path

import numpy as np

from benchmarks.measure import Measured, arguments, measure_in_turns, ratio

LENGTHS = Path(__file__).with_name("lengths.json")
SIX_ROWS = 4  # prompts of six answers in a step: 15 pairs each
# Each ratio: which lengths, which trainers, and what is counted of a row.
PARTS = {
    "reward-k2": ("pairs", "reward", 2),
    "reward-k6": ("six", "reward", 1),
    "dpo": ("pairs", "dpo", 1),
}


def write_comparisons(folder: Path, which: str) -> None:
    """Random tokens of the lengths drawn, where the contenders read them."""
    rng = np.random.default_rng(0)

    def ids(count: int) -> list[int]:
        return rng.integers(3, 8192, count).tolist()  # type: ignore[no-any-return]

    with (folder / "comparisons.jsonl").open("w") as file:
        for prompt, *answers in json.loads(LENGTHS.read_text())[which]:
            row = {"prompt": ids(prompt), "answers": [ids(n) for n in answers]}
            file.write(json.dumps(row) + "\n")


def main() -> None:
    given = arguments(__doc__, list(PARTS))
    for name in [given.only] if given.only else PARTS:
        which, method, per_row = PARTS[name]
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            write_comparisons(folder, which)
            rows = SIX_ROWS if which == "six" else given.rows
            sides = (f"{method}-ours", f"{method}-trl", f"{method}-trl-compiled")
            results = measure_in_turns(sides, folder, Namespace(**vars(given) | {"rows": rows}))
            speeds = {side: _described(found, rows * per_row, name) for side, found in results.items()}
        peers = [speed for side, speed in speeds.items() if side != sides[0]]
        ratio(name, speeds[sides[0]], max(peers))


def _described(found: Measured, amount: float, name: str) -> float:
    """One line for people; how much a second, by the mean of all steps, for they differ in length."""
    speed = amount / (sum(found.step_s) / len(found.step_s))
    slowest, fastest = amount / max(found.step_s), amount / min(found.step_s)
    print(
        f"{name:10s} {found.name:20s} {speed:8.1f} a second ({slowest:.1f} to {fastest:.1f}, "
        f"{len(found.step_s)} steps), first step after {found.first_step_s:.1f} s, "
        f"peak memory {found.peak_memory_bytes / 2**20:,.0f} MiB",
        flush=True,
    )
    return speed


if __name__ == "__main__":
    main()
