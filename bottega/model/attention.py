"""Attention over packed documents and over a cache: the one place where CPU and CUDA differ."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional as F

if TYPE_CHECKING:
    from torch.nn.attention.flex_attention import BlockMask

Mask: TypeAlias = "Tensor | BlockMask"


def document_mask(segments: Tensor | None) -> Mask | None:
    """Who sees whom in rows of packed documents, made once per batch and shared by all layers.

    ``segments`` int [B, S] numbers the documents of a row; a token sees itself and what came before it in its
    own document. Padding is a segment like any other (0), so that no row of the mask is empty and no softmax
    is NaN. None means one document per row. CPU: bool [B, 1, S, S]; CUDA: a FlexAttention ``BlockMask``.
    """
    if segments is None:
        return None
    S = segments.shape[1]
    if segments.is_cuda:
        return _block_mask(segments)
    causal = torch.ones(S, S, dtype=torch.bool, device=segments.device).tril()
    return ((segments[:, :, None] == segments[:, None, :]) & causal)[:, None]


def cache_mask(positions: Tensor, extent: int) -> Tensor:
    """Bool [B, 1, S, extent]: a token at position p sees the cache's slots 0..p (a slot's index is its
    position)."""
    slots = torch.arange(extent, device=positions.device)
    return slots <= positions[:, None, :, None]


def attend(q: Tensor, k: Tensor, v: Tensor, mask: Mask | None) -> Tensor:
    """Softmax attention. q [B, H, S, hd]; k, v [B, KV, T, hd] with H a multiple of KV; returns [B, H, S, hd].

    ``mask`` comes from :func:`document_mask`; None is plain causal attention.
    """
    grouped = q.shape[1] != k.shape[1]
    if mask is None:
        return F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=grouped)
    if isinstance(mask, Tensor):
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, enable_gqa=grouped)
    flex = _flex_attention()
    out: Tensor = flex(q, k, v, block_mask=mask, enable_gqa=grouped)
    return out


def attend_cache(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    """Attention over a cache: as :func:`attend`, with the mask of :func:`cache_mask`.

    On a CPU in float32 it is written out. The fused kernel's last bits depend on which thread serves a row,
    and so on the row's neighbours; these products' do not, and for one query token they are as fast.
    """
    if q.device.type != "cpu" or q.dtype != torch.float32:
        return attend(q, k, v, mask)
    B, H, S, hd = q.shape
    KV, T = k.shape[1], k.shape[2]
    grouped = (q * hd**-0.5).reshape(
        B, KV, H // KV * S, hd
    )  # the heads that share keys, as rows of one product
    scores = (grouped @ k.mT).view(B, KV, H // KV, S, T).masked_fill(~mask[:, :, None], float("-inf"))
    weights = scores.softmax(dim=-1).view(B, KV, -1, T)
    return torch.matmul(weights, v).view(B, H, S, hd)


def _block_mask(segments: Tensor) -> BlockMask:
    from torch.nn.attention.flex_attention import create_block_mask

    B, S = segments.shape

    def same_document(b: Tensor, h: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return (query >= key) & (segments[b, query] == segments[b, key])

    return create_block_mask(same_document, B, None, S, S, device=segments.device)


@cache
def _compiled_flex_attention() -> Callable[..., Any]:
    from torch.nn.attention.flex_attention import flex_attention

    return torch.compile(flex_attention)


def _flex_attention() -> Callable[..., Any]:
    """FlexAttention itself while a compiler traces us; else its own compiled form: eager, it holds all S x S
    scores."""
    if torch.compiler.is_compiling():
        from torch.nn.attention.flex_attention import flex_attention

        return flex_attention
    return _compiled_flex_attention()
