"""The shape of a decoder: one frozen dataclass, exact parameter and FLOP counts, named presets.

``family`` fixes the flags that published checkpoints of that family have, so no other combination can be
built:

======  ========  =======
family  QKV bias  QK-norm
======  ========  =======
llama   no        no
qwen2   yes       no
qwen3   no        yes
======  ========  =======
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from bottega.errors import UserError

Family = Literal["llama", "qwen2", "qwen3"]
FAMILIES: tuple[Family, ...] = get_args(Family)


ScalingKind = Literal["linear", "llama3", "yarn"]


@dataclass(frozen=True, slots=True)
class RopeScaling:
    """How rotary wavelengths are stretched beyond the context that a model was pretrained with."""

    kind: ScalingKind  # linear: all alike; llama3: only the long ones; yarn: by a ramp (2309.00071)
    factor: float  # how many times longer the context becomes
    original_max_positions: int | None = None  # llama3, yarn: the context of pretraining
    low_freq_factor: float = 1.0  # llama3: wavelengths above original/low are divided by factor
    high_freq_factor: float = 4.0  # llama3: wavelengths below original/high stay
    beta_fast: float = 32.0  # yarn: turns within the original context above which a pair stays
    beta_slow: float = 1.0  # yarn: turns below which a pair is fully interpolated
    truncate: bool = True  # yarn: round the ends of the ramp to whole pairs
    attention_factor: float | None = None  # yarn: scale of sine and cosine; None: 0.1 ln(factor) + 1
    mscale: float | None = None  # yarn: with mscale_all_dim, another way to give attention_factor
    mscale_all_dim: float | None = None  # yarn: see mscale

    def __post_init__(self) -> None:
        if self.factor < 1:
            raise UserError(f"rope scaling: factor must be at least 1, not {self.factor}")
        if self.kind != "linear" and not self.original_max_positions:
            raise UserError(f"rope scaling {self.kind!r} needs original_max_positions")


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """The shape of a decoder. Raises ``UserError`` where the fields do not fit each other."""

    vocab_size: int  # rows of the embedding; at least the tokenizer's size
    hidden_size: int  # width of the residual stream
    intermediate_size: int  # width of the SwiGLU feed-forward
    num_layers: int  # decoder blocks
    num_heads: int  # query heads
    num_kv_heads: int  # key and value heads; fewer than num_heads is grouped-query attention
    head_dim: int  # width of one head; even, for the rotary pairs
    max_positions: int = 2048  # longest sequence the model is meant for, in tokens
    family: Family = "qwen3"  # fixes QKV bias and QK-norm (see the table above)
    rope_theta: float = 10_000.0  # base of the rotary wavelengths
    rope_scaling: RopeScaling | None = None  # how the wavelengths are stretched for long contexts
    rms_eps: float = 1e-6  # added to the mean square in every RMSNorm
    tie_embeddings: bool = True  # the output projection is the embedding itself

    def __post_init__(self) -> None:
        if self.family not in FAMILIES:
            raise UserError(f"unknown model family {self.family!r}; known: {', '.join(FAMILIES)}")
        for name in (
            "vocab_size", "hidden_size", "intermediate_size", "num_layers",
            "num_heads", "num_kv_heads", "head_dim", "max_positions",
        ):  # fmt: skip
            if getattr(self, name) < 1:
                raise UserError(f"model shape: {name} must be at least 1, not {getattr(self, name)}")
        if self.num_heads % self.num_kv_heads:
            raise UserError(
                f"model shape: num_heads ({self.num_heads}) must be a multiple of"
                f" num_kv_heads ({self.num_kv_heads})"
            )
        if self.head_dim % 2:
            raise UserError(f"model shape: head_dim must be even for rotary pairs, not {self.head_dim}")
        if not self.rope_theta > 0 or not self.rms_eps > 0:
            raise UserError("model shape: rope_theta and rms_eps must be positive")

    @classmethod
    def from_hf(cls, raw: dict[str, Any]) -> ModelConfig:
        """The shape that a Hugging Face ``config.json`` describes (:mod:`bottega.model.hf_config`)."""
        from bottega.model.hf_config import config_from_hf

        return config_from_hf(raw)

    def to_hf(self) -> dict[str, Any]:
        """A ``config.json`` that transformers 4 and 5 both read."""
        from bottega.model.hf_config import config_to_hf

        return config_to_hf(self)

    @property
    def qkv_bias(self) -> bool:
        """Whether the query, key and value projections have a bias."""
        return self.family == "qwen2"

    @property
    def qk_norm(self) -> bool:
        """Whether queries and keys are normalised per head before the rotation."""
        return self.family == "qwen3"

    def num_parameters(self) -> int:
        """Parameters, a tied embedding counted once. Equal to what the module holds."""
        D, H, KV, hd = self.hidden_size, self.num_heads, self.num_kv_heads, self.head_dim
        attention = D * hd * (H + 2 * KV) + H * hd * D
        if self.qkv_bias:
            attention += hd * (H + 2 * KV)
        if self.qk_norm:
            attention += 2 * hd
        block = attention + 3 * D * self.intermediate_size + 2 * D
        embeddings = self.vocab_size * D * (1 if self.tie_embeddings else 2)
        return self.num_layers * block + embeddings + D

    def flops_per_token(self, context: int) -> int:
        """FLOPs of forward and backward for one token among ``context``.

        6 x parameters (the embedding counted once: a tied one as the output projection; of an untied pair the
        lookup costs nothing) + 6 x layers x attention width x context (causal attention sees half the context
        on average).
        """
        multiplied = self.num_parameters()
        if not self.tie_embeddings:
            multiplied -= self.vocab_size * self.hidden_size
        return 6 * multiplied + 6 * self.num_layers * self.num_heads * self.head_dim * context


def preset(name: str, **changes: Any) -> ModelConfig:
    """The named shape with some fields changed, such as ``preset("13.8M", family="llama")``."""
    if name not in PRESETS:
        raise UserError(f"unknown model shape {name!r}; known: {', '.join(PRESETS)}")
    return replace(PRESETS[name], **changes)


# Named after their parameter count at the vocabulary given.
PRESETS: dict[str, ModelConfig] = {
    "13.8M": ModelConfig(
        vocab_size=8192, hidden_size=384, intermediate_size=1024, num_layers=6,
        num_heads=6, num_kv_heads=6, head_dim=64,
    ),
    "124M": ModelConfig(
        vocab_size=50304, hidden_size=768, intermediate_size=2048, num_layers=12,
        num_heads=12, num_kv_heads=12, head_dim=64,
    ),
    "350M": ModelConfig(
        vocab_size=50304, hidden_size=1024, intermediate_size=2736, num_layers=24,
        num_heads=16, num_kv_heads=16, head_dim=64,
    ),
}  # fmt: skip
