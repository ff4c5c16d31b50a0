"""The claims of a family judged from its models: what scores they need, taken once and kept.

The claims ask for more cases than the scoreboard does, so their scores are kept beside the models, under
``BOTTEGA_HOME/claims``, each with a digest of what it asked.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from bottega.evals.claims import FLOOR, Claim, Rules, Verdict, evaluation_names, judge, load_claims
from bottega.evals.registry import dataset_of
from bottega.evals.score import Score
from bottega.lineage.evaluation import Evaluator, options_of, settings
from bottega.lineage.graph import Node
from bottega.lineage.home import Home, read_json, write_json
from bottega.lineage.options import BuildOptions
from bottega.lineage.recipe import Recipe
from bottega.lineage.resolve import Resolver

Progress = Callable[[int, str, str], None]  # world seed, model, evaluation


def verdicts(
    recipe: Recipe,
    home: Home,
    options: BuildOptions,
    world_seeds: Sequence[int],
    *,
    progress: Progress | None = None,
    only: Sequence[str] = (),
    take: bool = True,
) -> tuple[Rules, list[Verdict]]:
    """The verdict on every claim (or on those of the ids in ``only``), pooled over the worlds.

    Each world is the family as ``bottega up --world-seed N`` builds it; a model that is not built leaves its
    claims "not built". Scores that are missing are taken now, unless ``take`` is False.
    """
    rules, claims = load_claims(recipe.info.claims)
    index = home.family(recipe.name)
    worlds = [
        _World(
            Resolver(recipe, home, replace(options, world_seed=seed), as_built=index), seed, progress, take
        )
        for seed in world_seeds
    ]
    found = []
    for claim in claims:
        if not only or claim.id in only:
            found += judge([claim], rules, [world.scores(claim) for world in worlds])
    return rules, found


class _World:
    """The scores of one world's family."""

    def __init__(self, resolver: Resolver, seed: int, progress: Progress | None, take: bool) -> None:
        self._resolver, self._seed, self._progress, self._take = resolver, seed, progress, take
        self._loaded: tuple[str, Evaluator] | None = None  # the model that was scored last

    def scores(self, claim: Claim) -> dict[str, dict[str, Score]]:
        """What the claim needs, by model and evaluation, of models that are built."""
        found: dict[str, dict[str, Score]] = {}
        for model, evaluation in _needs(claim):
            node = Node("model", model)
            if model in self._resolver.recipe.models and self._resolver.standing(node).built:
                score = self._score(node, evaluation, claim.n)
                if score is not None:
                    found.setdefault(model, {})[evaluation] = score
        return found

    def _score(self, node: Node, evaluation: str, cases: int) -> Score | None:
        resolver = self._resolver
        folder = resolver.path(node)
        options = replace(options_of(resolver), cases=cases, documents=cases)
        dataset = dataset_of(evaluation)
        if dataset is not None and dataset in resolver.recipe.datasets and dataset not in options.datasets:
            return None  # it was not frozen
        asked = settings(resolver, evaluation, options)
        name = hashlib.sha256(f"{evaluation} {cases}".encode()).hexdigest()[:16]
        file = resolver.home.root / "claims" / node.name / folder.name / f"{name}.json"
        row = read_json(file)
        if row is not None and row["asked"] == asked:
            return Score.from_json(row["score"])
        if not self._take:
            return None
        if self._progress is not None:
            self._progress(self._seed, node.name, evaluation)
        if self._loaded is None or self._loaded[0] != node.name:
            self._loaded = (node.name, Evaluator(resolver, folder))
        score = self._loaded[1].score(evaluation, options)
        write_json(file, {"evaluation": evaluation, "asked": asked, "score": score.to_json()})
        return score


def _needs(claim: Claim) -> Iterator[tuple[str, str]]:
    """The (model, evaluation) pairs behind a claim, the same model's together."""
    if not claim.built:
        return
    own, against = evaluation_names(claim)
    yield from ((claim.model, name) for name in own)
    other = claim.model if claim.against is None else claim.against
    if not other.startswith(FLOOR):
        yield from ((other, name) for name in against)
