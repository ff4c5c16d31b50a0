"""CORRECTNESS 36: multiple choice agrees with EleutherAI's lm-evaluation-harness on the exported model."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from bottega.data.tokenizer import Tokenizer
from bottega.evals.choices import choice_of, multiple_choice
from bottega.model.decoder import Decoder
from bottega.model.hub import load_model, save_model

WORDS = [
    *("the", "cat", "dog", "bird", "sat", "lay", "sang", "on", "by", "in", "mat", "fire"),
    *("tree", "sky", "blue", "colour", "and", "what", "is", "a", "2", "4"),
]


def rows() -> list[dict[str, Any]]:
    draw = random.Random(3)

    def words(least: int, most: int) -> str:
        return " ".join(draw.choice(WORDS) for _ in range(draw.randint(least, most)))

    return [
        {
            "ctx": words(2, 12).capitalize() + draw.choice(["", ".", " ", ":"]),
            "endings": [words(1, 9) + draw.choice(["", "."]) for _ in range(4)],
            "label": draw.randrange(4),
        }
        for _ in range(120)
    ]


def test_accuracies_are_those_of_the_harness_to_the_last_digit(
    model: Decoder, tokenizer: Tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    lm_eval = pytest.importorskip("lm_eval")
    from lm_eval.api.task import ConfigurableTask
    from lm_eval.models.huggingface import HFLM

    save_model(model, tmp_path / "model", tokenizer)
    cases = rows()
    (tmp_path / "swag.jsonl").write_text("".join(json.dumps(row) + "\n" for row in cases))
    task = ConfigurableTask(
        config={
            "task": "swag_from_a_file",
            "dataset_path": "json",
            "dataset_kwargs": {"data_files": {"validation": str(tmp_path / "swag.jsonl")}},
            "validation_split": "validation",
            "output_type": "multiple_choice",
            "doc_to_text": "{{ctx}}",
            "doc_to_target": "label",
            "doc_to_choice": "endings",
            "metric_list": [{"metric": "acc"}, {"metric": "acc_norm"}],
        }
    )
    harness = HFLM(pretrained=str(tmp_path / "model"), device="cpu", dtype="float32", batch_size=8)
    theirs = lm_eval.simple_evaluate(harness, tasks=[task], bootstrap_iters=0)["results"]["swag_from_a_file"]
    ours = multiple_choice(
        load_model(tmp_path / "model"),
        tokenizer,
        [choice_of(row) for row in cases],
        model.config.max_positions,
    )
    assert ours.value == theirs["acc,none"]
    assert ours.details["normalised"] == theirs["acc_norm,none"]
    assert ours.value != ours.details["normalised"]  # or the two could not be told apart
