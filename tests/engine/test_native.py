"""Native code of a decoding step is what torch computes, rounded in the same places."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from bottega.engine import native as module
from bottega.engine.native import Native, native_for
from bottega.engine.step import Step, turns
from bottega.machine import cpp_compiler
from bottega.model.attention import attend, cache_mask
from bottega.model.cache import KVCache
from bottega.model.config import FAMILIES, Family, ModelConfig
from bottega.model.decoder import Decoder, RMSNorm
from bottega.model.init import initialise
from bottega.model.rope import rotate

pytestmark = pytest.mark.skipif(cpp_compiler() is None, reason="needs a C++ compiler")
CLOSE = {"atol": 1e-2, "rtol": 1e-2}


def native(head_dim: int = 32) -> Native:
    found = native_for(torch.zeros(1, dtype=torch.bfloat16), head_dim, 48)
    assert found is not None
    return found


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed + sum(shape))).bfloat16()


@pytest.mark.parametrize("rows", [1, 3, 40])
@pytest.mark.parametrize("width", [32, 48, 384])
def test_norm_and_the_sum_before_it(width: int, rows: int) -> None:
    x, delta = drawn(rows, width), drawn(rows, width, seed=1)
    norm = RMSNorm(width, 1e-6)
    norm.weight.data = drawn(width).float()
    torch.testing.assert_close(native().add_norm(x.clone(), None, norm.weight, 1e-6), norm(x), **CLOSE)
    changed = x.clone()
    normed = native().add_norm(changed, delta, norm.weight, 1e-6)
    assert torch.equal(changed, x + delta)
    torch.testing.assert_close(normed, norm(x + delta), **CLOSE)


def test_the_gate_at_every_size_of_number() -> None:
    gate = torch.linspace(-120, 120, 1600).bfloat16().view(5, 320)
    up = drawn(5, 320)
    torch.testing.assert_close(native().gate(torch.cat((gate, up), 1)), F.silu(gate) * up, **CLOSE)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 6), st.integers(1, 70), st.integers(0, 2**16))
def test_the_first_of_the_largest(rows: int, width: int, seed: int) -> None:
    few = torch.randint(-4, 5, (rows, width), generator=torch.Generator().manual_seed(seed))  # many are equal
    logits = few.bfloat16() - 3 * (seed % 2)
    expected = [row.index(max(row)) for row in logits.tolist()]
    assert native().likeliest(logits).tolist() == expected


@pytest.mark.parametrize("rows", [1, 7])
@pytest.mark.parametrize(("heads", "kv_heads", "hd"), [(4, 4, 16), (6, 2, 48), (8, 1, 64), (2, 2, 128)])
@pytest.mark.parametrize("normed", [False, True])
def test_a_token_is_stored_and_attends(heads: int, kv_heads: int, hd: int, normed: bool, rows: int) -> None:
    config = ModelConfig(61, 32, 48, 1, heads, kv_heads, hd)
    model, capacity = Decoder(config), 150
    cache = KVCache(config, rows, capacity, dtype=torch.bfloat16)
    keys, values = cache.keys[0].copy_(drawn(*cache.keys[0].shape)), cache.values[0]
    values.copy_(drawn(*values.shape, seed=1))
    before = keys.clone(), values.clone()
    positions = torch.tensor([0, 15, 16, 31, 64, 100, 148])[-rows:]
    qkv = drawn(rows, (heads + 2 * kv_heads) * hd, seed=2)
    weight = drawn(heads + kv_heads, hd, seed=3).float() if normed else None
    place = positions[:, None]
    q = native(hd).place(qkv, keys, values, place, turns(model, capacity), weight, 1e-6)
    out = native(hd).attend(q, keys, values, place)

    x = qkv.view(rows, 1, -1, hd)
    qk, v = x[:, :, : heads + kv_heads], x[:, :, heads + kv_heads :]
    if weight is not None:
        scale = torch.rsqrt(qk.float().square().mean(-1, keepdim=True) + 1e-6)
        qk = (qk.float() * scale * weight).bfloat16()
    qk = rotate(qk.transpose(1, 2), *model.model.rotary(positions[:, None]))  # [B, H + KV, 1, hd]
    for row, position in enumerate(positions.tolist()):
        torch.testing.assert_close(keys[row, :, position], qk[row, heads:, 0], **CLOSE)
        assert torch.equal(values[row, :, position], v[row, 0])
        for kept, old in zip((keys, values), before, strict=True):
            others = [i for i in range(capacity) if i != position]
            assert torch.equal(kept[row, :, others], old[row, :, others])
    exact = attend(
        qk[:, :heads].float(), keys.float(), values.float(), cache_mask(positions[:, None], capacity)
    )
    torch.testing.assert_close(out.float(), exact.reshape(rows, -1), atol=2e-2, rtol=2e-2)


@pytest.mark.parametrize("family", FAMILIES)
@torch.inference_mode()
def test_steps_are_the_decoders_whatever_the_neighbours(family: Family) -> None:
    config = ModelConfig(97, 64, 96, 3, 4, 2, 32, max_positions=64, family=family)
    model = initialise(Decoder(config), seed=1, std=0.3).eval()
    for parameter in model.parameters():
        if parameter.ndim == 1:
            parameter += 0.3 * drawn(*parameter.shape).float()
    tokens = torch.randint(0, 97, (9, 24), generator=torch.Generator().manual_seed(0))
    exact = model(tokens)
    model.bfloat16()
    step = Step(model)
    assert step._native is not None

    def decoded(tokens: Tensor) -> Tensor:
        cache = KVCache(config, len(tokens), 64, dtype=torch.bfloat16)
        cache.extent = 16
        rows = len(tokens)
        found = [step(tokens[:, :16], torch.arange(16).expand(rows, -1), cache)]
        found += [step(tokens[:, at : at + 1], torch.full((rows, 1), at), cache) for at in range(16, 24)]
        return torch.cat(found, dim=1)

    together = decoded(tokens)
    assert (together.float() - exact).abs().max() <= 1.5 * (model(tokens).float() - exact).abs().max()
    for row in (0, 4, 8):
        assert torch.equal(decoded(tokens[row : row + 1])[0, 16:], together[row, 16:])


def test_it_is_compiled_once_and_a_compiler_that_fails_is_done_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    calls: list[list[str]] = []
    run = subprocess.run

    def counted(command: list[str], **options: object) -> object:
        calls.append(command)
        return run(command, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(module.subprocess, "run", counted)
    for _ in range(2):
        assert module._compiled.__wrapped__(64) is not None
    assert len(calls) == 1
    assert [path.suffix for path in (tmp_path / "bottega" / "kernels").iterdir()] == [".so"]
    monkeypatch.setattr(module, "cpp_compiler", lambda: "/bin/false")
    assert module._compiled.__wrapped__(64) is None
    monkeypatch.setattr(module, "cpp_compiler", lambda: None)
    assert module._compiled.__wrapped__(64) is None


def test_what_fits_no_vector_goes_without() -> None:
    weight = torch.zeros(1, dtype=torch.bfloat16)
    assert native_for(weight, 8, 48) is None
    assert native_for(weight, 32, 40) is None
    assert native_for(weight.float(), 32, 48) is None


@pytest.mark.parametrize(("heads", "kv_heads", "hd"), [(4, 4, 16), (6, 2, 48)])
def test_many_tokens_a_row_are_placed_as_one_after_the_other(heads: int, kv_heads: int, hd: int) -> None:
    B, S, capacity = 3, 5, 40
    qkv, weight = drawn(B * S, (heads + 2 * kv_heads) * hd), drawn(heads + kv_heads, hd, seed=3).float()
    positions = torch.tensor([[0, 1, 2, 3, 4], [7, 8, 9, 10, 11], [35, 36, 37, 38, 39]])
    shape = ModelConfig(61, 32, 48, 1, heads, kv_heads, hd)
    angles = turns(Decoder(shape), capacity)
    one, other = (KVCache(shape, B, capacity, dtype=torch.bfloat16) for _ in range(2))
    q = native(hd).place(qkv, one.keys[0], one.values[0], positions, angles, weight, 1e-6)
    assert q.shape == (B, heads, S, hd)
    for at in range(S):
        part = qkv.view(B, S, -1)[:, at].contiguous()
        here = positions[:, at : at + 1].contiguous()
        native(hd).place(part, other.keys[0], other.values[0], here, angles, weight, 1e-6)
    assert torch.equal(one.keys[0], other.keys[0]) and torch.equal(one.values[0], other.values[0])
    x = qkv.view(B, S, -1, hd)[:, :, :heads].float()
    x = (x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6) * weight[:heads]).bfloat16()
    cos, sin = (a[positions][:, None] for a in angles)
    expected = rotate(x.transpose(1, 2), torch.cat((cos, cos), -1), torch.cat((-sin, sin), -1))
    torch.testing.assert_close(q, expected, **CLOSE)


def test_a_row_that_stands_idle_does_not_read_its_cache() -> None:
    B, hd, capacity = 2, 32, 40
    config = ModelConfig(61, 32, 48, 1, 2, 2, hd)
    cache = KVCache(config, B, capacity, dtype=torch.bfloat16)
    for kept in (cache.keys[0], cache.values[0]):
        kept[:, :, 1:] = torch.nan
    positions = torch.tensor([[0], [capacity - 1]])
    placed = (cache.keys[0], cache.values[0], positions)
    q = native(hd).place(drawn(B, 6 * hd), *placed, turns(Decoder(config), capacity), None, 1e-6)
    out = native(hd).attend(q, *placed)
    assert out.isfinite().all()
