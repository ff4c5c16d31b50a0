from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

import bottega.training.loss as loss_module
from bottega.data.batches import Batch
from bottega.data.packing import ConversationPlan
from bottega.training.loss import chunk_rows, head_loss, token_loss
from bottega.training.objective import TensorBatch, language_modelling

from .conftest import VOCAB, tiny_decoder

CPU = torch.device("cpu")


def plain_loss(hidden: Tensor, weight: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """One row at a time, in float64."""
    total = torch.zeros((), dtype=torch.float64)
    for h, t, w in zip(hidden.double(), targets, weights.double(), strict=True):
        total = total + w * F.cross_entropy((weight.double() @ h).unsqueeze(0), t.unsqueeze(0))
    return total


@pytest.mark.parametrize("count", [0, 1, 127, 128, 300])
def test_chunked_loss_and_gradients_equal_a_plain_loop_in_float64(
    count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(loss_module.CHUNK_ELEMENTS, "cpu", 1)
    assert chunk_rows(VOCAB, CPU) == 128  # so that 300 rows are two whole chunks and a part of one
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(count, 16, generator=generator, requires_grad=True)
    weight = torch.randn(VOCAB, 16, generator=generator, requires_grad=True)
    targets = torch.randint(VOCAB, (count,), generator=generator)
    weights = torch.rand(count, generator=generator)

    loss = head_loss(hidden, weight, targets, weights)
    (0.7 * loss).backward()
    ours = (hidden.grad, weight.grad)
    hidden.grad = weight.grad = None
    expected = plain_loss(hidden, weight, targets, weights)
    if count:
        (0.7 * expected).backward()

    torch.testing.assert_close(loss.double(), expected, rtol=1e-6, atol=1e-6)
    for mine, reference in zip(ours, (hidden.grad, weight.grad), strict=True):
        assert mine is not None
        wanted = torch.zeros_like(mine) if reference is None else reference
        torch.testing.assert_close(mine, wanted, rtol=1e-4, atol=3e-6)


def test_loss_without_gradient_is_the_same_number() -> None:
    hidden, weight = torch.randn(10, 16), torch.randn(VOCAB, 16, requires_grad=True)
    targets, weights = torch.arange(10), torch.rand(10)
    with torch.no_grad():
        quiet = head_loss(hidden, weight, targets, weights)
    torch.testing.assert_close(quiet, head_loss(hidden, weight, targets, weights).detach())


def test_rows_without_weight_may_hold_nan_and_leak_nothing() -> None:
    model = tiny_decoder()
    hidden = torch.randn(1, 6, 32)
    targets = torch.arange(6).unsqueeze(0)
    weights = torch.tensor([[1.0, 0.0, 1.0, 0.0, 0.5, 0.0]])
    clean, weight = token_loss(model, hidden, targets, weights)
    hidden[0, 1::2] = torch.nan
    dirty, _ = token_loss(model, hidden, targets, weights)
    assert dirty.item() == clean.item()
    assert weight.item() == 2.5


def test_a_batch_with_every_token_masked_has_loss_zero_and_finite_zero_gradient() -> None:
    model = tiny_decoder()
    batch = Batch.padding(rows=2, context=8)
    parts = language_modelling(model, TensorBatch.of(batch, CPU))
    parts.loss_sum.backward()
    assert parts.loss_sum.item() == 0.0
    assert parts.weight.item() == 0.0
    grads = [p.grad for p in model.parameters() if p.grad is not None]
    assert grads
    assert all(torch.equal(g, torch.zeros_like(g)) for g in grads)


@pytest.mark.parametrize("tied", [True, False])
def test_a_packed_batch_equals_the_sum_of_its_examples_alone(
    conversations: ConversationPlan, tied: bool
) -> None:
    model = tiny_decoder(tie_embeddings=tied)
    batch = conversations.batch(0)
    packed = language_modelling(model, TensorBatch.of(batch, CPU))
    alone_sum, alone_weight = 0.0, 0.0
    for row in range(batch.tokens.shape[0]):
        for segment in range(1, int(batch.segments[row].max()) + 1):
            here = batch.segments[row] == segment
            arrays = (batch.tokens, batch.targets, batch.weights)
            tokens, targets, weights = (torch.from_numpy(a[row][here]).unsqueeze(0) for a in arrays)
            logits = model.logits(model(tokens))
            losses = F.cross_entropy(logits.detach().flatten(0, 1), targets.flatten(), reduction="none")
            alone_sum += float((losses * weights.flatten()).sum())
            alone_weight += float(weights.sum())
    assert packed.weight.item() == alone_weight > 0
    assert abs(packed.loss_sum.item() - alone_sum) / alone_weight < 1e-5


def test_a_chunk_that_is_filled_up_takes_the_graph_of_the_whole_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    graphs = []

    def counting(graph: torch.fx.GraphModule, _: list[Tensor]) -> torch.fx.GraphModule:
        graphs.append(graph)
        return graph

    compiled = torch.compile(loss_module._chunk, backend=counting, dynamic=False)
    monkeypatch.setattr(loss_module, "_compiled", lambda _: compiled)
    monkeypatch.setitem(loss_module.CHUNK_ELEMENTS, "cpu", 1)
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(128 + 100, 16, generator=generator, requires_grad=True)
    weight = torch.randn(VOCAB, 16, generator=generator, requires_grad=True)
    targets = torch.randint(VOCAB, (228,), generator=generator)
    found = torch.autograd.grad(
        head_loss(hidden, weight, targets, torch.ones(228), compiled=True), (hidden, weight)
    )
    plain = F.cross_entropy(hidden @ weight.T, targets, reduction="sum")
    torch.testing.assert_close(found, torch.autograd.grad(plain, (hidden, weight)), rtol=1e-4, atol=3e-6)
    assert len(graphs) == 1
