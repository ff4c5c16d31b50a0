"""A stage whose runs leave notes.

Worker processes know it as well: its configuration is in the recipe that they are sent, and that brings this
module with it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from bottega.stages.base import StageConfig, StageInputs, StageResult, register
from bottega.stages.sft import Sft, SftConfig

NOTES = ("ended at step 4 of 16: the answers ran away", "the weights of step 2 are kept")


class NotingConfig(SftConfig):
    """As fine-tuning's."""


class Noting(Sft):
    """Fine-tuning with something to say of it."""

    name: ClassVar[str] = "noting"
    Config: ClassVar[type[StageConfig]] = NotingConfig

    def run(self, config: SftConfig, inputs: StageInputs, seed: int) -> StageResult:
        """Fine-tune, and add the notes."""
        result = super().run(config, inputs, seed)
        return replace(result, report=result.report | {"notes": list(NOTES)})


register(Noting())
