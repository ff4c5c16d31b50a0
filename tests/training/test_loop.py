from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from bottega.data.batches import Batch
from bottega.data.packing import ConversationPlan, DocumentPlan
from bottega.data.shards import TokenShards
from bottega.errors import UserError
from bottega.model.decoder import Decoder
from bottega.training.compilation import is_compiled
from bottega.training.loop import TrainConfig, train
from bottega.training.objective import LossParts, TensorBatch, language_modelling
from bottega.training.telemetry import read_metrics

from .conftest import random_shards, tiny_decoder

CONFIG = TrainConfig(budget_tokens=10 * 128, optimizer="adamw", precision="float32", compile="off")


def weights_after(
    folder: Path, plan: DocumentPlan | ConversationPlan, config: TrainConfig
) -> dict[str, Tensor]:
    model = tiny_decoder()
    train(model, language_modelling, plan, config, folder)
    return {n: p.detach().clone() for n, p in model.named_parameters()}


@pytest.mark.parametrize("micros", [2, 4])
def test_accumulated_gradients_equal_one_big_batch_whatever_the_mask(
    conversations: ConversationPlan, micros: int
) -> None:
    """Each part holds another number of counted tokens: a mean of means would differ."""
    whole, parts = tiny_decoder(), tiny_decoder()
    batch = TensorBatch.of(conversations.batch(0), torch.device("cpu"))
    found = language_modelling(whole, batch)
    (found.loss_sum / found.weight).backward()
    counts = []
    pieces = []
    for micro in range(micros):
        piece = TensorBatch.of(conversations.batch(0, micro=micro, micros=micros), torch.device("cpu"))
        part = language_modelling(parts, piece)
        part.loss_sum.backward()
        counts.append(part.weight.item())
        pieces.append(part)
    assert len(set(counts)) > 1
    for a, b in zip(whole.parameters(), parts.parameters(), strict=True):
        assert a.grad is not None and b.grad is not None
        torch.testing.assert_close(a.grad, b.grad / sum(counts), rtol=0, atol=1e-6)


def test_a_run_with_accumulation_ends_where_one_without_ends(
    conversations: ConversationPlan, tmp_path: Path
) -> None:
    config = replace(
        CONFIG, eps=1e-3
    )  # Adam's first steps turn rounding into sign; epsilon keeps them smooth
    one = weights_after(tmp_path / "one", conversations, config)
    four = weights_after(tmp_path / "four", conversations, replace(config, micros=4))
    for name in one:
        torch.testing.assert_close(one[name], four[name], rtol=0, atol=1e-6)


def test_one_step_is_the_clipped_mean_gradient_through_adamw(documents: DocumentPlan, tmp_path: Path) -> None:
    config = replace(CONFIG, budget_tokens=128, clip_norm=0.01, warmup_fraction=0, decay_fraction=0)
    found = weights_after(tmp_path / "run", documents, config)
    model = tiny_decoder()
    batch = TensorBatch.of(documents.batch(0), torch.device("cpu"))
    parts = language_modelling(model, batch)
    (parts.loss_sum / parts.weight).backward()
    nn.utils.clip_grad_norm_(model.parameters(), 0.01)
    matrices = [p for p in model.parameters() if p.ndim == 2]
    vectors = [p for p in model.parameters() if p.ndim == 1]
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}]
    torch.optim.AdamW(groups, lr=config.lr, betas=config.betas, eps=config.eps).step()
    for name, expected in model.named_parameters():
        torch.testing.assert_close(found[name], expected.detach(), rtol=0, atol=2e-6)


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_learns_what_can_be_learned(tmp_path: Path, documents: DocumentPlan, optimizer: str) -> None:
    class Repeating:
        """Every row counts upwards: the next token is certain after the first."""

        tokens_per_step = 4 * 32

        def batch(self, step: int, rank: int = 0, world: int = 1, micro: int = 0, micros: int = 1) -> Batch:
            batch = documents.batch(step)
            batch.tokens[:] = (batch.tokens[:, :1] + torch.arange(32).numpy()) % 96
            batch.targets[:] = (batch.tokens + 1) % 96
            batch.segments[:] = 1
            batch.positions[:] = torch.arange(32).numpy()
            return batch

        def provenance(self, step: int) -> list[str]:
            return []

    config = replace(CONFIG, optimizer=optimizer, budget_tokens=128 * 150, lr=1e-2)  # type: ignore[arg-type]
    result = train(tiny_decoder(), language_modelling, Repeating(), config, tmp_path / "run")
    assert result.final_loss < 0.05
    assert result.steps == 150


def test_bfloat16_keeps_float32_masters_and_nearly_the_same_loss(
    documents: DocumentPlan, tmp_path: Path
) -> None:
    model = tiny_decoder()
    config = replace(CONFIG, budget_tokens=128 * 5, precision="bfloat16")
    result = train(model, language_modelling, documents, config, tmp_path / "bf16")
    reference = train(
        tiny_decoder(), language_modelling, documents, replace(config, precision="float32"), tmp_path / "f32"
    )
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert any((p != p.bfloat16().float()).any() for p in model.parameters())
    assert abs(result.final_loss - reference.final_loss) < 0.01


def test_frozen_parameters_stay_and_are_not_in_the_checkpoint(
    documents: DocumentPlan, tmp_path: Path
) -> None:
    model = tiny_decoder()
    model.model.embed_tokens.weight.requires_grad_(False)
    before = model.model.embed_tokens.weight.clone()
    train(model, language_modelling, documents, CONFIG, tmp_path)
    assert torch.equal(model.model.embed_tokens.weight, before)
    state = json.loads(next((tmp_path / "checkpoints").glob("*/state.json")).read_text())
    assert "model.embed_tokens.weight" not in state["identity"]["parameters"]
    assert "model.norm.weight" in state["identity"]["parameters"]


def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_good_weights(
    documents: DocumentPlan, tmp_path: Path
) -> None:
    calls = 0
    good: dict[str, Tensor] = {}

    def poisoned(model: Decoder, batch: TensorBatch) -> LossParts:
        nonlocal calls
        calls += 1
        parts = language_modelling(model, batch)
        if calls < 4:
            return parts
        good.update({n: p.detach().clone() for n, p in model.named_parameters()})
        return LossParts(parts.loss_sum * float("nan"), parts.weight)

    model = tiny_decoder()
    with pytest.raises(UserError, match="step 4: the loss is nan") as caught:
        train(model, poisoned, documents, CONFIG, tmp_path)
    assert "non-finite.json" in str(caught.value)
    report = json.loads((tmp_path / "non-finite.json").read_text())
    assert report["step"] == 4
    assert report["batch"] == documents.provenance(3)
    assert [p.name for p in (tmp_path / "checkpoints").iterdir()] == ["step-00000003"]
    assert all(torch.equal(p, good[n]) for n, p in model.named_parameters())


def test_a_finished_run_is_not_trained_again(documents: DocumentPlan, tmp_path: Path) -> None:
    trained = weights_after(tmp_path, documents, CONFIG)
    model = tiny_decoder(seed=5)
    result = train(model, language_modelling, documents, CONFIG, tmp_path)
    assert (result.resumed_from, result.steps) == (10, 10)
    assert all(torch.equal(p, trained[n]) for n, p in model.named_parameters())
    assert [r["step"] for r in read_metrics(tmp_path / "metrics.jsonl")] == list(range(1, 11))


@pytest.mark.parametrize("seed", [0, 1])  # in the same order, and in another
def test_a_run_is_not_taken_up_on_other_data(documents: DocumentPlan, tmp_path: Path, seed: int) -> None:
    train(tiny_decoder(), language_modelling, documents, replace(CONFIG, stop_after_s=1e-9), tmp_path)
    if seed:
        other = DocumentPlan([(TokenShards(tmp_path / "shards"), 1.0)], context=32, batch_rows=4, seed=seed)
    else:
        other = DocumentPlan([(random_shards(tmp_path / "more", seed=7), 1.0)], 32, 4, seed=0)
    with pytest.raises(UserError, match="belongs to another run: first and last batch was"):
        train(tiny_decoder(), language_modelling, other, CONFIG, tmp_path)


def test_a_batch_in_which_nothing_counts_changes_no_weight_and_logs_zero(
    documents: DocumentPlan, tmp_path: Path
) -> None:
    def masked(model: Decoder, batch: TensorBatch) -> LossParts:
        return language_modelling(model, replace(batch, weights=torch.zeros_like(batch.weights)))

    model = tiny_decoder()
    config = replace(CONFIG, weight_decay=0.0)
    result = train(model, masked, documents, config, tmp_path)
    assert result.final_loss == 0.0
    assert all(
        torch.equal(a, b) for a, b in zip(model.parameters(), tiny_decoder().parameters(), strict=True)
    )


def test_an_early_stop_is_recorded_and_can_be_taken_up(documents: DocumentPlan, tmp_path: Path) -> None:
    config = replace(CONFIG, stop_after_s=1e-9)
    result = train(tiny_decoder(), language_modelling, documents, config, tmp_path)
    assert (result.stopped_early, result.steps, result.tokens) == (True, 1, 128)
    model = tiny_decoder()
    rest = train(model, language_modelling, documents, CONFIG, tmp_path)
    assert (rest.stopped_early, rest.resumed_from, rest.steps) == (False, 1, 10)
    whole = weights_after(tmp_path / "whole", documents, CONFIG)
    assert all(torch.equal(p, whole[n]) for n, p in model.named_parameters())


def test_held_out_loss_is_logged_and_its_reading_changes_nothing(
    documents: DocumentPlan, tmp_path: Path
) -> None:
    config = replace(CONFIG, eval_every_steps=4, eval_batches=2)
    model = tiny_decoder()
    result = train(model, language_modelling, documents, config, tmp_path / "a", heldout=documents)
    records = read_metrics(tmp_path / "a" / "metrics.jsonl")
    assert [r["step"] for r in records if "heldout_loss" in r] == [4, 8]
    assert result.heldout_loss is not None
    assert abs(result.heldout_loss - result.final_loss) < 1
    plain = weights_after(tmp_path / "b", documents, CONFIG)
    assert all(torch.equal(p, plain[n]) for n, p in model.named_parameters())


def test_deterministic_algorithms_are_as_before_afterwards(documents: DocumentPlan, tmp_path: Path) -> None:
    assert not torch.are_deterministic_algorithms_enabled()
    train(tiny_decoder(), language_modelling, documents, replace(CONFIG, budget_tokens=1), tmp_path)
    assert not torch.are_deterministic_algorithms_enabled()


def test_compiled_training_compiles_one_layer_for_all_and_leaves_the_model_plain(
    documents: DocumentPlan, tmp_path: Path
) -> None:
    plain = weights_after(tmp_path / "plain", documents, CONFIG)
    model = tiny_decoder()
    torch._dynamo.reset()
    before = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    result = train(model, language_modelling, documents, replace(CONFIG, compile="on"), tmp_path / "compiled")
    graphs = torch._dynamo.utils.counters["stats"]["unique_graphs"] - before
    assert result.compiled
    assert graphs == 3  # one layer's, the last norm's, one loss chunk's
    assert not is_compiled(model)
    assert not any("forward" in vars(part) for part in model.modules())
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter, plain[name], rtol=0, atol=1e-4)
