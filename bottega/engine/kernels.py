"""Triton kernels of a decoding step: all that stands between one token's matrix products, in few launches.

A row is a sequence that decodes: x is [B, D], one token each. Numbers are rounded where the decoder rounds
them. Imported where there is a GPU, for Triton comes with torch's CUDA builds alone.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

BLOCK_SLOTS = 64  # of the cache, read at once by one program
PROGRAMS = 264  # that attention is split into at least, two for each multiprocessor of a large GPU


def norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """x / rms(x) x weight over the last dimension of x [B, D]."""
    out = torch.empty_like(x)
    _norm[(x.shape[0],)](x, weight, out, eps, x.shape[1], triton.next_power_of_2(x.shape[1]))
    return out


def gated(gate_up: Tensor) -> Tensor:
    """silu(gate) x up of gate_up [B, 2 I]: [B, I]."""
    B, width = gate_up.shape[0], gate_up.shape[1] // 2
    out = gate_up.new_empty(B, width)
    _gated[(B, triton.cdiv(width, 1024))](gate_up, out, width, 1024)
    return out


def multiply(
    x: Tensor,
    weight: Tensor,
    *,
    bias: Tensor | None = None,
    norm_weight: Tensor | None = None,
    eps: float = 0.0,
    is_gated: bool = False,
    residual: Tensor | None = None,
) -> Tensor:
    """One row by a matrix, x [1, K] @ weight [N, K].T: [1, N], as fast as the weight can be read.

    ``norm_weight``: of x normalised. ``is_gated``: x [1, 2 K] goes through :func:`gated` first. ``residual``
    is added.
    """
    N, K = weight.shape
    out = x.new_empty(1, N)
    rows = 4 if is_gated else 2  # of the weight for one program: gating x is worth sharing
    _multiply[(triton.cdiv(N, rows),)](
        x, weight, out, bias, norm_weight, residual, eps, N, K,
        rows, min(2048, triton.next_power_of_2(K)), is_gated,
        bias is not None, norm_weight is not None, residual is not None, num_warps=8,
    )  # fmt: skip
    return out


def store(
    qkv: Tensor,
    keys: Tensor,
    values: Tensor,
    positions: Tensor,
    cos: Tensor,
    sin: Tensor,
    qk_norm: Tensor | None,
    eps: float,
) -> Tensor:
    """Turn queries and keys of qkv [B, (H + 2 KV) hd], write keys and values into the cache [rows, KV,
    capacity, hd] at positions [B]; the queries [B, H, hd].

    cos, sin float32 [positions, hd / 2]; qk_norm float32 [H + KV, hd], of models that have one.
    """
    B = qkv.shape[0]
    _, KV, capacity, hd = keys.shape
    H = qkv.shape[1] // hd - 2 * KV
    q = qkv.new_empty(B, H, hd)
    _store[(B, H + 2 * KV)](
        qkv, q, keys, values, positions, cos, sin, qk_norm, eps,
        H, KV, capacity, hd, triton.next_power_of_2(hd // 2), qk_norm is not None,
    )  # fmt: skip
    return q


def attend_one(q: Tensor, keys: Tensor, values: Tensor, positions: Tensor) -> Tensor:
    """Attention of q [B, H, hd] over the slots 0..position of the cache [rows, KV, capacity, hd]: [B, H hd].

    Each row reads as many slots as it has; one at the last, which is scratch, stands idle and reads but one.
    Where rows are few, several programs share a row (Flash-Decoding).
    """
    B, H, hd = q.shape
    KV, capacity = keys.shape[1], keys.shape[2]
    group = H // KV
    splits = min(64, triton.next_power_of_2(triton.cdiv(PROGRAMS, B * KV)), triton.next_power_of_2(capacity))
    hd_pad = max(16, triton.next_power_of_2(hd))
    out = q.new_empty(B, H * hd)
    parts = q.new_empty(B * H, splits, hd, dtype=torch.float32) if splits > 1 else out
    logsums = q.new_empty(B * H, splits, dtype=torch.float32)
    _attend[(B, KV, splits)](
        q, keys, values, positions, parts, logsums, hd**-0.5,
        H, KV, capacity, group, max(16, triton.next_power_of_2(group)), hd, hd_pad, BLOCK_SLOTS, splits,
    )  # fmt: skip
    if splits > 1:
        _combine[(B * H,)](parts, logsums, out, hd, hd_pad, splits)
    return out


@triton.jit  # type: ignore[untyped-decorator]
def _norm(x, weight, out, eps, D: tl.constexpr, WIDTH: tl.constexpr):  # type: ignore[no-untyped-def]
    row = tl.program_id(0)
    at = tl.arange(0, WIDTH)
    inside = at < D
    value = tl.load(x + row * D + at, mask=inside, other=0.0).to(tl.float32)
    scale = 1.0 / tl.sqrt(tl.sum(value * value, axis=0) / D + eps)
    w = tl.load(weight + at, mask=inside, other=0.0).to(tl.float32)
    tl.store(out + row * D + at, (w * (value * scale)).to(out.dtype.element_ty), mask=inside)


@triton.jit  # type: ignore[untyped-decorator]
def _silu_times(gate, up, dtype: tl.constexpr):  # type: ignore[no-untyped-def]
    silu = (gate / (1.0 + tl.exp(-gate))).to(dtype).to(tl.float32)
    return (silu * up).to(dtype)


@triton.jit  # type: ignore[untyped-decorator]
def _gated(gate_up, out, width, BLOCK: tl.constexpr):  # type: ignore[no-untyped-def]
    row = tl.program_id(0).to(tl.int64)
    at = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = at < width
    gate = tl.load(gate_up + row * 2 * width + at, mask=inside, other=0.0).to(tl.float32)
    up = tl.load(gate_up + row * 2 * width + width + at, mask=inside, other=0.0).to(tl.float32)
    tl.store(out + row * width + at, _silu_times(gate, up, out.dtype.element_ty), mask=inside)


@triton.jit  # type: ignore[untyped-decorator]
def _multiply(  # type: ignore[no-untyped-def]
    x, weight, out, bias, norm_weight, residual, eps, N, K: tl.constexpr,
    ROWS: tl.constexpr, BLOCK: tl.constexpr, GATED: tl.constexpr,
    BIAS: tl.constexpr, NORM: tl.constexpr, RESIDUAL: tl.constexpr,
):  # fmt: skip
    dtype: tl.constexpr = out.dtype.element_ty
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    real = row < N
    column = tl.arange(0, BLOCK)
    scale = 1.0
    if NORM:
        squares = tl.zeros([BLOCK], tl.float32)
        for start in range(0, K, BLOCK):
            value = tl.load(x + start + column, mask=start + column < K, other=0.0).to(tl.float32)
            squares += value * value
        scale = 1.0 / tl.sqrt(tl.sum(squares, axis=0) / K + eps)
    sums = tl.zeros([ROWS, BLOCK], tl.float32)
    for start in range(0, K, BLOCK):
        at = start + column
        inside = at < K
        w = tl.load(
            weight + row.to(tl.int64)[:, None] * K + at[None, :],
            mask=real[:, None] & inside[None, :], other=0.0, eviction_policy="evict_first",
        )  # fmt: skip
        value = tl.load(x + at, mask=inside, other=0.0).to(tl.float32)
        if GATED:
            up = tl.load(x + K + at, mask=inside, other=0.0).to(tl.float32)
            value = _silu_times(value, up, dtype).to(tl.float32)
        if NORM:
            g = tl.load(norm_weight + at, mask=inside, other=0.0).to(tl.float32)
            value = (g * (value * scale)).to(dtype).to(tl.float32)
        sums += w.to(tl.float32) * value[None, :]
    total = tl.sum(sums, axis=1)
    if BIAS:
        total += tl.load(bias + row, mask=real, other=0.0).to(tl.float32)
    if RESIDUAL:
        total = total.to(dtype).to(tl.float32) + tl.load(residual + row, mask=real, other=0.0).to(tl.float32)
    tl.store(out + row, total.to(dtype), mask=real)


@triton.jit  # type: ignore[untyped-decorator]
def _store(  # type: ignore[no-untyped-def]
    qkv, q, keys, values, positions, cos, sin, qk_norm, eps,
    H: tl.constexpr, KV: tl.constexpr, capacity, HD: tl.constexpr, HALF: tl.constexpr, NORM: tl.constexpr,
):  # fmt: skip
    dtype: tl.constexpr = q.dtype.element_ty
    row = tl.program_id(0).to(tl.int64)
    head = tl.program_id(1)
    half: tl.constexpr = HD // 2
    at = tl.arange(0, HALF)
    inside = at < half
    source = qkv + (row * (H + 2 * KV) + head) * HD
    low = tl.load(source + at, mask=inside, other=0.0)
    high = tl.load(source + half + at, mask=inside, other=0.0)
    position = tl.load(positions + row)
    if head >= H + KV:
        target = values + ((row * KV + head - H - KV) * capacity + position) * HD
        tl.store(target + at, low, mask=inside)
        tl.store(target + half + at, high, mask=inside)
    else:
        a = low.to(tl.float32)
        b = high.to(tl.float32)
        if NORM:
            scale = 1.0 / tl.sqrt((tl.sum(a * a, axis=0) + tl.sum(b * b, axis=0)) / HD + eps)
            weight = qk_norm + head * HD
            a = ((a * scale) * tl.load(weight + at, mask=inside, other=0.0)).to(dtype).to(tl.float32)
            b = ((b * scale) * tl.load(weight + half + at, mask=inside, other=0.0)).to(dtype).to(tl.float32)
        c = tl.load(cos + position * half + at, mask=inside, other=0.0)
        s = tl.load(sin + position * half + at, mask=inside, other=0.0)
        target = keys + ((row * KV + head - H) * capacity + position) * HD
        if head < H:
            target = q + (row * H + head) * HD
        tl.store(target + at, (a * c - b * s).to(dtype), mask=inside)
        tl.store(target + half + at, (b * c + a * s).to(dtype), mask=inside)


@triton.jit  # type: ignore[untyped-decorator]
def _attend(  # type: ignore[no-untyped-def]
    q, keys, values, positions, parts, logsums, scale,
    H: tl.constexpr, KV: tl.constexpr, capacity, GROUP: tl.constexpr, GROUP_PAD: tl.constexpr,
    HD: tl.constexpr, HD_PAD: tl.constexpr, BLOCK: tl.constexpr, SPLITS: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    kv = tl.program_id(1)
    split = tl.program_id(2)
    length = tl.load(positions + row).to(tl.int32) + 1
    length = tl.where(length == capacity, 1, length)
    share = tl.cdiv(tl.cdiv(length, SPLITS), BLOCK) * BLOCK
    begin = split * share
    end = tl.minimum(begin + share, length)
    g = tl.arange(0, GROUP_PAD)
    d = tl.arange(0, HD_PAD)
    slot = tl.arange(0, BLOCK)
    mine = (g < GROUP)[:, None] & (d < HD)[None, :]
    heads = row * H + kv * GROUP + g  # the query heads that share these keys are rows of one product
    query = tl.load(q + heads[:, None] * HD + d[None, :], mask=mine, other=0.0)
    base = (row * KV + kv) * capacity * HD
    peak = tl.full([GROUP_PAD], float("-inf"), tl.float32)
    total = tl.zeros([GROUP_PAD], tl.float32)
    sums = tl.zeros([GROUP_PAD, HD_PAD], tl.float32)
    for start in range(begin, end, BLOCK):
        seen = start + slot < end
        where = base + (start + slot)[:, None] * HD + d[None, :]
        inside = seen[:, None] & (d < HD)[None, :]
        k = tl.load(keys + where, mask=inside, other=0.0)
        scores = tl.dot(query, tl.trans(k), input_precision="ieee") * scale
        scores = tl.where(seen[None, :], scores, float("-inf"))
        higher = tl.maximum(peak, tl.max(scores, axis=1))
        weights = tl.exp(scores - higher[:, None])
        shrink = tl.exp(peak - higher)
        total = total * shrink + tl.sum(weights, axis=1)
        v = tl.load(values + where, mask=inside, other=0.0)
        sums = sums * shrink[:, None] + tl.dot(weights.to(v.dtype), v, input_precision="ieee")
        peak = higher
    empty = total == 0.0  # a split beyond the row's end
    sums = sums / tl.where(empty, 1.0, total)[:, None]
    here = heads * SPLITS + split
    tl.store(parts + here[:, None] * HD + d[None, :], sums.to(parts.dtype.element_ty), mask=mine)
    if SPLITS > 1:
        logsum = tl.where(empty, float("-inf"), peak + tl.log(tl.where(empty, 1.0, total)))
        tl.store(logsums + here, logsum, mask=g < GROUP)


@triton.jit  # type: ignore[untyped-decorator]
def _combine(  # type: ignore[no-untyped-def]
    parts, logsums, out, HD: tl.constexpr, HD_PAD: tl.constexpr, SPLITS: tl.constexpr
):
    head = tl.program_id(0).to(tl.int64)
    split = tl.arange(0, SPLITS)
    d = tl.arange(0, HD_PAD)
    logsum = tl.load(logsums + head * SPLITS + split)
    weight = tl.exp(logsum - tl.max(logsum, axis=0))
    weight = weight / tl.sum(weight, axis=0)
    where = (head * SPLITS + split)[:, None] * HD + d[None, :]
    part = tl.load(parts + where, mask=(d < HD)[None, :] & (weight > 0)[:, None], other=0.0)
    total = tl.sum(part * weight[:, None], axis=0)
    tl.store(out + head * HD + d, total.to(out.dtype.element_ty), mask=d < HD)
