"""The claims of a family judged from its models: what scores they need, taken once and kept.

The claims ask for more cases than the scoreboard does, so their scores are kept beside the models, under
``BOTTEGA_HOME/claims``, each with a digest of what it asked. What is measured by the clock is measured of
both models of a claim in turns, and kept for that pair.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from bottega.evals.claims import FLOOR, Claim, Rules, Verdict, evaluation_names, judge, load_claims
from bottega.evals.registry import EvalOptions, by_the_clock, dataset_of
from bottega.evals.score import Score
from bottega.lineage.evaluation import Evaluator, options_of, score_together, settings
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
        for models, evaluation in _together(_needs(claim)):
            nodes = [Node("model", model) for model in models if self._built(model)]
            for node, score in zip(nodes, self._scores(nodes, evaluation, claim.n), strict=False):
                found.setdefault(node.name, {})[evaluation] = score
        return found

    def _built(self, model: str) -> bool:
        return model in self._resolver.recipe.models and self._resolver.standing(Node("model", model)).built

    def _scores(self, nodes: Sequence[Node], evaluation: str, cases: int) -> list[Score]:
        """What the models score, several in turns; nothing where it is neither at hand nor to be taken."""
        resolver = self._resolver
        options = replace(options_of(resolver), cases=cases, documents=cases)
        dataset = dataset_of(evaluation)
        if dataset is not None and dataset in resolver.recipe.datasets and dataset not in options.datasets:
            return []  # it was not frozen
        folders = [resolver.path(node) for node in nodes]
        others = [folder.name for folder in folders] if len(folders) > 1 else []
        name = hashlib.sha256(" ".join([evaluation, str(cases), *others]).encode()).hexdigest()[:16]
        files = [
            resolver.home.root / "claims" / node.name / folder.name / f"{name}.json"
            for node, folder in zip(nodes, folders, strict=True)
        ]
        asked = settings(resolver, evaluation, options)
        rows = [row for file in files if (row := read_json(file)) is not None and row["asked"] == asked]
        if len(rows) == len(files):
            return [Score.from_json(row["score"]) for row in rows]
        if not self._take:
            return []
        if self._progress is not None:
            self._progress(self._seed, " and ".join(node.name for node in nodes), evaluation)
        scores = self._run(nodes, folders, evaluation, options)
        for file, score in zip(files, scores, strict=True):
            write_json(file, {"evaluation": evaluation, "asked": asked, "score": score.to_json()})
        return scores

    def _run(
        self, nodes: Sequence[Node], folders: Sequence[Path], evaluation: str, options: EvalOptions
    ) -> list[Score]:
        if len(nodes) > 1:
            return score_together(self._resolver, folders, evaluation, options)
        if self._loaded is None or self._loaded[0] != nodes[0].name:
            self._loaded = (nodes[0].name, Evaluator(self._resolver, folders[0]))
        return [self._loaded[1].score(evaluation, options)]


def _needs(claim: Claim) -> Iterator[tuple[str, str]]:
    """The (model, evaluation) pairs behind a claim, the same model's together."""
    if not claim.built:
        return
    own, against = evaluation_names(claim)
    yield from ((claim.model, name) for name in own)
    other = claim.model if claim.against is None else claim.against
    if not other.startswith(FLOOR):
        yield from ((other, name) for name in against)


def _together(needs: Iterator[tuple[str, str]]) -> list[tuple[list[str], str]]:
    """The models of each evaluation that are to be scored in one run: each by itself, but by the clock."""
    runs: list[tuple[list[str], str]] = []
    for model, evaluation in needs:
        begun = next((models for models, name in runs if name == evaluation and by_the_clock(name)), None)
        if begun is None:
            runs.append(([model], evaluation))
        else:
            begun.append(model)
    return runs
