"""The decoder's pass over a cache in few operations: what generating spends its time on.

A step for one token is hundreds of small operations whose overhead costs as much as the arithmetic. Here the
projections of a layer that read the same input are one product, queries and keys are turned together, and
weights are packed where products are faster so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bottega.engine.devices import has_kernels
from bottega.engine.native import Native, native_for
from bottega.engine.packed import can_pack, pack, packed_linear
from bottega.model.attention import attend, cache_mask, to_be_added
from bottega.model.cache import KVCache
from bottega.model.decoder import Block, Decoder, RMSNorm, rms_normalised
from bottega.model.rope import rotate


@dataclass(slots=True)
class Layer:
    """One layer's weights as a step reads them."""

    block: Block
    matrices: Matrices
    packed: Matrices  # where that is faster; else the matrices themselves
    qkv_bias: Tensor | None
    qk_norm: Tensor | None  # float32 [H + KV, hd]
    norms: tuple[Tensor, Tensor]  # before attention and before the feed-forward, float32 [D]


class Matrices(NamedTuple):
    """``qkv`` and ``gate_up`` are stacked by rows."""

    qkv: Tensor  # [(H + 2 KV) hd, D]
    out: Tensor  # [D, H hd]
    gate_up: Tensor  # [2 I, D]
    down: Tensor  # [D, I]


class Step:
    """``step(tokens, positions, cache)``: hidden states [B, S, D] after the final norm, as the decoder's.

    Stacked weights take the place of the model's own, which become views into them. Packed weights, in
    bfloat16 on a CPU, are a second copy, and so are those of norms: :meth:`refresh` takes over what was
    changed in place.
    """

    def __init__(self, model: Decoder, *, compiled: bool = False) -> None:
        """``compiled``: steps of one token run compiled, which takes some 20 s at first and pays where many
        thousands follow; where there is native code it is not needed."""
        self.model = model
        config = model.config
        # Adapters stand between the projections of some models; those take the decoder's own way.
        self.is_plain = all(type(p) is nn.Linear for block in model.model.layers for p in _projections(block))
        self._heads, self._kv_heads, self._head_dim = config.num_heads, config.num_kv_heads, config.head_dim
        self._eps = config.rms_eps
        weight = model.output_weight
        self._packs = can_pack(weight)
        self._has_kernels = has_kernels(weight)
        self._linear = packed_linear if self._packs else F.linear
        self.layers = [self._fused(block) for block in model.model.layers] if self.is_plain else []
        self._head = pack(weight) if self._packs else weight
        # On a CPU attention is written out: in float32 the fused kernel's last bits depend on which thread
        # serves a row, and so on its neighbours; in bfloat16 it takes several times as long for one token.
        on_cpu = weight.device.type == "cpu"
        self._writes_out_all = on_cpu and weight.dtype == torch.float32
        self._writes_out_one = on_cpu and weight.dtype in (torch.float32, torch.bfloat16)
        self._native: Native | None = None
        if self.is_plain and self._packs:
            self._native = native_for(weight, config.head_dim, config.intermediate_size)
        self._last_norm = model.model.norm.weight.detach().float()
        self._turns: tuple[Tensor, Tensor] | None = None  # of a cache's positions
        # A compiler cannot look into packed weights; native code does as well.
        self._compiled = torch.compile(self._run) if compiled and self.is_plain and not self._packs else None

    def refresh(self) -> None:
        """Take over weights that were changed in place."""
        if self._packs:
            self._head = pack(self.model.output_weight)
        for layer in self.layers:
            layer.packed = self._packed(layer.matrices)
            layer.norms = _norms(layer.block)
            if layer.qk_norm is not None:
                layer.qk_norm.copy_(self._qk_norm(layer.block))
        self._last_norm = self.model.model.norm.weight.detach().float()

    def logits(self, hidden: Tensor) -> Tensor:
        """Logits [..., V] of hidden states [..., D]."""
        return self._linear(hidden, self._head)

    def likeliest(self, logits: Tensor) -> Tensor:
        """The largest of each row of logits [B, V]: int64 [B]."""
        if self._native is not None and logits.dtype == torch.bfloat16:
            return self._native.likeliest(logits)
        return logits.float().argmax(dim=-1)  # several times faster than in bfloat16

    @torch.inference_mode()
    def __call__(self, tokens: Tensor, positions: Tensor, cache: KVCache) -> Tensor:
        """tokens, positions: integers [B, S]; keys and values are written to the cache at ``positions``."""
        if not self.is_plain:
            own: Tensor = self.model(tokens, positions, cache=cache)
            return own
        if self._native is not None:
            return self._run_native(self._native, tokens, positions.contiguous(), cache)
        one = tokens.shape[1] == 1
        mask = cache_mask(positions, cache.extent)  # [B, 1, S, T]
        if self._writes_out_one if one else self._writes_out_all:
            mask = self._bias(mask)
        # Which rows of the flat cache [rows KV capacity, hd] the new tokens' heads are written to.
        heads = torch.arange(self._kv_heads, device=positions.device)
        slots = (cache.rows[:, None, None] * self._kv_heads + heads) * cache.capacity + positions[:, :, None]
        if not one or self._compiled is None:
            return self._run(tokens, positions, mask, slots.view(-1), cache.keys, cache.values)
        torch._dynamo.maybe_mark_dynamic(mask, mask.dim() - 1)  # one compilation serves every extent
        hidden: Tensor = self._compiled(tokens, positions, mask, slots.view(-1), cache.keys, cache.values)
        return hidden

    def _run_native(self, native: Native, tokens: Tensor, positions: Tensor, cache: KVCache) -> Tensor:
        B, S = tokens.shape
        if self._turns is None or len(self._turns[0]) < cache.capacity:
            self._turns = turns(self.model, cache.capacity)
        mask = None if S == 1 else cache_mask(positions, cache.extent)
        x = F.embedding(tokens.flatten(), self.model.model.embed_tokens.weight)  # [B S, D]
        delta = None
        for layer, keys, values in zip(self.layers, cache.keys, cache.values, strict=True):
            normed = native.add_norm(x, delta, layer.norms[0], self._eps)
            qkv = self._linear(normed, layer.packed.qkv, layer.qkv_bias)
            q = native.place(qkv, keys, values, positions, self._turns, layer.qk_norm, self._eps)
            if mask is None:
                out = native.attend(q, keys, values, positions)
            else:
                T = cache.extent
                out = attend(q, keys[:, :, :T], values[:, :, :T], mask).transpose(1, 2).reshape(B * S, -1)
            delta = self._linear(out, layer.packed.out)
            normed = native.add_norm(x, delta, layer.norms[1], self._eps)
            gate_up = self._linear(normed, layer.packed.gate_up)
            delta = self._linear(native.gate(gate_up), layer.packed.down)
        return native.add_norm(x, delta, self._last_norm, self._eps).view(B, S, -1)

    def _run(
        self,
        tokens: Tensor,
        positions: Tensor,
        mask: Tensor,
        slots: Tensor,
        keys: list[Tensor],
        values: list[Tensor],
    ) -> Tensor:
        trunk = self.model.model
        cos, sin = (x.transpose(1, 2) for x in trunk.rotary(positions))  # [B, S, 1, hd]
        x = F.embedding(tokens, trunk.embed_tokens.weight)
        for layer, k, v in zip(self.layers, keys, values, strict=True):
            x = self._attend(x, layer, cos, sin, mask, slots, k, v)
            normed = self._norm(layer.block.post_attention_layernorm, x)
            x = x + self._linear(self._gated(self._linear(normed, layer.packed.gate_up)), layer.packed.down)
        out: Tensor = trunk.norm(x)
        return out

    def _attend(
        self,
        x: Tensor,
        layer: Layer,
        cos: Tensor,
        sin: Tensor,
        mask: Tensor,
        slots: Tensor,
        keys: Tensor,
        values: Tensor,
    ) -> Tensor:
        B, S, _ = x.shape
        T = mask.shape[-1]
        H, KV, hd = self._heads, self._kv_heads, self._head_dim
        normed = self._norm(layer.block.input_layernorm, x)
        qkv = self._linear(normed, layer.packed.qkv, layer.qkv_bias)
        qkv = qkv.view(B, S, H + 2 * KV, hd)
        qk, v = qkv[:, :, : H + KV], qkv[:, :, H + KV :]
        if layer.qk_norm is not None:
            qk = (rms_normalised(qk, self._eps) * layer.qk_norm).to(x.dtype)
        qk = rotate(qk, cos, sin)
        q, k = qk[:, :, :H], qk[:, :, H:]
        for kept, new in ((keys, k), (values, v)):
            kept.view(-1, hd).index_copy_(0, slots, new.reshape(-1, hd))
        keys, values = keys[:, :, :T], values[:, :, :T]
        if mask.dtype == torch.bool:
            out = attend(q.transpose(1, 2), keys, values, mask).transpose(1, 2)
        elif torch.compiler.is_compiling():  # one token: one pass over the keys and one over the values
            grouped = q.view(B, KV, H // KV, 1, hd).float() * hd**-0.5
            scores = (grouped * keys[:, :, None].float()).sum(dim=-1) + mask.view(B, KV, H // KV, T)
            out = (scores.softmax(dim=-1)[..., None] * values[:, :, None].float()).sum(dim=-2)
        else:
            # The heads that share keys are rows of one product: [B KV, H / KV S, hd].
            rows = q.transpose(1, 2).reshape(B * KV, H // KV * S, hd).float()
            flat_keys, flat_values = (x.view(B * KV, T, hd).float() for x in (keys, values))
            scores = torch.baddbmm(mask, rows, flat_keys.mT, alpha=hd**-0.5)
            out = torch.bmm(scores.softmax(dim=-1), flat_values).view(B, H, S, hd).transpose(1, 2)
        out = out.reshape(B, S, H * hd).to(x.dtype)
        return x + self._linear(out, layer.packed.out)

    def _norm(self, norm: RMSNorm, x: Tensor) -> Tensor:
        if self._has_kernels:
            from bottega.engine.kernels import norm as fused_norm

            return fused_norm(x.flatten(0, -2), norm.weight, self._eps).view(x.shape)
        normed: Tensor = norm(x)
        return normed

    def _gated(self, gate_up: Tensor) -> Tensor:
        if self._has_kernels:
            from bottega.engine.kernels import gated

            return gated(gate_up.flatten(0, -2)).view(*gate_up.shape[:-1], -1)
        gate, up = gate_up.chunk(2, dim=-1)
        return F.silu(gate) * up

    def _bias(self, mask: Tensor) -> Tensor:
        """0 where a token is seen and -inf elsewhere, float32 [B KV, H / KV S, T]: made once for all
        layers."""
        B, _, S, T = mask.shape
        bias = to_be_added(mask, torch.float32)[:, None]
        groups = self._heads // self._kv_heads
        return bias.expand(B, self._kv_heads, groups, S, T).reshape(B * self._kv_heads, groups * S, T)

    def _fused(self, block: nn.Module) -> Layer:
        assert isinstance(block, Block)
        attention, mlp = block.self_attn, block.mlp
        projections = (attention.q_proj, attention.k_proj, attention.v_proj)
        bias = None
        if attention.q_proj.bias is not None:
            bias = _stack([p.bias for p in projections])
        matrices = Matrices(
            _stack([p.weight for p in projections]),
            attention.o_proj.weight,
            _stack([mlp.gate_proj.weight, mlp.up_proj.weight]),
            mlp.down_proj.weight,
        )
        qk_norm = None if attention.q_norm is None else self._qk_norm(block)
        return Layer(block, matrices, self._packed(matrices), bias, qk_norm, _norms(block))

    def _packed(self, matrices: Matrices) -> Matrices:
        return Matrices(*map(pack, matrices)) if self._packs else matrices

    def _qk_norm(self, block: Block) -> Tensor:
        attention = block.self_attn
        assert attention.q_norm is not None and attention.k_norm is not None
        q, k = attention.q_norm.weight.detach().float(), attention.k_norm.weight.detach().float()
        return torch.cat((q.expand(self._heads, -1), k.expand(self._kv_heads, -1)))


def turns(model: Decoder, positions: int) -> tuple[Tensor, Tensor]:
    """Cosines and sines of every position's angles, float32 [positions, hd / 2]."""
    at = torch.arange(positions, device=model.output_weight.device)
    cos, sin = model.model.rotary(at[None])
    half = cos.shape[-1] // 2
    return cos[0, 0, :, :half].contiguous(), sin[0, 0, :, half:].contiguous()


def _norms(block: nn.Module) -> tuple[Tensor, Tensor]:
    assert isinstance(block, Block)
    before, after = block.input_layernorm.weight, block.post_attention_layernorm.weight
    return before.detach().float(), after.detach().float()


def _projections(block: nn.Module) -> tuple[nn.Module, ...]:
    assert isinstance(block, Block)
    attention, mlp = block.self_attn, block.mlp
    return (
        *(attention.q_proj, attention.k_proj, attention.v_proj, attention.o_proj),
        *(mlp.gate_proj, mlp.up_proj, mlp.down_proj),
    )


@torch.no_grad()
def _stack(parts: list[Tensor]) -> Tensor:
    """The parts one below the other, which become views into the whole; as it stands, where they are so
    already."""
    first = parts[0]
    places = [p.data_ptr() for p in parts]
    wanted = [first.data_ptr()]
    for p in parts[:-1]:
        wanted.append(wanted[-1] + p.numel() * p.element_size())
    if places == wanted and all(
        p.untyped_storage().data_ptr() == first.untyped_storage().data_ptr() for p in parts
    ):
        rows = sum(p.shape[0] for p in parts)
        size = (rows, *first.shape[1:])
        return torch.as_strided(first.data, size, first.stride(), first.storage_offset())
    whole = torch.cat([p.data for p in parts])
    start = 0
    for p in parts:
        p.data = whole[start : start + p.shape[0]]
        start += p.shape[0]
    return whole
