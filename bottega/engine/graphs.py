"""Decoding on a GPU: one token's pass as a CUDA graph, captured once for each number of rows.

A pass is some hundred short kernels; launched one by one from Python they take ten times as long.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from bottega.engine.step import Step, turns
from bottega.model.cache import KVCache


class Decoding:
    """A model's steps of one token for the first rows of a cache.

    ``hidden`` [rows, D] is what :meth:`logits` reads and :meth:`advance` writes, in place.
    """

    def __init__(self, step: Step, cache: KVCache, hidden: Tensor, *, graphs: bool = True) -> None:
        """``graphs``: replay captured graphs; else launch the same kernels one by one."""
        self._step, self._cache, self._hidden, self._uses_graphs = step, cache, hidden, graphs
        device, rows = hidden.device, hidden.shape[0]
        last = cache.capacity - 1  # scratch: what a warm-up writes there nobody reads
        self._tokens = torch.zeros(rows, dtype=torch.long, device=device)
        self._positions = torch.full((rows,), last, dtype=torch.long, device=device)
        self._cos, self._sin = turns(step.model, cache.capacity)
        self._logits = torch.empty(rows, step.model.config.vocab_size, dtype=hidden.dtype, device=device)
        self._graphs: dict[tuple[str, int], torch.cuda.CUDAGraph] = {}
        self._pool: Any = None

    def logits(self, rows: int) -> Tensor:
        """Logits [rows, V] of the first rows' hidden states; overwritten by the next call."""
        self._replay("logits", rows, lambda: self._write_logits(rows))
        return self._logits[:rows]

    def advance(self, tokens: Tensor, positions: Tensor) -> None:
        """Read tokens [rows] at positions [rows], any scratch position for a row that stands idle."""
        rows = len(tokens)
        self._tokens[:rows].copy_(tokens)
        self._positions[:rows].copy_(positions)
        self._replay("advance", rows, lambda: self._write_hidden(rows))

    def _replay(self, name: str, rows: int, work: Callable[[], None]) -> None:
        if not self._uses_graphs:
            work()
            return
        if (name, rows) not in self._graphs:
            self._graphs[name, rows] = self._capture(work)
        self._graphs[name, rows].replay()

    def _capture(self, work: Callable[[], None]) -> torch.cuda.CUDAGraph:
        """Run ``work`` at the scratch position to compile its kernels, then capture it."""
        kept = self._tokens.clone(), self._positions.clone(), self._hidden.clone()
        self._positions.fill_(self._cache.capacity - 1)
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            work()
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        # Other threads may use the GPU meanwhile.
        with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
            work()
        self._pool = graph.pool()  # graphs run one after the other: they can share their memory
        for buffer, before in zip((self._tokens, self._positions, self._hidden), kept, strict=True):
            buffer.copy_(before)
        return graph

    def _write_logits(self, rows: int) -> None:
        from bottega.engine.kernels import multiply

        weight = self._step.model.output_weight
        if rows == 1:
            self._logits[:1].copy_(multiply(self._hidden[:1], weight))
        else:
            torch.mm(self._hidden[:rows], weight.T, out=self._logits[:rows])

    def _write_hidden(self, rows: int) -> None:
        from bottega.engine import kernels

        step, eps = self._step, self._step.model.config.rms_eps
        positions = self._positions[:rows]
        trunk = step.model.model
        x = F.embedding(self._tokens[:rows], trunk.embed_tokens.weight)
        for layer, keys, values in zip(step.layers, self._cache.keys, self._cache.values, strict=True):
            before = layer.block.input_layernorm.weight
            after = layer.block.post_attention_layernorm.weight
            weights = layer.matrices
            if rows == 1:
                qkv = kernels.multiply(x, weights.qkv, bias=layer.qkv_bias, norm_weight=before, eps=eps)
            else:
                qkv = F.linear(kernels.norm(x, before, eps), weights.qkv, layer.qkv_bias)
            q = kernels.store(qkv, keys, values, positions, self._cos, self._sin, layer.qk_norm, eps)
            out = kernels.attend_one(q, keys, values, positions)
            if rows == 1:
                x = kernels.multiply(out, weights.out, residual=x)
                gate_up = kernels.multiply(x, weights.gate_up, norm_weight=after, eps=eps)
                x = kernels.multiply(gate_up, weights.down, is_gated=True, residual=x)
            else:
                x.addmm_(out, weights.out.T)
                gate_up = F.linear(kernels.norm(x, after, eps), weights.gate_up)
                x.addmm_(kernels.gated(gate_up), weights.down.T)
        self._hidden[:rows].copy_(kernels.norm(x, trunk.norm.weight, eps))
