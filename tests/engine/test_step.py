"""The engine's pass over a cache is the decoder's own, for every family and shape of heads."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from bottega.engine.packed import can_pack, pack, packed_linear
from bottega.engine.step import Step
from bottega.machine import cpp_compiler
from bottega.model.cache import KVCache
from bottega.model.config import FAMILIES, Family, ModelConfig
from bottega.model.decoder import Decoder
from bottega.model.hub import load_model, save_model
from bottega.model.init import initialise


def model_of(family: Family, kv_heads: int = 2, *, tie: bool = True) -> Decoder:
    config = ModelConfig(
        vocab_size=97,
        hidden_size=32,
        intermediate_size=48,
        num_layers=3,
        num_heads=4,
        num_kv_heads=kv_heads,
        head_dim=8,
        max_positions=64,
        family=family,
        tie_embeddings=tie,
    )
    model = initialise(Decoder(config), seed=1, std=0.4).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim == 1:  # fresh norms and biases are all ones and zeros
                parameter += 0.3 * torch.randn(
                    parameter.shape, generator=torch.Generator().manual_seed(len(name))
                )
    return model


def cache_of(model: Decoder, rows: int) -> KVCache:
    return KVCache(model.config, rows, 64, dtype=model.output_weight.dtype)


@pytest.mark.parametrize("kv_heads", [1, 2, 4])
@pytest.mark.parametrize("family", FAMILIES)
@torch.inference_mode()
def test_hidden_states_are_the_decoders(family: Family, kv_heads: int) -> None:
    model = model_of(family, kv_heads)
    tokens = torch.randint(0, 97, (3, 20), generator=torch.Generator().manual_seed(0))
    whole = model(tokens)
    step, cache = Step(model), cache_of(model, 3)
    found = []
    for start, stop in ((0, 12), (12, 16), (16, 17), (17, 18), (18, 19), (19, 20)):
        cache.extent = stop
        positions = torch.arange(start, stop).expand(3, -1)
        found.append(step(tokens[:, start:stop], positions, cache))
    torch.testing.assert_close(torch.cat(found, dim=1), whole, atol=2e-5, rtol=1e-4)


@pytest.mark.skipif(cpp_compiler() is None, reason="compiling needs a C++ compiler")
@torch.inference_mode()
def test_compiled_steps_are_the_same_at_every_extent() -> None:
    model = model_of("qwen3")
    tokens = torch.randint(0, 97, (3, 60), generator=torch.Generator().manual_seed(0))
    whole = model(tokens)
    step, cache = Step(model, compiled=True), cache_of(model, 3)
    found = []
    for at in range(60):
        cache.extent = -(-(at + 1) // 16) * 16
        found.append(step(tokens[:, at : at + 1], torch.full((3, 1), at), cache))
    torch.testing.assert_close(torch.cat(found, dim=1), whole, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
@pytest.mark.parametrize("family", FAMILIES)
@torch.inference_mode()
def test_in_bfloat16_it_is_as_near_as_bfloat16_gets(family: Family, compiled: bool) -> None:
    if compiled and cpp_compiler() is None:
        pytest.skip("compiling needs a C++ compiler")
    model = model_of(family)
    tokens = torch.randint(0, 97, (2, 24), generator=torch.Generator().manual_seed(0))
    exact, exact_logits = model(tokens), model.logits(model(tokens))
    model.bfloat16()
    step, cache = Step(model, compiled=compiled), cache_of(model, 2)
    cache.extent = 16
    found = [step(tokens[:, :16], torch.arange(16).expand(2, -1), cache)]
    for at in range(16, 24):  # a token at a time: attention is written out
        cache.extent = at + 1
        found.append(step(tokens[:, at : at + 1], torch.full((2, 1), at), cache))
    hidden, own = torch.cat(found, dim=1), model(tokens)
    assert hidden.dtype == torch.bfloat16
    assert (hidden.float() - exact).abs().max() <= 1.5 * (own.float() - exact).abs().max()
    logits, own_logits = step.logits(hidden), model.logits(own)
    assert (logits.float() - exact_logits).abs().max() <= 1.5 * (
        own_logits.float() - exact_logits
    ).abs().max()


@pytest.mark.parametrize("family", FAMILIES)
@torch.inference_mode()
def test_in_float64_no_step_falls_back_to_float32(family: Family) -> None:
    model = model_of(family).double()
    tokens = torch.randint(0, 97, (2, 20), generator=torch.Generator().manual_seed(0))
    step, cache = Step(model), cache_of(model, 2)
    found = []
    for at in range(20):
        cache.extent = at + 1
        found.append(step(tokens[:, at : at + 1], torch.full((2, 1), at), cache))
    own_cache = cache_of(model, 2)
    own = [model(tokens[:, at : at + 1], torch.full((2, 1), at), cache=own_cache) for at in range(20)]
    torch.testing.assert_close(torch.cat(found, dim=1), torch.cat(own, dim=1), atol=1e-12, rtol=0)


@torch.inference_mode()
def test_in_bfloat16_a_change_in_place_is_seen_after_a_refresh() -> None:
    model, other = model_of("qwen3", tie=False).bfloat16(), model_of("qwen3", tie=False).bfloat16()
    step = Step(model)
    for parameter, theirs in zip(model.parameters(), other.parameters(), strict=True):
        theirs *= 1.25
        parameter.copy_(theirs)
    step.refresh()
    tokens, positions = torch.tensor([[5, 6, 7]]), torch.arange(3)[None]
    found = []
    for each in (step, Step(other)):
        cache = cache_of(model, 1)
        cache.extent = 3
        found.append(each.logits(each(tokens, positions, cache)))
    assert torch.equal(*found)


@pytest.mark.parametrize("rows", [1, 3, 40, 300])
@pytest.mark.parametrize("bias", [False, True])
def test_a_packed_weight_multiplies_as_the_plain_one(rows: int, bias: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    x, weight, b = (
        torch.randn(shape, generator=generator).bfloat16() for shape in ((rows, 2, 80), (112, 80), (112,))
    )
    if not can_pack(weight):
        pytest.skip("this CPU has no bfloat16 products that packing makes faster")
    given = b if bias else None
    exact = F.linear(x.double(), weight.double(), b.double() if bias else None)
    torch.testing.assert_close(packed_linear(x, pack(weight), given).double(), exact, atol=2e-2, rtol=1e-2)


def test_in_float32_nothing_is_packed() -> None:
    assert not can_pack(torch.zeros(16, 16))


def test_weights_are_held_once_and_a_change_in_place_is_seen(tmp_path: Path) -> None:
    model, other = model_of("qwen3", tie=False), model_of("qwen3", tie=False)
    parameters = sum(p.numel() for p in model.parameters())
    step = Step(model)
    storages = {p.untyped_storage().data_ptr(): p.untyped_storage().nbytes() for p in model.parameters()}
    assert sum(storages.values()) == 4 * parameters
    with torch.no_grad():
        for parameter, theirs in zip(model.parameters(), other.parameters(), strict=True):
            theirs *= 1.1
            parameter.copy_(theirs)
    step.refresh()
    tokens, positions = torch.tensor([[5, 6, 7]]), torch.arange(3)[None]
    with torch.inference_mode():
        cache = cache_of(model, 1)
        cache.extent = 3
        torch.testing.assert_close(step(tokens, positions, cache), other(tokens), atol=2e-5, rtol=1e-4)
    save_model(model, tmp_path / "saved")  # views into one block of memory are written whole
    again = load_model(tmp_path / "saved")
    for (name, mine), (_, read) in zip(model.named_parameters(), again.named_parameters(), strict=True):
        assert torch.equal(mine, read), name


def test_two_engines_may_share_a_model() -> None:
    model = model_of("llama")
    first = Step(model)
    pointers = [p.data_ptr() for p in model.parameters()]
    second = Step(model)
    assert [p.data_ptr() for p in model.parameters()] == pointers
    assert first.layers[0].matrices.qkv.data_ptr() == second.layers[0].matrices.qkv.data_ptr()


def test_a_model_is_trained_through_the_views() -> None:
    model = model_of("qwen2")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    step = Step(model)
    tokens = torch.randint(0, 97, (2, 16), generator=torch.Generator().manual_seed(0))
    before = step.layers[0].matrices.qkv.clone()
    model.logits(model(tokens)).square().mean().backward()
    optimizer.step()
    assert not torch.equal(step.layers[0].matrices.qkv, before)
    assert torch.equal(step.layers[0].matrices.qkv[:32], model.model.layers[0].self_attn.q_proj.weight)  # type: ignore[union-attr, index]
