"""The knobs of learning by trial: PPO and the methods without a value network."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from bottega.stages.knobs import OptimizerConfig
from bottega.stages.sft import LoraConfig


class PolicyConfig(OptimizerConfig):
    """What every stage that samples answers and learns from their rewards can be told."""

    steps: int = Field(100, gt=0, description="times that answers are sampled and learned from")
    batch_prompts: int = Field(64, gt=0, description="prompts in a step")
    answers_per_prompt: int = Field(1, ge=1, description="answers sampled to each prompt of a step")
    context: int = Field(512, ge=8, description="tokens of a prompt with an answer, at most")
    max_new_tokens: int = Field(128, gt=0, description="tokens of an answer, at most")
    batch_tokens: int = Field(
        8192, gt=0, description="tokens computed at once; more of them cost memory and change no result"
    )
    temperature: float = Field(
        1.0, gt=0, description="divides the logits, in sampling and in every log-probability"
    )
    reward: Literal["model", "checks"] = Field(
        "model",
        description="what rates an answer: a reward model, named as the second parent, or its prompt's own "
        "check, which is 1 where it passes and 0 where not",
    )
    no_end_score: float | Literal["own"] = Field(
        -1.0,
        description="the score of an answer that reached max_new_tokens without an end; own: as it is, cut",
    )
    inner_epochs: int = Field(1, ge=1, description="passes over the answers of a step")
    minibatches: int = Field(1, ge=1, description="updates in a pass, each on another part of the answers")
    clip: float = Field(
        0.2, gt=0, description="how far a token's probability may move in a step, as a ratio, before it stops"
    )
    kl_coef: float = Field(
        0.02, ge=0, description="what a unit of KL to the reference costs, in units of the score"
    )
    kl_target: float = Field(
        0.0,
        ge=0,
        description="KL an answer that the coefficient is steered towards (1909.08593); 0: it stays as it is",
    )
    kl_horizon: int = Field(10_000, gt=0, description="answers in which the coefficient follows its target")
    lr: float = Field(1e-4, gt=0, description="peak learning rate of AdamW")
    muon_lr: float = Field(1e-3, gt=0, description="peak learning rate of Muon, where it is the optimizer")
    optimizer: Literal["adamw", "muon"] = Field(
        "adamw", description="adamw, or muon for the hidden matrices and adamw for the rest"
    )
    weight_decay: float = Field(0.0, ge=0, description="decoupled weight decay of matrices; norms have none")
    decay_fraction: float = Field(
        1.0, ge=0, le=1, description="share of the steps in which the rate falls to zero"
    )
    warmup_fraction: float = Field(0.0, ge=0, le=1, description="share of the steps in which the rate rises")
    ptx_coef: float = Field(
        0.0,
        ge=0,
        description="weight of the loss on the text of replay datasets in every update (ptx); 0: none",
    )
    ptx_tokens: int = Field(4096, gt=0, description="tokens of that text in every update")
    ema_decay: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="the model is the moving average of the steps' weights, and looks are at it; 0: those of "
        "a step",
    )
    importance_cap: float = Field(
        0.0,
        ge=0,
        description="tokens weigh by trainer's over engine's probability, at most this; 0: all the same",
    )
    lora: LoraConfig | None = Field(
        None,
        description="train adapters of this size, the reference being the policy without them; left out, all "
        "weights are trained and the reference is a second network",
    )
    eval_prompts: int = Field(
        64,
        ge=0,
        description="held-out prompts by which the best step is told, the beginning among them; 0: the last "
        "step is kept",
    )
    eval_every: int = Field(10, gt=0, description="steps from one look at the held-out prompts to the next")
    max_kl: float = Field(
        50.0,
        ge=0,
        description="KL an answer at which training ends, with the best weights so far, if need be those it "
        "began with; 0: never",
    )
    min_entropy: float = Field(
        0.02, ge=0, description="nats a token below which training ends likewise; 0: never"
    )
    max_growth: float = Field(
        4.0,
        ge=0,
        description="mean length of the answers, by that of the first step, at which training ends likewise; "
        "0: never",
    )
    min_ended: float = Field(
        0.0,
        ge=0,
        le=1,
        description="share of the answers that end, below which training ends likewise; 0: never",
    )
    on_runaway: Literal["stop", "back-off"] = Field(
        "stop",
        description="at such a limit: end, or go back to the best weights at half the rate and twice the "
        "price of KL, three times at most",
    )
    min_score_spread: float = Field(
        1e-3, ge=0, description="standard deviation of scores below which training ends likewise; 0: never"
    )

    def effort(self, answer_tokens: float = 0.0) -> float:
        """Its answers are sampled, scored and learned from, which costs about twice their tokens' limit."""
        answers = self.steps * self.batch_prompts * self.answers_per_prompt * self.max_new_tokens
        updates = self.steps * self.inner_epochs * self.minibatches
        return 2.0 * answers + (updates * self.ptx_tokens if self.ptx_coef else 0)


class PpoConfig(PolicyConfig):
    """The knobs of PPO."""

    gamma: float = Field(1.0, gt=0, le=1, description="discount of later rewards")
    lam: float = Field(0.95, ge=0, le=1, description="lambda of generalised advantages (1506.02438)")
    value_clip: float = Field(
        0.2, gt=0, description="how far a value may move from that of the step's beginning before it stops"
    )
    value_coef: float = Field(
        0.5, ge=0, description="weight of the value loss where the value shares the policy's trunk"
    )
    value_lr: float = Field(1e-4, gt=0, description="peak learning rate of the value network")
    value: Literal["separate", "shared"] = Field(
        "separate",
        description="a value network of its own, begun from the reward model, or a head on the policy",
    )
    whiten_scores: bool = Field(
        False, description="divide rewards by their standard deviation before advantages are made of them"
    )


class GroupConfig(PolicyConfig):
    """The knobs of methods that hold the answers of one prompt against each other."""

    answers_per_prompt: int = Field(4, ge=2, description="answers sampled to each prompt of a step")
    reward: Literal["model", "checks"] = Field(
        "checks",
        description="what rates an answer: a reward model, named as the second parent, or its prompt's own "
        "check, which is 1 where it passes and 0 where not",
    )
    no_end_score: float | Literal["own"] = Field(
        0.0,
        description="the score of an answer that reached max_new_tokens without an end; own: as it is, cut",
    )
    max_growth: float = Field(
        0.0,
        ge=0,
        description="mean length of the answers, by that of the first step, at which training ends likewise; "
        "0: never, for who is right may well take longer",
    )


class GrpoConfig(GroupConfig):
    """The knobs of GRPO."""

    scale: bool = Field(
        True, description="divide by the spread of a prompt's scores, as GRPO does; Dr. GRPO does not"
    )
