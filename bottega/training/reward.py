"""The reward model's objective: all pairs of a prompt at once (2203.02155, equation 1), and ratings."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from bottega.model.scorer import Scorer
from bottega.training.objective import LossParts, TensorBatch


def reward_modelling(scorer: Scorer, batch: TensorBatch) -> LossParts:
    """Minus the log-likelihood of who was preferred: of each prompt the mean over its untied pairs.

    A pair's likelihood is sigmoid(s_winner - s_loser); that of a rating, sigmoid(s - offset of its prompt),
    whose offset is read off the prompt's end. Every prompt weighs the same, whatever the number of its
    answers. ``batch`` is a ``ComparisonPlan``'s.
    """
    hidden = scorer(batch.tokens, batch.positions, batch.segments, branches=batch.extra["branches"])
    ends, wins, ratings = (batch.extra[name] for name in ("ends", "wins", "ratings"))
    scores = scorer.scores(_at(hidden, ends))  # [B, A]
    margins = scores[:, :, None] - scores[:, None, :]
    zero = torch.zeros((), device=hidden.device)
    loss = torch.where(wins > 0, F.softplus(-margins) * wins, zero).sum()
    weight = wins.sum()
    right = torch.where(wins > 0, (margins > 0).float() * wins, zero).sum()
    margin = torch.where(wins > 0, margins * wins, zero).sum()
    if scorer.offset is not None:
        rated = ~ratings.isnan()
        logits = scores - scorer.offsets(_at(hidden, batch.extra["prompt_ends"]))
        said = torch.where(rated, ratings, zero)
        losses = F.binary_cross_entropy_with_logits(logits, said, reduction="none")
        loss = loss + torch.where(rated, losses, zero).sum()
        weight = weight + rated.sum()
        agrees = ((logits > 0) == (said > 0.5)).float()
        right = right + torch.where(rated, agrees, zero).sum()
    return LossParts(loss, weight, {"accuracy": right, "margin": margin})


def _at(hidden: Tensor, columns: Tensor) -> Tensor:
    """hidden [B, S, D], or its strips, at columns [B, A]; -1 gives whatever stands first, for the caller to
    leave out."""
    hidden = hidden.view(len(columns), -1, hidden.shape[-1])
    index = columns.clamp(min=0)[..., None].expand(-1, -1, hidden.shape[-1])
    return hidden.gather(1, index)
