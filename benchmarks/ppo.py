"""A whole step of PPO of the 13.8M shape beside TRL's RLOO: 32 answers of 128 tokens, four to a prompt.

Ours samples, scores by a reward model, updates policy and value network, with the reference's KL; TRL's
RLOO has no value network and gets the same prompts, lengths and reward model. One inner epoch, no ptx; what
ptx costs is a row of its own. ``ppo-step`` is in answer tokens a second.
``python -m benchmarks.ppo [--precision auto|float32|bfloat16] [--repeats 5]``
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.measure import Measured, arguments, measure_in_turns, ratio
from benchmarks.preference import write_comparisons
from benchmarks.preferring import ANSWER_TOKENS, ANSWERS


def main() -> None:
    given = arguments(__doc__)
    given.rows = ANSWERS
    given.warmup = max(given.warmup, 4)  # by then every shape of a step has been met, and compiled
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_comparisons(folder, "pairs")
        results = measure_in_turns(("ppo-ours", "ppo-ours-ptx", "rloo-trl"), folder, given)
    tokens = ANSWERS * ANSWER_TOKENS
    for name, found in results.items():
        _describe(name, found, tokens)
    ratio("ppo-step", tokens / results["ppo-ours"].median_s, tokens / results["rloo-trl"].median_s)


def _describe(name: str, found: Measured, tokens: int) -> None:
    speeds = sorted(tokens / s for s in found.step_s)
    parts = ", ".join(f"{part} {seconds:.2f} s" for part, seconds in found.parts.items())
    print(
        f"{name:14s} {tokens / found.median_s:8.0f} answer tokens/s ({speeds[0]:.0f} to {speeds[-1]:.0f}, "
        f"{len(speeds)} steps){f'; of a step {parts}' if parts else ''}",
        flush=True,
    )


if __name__ == "__main__":
    main()
