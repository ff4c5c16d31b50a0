"""The learning rate, a function of the step alone: warm-up, stable, decay."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Schedule:
    """Linear warm-up, then 1, then linear decay to ``final_fraction`` over the last ``decay_steps``."""

    total_steps: int
    warmup_steps: int
    decay_steps: int
    final_fraction: float = 0.0

    def __post_init__(self) -> None:
        if self.total_steps < 1 or self.warmup_steps < 0 or self.decay_steps < 0:
            raise ValueError(f"a schedule needs at least one step and no negative phase: {self}")

    def factor(self, step: int) -> float:
        """What the peak learning rate is multiplied by at ``step`` (0-based); never 0."""
        warm = min(1.0, (step + 1) / (self.warmup_steps + 1))
        left = self.total_steps - step
        if left > self.decay_steps:
            return warm
        # The last step has one part in decay_steps + 1 left: a step at learning rate 0 would be wasted.
        share = max(0, left) / (self.decay_steps + 1)
        return warm * (self.final_fraction + (1.0 - self.final_fraction) * share)
