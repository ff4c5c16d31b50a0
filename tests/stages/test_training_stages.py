"""What the three training stages do to a model."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from bottega import stages
from bottega.data.frozen import FrozenDataset
from bottega.data.packing import Batch
from bottega.data.records import Document
from bottega.data.tokenizer import Tokenizer
from bottega.errors import UserError
from bottega.model.hub import load_model
from bottega.stages.base import StageInputs, StageResult
from bottega.stages.knobs import MixtureConfig
from bottega.stages.mixing import mix
from bottega.stages.prepare import prepare
from bottega.training.objective import TensorBatch, language_modelling

from .workshop import SHAPE, Workshop, talks

SMALL = {"context": 64, "batch_tokens": 512, "budget_tokens": 512 * 30}
Losses = Callable[[Path], list[float]]


def run(stage_name: str, config: dict[str, Any], inputs: StageInputs, seed: int = 0) -> StageResult:
    stage = stages.get(stage_name)
    return stage.run(stage.Config.parse(config), inputs, seed)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def test_pretraining_learns_and_leaves_a_model_with_its_tokenizer(
    workshop: Workshop, losses: Losses, tmp_path: Path
) -> None:
    inputs = workshop.inputs(tmp_path, workshop.dataset("prose"))
    result = run("pretrain", {**SMALL, "shape": SHAPE}, inputs)
    curve = losses(result.curves)
    tokenizer = Tokenizer.load(inputs.out)
    assert curve[0] == pytest.approx(math.log(tokenizer.vocab_size), rel=0.05)
    assert curve[-1] < 0.7 * curve[0]
    assert tokenizer.digest == Tokenizer.load(workshop.tokenizer).digest
    assert load_model(inputs.out).config.num_parameters() == result.metrics["parameters"]
    assert (result.cost.tokens, result.cost.steps) == (512 * 30, 30)
    assert result.data[0].licences == {"CC0-1.0": result.data[0].records}


def test_pretraining_depends_on_the_seed_alone(workshop: Workshop, tmp_path: Path) -> None:
    config = {**SMALL, "shape": SHAPE, "budget_tokens": 2048}
    folders = []
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        inputs = workshop.inputs(tmp_path / name, workshop.dataset("prose"))
        run("pretrain", config, inputs, seed)
        folders.append((inputs.out / "model.safetensors").read_bytes())
    assert folders[0] == folders[1] != folders[2]


def test_a_primer_is_read_first_and_a_share_of_it_later_and_no_document_twice(
    workshop: Workshop, losses: Losses, tmp_path: Path
) -> None:
    inputs = workshop.inputs(tmp_path / "primed", workshop.dataset("prose"))
    primed = {**SMALL, "shape": SHAPE, "primer_fraction": 0.4, "primer_share": 0.25}
    result = run("pretrain", primed, inputs)
    curve = losses(result.curves)
    uniform = math.log(Tokenizer.load(inputs.out).vocab_size)
    assert min(curve[:12]) > 0.9 * uniform  # random tokens: next to nothing can be foretold in so few steps
    assert curve[-1] < 0.9 * uniform
    plain = run(
        "pretrain", {**SMALL, "shape": SHAPE}, workshop.inputs(tmp_path / "plain", workshop.dataset("prose"))
    )
    (read,), (all_read,) = (list(r.report["epochs"].values()) for r in (result, plain))
    assert read == pytest.approx(0.6 * 0.75 * all_read, rel=0.03)


@pytest.mark.parametrize(("stage", "dataset"), [("code", "programs"), ("sft", "talks")])
def test_later_stages_keep_a_share_of_the_primer(
    workshop: Workshop, base_model: Path, tmp_path: Path, stage: str, dataset: str
) -> None:
    def read(name: str, share: float) -> float:
        inputs = workshop.inputs(tmp_path / name, workshop.dataset(dataset), parent=base_model)
        (epochs,) = run(stage, {**SMALL, "primer_share": share}, inputs).report["epochs"].values()
        return float(epochs)

    assert read("primed", 0.25) == pytest.approx(0.75 * read("plain", 0.0), rel=0.03)


def test_pretraining_takes_no_parent_and_needs_a_tokenizer(
    workshop: Workshop, base_model: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="pretrain starts from nothing"):
        run(
            "pretrain",
            {**SMALL, "shape": SHAPE},
            workshop.inputs(tmp_path, workshop.dataset("prose"), parent=base_model),
        )
    bare = workshop.inputs(tmp_path, workshop.dataset("prose"))
    with pytest.raises(UserError, match="needs a tokenizer"):
        run("pretrain", {**SMALL, "shape": SHAPE}, replace(bare, tokenizer=None))


def test_code_goes_on_from_its_parent_and_learns_to_fill_gaps(
    workshop: Workshop, base_model: Path, losses: Losses, tmp_path: Path
) -> None:
    inputs = workshop.inputs(
        tmp_path,
        workshop.dataset("programs"),
        workshop.dataset("prose", role="replay", weight=0.25),
        parent=base_model,
    )
    result = run("code", {**SMALL, "fim_rate": 1.0}, inputs)
    curve = losses(result.curves)
    assert curve[-1] < 0.7 * curve[0]
    middle = Tokenizer.load(inputs.out).require("fim_middle")
    before, after = (
        w["model.embed_tokens.weight"][middle] for w in (weights(base_model), weights(inputs.out))
    )
    assert not torch.allclose(before, after)
    assert [use.role for use in result.data] == ["main", "replay"]


def test_code_without_a_parent_is_an_error(workshop: Workshop, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="goes on from one parent, 0 were given"):
        run("code", SMALL, workshop.inputs(tmp_path, workshop.dataset("programs")))


def test_fine_tuning_lowers_the_loss_of_answers(
    workshop: Workshop, base_model: Path, losses: Losses, tmp_path: Path
) -> None:
    inputs = workshop.inputs(tmp_path, workshop.dataset("talks"), parent=base_model)
    curve = losses(run("sft", SMALL, inputs).curves)
    assert sum(curve[-3:]) < 0.8 * sum(curve[:3])


def test_the_control_from_scratch_has_the_shape_of_its_parent_and_none_of_its_weights(
    workshop: Workshop, base_model: Path, losses: Losses, tmp_path: Path
) -> None:
    data = workshop.dataset("talks")
    control = workshop.inputs(tmp_path / "scratch", data, parent=base_model)
    fresh = losses(run("sft", {**SMALL, "from_scratch": True, "budget_tokens": 1024}, control).curves)
    tuned = losses(
        run(
            "sft",
            {**SMALL, "budget_tokens": 1024},
            workshop.inputs(tmp_path / "tuned", data, parent=base_model),
        ).curves
    )
    assert fresh[0] == pytest.approx(math.log(load_model(control.out).config.vocab_size), rel=0.05)
    assert {n: w.shape for n, w in weights(control.out).items()} == {
        n: w.shape for n, w in weights(base_model).items()
    }
    assert fresh[0] != tuned[0]


def test_lora_trains_only_its_adapters_and_keeps_them_beside_the_merged_model(
    workshop: Workshop, base_model: Path, tmp_path: Path
) -> None:
    inputs = workshop.inputs(tmp_path, workshop.dataset("talks"), parent=base_model)
    lora = {"rank": 4, "alpha": 8.0, "targets": ["q_proj", "down_proj"]}
    run("sft", {**SMALL, "lora": lora, "lr": 0.02}, inputs)
    before, after = weights(base_model), weights(inputs.out)
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved == {n for n in before if n.endswith(("q_proj.weight", "down_proj.weight"))}
    adapter = load_file(inputs.out / "adapter" / "adapter_model.safetensors")
    name = "model.layers.0.self_attn.q_proj"
    a, b = (adapter[f"base_model.model.{name}.lora_{side}.weight"] for side in "AB")
    torch.testing.assert_close(after[f"{name}.weight"], before[f"{name}.weight"] + 8.0 / 4 * b @ a)
    assert a.shape[0] == b.shape[1] == 4


def test_adapters_on_random_weights_are_refused(workshop: Workshop, base_model: Path, tmp_path: Path) -> None:
    inputs = workshop.inputs(tmp_path, workshop.dataset("talks"), parent=base_model)
    with pytest.raises(UserError, match="drop `lora` or `from_scratch`"):
        run("sft", {**SMALL, "lora": {}, "from_scratch": True}, inputs)


def test_another_tokenizer_than_the_parents_is_an_error(
    workshop: Workshop, base_model: Path, tmp_path: Path
) -> None:
    texts = [
        r.text
        for r in FrozenDataset(workshop.dataset("prose").folder).records("train")
        if isinstance(r, Document)
    ]
    Tokenizer.train(texts, 300).save(tmp_path / "other")
    given = workshop.inputs(tmp_path, workshop.dataset("talks"), parent=base_model)
    inputs = replace(given, tokenizer=tmp_path / "other")
    with pytest.raises(UserError, match="is not that of the parent"):
        run("sft", SMALL, inputs)


def test_a_tokenizer_beyond_the_models_vocabulary_is_an_error(
    workshop: Workshop, base_model: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    for file in base_model.iterdir():
        if file.is_file():
            (broken / file.name).write_bytes(file.read_bytes())
    config = json.loads((broken / "config.json").read_text())
    config["vocab_size"] = 300
    (broken / "config.json").write_text(json.dumps(config))
    given = workshop.inputs(tmp_path, workshop.dataset("talks"), parent=broken)
    with pytest.raises(UserError, match="use the tokenizer that the model was trained with"):
        run("sft", SMALL, replace(given, tokenizer=None))


def test_a_longer_context_than_the_parents_is_trained_and_declared(
    workshop: Workshop, base_model: Path, tmp_path: Path
) -> None:
    inputs = workshop.inputs(tmp_path, workshop.dataset("talks"), parent=base_model)
    run("sft", {**SMALL, "context": 128, "budget_tokens": 1024}, inputs)
    assert load_model(base_model).config.max_positions == 64
    assert load_model(inputs.out).config.max_positions == 128


def test_a_packed_batch_has_the_loss_of_its_conversations_alone(
    workshop: Workshop, base_model: Path, tmp_path: Path
) -> None:
    """CORRECTNESS 1 and 2, through the very plan and objective that the stage uses."""
    tokenizer = Tokenizer.load(base_model)
    model = load_model(base_model)
    inputs = workshop.inputs(tmp_path, workshop.dataset("talks"), parent=base_model)
    data = prepare(inputs, tokenizer, main=("conversations",))
    config = MixtureConfig(budget_tokens=1, context=160, batch_tokens=640)
    batch = mix(data, config, tokenizer, 0).rows.batch(0)
    assert batch.segments.max() > 1, "more than one conversation shares a row"
    with torch.no_grad():
        packed = language_modelling(model, TensorBatch.of(batch, torch.device("cpu")))
        alone = [
            language_modelling(model, TensorBatch.of(one, torch.device("cpu"))) for one in examples_of(batch)
        ]
    assert float(packed.weight) == sum(float(part.weight) for part in alone)
    assert float(packed.loss_sum) == pytest.approx(sum(float(part.loss_sum) for part in alone), rel=1e-5)


def examples_of(batch: Batch) -> list[Batch]:
    """Each segment of a packed batch as a batch of its own."""
    alone = []
    for row in range(len(batch.tokens)):
        for segment in range(1, int(batch.segments[row].max()) + 1):
            here = np.flatnonzero(batch.segments[row] == segment)
            assert (batch.positions[row, here] == np.arange(len(here))).all()
            fields = (batch.tokens, batch.targets, batch.weights, batch.segments * 0 + 1, batch.positions)
            alone.append(Batch(*(np.ascontiguousarray(field[row : row + 1, here]) for field in fields)))
    return alone


def test_the_loss_counts_the_answers_and_their_end_marks_and_nothing_else(
    workshop: Workshop, base_model: Path, tmp_path: Path
) -> None:
    tokenizer = Tokenizer.load(base_model)
    data = prepare(workshop.inputs(tmp_path, workshop.dataset("talks")), tokenizer, main=("conversations",))
    config = MixtureConfig(budget_tokens=1, context=160, batch_tokens=1600)
    batch = mix(data, config, tokenizer, 0).rows.batch(0)
    answers = {row["messages"][1]["content"] for row in talks()}
    for one in examples_of(batch):
        counted = one.targets[one.weights > 0].tolist()
        assert set(one.weights.reshape(-1).tolist()) == {0.0, 1.0}
        assert counted[-1] == tokenizer.im_end
        assert tokenizer.decode(counted[:-1], skip_control=False) in answers
