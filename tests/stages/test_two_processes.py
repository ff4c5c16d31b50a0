"""A stage under torchrun makes the model that one process makes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from bottega import stages

from .test_kill_and_resume import spec_of
from .workshop import SHAPE, Workshop, run_under_torchrun

SMALL = {"context": 64, "batch_tokens": 512, "budget_tokens": 512 * 8, "optimizer": "adamw"}


@pytest.mark.parametrize(
    ("stage_name", "config"),
    [("pretrain", {**SMALL, "shape": SHAPE}), ("sft", {**SMALL, "lora": {"rank": 4, "alpha": 8.0}})],
)
def test_two_processes_make_the_model_of_one(
    stage_name: str, config: dict[str, Any], workshop: Workshop, base_model: Path, tmp_path: Path
) -> None:
    data = workshop.dataset("prose" if stage_name == "pretrain" else "talks")
    parent = None if stage_name == "pretrain" else base_model
    stage = stages.get(stage_name)
    one, two = (workshop.inputs(tmp_path / name, data, parent=parent) for name in ("one", "two"))
    stage.run(stage.Config.parse(config), one, 3)
    run_under_torchrun(json.dumps(spec_of(stage_name, config, two, 3)), tmp_path)
    alone, together = (load_file(inputs.out / "model.safetensors") for inputs in (one, two))
    assert alone.keys() == together.keys()
    for name in alone:
        torch.testing.assert_close(together[name], alone[name], rtol=0, atol=1e-5, msg=name)
    assert (two.out / "adapter").exists() == ("lora" in config)
