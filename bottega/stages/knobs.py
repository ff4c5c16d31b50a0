"""The knobs that every training stage has, and the shape of a model made from nothing."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from bottega.stages.base import StageConfig


class Shape(BaseModel):
    """The size of a new model; what is left out follows from the rest."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    hidden_size: int = Field(ge=2, description="width of the residual stream")
    num_layers: int = Field(ge=1, description="decoder blocks")
    num_heads: int = Field(ge=1, description="query heads")
    num_kv_heads: int | None = Field(
        None, ge=1, description="key and value heads; as many as query heads by default"
    )
    head_dim: int | None = Field(
        None, ge=2, description="width of a head; hidden_size / num_heads by default"
    )
    intermediate_size: int | None = Field(
        None, ge=1, description="width of the feed-forward; 8/3 of hidden_size, rounded up to 32, by default"
    )
    rope_theta: float = Field(10_000.0, gt=0, description="base of the rotary wavelengths")
    tie_embeddings: bool = Field(True, description="whether the output projection is the embedding")


ShapeKnob = Annotated[
    str | Shape, Field(description="the model's size: a preset's name, or a table of explicit numbers")
]


class OptimizerConfig(StageConfig):
    """How every stage that trains takes its steps."""

    optimizer: Literal["adamw", "muon"] = Field(
        "muon", description="adamw, or muon for the hidden matrices and adamw for the rest"
    )
    lr: float = Field(3e-3, gt=0, description="peak learning rate of AdamW")
    muon_lr: float = Field(0.01, gt=0, description="peak learning rate of Muon, where it is the optimizer")
    warmup_fraction: float = Field(0.02, ge=0, le=1, description="share of the steps in which the rate rises")
    decay_fraction: float = Field(
        0.3, ge=0, le=1, description="share of the steps in which the rate falls to zero"
    )
    weight_decay: float = Field(0.1, ge=0, description="decoupled weight decay of matrices; norms have none")
    clip_norm: float = Field(
        1.0, gt=0, description="gradients with a larger global norm are scaled down to it"
    )


class TrainingConfig(OptimizerConfig):
    """What every stage that trains on text can be told."""

    budget_tokens: int = Field(
        gt=0, description="how many tokens to train on, padding of packed rows included"
    )
    context: int = Field(512, ge=8, description="tokens in a row: the longest stretch the model sees at once")
    batch_tokens: int = Field(
        8192,
        gt=0,
        validate_default=True,
        description="tokens in a step, over all devices; a multiple of context",
    )
    primer_share: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="share of rows of random tokens, every stretch twice: so a small model goes on copying "
        "out of its context",
    )

    @field_validator("batch_tokens")
    @classmethod
    def _whole_rows(cls, value: int, info: ValidationInfo) -> int:
        context = info.data.get("context")  # absent where it was refused itself
        if context and value % context:
            nearest = max(1, round(value / context)) * context
            raise ValueError(f"{value} is not a multiple of context = {context}; the nearest is {nearest}")
        return value

    def effort(self, answer_tokens: float = 0.0) -> float:
        """Its budget."""
        return float(self.budget_tokens)

    @property
    def batch_rows(self) -> int:
        """Rows of ``context`` tokens in a step."""
        return self.batch_tokens // self.context

    def steps_for(self, share: float) -> int:
        """The steps that a share of the budget comes to."""
        return round(share * self.budget_tokens / self.batch_tokens)


class MixtureConfig(TrainingConfig):
    """What a stage can be told that trains on documents and conversations."""

    overlong: Literal["drop", "truncate", "split"] = Field(
        "drop",
        description="what becomes of a conversation beyond the context: left out, cut off or cut in pieces",
    )
    order: Literal["mixed", "documents-first", "conversations-first"] = Field(
        "mixed",
        description="documents and conversations side by side in every step, or all rows of the one before "
        "the first of the other",
    )


def explicit_shape(shape: str | Shape, vocab_size: int, context: int) -> Any:
    """The model configuration of a shape for a tokenizer. Raises ``UserError`` for an unknown preset."""
    from bottega.model.config import ModelConfig, preset

    if isinstance(shape, str):
        return preset(shape, vocab_size=vocab_size, max_positions=context)
    return ModelConfig(
        vocab_size=vocab_size,
        hidden_size=shape.hidden_size,
        intermediate_size=shape.intermediate_size or -(-shape.hidden_size * 8 // 3 // 32) * 32,
        num_layers=shape.num_layers,
        num_heads=shape.num_heads,
        num_kv_heads=shape.num_kv_heads or shape.num_heads,
        head_dim=shape.head_dim or shape.hidden_size // shape.num_heads,
        max_positions=context,
        rope_theta=shape.rope_theta,
        tie_embeddings=shape.tie_embeddings,
    )
