"""Training on a GPU: the CPU's curve, and a run that is stopped and goes on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from bottega.data.packing import ConversationPlan, DocumentPlan
from bottega.training.loop import TrainConfig, train
from bottega.training.objective import language_modelling

from .conftest import tiny_decoder

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]


def losses(plan: DocumentPlan | ConversationPlan, folder: Path, device: str, **options: Any) -> list[float]:
    given = {"budget_tokens": 20 * plan.tokens_per_step, "precision": "float32", "compile": "off"} | options
    train(tiny_decoder().to(device), language_modelling, plan, TrainConfig(**given), folder)
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line)["loss"] for line in lines]


@pytest.mark.parametrize("compiled", ["off", "on"])
@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
@pytest.mark.parametrize("kind", ["documents", "conversations"])
def test_the_curve_is_the_cpus(
    kind: str, optimizer: str, compiled: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    plan = request.getfixturevalue(kind)
    expected = losses(plan, tmp_path / "cpu", "cpu", optimizer=optimizer)
    found = losses(plan, tmp_path / "cuda", "cuda", optimizer=optimizer, compile=compiled)
    torch.testing.assert_close(torch.tensor(found), torch.tensor(expected), atol=5e-3, rtol=0)


@pytest.mark.parametrize("compiled", ["off", "on"])
def test_in_bfloat16_it_learns_as_much(compiled: str, documents: DocumentPlan, tmp_path: Path) -> None:
    expected = losses(documents, tmp_path / "cpu", "cpu")
    found = losses(documents, tmp_path / "cuda", "cuda", precision="bfloat16", compile=compiled)
    torch.testing.assert_close(torch.tensor(found), torch.tensor(expected), atol=5e-2, rtol=0)


def test_a_run_goes_on_where_it_was_stopped(documents: DocumentPlan, tmp_path: Path) -> None:
    whole = losses(documents, tmp_path / "whole", "cuda")
    again = losses(documents, tmp_path / "parts", "cuda", stop_after_s=1e-9)
    assert len(again) < len(whole)
    both = losses(documents, tmp_path / "parts", "cuda")
    assert len(both) == len(whole)
    torch.testing.assert_close(torch.tensor(both), torch.tensor(whole), atol=1e-3, rtol=0)
