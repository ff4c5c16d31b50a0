"""Learning from preferences without a reward model: DPO (2305.18290), IPO (2310.12036), KTO (2402.01306).

The policy's own log-probability of an answer over the reference's is the reward. Batches are a
``ComparisonPlan``'s: all answers of a prompt, read once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from bottega.model.decoder import Decoder
from bottega.model.lora import without_lora
from bottega.training.compilation import compile_model, is_compiled
from bottega.training.objective import LossParts, TensorBatch
from bottega.training.token_logprobs import token_logprobs

FOREIGN = -1.0  # the rating of an answer that belongs to another prompt: KTO's measure of the KL


@dataclass(frozen=True)
class Goal:
    """What is asked of the rewards log p - log p_ref."""

    loss: Literal["sigmoid", "ipo", "kto"] = "sigmoid"
    beta: float = 0.1
    label_smoothing: float = 0.0  # the share of labels that are taken to be wrong
    desirable_weight: float = 1.0  # of KTO's good answers
    undesirable_weight: float = 1.0


class DirectPreference:
    """The objective; ``reference`` is a frozen network, or None for the policy without its adapters."""

    def __init__(self, goal: Goal, reference: Decoder | None) -> None:
        self._goal, self._reference = goal, reference

    def __call__(self, policy: Decoder, batch: TensorBatch) -> LossParts:
        """The loss over a batch: of comparisons the mean over a prompt's untied pairs, of ratings each."""
        own = answer_logprobs(policy, batch, mean=self._goal.loss == "ipo")
        rewards = own - self._reference_logprobs(policy, batch)
        if self._goal.loss == "kto":
            return kto_loss(rewards, batch.extra["ratings"], self._goal)
        return pairs_loss(rewards, batch.extra["wins"], self._goal)

    @torch.no_grad()
    def _reference_logprobs(self, policy: Decoder, batch: TensorBatch) -> Tensor:
        mean = self._goal.loss == "ipo"
        if self._reference is None:
            with without_lora(policy):
                return answer_logprobs(policy, batch, mean=mean)
        if is_compiled(policy) and not is_compiled(self._reference):
            compile_model(self._reference)
        return answer_logprobs(self._reference, batch, mean=mean)


def answer_logprobs(model: Decoder, batch: TensorBatch, *, mean: bool = False) -> Tensor:
    """log p(answer | prompt) [B, A]: the sum over its tokens, its end included, or their ``mean``; 0 where
    there is no answer."""
    extra = batch.extra
    hidden = model(batch.tokens, batch.positions, batch.segments, branches=extra["branches"])
    B, A = extra["ends"].shape
    answer = extra["answer"].reshape(-1)
    places = answer.nonzero().squeeze(1)
    found = token_logprobs(model, hidden, batch.targets, places).logprobs
    which = places // (batch.tokens.numel() // B) * A + answer[places].long() - 1
    sums = found.new_zeros(B * A).index_add(0, which, found).view(B, A)
    if not mean:
        return sums
    counts = torch.zeros_like(sums).view(-1).index_add(0, which, torch.ones_like(found)).view(B, A)
    return sums / counts.clamp(min=1)


def pairs_loss(rewards: Tensor, wins: Tensor, goal: Goal) -> LossParts:
    """Rewards [B, A], wins [B, A, A]; DPO's equation 7, or IPO's equation 17, over every untied pair."""
    margins = rewards[:, :, None] - rewards[:, None, :]
    if goal.loss == "ipo":
        losses = (margins - 1 / (2 * goal.beta)).square()
    else:
        smooth = goal.label_smoothing
        losses = (1 - smooth) * F.softplus(-goal.beta * margins) + smooth * F.softplus(goal.beta * margins)
    chosen = wins > 0
    right = torch.where(chosen, (margins > 0).float() * wins, 0.0).sum()
    margin = torch.where(chosen, margins * wins, 0.0).sum() * goal.beta
    loss = torch.where(chosen, losses * wins, 0.0).sum()
    return LossParts(loss, wins.sum(), {"accuracy": right, "margin": margin})


def kto_loss(rewards: Tensor, ratings: Tensor, goal: Goal) -> LossParts:
    """Rewards and ratings [B, A]; equation 8 of KTO. The KL that rewards are held against is the mean reward
    of answers to other prompts, no less than 0, through which no gradient flows."""
    foreign = ratings == FOREIGN
    among = torch.where(foreign, rewards.detach(), 0.0).sum() / foreign.sum().clamp(min=1)
    kl = among.clamp(min=0)
    rated = ~ratings.isnan() & ~foreign
    good = rated & (ratings > 0.5)
    towards = torch.where(good, rewards - kl, kl - rewards) * goal.beta
    weights = torch.where(good, goal.desirable_weight, goal.undesirable_weight)
    losses = torch.where(rated, weights * (1 - torch.sigmoid(towards)), 0.0)
    right = torch.where(rated, (towards > 0).float(), 0.0).sum()
    count = rated.sum().float()
    return LossParts(losses.sum(), count, {"accuracy": right, "kl": kl * count})
