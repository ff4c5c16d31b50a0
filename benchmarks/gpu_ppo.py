"""On one GPU: a step of PPO of a policy of 350M parameters, 512 rollouts of 256 tokens, beside TRL's GRPO.

Both get the same policy, reward model, prompts and lengths, four answers to a prompt; ours has a value
network beside. ``PART name what seconds share`` are rollout, scoring and update of the median step;
``gpu-ppo-step`` is in answer tokens a second.
``python -m benchmarks.gpu_ppo``; to see whether it runs, without a GPU and in a minute:
``python -m benchmarks.gpu_ppo --device cpu --shape tiny --rollouts 8 --tokens 8 --compile off --rounds 1``
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import torch

from benchmarks.measure import measure_in_turns
from benchmarks.ppo import report
from benchmarks.preference import write_comparisons
from benchmarks.trials import CONTEXT, SHAPES, TO_A_PROMPT
from bottega.training.precision import choose_precision

NO_GPU = (
    "benchmarks.gpu_ppo: there is no GPU here that torch can use, and a step of this size takes a CPU hours. "
    "To see whether it runs: --device cpu --shape tiny --rollouts 8 --tokens 8 --compile off --rounds 1"
)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--shape", choices=SHAPES, default="350M")
    parser.add_argument("--rollouts", dest="rows", type=int, default=512, help="answers of a step")
    parser.add_argument("--tokens", dest="new_tokens", type=int, default=256, help="of an answer")
    parser.add_argument("--batch-tokens", type=int, default=32768, help="tokens that ours computes at once")
    parser.add_argument("--peer-parts", type=int, default=16, help="parts that TRL computes an update in")
    parser.add_argument("--precision", choices=("auto", "float32", "bfloat16"), default="auto")
    parser.add_argument("--compile", choices=("on", "off"), default="on", help="ours")
    parser.add_argument("--repeats", type=int, default=3, help="measured steps of a round")
    parser.add_argument("--rounds", type=int, default=2, help="of both sides, in turns")
    parser.add_argument("--warmup", type=int, default=3, help="steps of a round before the measured ones")
    given = parser.parse_args()
    if given.device == "cuda" and not torch.cuda.is_available():
        raise SystemExit(NO_GPU)
    given.peer_parts = min(given.peer_parts, given.rows // TO_A_PROMPT)
    if given.rows < TO_A_PROMPT or given.rows % (given.peer_parts * TO_A_PROMPT):
        parser.error(f"--rollouts: a multiple of {TO_A_PROMPT}, and of that times --peer-parts")
    given.context = CONTEXT
    precision = choose_precision(given.device, given.precision)
    given.precision = precision.name
    print(f"torch {torch.__version__}, {precision.name}: {precision.reason}")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_comparisons(folder, "pairs")
        results = measure_in_turns(("ppo-ours", "grpo-trl"), folder, given)
    report("gpu-ppo-step", results, given.rows * given.new_tokens)


if __name__ == "__main__":
    main()
