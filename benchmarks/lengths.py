"""Lengths for the benchmarks of preference, drawn from OpenAssistant's rankings and Tulu 1's verdicts.

``pairs``: a prompt with two of its own answers. ``six``: another prompt with its own answers, of which real
prompts have few, and with answers to others up to six. Tokens are told by words, five to four, and no prompt
with an answer has more than 512. The draw is fixed: it is ``lengths.json``, by which the bars are measured.
``python -m benchmarks.lengths --data FOLDER [--out FILE]``
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import re
from pathlib import Path
from typing import Any

from benchmarks.preference import LENGTHS

RANKINGS = ("oasst-en-rankings", "oasst-zh-rankings")
VERDICTS = "tulu1-human"
WORD = re.compile(r"[A-Za-z]+|[^\sA-Za-z]")  # a digit, a mark or a character of Chinese is one too
TURN, LONE_TURN, END = 4, 8, 1  # tokens around a turn of a talk, around a lone request, behind an answer
LONGEST = 512  # tokens of a prompt with an answer
PAIRS, SIXES = 256, 64

Asked = tuple[int, list[int]]  # tokens of a prompt, and of each of its answers
Lengths = dict[str, list[list[int]]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, help="where to write the draw; left out, it is only compared")
    given = parser.parse_args()
    drawn = as_text(draw(read(given.data / "preferences")))
    if given.out is not None:
        given.out.write_text(drawn)
    same = drawn == LENGTHS.read_text()
    print(f"this draw is {'that' if same else 'not that'} of {LENGTHS.name}")


def as_text(lengths: Lengths) -> str:
    """As it is kept."""
    return json.dumps(lengths, separators=(",", ":"))


def read(folder: Path) -> list[Asked]:
    """Every prompt whose answers all fit, in the files' order."""
    found = []
    for name in (*RANKINGS, VERDICTS):
        with gzip.open(folder / f"{name}.jsonl.gz", "rt", encoding="utf-8") as file:
            found += [_lengths_of(json.loads(line)) for line in file]
    return [(prompt, answers) for prompt, answers in found if prompt + max(answers) <= LONGEST]


def _lengths_of(row: dict[str, Any]) -> Asked:
    if "completion_a" in row:
        prompt, answers = tokens(row["prompt"]) + LONE_TURN, [row["completion_a"], row["completion_b"]]
    else:
        prompt, answers = sum(tokens(one["content"]) + TURN for one in row["messages"]), row["answers"]
    return prompt, [tokens(one) + END for one in answers]


def tokens(text: str) -> int:
    """Half a token goes to the even side."""
    return round(1.25 * len(WORD.findall(text)))


def draw(rows: list[Asked], pairs: int = PAIRS, sixes: int = SIXES) -> Lengths:
    """``pairs`` and ``six``, each row a prompt's tokens and then its answers'; no prompt is in both."""
    rng = random.Random(0)
    rows = rows.copy()
    rng.shuffle(rows)
    pool = [n for _, answers in rows for n in answers]
    return {
        "pairs": [[prompt, *rng.sample(answers, 2)] for prompt, answers in rows[:pairs]],
        "six": [_six(rng, *row, pool) for row in rows[pairs : pairs + sixes]],
    }


def _six(rng: random.Random, prompt: int, answers: list[int], pool: list[int]) -> list[int]:
    answers = answers.copy()
    while len(answers) < 6:
        other = rng.choice(pool)
        if prompt + other <= LONGEST:
            answers.append(other)
    return [prompt, *rng.sample(answers, 6)]


if __name__ == "__main__":
    main()
