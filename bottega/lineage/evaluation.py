"""A built model before its evaluations: what they are called in a recipe, and what they read."""

from __future__ import annotations

from pathlib import Path

from bottega.evals import registry
from bottega.evals.score import Score
from bottega.lineage.card import read_card
from bottega.lineage.graph import Node
from bottega.lineage.loading import load
from bottega.lineage.resolve import Resolver


class Evaluator:
    """One model in memory, scored by name."""

    def __init__(self, resolver: Resolver, folder: Path) -> None:
        model, tokenizer = load(folder, resolver.options.device)
        self._subject = registry.Subject(model, tokenizer, read_card(folder).speaks)
        standing = {name: resolver.standing(Node("dataset", name)) for name in resolver.recipe.datasets}
        self._options = registry.EvalOptions(
            cases=resolver.recipe.info.eval_cases,
            world_seed=resolver.options.world(resolver.recipe),
            datasets={name: found.path for name, found in standing.items() if found.built and found.path},
            data=resolver.options.data,
        )

    def score(self, evaluation: str) -> Score:
        """Run one evaluation. Raises UserError for a name that means nothing."""
        return registry.score(evaluation, self._subject, self._options)
