"""A built model before its evaluations: what they are called in a recipe, and what they read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from bottega.evals import registry
from bottega.evals.names import dataset_of, rivals_of
from bottega.evals.score import Score
from bottega.evals.subject import EvalOptions, Subject
from bottega.lineage.card import read_card
from bottega.lineage.fingerprint import digest, source_state
from bottega.lineage.graph import Node
from bottega.lineage.loading import load, load_judge
from bottega.lineage.recipe import Recipe
from bottega.lineage.resolve import Resolver
from bottega.model.hub import is_scorer


class Evaluator:
    """One model in memory, scored by name."""

    def __init__(self, resolver: Resolver, folder: Path) -> None:
        self._judge = load_judge(folder, resolver.options.device) if is_scorer(folder) else None
        self._subject = None if self._judge else _subject(resolver, folder)
        self._options = options_of(resolver)

    def score(self, evaluation: str, options: EvalOptions | None = None) -> Score:
        """Run one evaluation, with the recipe's options by default. Raises UserError for a name that means
        nothing."""
        options = options or self._options
        if self._judge is not None:
            return registry.score_judge(evaluation, *self._judge, options)
        assert self._subject is not None
        return registry.score(evaluation, self._subject, options)


def score_together(
    resolver: Resolver, folders: Sequence[Path], evaluation: str, options: EvalOptions
) -> list[Score]:
    """Run one evaluation by the clock for several models in turns; all of them are in memory at once."""
    subjects = [_subject(resolver, folder) for folder in folders]
    return registry.score_together(evaluation, subjects, options)


def _subject(resolver: Resolver, folder: Path) -> Subject:
    model, tokenizer = load(folder, resolver.options.device)
    card = read_card(folder)
    parents = tuple(parent.name for parent in card.parents)
    earlier = frozenset(judge for parent in parents[:1] for judge in _judges_of(resolver.recipe, parent))
    return Subject(model, tokenizer, card.speaks, parents, earlier)


def _judges_of(recipe: Recipe, model: str) -> Iterator[str]:
    """The reward models that a model, and those that it goes on from, were trained with."""
    while model in recipe.models and recipe.models[model].parent:
        model, *judges = recipe.models[model].parent
        yield from judges


def settings(resolver: Resolver, evaluation: str, options: EvalOptions | None = None) -> str:
    """A digest of what an evaluation asks at present: a score with another one is of other cases."""
    options = options or options_of(resolver)
    dataset = dataset_of(evaluation)
    if dataset is not None and dataset in options.datasets:
        reads: object = resolver.standing(Node("dataset", dataset)).digest
    else:
        what = evaluation.partition(":")[2]
        reads = source_state(what if ":" in what else "school:", options.data)
    amounts = [options.cases, options.documents, options.document_chars]
    for model in rivals_of(evaluation):
        if model in resolver.recipe.models:
            reads = [reads, resolver.standing(Node("model", model)).digest]
    return digest([registry.EDITION, *amounts, options.world_seed, options.seed, reads])


def options_of(resolver: Resolver) -> EvalOptions:
    """How a family's models are evaluated, as its recipe says."""
    standing = {name: resolver.standing(Node("dataset", name)) for name in resolver.recipe.datasets}
    models = {name: resolver.standing(Node("model", name)) for name in resolver.recipe.models}
    return EvalOptions(
        cases=resolver.recipe.info.eval_cases,
        documents=resolver.recipe.info.eval_cases,
        world_seed=resolver.options.world(resolver.recipe),
        datasets={name: found.path for name, found in standing.items() if found.built and found.path},
        models={name: found.path for name, found in models.items() if found.built and found.path},
        data=resolver.options.data,
    )
