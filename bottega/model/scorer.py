"""A backbone that gives every token a number: a reward model, read at the last token, or a value network."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from bottega.model.config import ModelConfig
from bottega.model.decoder import Backbone, Decoder


class Scorer(Backbone):
    """The trunk of a language model with one linear head, of no bias, where that had its vocabulary.

    ``shift`` is what the scores of reference answers came to on average: it is taken off by :meth:`rewards`
    and left on by :meth:`scores`, which are those that ``transformers`` computes. ``offset``, where there is
    one, reads how readily a prompt's answers are liked off the prompt's end; it takes part in training alone.
    """

    def __init__(
        self, config: ModelConfig, *, checkpoint_activations: bool = False, offset: bool = False
    ) -> None:
        super().__init__(config, checkpoint_activations=checkpoint_activations)
        self.score = nn.Linear(config.hidden_size, 1, bias=False)
        self.offset = nn.Linear(config.hidden_size, 1, bias=False) if offset else None
        self.shift = 0.0

    def scores(self, hidden: Tensor) -> Tensor:
        """Float32 scores [...] of hidden states [..., D]."""
        return _read(self.score, hidden)

    def rewards(self, hidden: Tensor) -> Tensor:
        """Scores whose mean over reference answers is 0 (2203.02155, section 3.5)."""
        return self.scores(hidden) - self.shift

    def offsets(self, hidden: Tensor) -> Tensor:
        """Float32 offsets [...] of the hidden states [..., D] at the ends of prompts."""
        assert self.offset is not None, "the scorer was made without offsets"
        return _read(self.offset, hidden)

    def flops_per_token(self, context: int) -> int:
        """FLOPs of forward and backward for one token among ``context``: a decoder's without its
        vocabulary."""
        config = self.config
        return config.flops_per_token(context) - 6 * config.vocab_size * config.hidden_size


def _read(head: nn.Linear, hidden: Tensor) -> Tensor:
    """One number for each hidden state, in float32 whatever the trunk computes in."""
    return hidden.float() @ head.weight.float().squeeze(0)


def is_score_head(name: str) -> bool:
    """Whether a parameter is one of a scorer's heads: one row, of full precision, and no hidden matrix."""
    return name.startswith(("score.", "offset.", "value."))


def scorer_from(model: Backbone, seed: int, *, offset: bool = False) -> Scorer:
    """A scorer on a copy of ``model``'s trunk, its head drawn from N(0, 1 / sqrt(d + 1)) (2009.01325, B.1).

    A scorer's own head and shift are kept.
    """
    device = next(model.parameters()).device
    with torch.device("meta"):
        scorer = Scorer(model.config, offset=offset)
    generator = torch.Generator().manual_seed(seed)
    std = 1 / math.sqrt(model.config.hidden_size + 1)
    drawn = torch.randn(scorer.score.weight.shape, generator=generator) * std
    state = {name: p.detach().clone() for name, p in model.named_parameters() if name.startswith("model.")}
    state["score.weight"] = drawn.to(device)
    if isinstance(model, Scorer):
        state["score.weight"] = model.score.weight.detach().clone()
        scorer.shift = model.shift
    if offset:
        state["offset.weight"] = torch.zeros_like(state["score.weight"])
    put_parameters(scorer, state)
    return scorer.to(device)


class PolicyWithValue(Decoder):
    """A language model with a second head, whose numbers are values of its states."""

    def __init__(self, config: ModelConfig, *, checkpoint_activations: bool = False) -> None:
        super().__init__(config, checkpoint_activations=checkpoint_activations)
        self.value = nn.Linear(config.hidden_size, 1, bias=False)
        self.shift = 0.0

    def values(self, hidden: Tensor) -> Tensor:
        """Float32 values [...] of hidden states [..., D]."""
        return _read(self.value, hidden) - self.shift


def policy_with_value(model: Decoder, reward_model: Scorer) -> PolicyWithValue:
    """``model`` with the reward model's head beside its own; the parameters are those of ``model``."""
    with torch.device("meta"):
        policy = PolicyWithValue(model.config)
    state = dict(model.named_parameters())
    put_parameters(policy, {**state, "value.weight": reward_model.score.weight.detach().clone()})
    policy.shift = reward_model.shift
    return policy.to(next(model.parameters()).device)


def put_parameters(model: nn.Module, state: dict[str, Tensor]) -> None:
    """Give the modules of ``model`` these parameters in place of their own, which may be on no device."""
    for name, tensor in state.items():
        module, _, leaf = name.rpartition(".")
        setattr(model.get_submodule(module), leaf, nn.Parameter(tensor))
