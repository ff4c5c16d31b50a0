"""The decoder of Llama, Qwen2 and Qwen3: parameter names and numerics are Hugging Face's."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from bottega.model.attention import Mask, attend, attend_cache, cache_mask, document_mask
from bottega.model.cache import KVCache
from bottega.model.config import ModelConfig
from bottega.model.embedding import Embedding
from bottega.model.rope import Rotary, rotate


def rms_normalised(x: Tensor, eps: float) -> Tensor:
    """x / rms(x) over the last dimension, in float32: half the time of torch's own, made of more kernels."""
    x = x.float()
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + eps)


class RMSNorm(nn.Module):
    """x / rms(x) x weight (1910.07467), computed in float32; the result has x's dtype."""

    def __init__(self, size: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        return (self.weight * rms_normalised(x, self.eps)).to(x.dtype)


class Attention(nn.Module):
    """Grouped-query attention with rotary positions."""

    def __init__(self, config: ModelConfig, layer: int) -> None:
        super().__init__()
        D, H, KV, hd = config.hidden_size, config.num_heads, config.num_kv_heads, config.head_dim
        self.layer, self.head_dim = layer, hd
        self.q_proj = nn.Linear(D, H * hd, bias=config.qkv_bias)
        self.k_proj = nn.Linear(D, KV * hd, bias=config.qkv_bias)
        self.v_proj = nn.Linear(D, KV * hd, bias=config.qkv_bias)
        self.o_proj = nn.Linear(H * hd, D, bias=False)
        self.q_norm = RMSNorm(hd, config.rms_eps) if config.qk_norm else None
        self.k_norm = RMSNorm(hd, config.rms_eps) if config.qk_norm else None

    def forward(
        self,
        x: Tensor,
        rotary: tuple[Tensor, Tensor],
        mask: Mask | None,
        positions: Tensor,
        cache: KVCache | None,
    ) -> Tensor:
        B, S, _ = x.shape
        q = self.q_proj(x).view(B, S, -1, self.head_dim)
        k = self.k_proj(x).view(B, S, -1, self.head_dim)
        v = self.v_proj(x).view(B, S, -1, self.head_dim).transpose(1, 2)
        if self.q_norm is not None and self.k_norm is not None:
            q, k = self.q_norm(q), self.k_norm(k)
        q = rotate(q.transpose(1, 2), *rotary)
        k = rotate(k.transpose(1, 2), *rotary)
        if cache is None:
            out = attend(q, k, v, mask)  # [B, H, S, hd]
        else:
            assert isinstance(mask, Tensor)
            out = attend_cache(q, *cache.write(self.layer, k, v, positions), mask)
        projected: Tensor = self.o_proj(out.transpose(1, 2).reshape(B, S, -1))
        return projected


class FeedForward(nn.Module):
    """SwiGLU (2002.05202): down(silu(gate(x)) * up(x))."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        D, I = config.hidden_size, config.intermediate_size  # noqa: E741
        self.gate_proj = nn.Linear(D, I, bias=False)
        self.up_proj = nn.Linear(D, I, bias=False)
        self.down_proj = nn.Linear(I, D, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))
        return out


class Block(nn.Module):
    """One layer: attention, then feed-forward, each on a normed copy of the residual stream."""

    def __init__(self, config: ModelConfig, layer: int) -> None:
        super().__init__()
        self.input_layernorm = RMSNorm(config.hidden_size, config.rms_eps)
        self.self_attn = Attention(config, layer)
        self.post_attention_layernorm = RMSNorm(config.hidden_size, config.rms_eps)
        self.mlp = FeedForward(config)

    def forward(
        self,
        x: Tensor,
        rotary: tuple[Tensor, Tensor],
        mask: Mask | None,
        positions: Tensor,
        cache: KVCache | None,
    ) -> Tensor:
        x = x + self.self_attn(self.input_layernorm(x), rotary, mask, positions, cache)
        out: Tensor = x + self.mlp(self.post_attention_layernorm(x))
        return out


class Trunk(nn.Module):
    """Embedding, layers and final norm: what Hugging Face names ``model.``"""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        # Given its storage, it draws no weights: on the meta device that would import the whole compiler.
        storage = torch.empty(config.vocab_size, config.hidden_size)
        self.embed_tokens = Embedding(config.vocab_size, config.hidden_size, _weight=storage)
        self.layers = nn.ModuleList(Block(config, layer) for layer in range(config.num_layers))
        self.norm = RMSNorm(config.hidden_size, config.rms_eps)
        self.rotary = Rotary(config.head_dim, config.rope_theta, config.rope_scaling)


class Backbone(nn.Module):
    """Tokens to hidden states: what a language model and a scorer share.

    ``checkpoint_activations``: recompute each layer in the backward pass, so that training holds one residual
    stream per layer and no more.
    """

    def __init__(self, config: ModelConfig, *, checkpoint_activations: bool = False) -> None:
        super().__init__()
        self.config = config
        self.checkpoint_activations = checkpoint_activations
        self.model = Trunk(config)

    def flops_per_token(self, context: int) -> int:
        """FLOPs of forward and backward for one token among ``context``."""
        raise NotImplementedError

    def num_parameters(self) -> int:
        """Parameters, those that two modules share counted once."""
        return sum(p.numel() for p in self.parameters())

    def forward(
        self,
        tokens: Tensor,
        positions: Tensor | None = None,
        segments: Tensor | None = None,
        cache: KVCache | None = None,
        branches: Tensor | None = None,
    ) -> Tensor:
        """Hidden states [B, S, D] after the final norm.

        tokens, positions, segments, branches: integers [B, S]. Positions default to 0..S-1. ``segments``
        numbers the documents packed in a row, and ``branches`` what goes on from a beginning that they share
        (see :func:`document_mask`); None is one document per row, which is faster. With a ``cache``, keys and
        values are written at ``positions`` and each token sees the slots up to its own.
        """
        if positions is None:
            positions = torch.arange(tokens.shape[1], device=tokens.device).expand_as(tokens)
        rotary = self.model.rotary(positions)
        x = self.model.embed_tokens(tokens)
        if cache is None:
            mask = document_mask(segments, x.dtype, branches)
        else:
            mask = cache_mask(positions, cache.extent)
        for layer in self.model.layers:
            if cache is not None:
                # Past layer.compile(): decoding changes shape at every turn, and each would be compiled anew.
                x = layer.forward(x, rotary, mask, positions, cache)
            elif self.checkpoint_activations and self.training:
                x = checkpoint(layer, x, rotary, mask, positions, None, use_reentrant=False)
            else:
                x = layer(x, rotary, mask, positions, None)
        out: Tensor = self.model.norm(x)
        return out


class Decoder(Backbone):
    """A causal language model. Fresh weights are undefined: call :func:`bottega.model.init.initialise`."""

    def __init__(self, config: ModelConfig, *, checkpoint_activations: bool = False) -> None:
        super().__init__(config, checkpoint_activations=checkpoint_activations)
        self.lm_head = (
            None if config.tie_embeddings else nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        )

    @property
    def output_weight(self) -> Tensor:
        """The output projection [V, D], which is the embedding where they are tied."""
        return self.model.embed_tokens.weight if self.lm_head is None else self.lm_head.weight

    def flops_per_token(self, context: int) -> int:
        """FLOPs of forward and backward for one token among ``context``."""
        return self.config.flops_per_token(context)

    def logits(self, hidden: Tensor) -> Tensor:
        """Logits [..., V] of hidden states [..., D]."""
        return F.linear(hidden, self.output_weight)
