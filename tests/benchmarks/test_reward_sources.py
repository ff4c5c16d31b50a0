"""Accuracy of reward models by source, ours alone, on two small sources of which one is told by length."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import reward_sources
from benchmarks.reward_sources import compare, ours, pooled, show
from bottega.data.tokenizer import Tokenizer
from bottega.model.config import preset
from bottega.model.decoder import Decoder
from bottega.model.hub import save_model
from bottega.model.init import initialise

SOURCES = ("ukp-convarg", "oasst-en-rankings")
SHAPE = {"hidden_size": 32, "intermediate_size": 64, "num_layers": 2, "num_heads": 2, "num_kv_heads": 2,
         "head_dim": 16, "max_positions": 512}  # fmt: skip


def write(folder: Path) -> list[str]:
    """Of pairs the longer argument is chosen; of rankings the answer that says yes is best, wherever it
    stands. The texts of all."""
    pairs = [
        {"prompt": f"Is {i} right?", "chosen": f"It is, for {i} is so and so.", "rejected": f"No {i}."}
        for i in range(60)
    ]
    rankings: list[dict[str, Any]] = []
    for i in range(60):
        ranked = [("yes", 0), ("not", 1), ("hmm", 2)]
        turned = ranked[i % 3 :] + ranked[: i % 3]
        rankings.append(
            {
                "messages": [{"role": "user", "content": f"Question {i}"}],
                "answers": [f"{word} {i}" for word, _ in turned],
                "ranks": [rank for _, rank in turned],
            }
        )
    (folder / "preferences").mkdir()
    for name, rows in zip(SOURCES, (pairs, rankings), strict=True):
        with gzip.open(folder / "preferences" / f"{name}.jsonl.gz", "wt", encoding="utf-8") as file:
            file.writelines(json.dumps(row | {"source": name}) + "\n" for row in rows)
    return [text for row in pairs for text in row.values()] + [a for row in rankings for a in row["answers"]]


@pytest.fixture
def accuracies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, np.ndarray]]:
    monkeypatch.setattr(reward_sources, "SOURCES", SOURCES)
    tokenizer = Tokenizer.train(write(tmp_path), 280)
    model = initialise(Decoder(preset("13.8M", family="llama", vocab_size=280, **SHAPE)), 0)
    parent = save_model(model, tmp_path / "parent", tokenizer)
    return compare(tmp_path, parent, tmp_path, {"ours": ours})


def test_every_source_has_its_held_out_accuracy_by_each_rule_and_by_ours(
    accuracies: dict[str, dict[str, np.ndarray]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert list(accuracies) == ["place", "length", "ours"]
    for found in accuracies.values():
        assert list(found) == list(SOURCES)
        assert all(len(values) for values in found.values())
        assert all(0 <= value < 1 + 1e-6 for values in found.values() for value in values)
    assert {tuple(map(len, found.values())) for found in accuracies.values()} == {
        tuple(map(len, accuracies["ours"].values()))
    }
    assert accuracies["length"]["ukp-convarg"] == pytest.approx(1.0)
    # Where a file's order is that of the verdict, the place is a coin.
    assert accuracies["place"]["ukp-convarg"] == pytest.approx(0.5)
    assert pooled(accuracies["ours"]) > 0.5
    show(accuracies)
    rows = capsys.readouterr().out.splitlines()
    assert [row.split()[0] for row in rows[-4:]] == ["source", *SOURCES, "all"]
    assert rows[-3].split()[1] == str(len(accuracies["ours"]["ukp-convarg"]))
