"""The Triton kernels of a decoding step, on a GPU; without one in Triton's interpreter, where that is
installed and asked for (TRITON_INTERPRET=1)."""

from __future__ import annotations

import os
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from bottega.engine.graphs import Decoding
from bottega.engine.step import Step
from bottega.model.attention import attend, cache_mask
from bottega.model.cache import KVCache
from bottega.model.config import FAMILIES, Family, ModelConfig
from bottega.model.decoder import Decoder, RMSNorm
from bottega.model.init import initialise
from bottega.model.rope import Rotary, rotate

IN_INTERPRETER = os.environ.get("TRITON_INTERPRET") == "1"
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not (torch.cuda.is_available() or IN_INTERPRETER), reason="no CUDA device"),
]
DEVICE = "cpu" if IN_INTERPRETER else "cuda"
DTYPES = [torch.float32] if IN_INTERPRETER else [torch.float32, torch.bfloat16]
TOLERANCE: dict[torch.dtype, dict[str, float]] = {
    torch.float32: {"atol": 2e-5, "rtol": 1e-4},
    torch.bfloat16: {"atol": 2e-2, "rtol": 2e-2},
}


def kernels() -> Any:
    pytest.importorskip("triton")
    from bottega.engine import kernels

    return kernels


def drawn(*shape: int, dtype: torch.dtype = torch.float32, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed + sum(shape))).to(DEVICE, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("width", [32, 48, 2736])
def test_norm_is_the_decoders(width: int, dtype: torch.dtype) -> None:
    x = drawn(3, width, dtype=dtype)
    norm = RMSNorm(width, 1e-6).to(DEVICE)
    with torch.no_grad():
        norm.weight.copy_(drawn(width))
        torch.testing.assert_close(kernels().norm(x, norm.weight, 1e-6), norm(x), **TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("width", [48, 2736])
def test_the_gate_is_the_decoders(width: int, dtype: torch.dtype) -> None:
    x = drawn(3, 2 * width, dtype=dtype)
    gate, up = x.chunk(2, dim=-1)
    torch.testing.assert_close(kernels().gated(x), F.silu(gate) * up, **TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(97, 48), (32, 2736), (5000, 64)], ids=str)
@pytest.mark.parametrize("way", ["plain", "bias", "normed", "gated", "residual", "normed with bias"])
def test_one_row_by_a_matrix(way: str, shape: tuple[int, int], dtype: torch.dtype) -> None:
    N, K = shape
    weight = drawn(N, K, dtype=dtype) * K**-0.5
    x = drawn(1, 2 * K if way == "gated" else K, dtype=dtype)
    given: dict[str, Any] = {}
    prepared, bias, residual = x, None, torch.zeros(1, N, device=DEVICE, dtype=dtype)
    if "bias" in way:
        bias = given["bias"] = drawn(N, dtype=dtype, seed=1)
    if "normed" in way:
        norm = RMSNorm(K, 1e-6).to(DEVICE)
        norm.weight.data = drawn(K, seed=2)
        given |= {"norm_weight": norm.weight, "eps": 1e-6}
        prepared = norm(x).detach()
    if way == "gated":
        given["is_gated"] = True
        prepared = F.silu(x[:, :K]) * x[:, K:]
    if way == "residual":
        residual = given["residual"] = drawn(1, N, dtype=dtype, seed=3)
    expected = F.linear(prepared, weight, bias) + residual
    torch.testing.assert_close(kernels().multiply(x, weight, **given), expected, **TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("heads", "kv_heads", "hd"), [(4, 4, 16), (6, 2, 48), (8, 1, 64)])
@pytest.mark.parametrize("normed", [False, True])
def test_queries_and_keys_are_turned_and_stored(
    heads: int, kv_heads: int, hd: int, normed: bool, dtype: torch.dtype
) -> None:
    B, capacity = 3, 40
    qkv = drawn(B, (heads + 2 * kv_heads) * hd, dtype=dtype)
    positions = torch.tensor([0, 7, 39], device=DEVICE)
    rotary = Rotary(hd, 10_000.0, None).to(DEVICE)
    weight = drawn(heads + kv_heads, hd) if normed else None
    keys, values = (torch.zeros(B, kv_heads, capacity, hd, device=DEVICE, dtype=dtype) for _ in range(2))
    cos, sin = rotary(torch.arange(capacity, device=DEVICE)[None])
    half = hd // 2
    q = kernels().store(
        qkv, keys, values, positions, cos[0, 0, :, :half].contiguous(), sin[0, 0, :, half:].contiguous(),
        weight, 1e-6,
    )  # fmt: skip
    x = qkv.view(B, 1, -1, hd)
    qk, v = x[:, :, : heads + kv_heads], x[:, :, heads + kv_heads :]
    if weight is not None:
        qk = (qk.float() * torch.rsqrt(qk.float().square().mean(-1, keepdim=True) + 1e-6) * weight).to(dtype)
    qk = rotate(qk.transpose(1, 2), *rotary(positions[:, None]))[:, :, 0]  # [B, H + KV, hd]
    torch.testing.assert_close(q, qk[:, :heads], **TOLERANCE[dtype])
    for row, position in enumerate(positions.tolist()):
        torch.testing.assert_close(keys[row, :, position], qk[row, heads:], **TOLERANCE[dtype])
        torch.testing.assert_close(values[row, :, position], v[row, 0], atol=0, rtol=0)
    assert keys.count_nonzero() <= B * kv_heads * hd  # nothing beside


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kv_heads", [1, 2, 8])
@pytest.mark.parametrize("hd", [16, 48, 64])
@pytest.mark.parametrize("rows", [1, 40])
def test_attention_over_the_cache(rows: int, hd: int, kv_heads: int, dtype: torch.dtype) -> None:
    heads, capacity = 8, 300
    q = drawn(rows, heads, hd, dtype=dtype)
    keys, values = (drawn(rows, kv_heads, capacity, hd, dtype=dtype, seed=s) for s in (1, 2))
    positions = torch.randint(0, capacity - 1, (rows,), generator=torch.Generator().manual_seed(0))
    positions = positions.to(DEVICE)
    positions[0] = 64  # two blocks, one of them with a single slot
    expected = attend(q[:, :, None], keys, values, cache_mask(positions[:, None], capacity))
    found = kernels().attend_one(q, keys, values, positions)
    torch.testing.assert_close(found, expected.reshape(rows, -1), **TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("rows", [1, 3])
@torch.inference_mode()
def test_a_step_is_the_decoders(rows: int, family: Family, dtype: torch.dtype) -> None:
    kernels()
    config = ModelConfig(97, 32, 48, 3, 4, 2, 16, max_positions=64, family=family)
    model = initialise(Decoder(config), seed=1, std=0.4).to(DEVICE).eval()
    for parameter in model.parameters():
        if parameter.ndim == 1:
            parameter += 0.3 * drawn(*parameter.shape)
    tokens = torch.randint(0, 97, (rows, 20), generator=torch.Generator().manual_seed(0)).to(DEVICE)
    exact = model.logits(model(tokens))
    model.to(dtype)
    cache = KVCache(config, rows, 65, dtype=dtype, device=DEVICE)
    hidden = torch.zeros(rows, config.hidden_size, dtype=dtype, device=DEVICE)
    step = Step(model)
    decoding = Decoding(step, cache, hidden, graphs=not IN_INTERPRETER)
    cache.extent = 12
    step(tokens[:, :12], torch.arange(12, device=DEVICE).expand(rows, -1), cache)
    for at in range(12, 20):
        decoding.advance(tokens[:, at], torch.full((rows,), at, device=DEVICE))
        logits = decoding.logits(rows)
        if dtype == torch.float32:
            torch.testing.assert_close(logits, exact[:, at], atol=1e-3, rtol=1e-3)
        else:
            whole = model.logits(model(tokens[:, : at + 1])[:, -1]).float()
            error, bound = (logits.float() - exact[:, at]).abs().max(), (whole - exact[:, at]).abs().max()
            assert error <= 2 * bound + 0.05
