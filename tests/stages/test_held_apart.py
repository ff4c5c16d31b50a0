"""Nothing is held out that a stage trains on, from whichever of its datasets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import pytest

from bottega import stages
from bottega.data.frozen import FrozenDataset, freeze
from bottega.data.sources import ReadOptions, SourceSpec
from bottega.data.tokenizer import Tokenizer
from bottega.stages.base import DatasetInput
from bottega.stages.policy_knobs import PpoConfig
from bottega.stages.prompts import read_prompts

from .workshop import Workshop, rankings, talks

ROOM = PpoConfig.parse({"context": 64, "max_new_tokens": 8})


@pytest.mark.parametrize("role", ["main", "replay"])
def test_a_prompt_that_another_dataset_trains_on_is_not_held_out_and_is_counted(
    role: Literal["main", "replay"], workshop: Workshop, tmp_path: Path
) -> None:
    other = tmp_path / "more"
    file = workshop.root / "talks.jsonl"
    freeze([SourceSpec(uri=f"file:{file}")], other, ReadOptions(heldout_fraction=0.6, include_unclear=True))
    held = [
        FrozenDataset(folder).manifest.records("heldout")
        for folder in (workshop.dataset("talks", talks()).folder, other)
    ]
    assert held[1] > held[0] > 0
    tokenizer = Tokenizer.load(workshop.tokenizer)
    more = DatasetInput(other, name="more")
    alone = read_prompts(workshop.inputs(tmp_path, more), tokenizer, ROOM)
    assert (len(alone.heldout), alone.report["heldout_but_trained_on"]) == (held[1], 0)
    both = read_prompts(
        workshop.inputs(tmp_path, more, workshop.dataset("talks", role=role)), tokenizer, ROOM
    )
    left = held[0] * (2 if role == "main" else 1)
    assert len(both.heldout) == left
    assert both.report["heldout_but_trained_on"] == held[1] - held[0]


def test_a_prompt_of_comparisons_that_are_learned_from_is_not_held_out(
    workshop: Workshop, tmp_path: Path
) -> None:
    """As ``collect`` takes them along."""
    from bottega.data.records import Comparison

    file = tmp_path / "asked.jsonl"
    rows = ({"prompt": row["prompt"], "completion": "yes", "license": "MIT"} for row in rankings())
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    other = tmp_path / "asked"
    freeze([SourceSpec(uri=f"file:{file}")], other, ReadOptions(heldout_fraction=0.6))
    inputs = workshop.inputs(tmp_path, DatasetInput(other), workshop.dataset("rankings"))
    asked = read_prompts(inputs, Tokenizer.load(workshop.tokenizer), ROOM, without=(Comparison,))
    learned = {r.messages for r in FrozenDataset(inputs.datasets[1].folder).records("train")}  # type: ignore[union-attr]
    assert asked.heldout and asked.report["heldout_but_trained_on"] > 0
    assert not learned & {one.messages for one in asked.heldout}


def test_a_prompt_that_is_trained_on_is_known_by_what_was_asked_not_by_how_it_is_framed(
    workshop: Workshop, base_model: Path, tmp_path: Path
) -> None:
    """The split goes by the users' words: a system message, or their case, makes no new prompt."""
    framed = [
        row
        | {
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": str(row["prompt"]).upper()},
            ]
        }
        for row in rankings()
    ]
    file = workshop.root / "framed.jsonl"
    rows = ({key: value for key, value in row.items() if key != "prompt"} for row in framed)
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    other = workshop.root / "datasets" / "framed"
    freeze([SourceSpec(uri=f"file:{file}")], other, ReadOptions(heldout_fraction=0.6, include_unclear=True))
    stage = stages.get("reward")
    data = workshop.dataset("rankings"), DatasetInput(other, name="framed")
    inputs = workshop.inputs(tmp_path, *data, parent=base_model)
    report = stage.run(stage.Config.parse({"context": 128, "batch_tokens": 512}), inputs, 0).report
    held = [FrozenDataset(entry.folder).manifest.records("heldout") for entry in data]
    assert report["heldout"] == 2 * held[0]
    assert report["heldout_but_trained_on"] == held[1] - held[0] > 0
