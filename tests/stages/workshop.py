"""A tiny workshop: frozen datasets, a tokenizer and a shape, from which a stage runs in a second or two."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from launching import TWO_PROCESSES, environment

from bottega.data.frozen import freeze
from bottega.data.sources import ReadOptions, SourceSpec
from bottega.stages.base import DatasetInput, RunOptions, StageInputs

SCRIPT = Path(__file__).with_name("run_stage.py")
SHAPE = {"hidden_size": 32, "num_layers": 2, "num_heads": 2, "num_kv_heads": 1}
ANIMALS = ("cat", "dog", "bird", "horse", "cow", "mouse", "fish", "frog")
PLACES = ("mat", "roof", "chair", "hill", "road", "river", "box", "bed")


def prose() -> list[dict[str, Any]]:
    return [
        {
            "text": f"The {a} sat on the {p}, and the {b} looked at the {a}. {i} times it looked.",
            "license": "CC0-1.0",
        }
        for i, (a, p, b) in enumerate((a, p, b) for a in ANIMALS for p in PLACES for b in ANIMALS[:4])
    ]


def programs() -> list[dict[str, Any]]:
    return [
        {"text": f"def {a}_{p}(x):\n    return x * {i} + {len(a)}\n", "license": "MIT"}
        for i, (a, p) in enumerate((a, p) for a in ANIMALS for p in PLACES)
    ]


def talks() -> list[dict[str, Any]]:
    return [
        {
            "messages": [
                {"role": "user", "content": f"Where did the {a} number {i} sit?"},
                {"role": "assistant", "content": f"On the {p}."},
            ],
            "license": "Apache-2.0",
        }
        for i, (a, p) in enumerate((a, p) for a in ANIMALS for p in PLACES)
    ]


def rankings() -> list[dict[str, Any]]:
    """Of three answers the one with the right place is best, and the shortest of the others worst."""
    rows: list[dict[str, Any]] = []
    for i, (a, p) in enumerate((a, p) for a in ANIMALS for p in PLACES):
        answers = [f"On the {p}.", f"On the {a}.", "No."]
        rows.append(
            {
                "prompt": f"Where did the {a} number {i} sit? It sat on the {p}.",
                "answers": answers[i % 3 :] + answers[: i % 3],
                "ranks": [0, 1, 2][i % 3 :] + [0, 1, 2][: i % 3],
                "labeler": ("ann", "bob")[i % 2],
                "license": "Apache-2.0",
            }
        )
    return rows


@dataclass(frozen=True)
class Workshop:
    root: Path
    tokenizer: Path

    def dataset(
        self, name: str, rows: Sequence[Mapping[str, Any]] | None = None, *, mixed: bool = False, **entry: Any
    ) -> DatasetInput:
        """The dataset of this name, frozen from ``rows`` where it is not there yet."""
        folder = self.root / "datasets" / name
        if not folder.exists():
            assert rows is not None
            file = self.root / f"{name}.jsonl"
            file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
            freeze(
                [SourceSpec(uri=f"file:{file}", mixed=mixed)],
                folder,
                ReadOptions(heldout_fraction=0.1, include_unclear=True),
            )
        return DatasetInput(folder, name=name, **entry)

    def inputs(
        self, where: Path, *data: DatasetInput, parent: Path | None = None, **more: Any
    ) -> StageInputs:
        return StageInputs(
            parents=() if parent is None else (parent,),
            tokenizer=self.tokenizer,
            datasets=data,
            work=where / "work",
            out=where / "model",
            run=RunOptions(precision="float32", device="cpu", compile="off", threads=1, progress=False),
            **more,
        )


def run_under_torchrun(spec: str, where: Path) -> None:
    """Run ``run_stage.py`` in two processes that train together."""
    file = where / "spec.json"
    file.write_text(spec, encoding="utf-8")
    done = subprocess.run(
        [*TWO_PROCESSES, str(SCRIPT), str(file)], env=environment(), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
