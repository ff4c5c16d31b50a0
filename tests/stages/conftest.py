from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from bottega import stages
from bottega.data.frozen import FrozenDataset
from bottega.data.records import Document
from bottega.data.tokenizer import Tokenizer

from .workshop import SHAPE, Workshop, programs, prose, rankings, talks


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    root = tmp_path_factory.mktemp("workshop")
    made = Workshop(root, root / "tokenizer")
    names = {"prose": prose, "programs": programs, "talks": talks, "rankings": rankings}
    for name, rows in names.items():
        made.dataset(name, rows())
    texts = [
        r.text
        for n in ("prose", "programs")
        for r in FrozenDataset(root / "datasets" / n).records("train")
        if isinstance(r, Document)
    ]
    Tokenizer.train(texts, 340).save(made.tokenizer)
    return made


@pytest.fixture(scope="session")
def base_model(workshop: Workshop, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model that has read the prose for a while."""
    stage = stages.get("pretrain")
    inputs = workshop.inputs(tmp_path_factory.mktemp("base"), workshop.dataset("prose"))
    stage.run(
        stage.Config.parse({"shape": SHAPE, "context": 64, "batch_tokens": 512, "budget_tokens": 10_000}),
        inputs,
        0,
    )
    return inputs.out


@pytest.fixture(scope="session")
def reward_model(workshop: Workshop, base_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    stage = stages.get("reward")
    inputs = workshop.inputs(
        tmp_path_factory.mktemp("reward"), workshop.dataset("rankings"), parent=base_model
    )
    stage.run(stage.Config.parse({"context": 64, "batch_tokens": 512, "epochs": 4.0}), inputs, 0)
    return inputs.out


@pytest.fixture(scope="session")
def policy(workshop: Workshop, base_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model that answers, and mostly knows where to end."""
    stage = stages.get("sft")
    inputs = workshop.inputs(tmp_path_factory.mktemp("policy"), workshop.dataset("talks"), parent=base_model)
    stage.run(
        stage.Config.parse({"context": 64, "batch_tokens": 512, "budget_tokens": 512 * 60, "lr": 3e-3}),
        inputs,
        0,
    )
    return inputs.out


@pytest.fixture
def losses() -> Callable[[Path], list[float]]:
    def read(curves: Path) -> list[float]:
        return [json.loads(line)["loss"] for line in curves.read_text(encoding="utf-8").splitlines()]

    return read
