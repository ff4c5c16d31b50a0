"""A recipe as a graph: what each node is made from, and in which order to build them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from bottega.evals.names import dataset_of, rivals_of
from bottega.lineage.recipe import CollectedSpec, Recipe

Kind = Literal["dataset", "tokenizer", "model"]


@dataclass(frozen=True, slots=True, order=True)
class Node:
    """One thing to build."""

    kind: Kind
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


class Graph:
    """The dependencies of every node of a recipe."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self.needs: dict[Node, tuple[Node, ...]] = {}
        for name, dataset in recipe.datasets.items():
            made_from: tuple[Node, ...] = ()
            if isinstance(dataset, CollectedSpec):
                asked = dict.fromkeys(Node("dataset", use.dataset) for use in dataset.data)
                made_from = (Node("model", dataset.parent), *asked)
            self.needs[Node("dataset", name)] = made_from
        for name, tokenizer in recipe.tokenizers.items():
            self.needs[Node("tokenizer", name)] = tuple(Node("dataset", d) for d in tokenizer.datasets)
        for name, model in recipe.models.items():
            parents = tuple(Node("model", parent) for parent in model.parent)
            own = () if model.tokenizer is None else (Node("tokenizer", model.tokenizer),)
            data = tuple(dict.fromkeys(Node("dataset", use.dataset) for use in model.data))
            self.needs[Node("model", name)] = parents + own + data

    def read_by_evaluations(self, model: str) -> list[Node]:
        """The datasets a model is scored on, and the models it is held against, as far as these stand before
        it in the recipe: they are built before that, but are no part of what it is made from."""
        evaluations = self.recipe.evaluations(model)
        datasets, models = self.recipe.datasets, self.recipe.models
        data = [Node("dataset", one) for one in map(dataset_of, evaluations) if one and one in datasets]
        held_against = (one for evaluation in evaluations for one in rivals_of(evaluation))
        before = set(list(models)[: list(models).index(model)]) if model in models else set()
        earlier = (Node("model", one) for one in held_against if one in before)
        return data + [one for one in earlier if Node("model", model) not in self.ancestors(one)]

    def ancestors(self, node: Node) -> set[Node]:
        """Everything a node is made from, however indirectly."""
        return set(self._closure(node)) - {node}

    def descendants(self, node: Node) -> set[Node]:
        """Everything that is made from a node, however indirectly."""
        return {other for other in self.needs if node in self.ancestors(other)}

    def order(self, targets: Iterable[Node]) -> list[Node]:
        """The targets and all they need, each after what it needs, in the order the targets are given."""
        ordered: dict[Node, None] = {}
        for target in targets:
            ordered.update(dict.fromkeys(self._closure(target)))
        return list(ordered)

    def schedule(self, models: Iterable[str] | None = None) -> list[Node]:
        """The building order of the named models, or of all: the way to the first chat first, controls last.

        "First" is measured in models to build, so that a short way to a chat is taken before a long one.
        """
        names = list(self.recipe.models if models is None else models)
        specs = self.recipe.models

        def models_before(name: str) -> int:
            return sum(node.kind == "model" for node in self.ancestors(Node("model", name)))

        chats = sorted(
            (name for name in names if specs[name].chat), key=models_before
        )  # stable: file order on ties
        others = [name for name in names if not specs[name].chat]
        first = chats[:1]
        rest = sorted(
            chats[1:] + others, key=lambda name: (specs[name].role == "control", list(specs).index(name))
        )
        with_evaluations = ([*self.read_by_evaluations(name), Node("model", name)] for name in first + rest)
        nodes = self.order(node for nodes in with_evaluations for node in nodes)
        # A model on the way is evaluated too: on datasets that want no further model.
        on_the_way = (node.name for node in nodes if node.kind == "model")
        read = (node for name in on_the_way for node in self.read_by_evaluations(name))
        there = set(nodes)
        cheap = (node for node in read if node.kind == "dataset" and self.ancestors(node) <= there)
        return self._after_what_they_read(self.order([*nodes, *cheap]))

    def _after_what_they_read(self, nodes: list[Node]) -> list[Node]:
        """The same nodes, each after what it is made from and what its evaluations read, as far as these are
        among them: a model that only stands on the way to another is evaluated too."""
        among, ordered = set(nodes), dict[Node, None]()

        def visit(node: Node, trail: tuple[Node, ...]) -> None:
            if node in ordered or node in trail:
                return
            reads = self.read_by_evaluations(node.name) if node.kind == "model" else []
            for need in (*self.needs[node], *reads):
                if need in among:
                    visit(need, (*trail, node))
            ordered[node] = None

        for node in nodes:
            visit(node, ())
        return list(ordered)

    def _closure(self, node: Node) -> list[Node]:
        """The node after everything it needs, depth first. Soundness of the recipe rules cycles out."""
        ordered: dict[Node, None] = {}

        def visit(current: Node) -> None:
            if current not in ordered:
                for need in self.needs[current]:
                    visit(need)
                ordered[current] = None

        visit(node)
        return list(ordered)


def find_cycle(parents: Mapping[str, Iterable[str]]) -> list[str] | None:
    """A cycle as ``[a, b, a]``, or None. Names that are not keys are leaves."""
    done: set[str] = set()

    def walk(name: str, trail: list[str]) -> list[str] | None:
        if name in trail:
            return [*trail[trail.index(name) :], name]
        if name in done:
            return None
        for parent in parents.get(name, ()):
            found = walk(parent, [*trail, name])
            if found:
                return found
        done.add(name)
        return None

    for name in parents:
        found = walk(name, [])
        if found:
            return found
    return None
