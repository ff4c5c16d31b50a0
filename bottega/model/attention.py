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

PIECE = 128  # queries, and keys, of one piece where attention is written out or masked by blocks
LONGEST_IN_PIECES = 1024  # beyond, the weights that the backward pass keeps cost more than they save


def document_mask(segments: Tensor | None, dtype: torch.dtype, branches: Tensor | None = None) -> Mask | None:
    """Who sees whom in rows of packed documents, made once per batch and shared by all layers.

    ``segments`` int [B, S] numbers the documents of a row; a token sees itself and what came before it in its
    own document. ``branches`` int [B, S]: 0 is a document's beginning, and 1, 2 .. are several ways in which
    it goes on, none of which sees another: a prompt that is read once, with its answers. Padding is a segment
    like any other (0), so that no row of the mask is empty and no softmax is NaN. None means one document per
    row. CPU: [B, 1, S, S] of ``dtype``, the queries', to be added to the scores: 0 or -inf, which costs an
    attention in pieces a third of what booleans do. CUDA: a FlexAttention ``BlockMask``.
    """
    if segments is None:
        return None
    S = segments.shape[1]
    if segments.is_cuda:
        return _block_mask(segments, branches)
    seen = segments[:, :, None] == segments[:, None, :]
    seen &= torch.ones(S, S, dtype=torch.bool, device=segments.device).tril()
    if branches is not None:
        seen &= (branches[:, None, :] == 0) | (branches[:, :, None] == branches[:, None, :])
    return to_be_added(seen[:, None], dtype)


def to_be_added(seen: Tensor, dtype: torch.dtype) -> Tensor:
    """A boolean mask as what is added to the scores: 0 where a token is seen and -inf elsewhere."""
    return torch.zeros_like(seen, dtype=dtype).masked_fill_(~seen, float("-inf"))


def cache_mask(positions: Tensor, extent: int) -> Tensor:
    """Bool [B, 1, S, extent]: a token at position p sees the cache's slots 0..p (a slot's index is its
    position)."""
    slots = torch.arange(extent, device=positions.device)
    return slots <= positions[:, None, :, None]


def attend(q: Tensor, k: Tensor, v: Tensor, mask: Mask | None) -> Tensor:
    """Softmax attention. q [B, H, S, hd]; k, v [B, KV, T, hd] with H a multiple of KV; returns [B, H, S, hd].

    ``mask`` comes from :func:`document_mask` or :func:`cache_mask`; None is plain causal attention.
    """
    grouped = q.shape[1] != k.shape[1]
    if mask is None:
        return F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=grouped)
    if isinstance(mask, Tensor):
        if mask.dtype == q.dtype and _pays_in_pieces(q, k):
            return _attend_in_pieces(q, k, v, mask)
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, enable_gqa=grouped)
    flex = _flex_attention()
    out: Tensor = flex(q, k, v, block_mask=mask, enable_gqa=grouped)
    return out


def _pays_in_pieces(q: Tensor, k: Tensor) -> bool:
    """Whether to write attention out: a compiler fuses all but the products, which in bfloat16 take half the
    time of the fused kernel's backward pass on a CPU."""
    S = q.shape[2]
    return (
        torch.compiler.is_compiling()
        and q.device.type == "cpu"
        and q.dtype == torch.bfloat16
        and k.shape[2] == S
        and S % PIECE == 0
        and PIECE < S <= LONGEST_IN_PIECES
    )


def _attend_in_pieces(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    """Causal attention under ``mask`` [B, 1, S, S], a piece of the queries against the keys up to its
    end at a time: most of what lies above the diagonal is not computed."""
    B, H, S, hd = q.shape
    groups = H // k.shape[1]
    q, k, v = (x.reshape(B * H, S, hd) for x in (q, *(x.repeat_interleave(groups, 1) for x in (k, v))))
    out: Tensor = _Pieces.apply(q, k, v, mask)  # type: ignore[no-untyped-call]
    return out.view(B, H, S, hd)


class _Pieces(torch.autograd.Function):
    """q, k, v [N, S, hd], mask [B, 1, S, S] with N a multiple of B; returns [N, S, hd].

    As in FlashAttention (2205.14135) it is the output that is divided by the sum of the weights, [.., hd] and
    not [.., S], and a softmax's gradient needs the sum of output times its gradient, not of weights times
    theirs. Of the weights nothing is kept but a copy in q's dtype, undivided.
    """

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
        N, S, hd = q.shape
        B = mask.shape[0]
        weights, totals, outs = [], [], []
        for start in range(0, S, PIECE):
            stop = start + PIECE
            # Contiguous before they are turned: torch gives oneDNN turned matrices as they are, but no parts.
            scores = torch.bmm(q[:, start:stop], k[:, :stop].contiguous().mT).view(B, N // B, PIECE, stop)
            seen = scores.float() * hd**-0.5 + mask[:, :, start:stop, :stop].float()
            part = (seen - seen.amax(dim=-1, keepdim=True)).exp().to(q.dtype)
            # Of the rounded weights: kept in float32 for the sum's sake, they would be written to memory.
            totals.append(part.float().sum(dim=-1, keepdim=True).view(N, PIECE, 1))
            weights.append(part.view(N, PIECE, stop))
            outs.append(torch.bmm(weights[-1], v[:, :stop]))
        total = torch.cat(totals, dim=1)
        out = (torch.cat(outs, dim=1) / total).to(q.dtype)
        ctx.save_for_backward(q, k, v, out, total, *weights)
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        q, k, v, out, total, *weights = ctx.saved_tensors
        hd = q.shape[2]
        shared = (grad.float() * out.float()).sum(dim=-1, keepdim=True)
        divided = (grad / total).to(q.dtype)
        scale = hd**-0.5 / total
        dq, dk, dv = [], [], []
        for i, part in enumerate(weights):
            start, stop = i * PIECE, (i + 1) * PIECE
            rows = slice(start, stop)
            d_weights = torch.bmm(grad[:, rows], v[:, :stop].contiguous().mT).float()
            d_scores = (part.float() * (d_weights - shared[:, rows]) * scale[:, rows]).to(q.dtype)
            dq.append(torch.bmm(d_scores, k[:, :stop]))
            dk.append(torch.bmm(d_scores.mT, q[:, rows]))
            dv.append(torch.bmm(part.mT, divided[:, rows]))
        return torch.cat(dq, dim=1), _sum_of_pieces(dk), _sum_of_pieces(dv), None


def _sum_of_pieces(parts: list[Tensor]) -> Tensor:
    """The sum of [N, PIECE, hd], [N, 2 PIECE, hd] ... as if each were filled up with zeros."""
    found = []
    for i in range(len(parts)):
        rows = slice(i * PIECE, (i + 1) * PIECE)
        total = parts[i][:, rows].float()
        for part in parts[i + 1 :]:
            total = total + part[:, rows]
        found.append(total.to(parts[i].dtype))
    return torch.cat(found, dim=1)


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


def _block_mask(segments: Tensor, branches: Tensor | None) -> BlockMask:
    """Which blocks of :data:`PIECE` x :data:`PIECE` there are to compute, from the least and the greatest
    segment of each block; torch's own way asks for every pair of tokens."""
    from torch.nn.attention.flex_attention import BlockMask

    B, S = segments.shape
    blocks = -(-S // PIECE)
    pieces = F.pad(segments, (0, blocks * PIECE - S), value=-1).view(B, blocks, PIECE)
    least, greatest = pieces.amin(-1), pieces.amax(-1)  # [B, blocks]
    causal = torch.ones(blocks, blocks, dtype=torch.bool, device=segments.device).tril()
    may_meet = (least[:, :, None] <= greatest[:, None]) & (greatest[:, :, None] >= least[:, None]) & causal
    single = least == greatest
    whole = may_meet & single[:, :, None] & single[:, None] & causal.tril(-1)

    def same_document(b: Tensor, h: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return (query >= key) & (segments[b, query] == segments[b, key])

    seen = same_document
    if branches is not None:
        shared = F.pad(branches, (0, blocks * PIECE - S)).view(B, blocks, PIECE).amax(-1) == 0
        whole &= shared[:, None]  # what begins a document is seen by all that goes on from it

        def same_branch(b: Tensor, h: Tensor, query: Tensor, key: Tensor) -> Tensor:
            own = (branches[b, key] == 0) | (branches[b, query] == branches[b, key])
            return same_document(b, h, query, key) & own

        seen = same_branch

    return BlockMask.from_kv_blocks(
        *_listed(may_meet & ~whole),
        *_listed(whole),
        BLOCK_SIZE=PIECE,
        mask_mod=seen,
        seq_lengths=(S, S),
    )


def _listed(blocks: Tensor) -> tuple[Tensor, Tensor]:
    """Of bool [B, Q, K]: how many blocks each query block has, int32 [B, 1, Q], and their numbers first,
    int32 [B, 1, Q, K]."""
    count = blocks.sum(-1, dtype=torch.int32)
    order = blocks.int().argsort(dim=-1, descending=True, stable=True).int()
    return count[:, None], order[:, None]


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
