"""Whether a recipe hangs together: every name it mentions exists, and no model is its own ancestor."""

from __future__ import annotations

import re
from collections.abc import Iterable

from bottega.data.sources import SourceSpec
from bottega.errors import UserError
from bottega.lineage.graph import find_cycle
from bottega.lineage.recipe import CollectedSpec, DataUse, ModelSpec, Recipe
from bottega.lineage.recipe_errors import Faults

# Names become folders and command-line words.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def check(recipe: Recipe, faults: Faults) -> None:
    """Record every fault of the recipe as a whole."""
    for section in ("tokenizers", "datasets", "models"):
        for name in getattr(recipe, section):
            if not _NAME.fullmatch(name):
                faults.add(
                    (section, name),
                    "names are letters, digits, '.', '_' and '-', and begin with one of the first two.",
                )
    if not recipe.models:
        faults.add(("models",), "the recipe names no model; add a [models.NAME] table.")
    for name, dataset in recipe.datasets.items():
        for source in dataset.sources:
            _check_school(source.uri, ("datasets", name, "sources"), faults)
        if isinstance(dataset, CollectedSpec):
            _all_known(
                (dataset.parent,), recipe.models, ("datasets", name, "parent"), "model of this recipe", faults
            )
            _check_data(recipe, dataset.data, ("datasets", name), faults)
    _check_sides(recipe, faults)
    for name, tokenizer in recipe.tokenizers.items():
        _all_known(tokenizer.datasets, recipe.datasets, ("tokenizers", name, "datasets"), "dataset", faults)
    for name, entries in recipe.evals.items():
        _check_evaluations(recipe, entries, ("evals", name), faults)
    cycle = find_cycle({name: _made_from(recipe, model) for name, model in recipe.models.items()})
    if cycle:
        faults.add(
            ("models", cycle[0], "parent"), f"a model cannot be its own ancestor: {' -> '.join(cycle)}."
        )
    for name, model in recipe.models.items():
        _check_model(recipe, name, model, faults, acyclic=cycle is None)


def _check_sides(recipe: Recipe, faults: Faults) -> None:
    """What one dataset holds out no other may train on: of a source that both read, as large a share."""
    read = [
        (name, dataset.heldout, source)
        for name, dataset in recipe.datasets.items()
        if not isinstance(dataset, CollectedSpec)
        for source in dataset.sources
        if not source.uri.startswith("school:")  # whose held-out items are others, whatever the share
    ]
    for at, (name, share, source) in enumerate(read):
        for other, its_share, its_source in read[:at]:
            if other == name or source.uri != its_source.uri or share == its_share:
                continue
            if _disjoint(source, its_source) or _disjoint(its_source, source):
                continue
            faults.add(
                ("datasets", name, "heldout"),
                f"{share:g} of {source.uri} is held out here and {its_share:g} in {other!r}: one trains on "
                "what the other holds out. Give both the same share, or other rows by `only` and `without`.",
            )


def _disjoint(one: SourceSpec, other: SourceSpec) -> bool:
    """Whether what ``one`` alone reads is left out by ``other``, or is another of a field's values."""
    return any(
        set(patterns) <= set(other.without.get(field, ()))
        or (
            field in other.only
            and not any(mark in p for p in (*patterns, *other.only[field]) for mark in "*?[")
            and not set(patterns) & set(other.only[field])
        )
        for field, patterns in one.only.items()
    )


def _check_model(recipe: Recipe, name: str, model: ModelSpec, faults: Faults, *, acyclic: bool) -> None:
    path = ("models", name)
    _all_known(model.parent, recipe.models, (*path, "parent"), "model of this recipe", faults)
    if model.tokenizer is not None:
        _all_known((model.tokenizer,), recipe.tokenizers, (*path, "tokenizer"), "tokenizer", faults)
    elif acyclic and not model.parent and model.stage != "import":
        faults.add(
            path, "the key 'tokenizer' is missing: a model without a parent must name one of [tokenizers]."
        )
    _check_data(recipe, model.data, path, faults)
    for entry in model.evals:
        if ":" not in entry and entry not in recipe.evals:
            faults.unknown_name((*path, "evals"), entry, recipe.evals, "list of [evals]")
    _check_evaluations(recipe, (entry for entry in model.evals if ":" in entry), (*path, "evals"), faults)


def _check_data(recipe: Recipe, data: Iterable[DataUse], path: tuple[str, ...], faults: Faults) -> None:
    for use in data:
        if use.dataset not in recipe.datasets:
            faults.unknown_name((*path, "data"), use.dataset, recipe.datasets, "dataset")
            continue
        uris = [source.uri for source in recipe.datasets[use.dataset].sources]
        _all_known(use.sources, uris, (*path, "data"), f"source of the dataset {use.dataset!r}", faults)


def _made_from(recipe: Recipe, model: ModelSpec) -> list[str]:
    """The models that a model is made from: its parents, and those whose answers it learns from."""
    answered = (recipe.datasets.get(use.dataset) for use in model.data)
    return [*model.parent, *(one.parent for one in answered if isinstance(one, CollectedSpec))]


def _check_school(uri: str, path: tuple[str, ...], faults: Faults) -> None:
    """The school is at hand, so that a misspelt part need not wait for its dataset to be frozen."""
    if not uri.startswith("school:"):
        return
    import bottega.data.school  # noqa: F401  (fills the registry)
    from bottega.data.school.registry import PARTS

    name = uri.removeprefix("school:")
    if name not in PARTS:
        faults.unknown_name(path, name, PARTS, "part of the school")


def _check_evaluations(recipe: Recipe, entries: Iterable[str], path: tuple[str, ...], faults: Faults) -> None:
    from bottega.evals.names import expand

    for entry in entries:
        try:
            expand([entry], recipe.datasets)
        except UserError as error:
            faults.add(path, f"{error}.")


def _all_known(
    names: Iterable[str], known: Iterable[str], path: tuple[str, ...], what: str, faults: Faults
) -> None:
    known = list(known)
    for name in names:
        if name not in known:
            faults.unknown_name(path, name, known, what)
