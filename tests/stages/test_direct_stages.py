"""DPO and KTO as stages: what was preferred becomes likelier, on prompts never seen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from bottega import stages
from bottega.data.frozen import FrozenDataset
from bottega.errors import UserError
from bottega.model.hub import load_model
from bottega.stages.base import StageResult
from bottega.training.telemetry import read_metrics

from .workshop import Workshop, rankings

SMALL: dict[str, Any] = {"context": 64, "batch_tokens": 512, "epochs": 6.0, "lr": 2e-3}


def run(
    name: str, config: dict[str, Any], workshop: Workshop, parent: Path, where: Path, *data: Any
) -> StageResult:
    stage = stages.get(name)
    inputs = workshop.inputs(where, *(data or (workshop.dataset("rankings"),)), parent=parent)
    return stage.run(stage.Config.parse(SMALL | config), inputs, 0)


@pytest.mark.parametrize(
    ("name", "config", "at_first"),
    [
        ("dpo", {}, 0.693),
        ("dpo", {"loss": "ipo"}, 25.0),
        ("dpo", {"lora": {"rank": 4}, "lr": 2e-2}, 0.693),
        ("kto", {}, 0.5),
    ],
    ids=["dpo", "ipo", "lora", "kto"],
)
def test_what_was_preferred_becomes_likelier_than_what_was_not(
    name: str, config: dict[str, Any], at_first: float, workshop: Workshop, base_model: Path, tmp_path: Path
) -> None:
    result = run(name, config, workshop, base_model, tmp_path)
    rows = read_metrics(result.curves)
    assert min(row["heldout_loss"] for row in rows if "heldout_loss" in row) < 0.85 * at_first
    assert sum(row["accuracy"] for row in rows[-5:]) / 5 > 0.7
    before, after = load_model(base_model), load_model(tmp_path / "model")
    assert before.config == after.config
    assert any(not torch.equal(a, b) for a, b in zip(before.parameters(), after.parameters(), strict=True))


def test_dpo_needs_something_to_compare(workshop: Workshop, base_model: Path, tmp_path: Path) -> None:
    rows = [
        {"prompt": row["prompt"], "completion": answer, "label": rank == 0, "license": "Apache-2.0"}
        for row in rankings()
        for answer, rank in zip(row["answers"], row["ranks"], strict=True)
    ]
    thumbs = workshop.dataset("thumbs", rows)
    with pytest.raises(UserError, match="ratings alone; choose stage = kto"):
        run("dpo", {}, workshop, base_model, tmp_path, thumbs)
    data = thumbs, workshop.dataset("rankings")
    both = run("dpo", {"epochs": 1.0}, workshop, base_model, tmp_path / "both", *data)
    assert both.report["ratings"] == 0 and both.data[0].records == 0
    skipped = {"a single rating": FrozenDataset(thumbs.folder).manifest.records("train")}
    assert both.data[0].skipped == both.report["skipped"] == skipped
    result = run("kto", {"epochs": 1.0}, workshop, base_model, tmp_path / "kto", thumbs)
    assert result.report["ratings"] > 100


@pytest.mark.parametrize("name", ["dpo", "kto"])
def test_a_reward_model_among_the_parents_is_named_with_the_remedy(
    name: str, workshop: Workshop, base_model: Path, tmp_path: Path
) -> None:
    stage = stages.get(name)
    inputs = replace(
        workshop.inputs(tmp_path, workshop.dataset("rankings")), parents=(base_model, base_model)
    )
    with pytest.raises(UserError, match="name the comparisons that the reward model learned from"):
        stage.run(stage.Config.parse(SMALL), inputs, 0)
