"""A family as it stands: its models with their cards, for the tree, the picture and the scoreboard."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from bottega.evals.scoreboard import Row, Scoreboard
from bottega.lineage.card import Card, read_card
from bottega.lineage.graph import Node
from bottega.lineage.home import Home
from bottega.lineage.options import BuildOptions
from bottega.lineage.recipe import ModelSpec, Recipe
from bottega.lineage.resolve import Resolver

Status = Literal["built", "changed", "interrupted", "waiting"]


@dataclass(frozen=True, slots=True)
class Member:
    """One model of a family.

    ``built``: the version the recipe asks for stands. ``changed``: an older one stands, and the recipe has
    changed since. ``interrupted``: begun and not finished. ``waiting``: nothing yet.
    """

    name: str
    spec: ModelSpec
    status: Status
    version: str | None
    card: Card | None
    folder: Path | None

    def to_json(self) -> dict[str, Any]:
        """For ``bottega lineage --json``."""
        card = self.card
        return {
            "name": self.name,
            "status": self.status,
            "stage": self.spec.stage,
            "role": self.spec.role,
            "parents": list(self.spec.parent),
            "version": self.version,
            "folder": str(self.folder) if self.folder else None,
            "cost": card.cost.model_dump() if card else None,
            "licences": card.licences if card else None,
            "scores": {
                name: {k: row[k] for k in ("value", "low", "high", "n", "unit", "floors", "higher_is_better")}
                for name, row in (card.scores if card else {}).items()
            },
        }


def members(recipe: Recipe, home: Home, options: BuildOptions) -> list[Member]:
    """Every model of the recipe as it stands, in the recipe's order."""
    index = home.family(recipe.name)
    resolver = Resolver(recipe, home, options, as_built=index)
    found = []
    for name, spec in recipe.models.items():
        standing = resolver.standing(Node("model", name))
        if standing.built and standing.path is not None:
            card = read_card(standing.path)
            found.append(Member(name, spec, "built", card.version, card, standing.path))
            continue
        if standing.fingerprint is not None and home.run(name, standing.fingerprint).is_dir():
            found.append(Member(name, spec, "interrupted", standing.fingerprint[:12], None, None))
            continue
        older = index.versions.get(f"model {name}") if index else None
        folder = home.path("model", name, older) if older else None
        if folder is not None and folder.is_dir():
            found.append(Member(name, spec, "changed", older, read_card(folder), folder))
        else:
            found.append(Member(name, spec, "waiting", None, None, None))
    return found


def scoreboard(recipe: Recipe, found: list[Member]) -> Scoreboard:
    """The scores of every model of the family that has any."""
    rows = tuple(
        Row(member.name, member.card.all_scores(), member.spec.role)
        for member in found
        if member.card is not None and member.card.scores
    )
    return Scoreboard(rows, recipe.info.title.en or recipe.name)
