"""Lengths for the benchmarks of preference, drawn from OpenAssistant's rankings and Tulu 1's verdicts.

``pairs``: a prompt with two of its own answers. ``six``: a prompt with six answers, of which real prompts
have few, so that they are drawn from the answers to all. Both in tokens, four bytes of UTF-8 to each, of at
most 512 with the longer answer. The lengths the bars are measured by, ``lengths.json``, are of an earlier
draw, in the tokens of a tokenizer that was not kept: this one gives others of the same kind, and puts them
beside.
``python -m benchmarks.lengths --data FOLDER [--seed 0] [--out FILE]``
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.preference import LENGTHS

RANKINGS = ("oasst-en-rankings", "oasst-zh-rankings")
VERDICTS = "tulu1-human"
BYTES = 4  # of UTF-8 to a token
LONGEST = 512  # tokens of a prompt with an answer
PAIRS, SIXES = 256, 64

Lengths = dict[str, list[list[int]]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="where to write the draw; left out, it is only described")
    given = parser.parse_args()
    drawn = draw(read(given.data / "preferences"), given.seed)
    if given.out is not None:
        given.out.write_text(json.dumps(drawn, separators=(",", ":")) + "\n")
    kept: Lengths = json.loads(LENGTHS.read_text())
    print("this draw is that of lengths.json" if drawn == kept else "this draw is not that of lengths.json")
    for who, lengths in (("lengths.json", kept), (f"seed {given.seed}", drawn)):
        for kind, rows in lengths.items():
            prompts, answers = [row[0] for row in rows], [n for row in rows for n in row[1:]]
            spread = f"prompts {_spread(prompts)}; answers {_spread(answers)}"
            print(f"{who:12s} {kind:5s} {len(rows)} rows; {spread}")


def _spread(tokens: list[int]) -> str:
    """Their 5th, 50th and 95th percentiles."""
    return " ".join(f"{value:.0f}" for value in np.percentile(tokens, (5, 50, 95)))


def read(folder: Path) -> list[tuple[int, list[int]]]:
    """Tokens of every prompt, the turns before an answer, and of its answers, in the files' order."""
    found = []
    for name in (*RANKINGS, VERDICTS):
        with gzip.open(folder / f"{name}.jsonl.gz", "rt", encoding="utf-8") as file:
            found += [_lengths_of(json.loads(line)) for line in file]
    return found


def _lengths_of(row: dict[str, Any]) -> tuple[int, list[int]]:
    if "completion_a" in row:
        prompt, answers = row["prompt"], [row["completion_a"], row["completion_b"]]
    else:
        prompt, answers = "".join(one["content"] for one in row["messages"]), row["answers"]
    return tokens(prompt), [tokens(one) for one in answers]


def tokens(text: str) -> int:
    """One at least."""
    return max(1, -(-len(text.encode()) // BYTES))


def draw(rows: list[tuple[int, list[int]]], seed: int) -> Lengths:
    """``pairs`` and ``six``, each row a prompt's tokens and then its answers'."""
    rng = random.Random(seed)
    fitting = [(prompt, [n for n in answers if prompt + n <= LONGEST]) for prompt, answers in rows]
    pairs = [(prompt, answers) for prompt, answers in fitting if len(answers) >= 2]
    pool = [n for _, answers in pairs for n in answers]
    asked = [prompt for prompt, _ in pairs]
    chosen = rng.sample(pairs, min(PAIRS, len(pairs)))
    return {
        "pairs": [[prompt, *rng.sample(answers, 2)] for prompt, answers in chosen],
        "six": [_six(rng, asked, pool) for _ in range(SIXES)],
    }


def _six(rng: random.Random, prompts: list[int], answers: list[int]) -> list[int]:
    """One that fits: drawn anew until it does."""
    while True:
        row = [rng.choice(prompts), *(rng.choice(answers) for _ in range(6))]
        if row[0] + max(row[1:]) <= LONGEST:
            return row


if __name__ == "__main__":
    main()
