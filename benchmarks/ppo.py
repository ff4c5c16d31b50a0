"""A whole step of PPO of the 13.8M shape beside TRL's RLOO: 32 answers of 128 tokens, four to a prompt.

Ours samples, scores by a reward model, updates policy and value network, with the reference's KL; TRL's
RLOO has no value network and gets the same policy, prompts, lengths and reward model. One inner epoch, no
ptx. ``ppo-step`` is in answer tokens a second. ``PART name what seconds share`` are the parts of a step, by
its median: rollout, scoring, update, and of ours what ptx adds.
``python -m benchmarks.ppo [--precision auto|float32|bfloat16] [--repeats 5]``
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.measure import Measured, arguments, measure_in_turns, part, ratio
from benchmarks.preference import write_comparisons

ANSWERS, ANSWER_TOKENS = 32, 128


def main() -> None:
    given = arguments(__doc__)
    given.rows, given.new_tokens = ANSWERS, ANSWER_TOKENS
    given.warmup = max(given.warmup, 4)  # by then every shape of a step has been met, and compiled
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_comparisons(folder, "pairs")
        results = measure_in_turns(("ppo-ours", "ppo-ours-ptx", "rloo-trl"), folder, given)
    report("ppo-step", results, ANSWERS * ANSWER_TOKENS)


def report(name: str, results: dict[str, Measured], tokens: int) -> None:
    """Speeds of all, the parts of a step with what ptx adds to ours, and the ratio of ours to the peer."""
    for found in results.values():
        _describe(found, tokens)
    mixed = results.pop("ppo-ours-ptx", None)
    for who, found in results.items():
        for what, seconds in found.parts.items():
            part(who, what, seconds, found.median_s)
        if who == "ppo-ours" and mixed is not None:
            part(who, "ptx", mixed.median_s - found.median_s, found.median_s)
    if len(results) == 2:  # else one of them failed, and has said so
        ratio(name, *(tokens / found.median_s for found in results.values()))


def _describe(found: Measured, tokens: int) -> None:
    speeds = sorted(tokens / s for s in found.step_s)
    print(
        f"{found.name:14s} {tokens / found.median_s:8.0f} answer tokens/s ({speeds[0]:.0f} to "
        f"{speeds[-1]:.0f}, {len(speeds)} steps), {found.median_s:.2f} s a step, "
        f"peak memory {found.peak_memory_bytes / 2**20:,.0f} MiB",
        flush=True,
    )


if __name__ == "__main__":
    main()
