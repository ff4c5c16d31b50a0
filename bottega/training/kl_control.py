"""What a unit of KL costs: a fixed coefficient, or one steered towards a target (1909.08593, section 2.2)."""

from __future__ import annotations

import math

LEAST_FACTOR = 0.1  # of one step, which would else turn the coefficient round where the horizon is short
MOST_ERROR = 0.2  # by which one step may take the KL to be off its target, as a share


class KLControl:
    """``coef`` is what to use; with a ``target`` :meth:`update` follows it, over ``horizon`` answers."""

    def __init__(self, coef: float, target: float = 0.0, horizon: int = 10_000) -> None:
        self.coef = coef
        self._target, self._horizon = target, horizon

    def update(self, kl: float, answers: int) -> None:
        """``answers`` were sampled, whose mean KL was ``kl``."""
        if not self._target or not math.isfinite(kl):
            return
        error = min(max(kl / self._target - 1, -MOST_ERROR), MOST_ERROR)
        self.coef *= max(1 + error * answers / self._horizon, LEAST_FACTOR)
