"""How a build is run: what changes its data, and what changes only where and how fast it runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from bottega.lineage.recipe import Recipe


@dataclass(frozen=True, slots=True)
class BuildOptions:
    """The choices of ``bottega build``."""

    # These decide what the data are, and so enter the datasets' keys.
    data: Path | None = None  # what $DATA means in a source's URI
    include_nc: bool = False
    include_unclear: bool = False
    skip_bad_rows: bool = False
    world_seed: int | None = None  # in place of the recipe's
    scale: float = 1.0  # every budget of the recipe is multiplied by it; other models than the recipe's own
    # These change nothing in the result but its rounding.
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    device: str = "auto"
    compile: Literal["auto", "on", "off"] = "auto"
    threads: int | None = None
    checkpoint_every_s: float = 60.0
    evaluate: bool = True
    command: str = ""  # as typed, for the card

    def world(self, recipe: Recipe) -> int:
        """The world seed in force."""
        return recipe.info.world_seed if self.world_seed is None else self.world_seed

    def of_data(self, recipe: Recipe, heldout: float) -> dict[str, Any]:
        """What of the options decides the content of a dataset, for its key."""
        return {
            "include_nc": self.include_nc,
            "include_unclear": self.include_unclear,
            "skip_bad_rows": self.skip_bad_rows,
            "world_seed": self.world(recipe),
            "seed": recipe.info.seed,
            "heldout": heldout,
        }

    def remembered(self) -> dict[str, Any]:
        """What ``bottega lineage`` must know later to find the same versions again."""
        return {
            "data": str(self.data) if self.data else None,
            "include_nc": self.include_nc,
            "include_unclear": self.include_unclear,
            "skip_bad_rows": self.skip_bad_rows,
            "world_seed": self.world_seed,
            "scale": self.scale,
        }

    @classmethod
    def recalled(cls, row: Mapping[str, Any]) -> BuildOptions:
        """The options that ``remembered`` wrote down."""
        return cls(**{**row, "data": Path(row["data"]) if row.get("data") else None})
