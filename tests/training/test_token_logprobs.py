"""Log-probabilities in chunks, and their gradients, are those of the whole logits."""

from __future__ import annotations

import pytest
import torch

from bottega.training import loss
from bottega.training.compilation import compile_model
from bottega.training.token_logprobs import token_logprobs

from .conftest import tiny_decoder


@pytest.mark.parametrize("temperature", [1.0, 0.7])
@pytest.mark.parametrize("compiled", [False, True], ids=["plain", "compiled"])
def test_they_are_the_log_softmax_of_the_logits_over_the_temperature(
    temperature: float, compiled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CORRECTNESS 15: the temperature divides the logits."""
    monkeypatch.setitem(loss.CHUNK_ELEMENTS, "cpu", 1)  # chunks of 128 rows
    chunked, whole = tiny_decoder(), tiny_decoder()
    vocabulary = whole.config.vocab_size
    generator = torch.Generator().manual_seed(0)
    tokens, targets = (torch.randint(0, vocabulary, (5, 64), generator=generator) for _ in range(2))
    places = torch.randperm(5 * 64, generator=generator)[:300].sort().values
    factors = torch.randn(300, generator=generator)
    if compiled:
        compile_model(chunked)
    found = token_logprobs(chunked, chunked(tokens), targets, places, temperature=temperature)
    (found.logprobs * factors).sum().backward()

    logits = whole.logits(whole(tokens)).reshape(-1, vocabulary)[places] / temperature
    table = logits.log_softmax(-1)
    expected = table.gather(1, targets.reshape(-1)[places].unsqueeze(1)).squeeze(1)
    (expected * factors).sum().backward()
    torch.testing.assert_close(found.logprobs, expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(found.entropy, -(table.exp() * table).sum(-1), atol=1e-5, rtol=0)
    assert not found.entropy.requires_grad
    for one, other in zip(chunked.parameters(), whole.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, atol=1e-4, rtol=1e-4)


def test_no_places_give_nothing_and_a_gradient_of_zero() -> None:
    model = tiny_decoder()
    tokens = torch.zeros(2, 4, dtype=torch.long)
    found = token_logprobs(model, model(tokens), tokens, torch.zeros(0, dtype=torch.long))
    found.logprobs.sum().backward()
    assert found.logprobs.shape == (0,)
    assert all(p.grad is None or not p.grad.any() for p in model.parameters())
