"""The claims of a family judged from its models: what scores they need, taken once and kept.

The claims ask for more cases than the scoreboard does, so their scores are kept beside the models, under
``BOTTEGA_HOME/claims``, each with a digest of what it asked. What is measured by the clock is measured of
both models of a claim in turns, and kept for that pair.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bottega.evals.claims import FLOOR, WIN_RATE, Claim, Rules, Verdict, evaluation_names, judge, load_claims
from bottega.evals.names import by_the_clock, dataset_of
from bottega.evals.score import Score, missing_score
from bottega.evals.subject import EvalOptions
from bottega.lineage.evaluation import Evaluator, options_of, score_together, settings
from bottega.lineage.graph import Node
from bottega.lineage.home import Home, read_json, write_json
from bottega.lineage.options import BuildOptions
from bottega.lineage.recipe import Recipe
from bottega.lineage.resolve import Resolver


@dataclass(frozen=True)
class Taking:
    """A score that is about to be taken."""

    done: int  # taken before it
    total: int  # that were missing at the beginning
    world_seed: int
    models: tuple[str, ...]
    evaluation: str


def verdicts(
    recipe: Recipe,
    home: Home,
    options: BuildOptions,
    world_seeds: Sequence[int],
    *,
    progress: Callable[[Taking], None] | None = None,
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
        _World(Resolver(recipe, home, replace(options, world_seed=seed), as_built=index), seed)
        for seed in world_seeds
    ]
    judged = [claim for claim in claims if not only or claim.id in only]
    if take:
        _take([(world, run) for claim in judged for world in worlds for run in world.runs(claim)], progress)
    found = []
    for claim in judged:
        found += judge([claim], rules, [world.scores(claim) for world in worlds])
    return rules, found


@dataclass(frozen=True)
class _Run:
    """One evaluation of one model, or by the clock of several in turns, and where its scores are kept."""

    models: tuple[str, ...]
    folders: tuple[Path, ...]
    evaluation: str
    options: EvalOptions
    asked: str  # a digest
    files: tuple[Path, ...]

    def kept(self) -> list[Score]:
        """The scores of the models, or none where one is missing or was asked otherwise."""
        rows = [row for file in self.files if (row := read_json(file)) and row["asked"] == self.asked]
        return [Score.from_json(row["score"]) for row in rows] if len(rows) == len(self.files) else []

    def keep(self, scores: Sequence[Score]) -> None:
        for file, score in zip(self.files, scores, strict=True):
            write_json(file, {"evaluation": self.evaluation, "asked": self.asked, "score": score.to_json()})


class _World:
    """The scores of one world's family."""

    def __init__(self, resolver: Resolver, seed: int) -> None:
        self.resolver, self.seed = resolver, seed
        self._loaded: tuple[Path, Evaluator] | None = None  # the model that was scored last

    def scores(self, claim: Claim) -> dict[str, dict[str, Score]]:
        """What is kept of what the claim needs, by model and evaluation."""
        found: dict[str, dict[str, Score]] = {}
        for model, evaluation in _needs(claim):
            if self._is_built(model):
                scores = found.setdefault(model, {})
                if dataset := self._not_frozen(evaluation):
                    scores[evaluation] = missing_score(evaluation, f"the dataset {dataset} is not built")
        for run in self.runs(claim):
            for model, score in zip(run.models, run.kept(), strict=False):
                found.setdefault(model, {})[run.evaluation] = score
        return found

    def runs(self, claim: Claim) -> Iterator[_Run]:
        """What the claim needs of models that are built, and of datasets that were frozen."""
        options = replace(options_of(self.resolver), cases=claim.n, documents=claim.n)
        for models, evaluation in _together(_needs(claim)):
            built = tuple(filter(self._is_built, models))
            if built and not self._not_frozen(evaluation):
                yield self._run(built, evaluation, options)

    def take(self, run: _Run) -> None:
        """Score the models now, and keep it."""
        if len(run.models) > 1:
            run.keep(score_together(self.resolver, run.folders, run.evaluation, run.options))
            return
        (folder,) = run.folders
        if self._loaded is None or self._loaded[0] != folder:
            self._loaded = (folder, Evaluator(self.resolver, folder))
        run.keep([self._loaded[1].score(run.evaluation, run.options)])

    def _is_built(self, model: str) -> bool:
        return model in self.resolver.recipe.models and self.resolver.standing(Node("model", model)).built

    def _not_frozen(self, evaluation: str) -> str | None:
        """The dataset of the recipe that the evaluation reads, where it does not stand."""
        dataset = dataset_of(evaluation)
        if dataset is None or dataset not in self.resolver.recipe.datasets:
            return None
        return None if self.resolver.standing(Node("dataset", dataset)).built else dataset

    def _run(self, models: tuple[str, ...], evaluation: str, options: EvalOptions) -> _Run:
        folders = tuple(self.resolver.path(Node("model", model)) for model in models)
        named = [evaluation, str(options.cases), *(folder.name for folder in folders if len(folders) > 1)]
        file = hashlib.sha256(" ".join(named).encode()).hexdigest()[:16]
        kept = self.resolver.home.root / "claims"
        return _Run(
            models,
            folders,
            evaluation,
            options,
            settings(self.resolver, evaluation, options),
            tuple(kept / model / f.name / f"{file}.json" for model, f in zip(models, folders, strict=True)),
        )


def _take(runs: Sequence[tuple[_World, _Run]], progress: Callable[[Taking], None] | None) -> None:
    """Take what is missing, each once though several claims ask for it."""
    missing = {run.files: (world, run) for world, run in runs if not run.kept()}
    for done, (world, run) in enumerate(missing.values()):
        if progress is not None:
            progress(Taking(done, len(missing), world.seed, run.models, run.evaluation))
        world.take(run)


def _needs(claim: Claim) -> Iterator[tuple[str, str]]:
    """The (model, evaluation) pairs behind a claim, the same model's together."""
    if not claim.built:
        return
    own, against = evaluation_names(claim)
    yield from ((claim.model, name) for name in own)
    other = claim.model if claim.against is None else claim.against
    if not other.startswith(FLOOR) and claim.metric != WIN_RATE:
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
