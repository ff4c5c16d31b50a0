"""Rails for learning by trial: when a policy runs away, training ends and says why."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

PATIENCE = 3  # steps in a row beyond a limit


@dataclass(frozen=True)
class Limits:
    """Beyond which a policy has run away; 0 switches one off."""

    max_kl: float = 0.0  # nats an answer, to the reference
    min_entropy: float = 0.0  # nats a token
    min_score_spread: float = 0.0  # standard deviation of a step's scores
    min_ended: float = 0.0  # share of answers that ended
    max_growth: float = 0.0  # length of the answers, by that at the start


class Guard:
    """Looks at every step's figures; ``strikes`` are the steps in a row that each limit was passed."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.strikes: dict[str, int] = {}

    def reason_to_stop(self, figures: Mapping[str, float]) -> str:
        """Why to stop, or "". ``figures``: kl, entropy, score_spread, ended and growth of a
        step.

        A figure that is not finite is a reason at once, one beyond its limit after :data:`PATIENCE` steps.
        """
        limits = self._limits
        for name, value in figures.items():
            if not math.isfinite(value):
                return f"{name} is {value}: lower the learning rate"
        checks = (
            ("kl", figures["kl"] > limits.max_kl > 0, limits.max_kl, _KL),
            ("entropy", figures["entropy"] < limits.min_entropy, limits.min_entropy, _ENTROPY),
            (
                "score_spread",
                figures["score_spread"] < limits.min_score_spread,
                limits.min_score_spread,
                _SPREAD,
            ),
            ("ended", figures["ended"] < limits.min_ended, limits.min_ended, _ENDED),
            ("growth", figures.get("growth", 0.0) > limits.max_growth > 0, limits.max_growth, _GROWTH),
        )
        for name, beyond, limit, remedy in checks:
            self.strikes[name] = self.strikes.get(name, 0) + 1 if beyond else 0
            if self.strikes[name] >= PATIENCE:
                return (
                    f"{remedy[0]} has been {figures[name]:.4g} and beyond its limit of {limit:g} for "
                    f"{PATIENCE} steps: {remedy[1]}"
                )
        return ""


_KL = ("the KL to the reference", "raise kl_coef or lower the learning rate")
_ENTROPY = ("the entropy", "the policy says always the same; raise kl_coef or lower the learning rate")
_SPREAD = (
    "the spread of the scores",
    "there is nothing left to learn from; use other prompts or stop earlier",
)
_GROWTH = (
    "the answers' length by that at the start",
    "the reward likes long answers; raise kl_coef, or train the reward model on answers of equal length",
)
_ENDED = ("the share of answers that end", "lower no_end_score, or raise max_new_tokens")
