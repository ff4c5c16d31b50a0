"""Instruction tuning of the 13.8M shape on ragged conversations, loss masked: ours beside TRL's SFTTrainer.

Both read the same conversations, 16 rows a step: TRL pads 16 conversations to the longest, ours packs rows of
512. Speed is in tokens of conversations, padding not counted.
``python -m benchmarks.sft [--precision auto|float32|bfloat16] [--rows 16] [--repeats 7]``
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measure import arguments, describe, measure_in_turns, ratio, write_examples


def conversations(count: int, context: int) -> list[dict[str, Any]]:
    """Lengths as instruction data have them (log-normal, median 100), the last 40% of each counted."""
    rng = np.random.default_rng(0)
    lengths = np.clip(np.exp(rng.normal(np.log(100), 0.8, count)).astype(int), 8, context)
    found = []
    for length in lengths.tolist():
        answer = max(2, round(0.4 * length))
        weights = [0.0] * (length - answer) + [1.0] * answer
        found.append({"ids": rng.integers(3, 8192, length).tolist(), "weights": weights})
    return found


def main() -> None:
    given = arguments(__doc__)
    steps = given.warmup + given.repeats
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        examples = conversations(given.rows * 40, given.context)
        write_examples(folder, examples)
        lengths = [len(e["ids"]) for e in examples]
        # Steps differ in length: both sides are measured over all their steps, and each by its own tokens.
        results = measure_in_turns(("ours", "trl", "trl-compiled"), folder, given)
        ours = results.pop("ours")
        our_tokens = packed_tokens_per_step(folder, given.rows, given.context, given.warmup, steps)
        describe(ours, our_tokens)
        chosen = [lengths[i % len(lengths)] for i in range(given.warmup * given.rows, steps * given.rows)]
        peer_tokens = sum(chosen) / given.repeats
        for found in results.values():
            describe(found, peer_tokens)
    best = min(results.values(), key=lambda m: m.median_s)
    ratio("sft-trl", our_tokens / ours.median_s, peer_tokens / best.median_s)


def packed_tokens_per_step(folder: Path, rows: int, context: int, first: int, last: int) -> float:
    """Tokens of conversations in a packed step, padding not counted."""
    from bottega.data.packing import ConversationPlan
    from bottega.data.shards import TokenShards

    plan = ConversationPlan([(TokenShards(folder / "shards"), 1.0)], context, rows, seed=0)
    return sum(int((plan.batch(step).segments > 0).sum()) for step in range(first, last)) / (last - first)


if __name__ == "__main__":
    main()
