"""Pretraining the 13.8M shape, 16 x 512 tokens a step: ours, TRL's SFTTrainer, a compiled transformers loop.

``python -m benchmarks.train [--precision auto|float32|bfloat16] [--rows 16] [--repeats 5] [--rounds 3]``
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from benchmarks.measure import (
    arguments,
    describe,
    matmul_peak_flops,
    measure_in_turns,
    ratio,
    share,
    write_examples,
)
from bottega.model.config import preset


def main() -> None:
    given = arguments(__doc__)
    tokens = given.rows * given.context
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        rng = np.random.default_rng(0)
        rows = rng.integers(3, 8192, (given.rows * 8, given.context)).tolist()
        write_examples(folder, [{"ids": row, "weights": [1.0] * given.context} for row in rows])
        results = measure_in_turns(("ours", "plain", "trl", "trl-compiled"), folder, given)
    for found in results.values():
        describe(found, tokens)
    ours = results["ours"]
    peers = [results[name] for name in ("trl", "trl-compiled") if name in results]
    best = min(peers, key=lambda m: m.median_s)
    ratio("train-trl", tokens / ours.median_s, tokens / best.median_s)
    if "plain" in results:
        ratio("train-plain", tokens / ours.median_s, tokens / results["plain"].median_s)
    peak = matmul_peak_flops(given.precision)
    flops = tokens * preset("13.8M", family="llama").flops_per_token(given.context)
    print(f"matrix-product peak {peak / 1e12:.3f} TFLOP/s, ours {flops / ours.median_s / 1e12:.3f} TFLOP/s")
    share("train-peak", flops / ours.median_s / peak)
    ratio("memory-trl", ours.peak_memory_bytes / 2**20, min(m.peak_memory_bytes for m in peers) / 2**20)
    print(f"first step after {ours.first_step_s:.1f} s with a warm compile cache (bar: 8 s)")


if __name__ == "__main__":
    main()
