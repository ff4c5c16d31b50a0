"""Where each node of a recipe stands: which version of it the recipe asks for, and whether that is built.

A model's fingerprint needs its datasets' content digests, so it is known only once they are frozen; till then
the model is waiting, whatever older versions of it there are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bottega.errors import UserError
from bottega.lineage import importing
from bottega.lineage.fingerprint import (
    collected_key,
    dataset_identity,
    dataset_key,
    model_fingerprint,
    tokenizer_key,
)
from bottega.lineage.graph import Graph, Node
from bottega.lineage.home import Family, Home
from bottega.lineage.options import BuildOptions
from bottega.lineage.recipe import CollectedSpec, Recipe
from bottega.stages import base as stages


@dataclass(frozen=True, slots=True)
class Standing:
    """One node, as it is now."""

    node: Node
    fingerprint: str | None  # None while something it is made from is not built
    path: Path | None  # where that version is, or will be
    built: bool
    digest: str | None = None  # of the content, once built: what those that are made from it depend on


class Resolver:
    """Standings, computed on demand and kept until ``forget``.

    ``pinned`` holds the versions that a build under way has settled on: of a source that changes meanwhile it
    goes on with what it read first. With ``as_built``, for looking and not for building, a dataset that was
    frozen as the recipe asks counts as standing although its sources have changed since, or cannot be
    reached.
    """

    def __init__(
        self,
        recipe: Recipe,
        home: Home,
        options: BuildOptions,
        *,
        as_built: Family | None = None,
        pinned: Mapping[Node, str] | None = None,
    ) -> None:
        self.recipe, self.home, self.options, self.as_built = recipe, home, options, as_built
        self._pinned = pinned or {}
        self.graph = Graph(recipe)
        self._known: dict[Node, Standing] = {}

    def standing(self, node: Node) -> Standing:
        """Where the node stands."""
        if node not in self._known:
            fingerprint = self._pinned.get(node) or self._fingerprint(node)
            if fingerprint is None:
                self._known[node] = Standing(node, None, None, False)
            else:
                path = self.home.path(node.kind, node.name, fingerprint)
                built = path.is_dir()
                content = self._content_digest(node, path, fingerprint) if built else None
                self._known[node] = Standing(node, fingerprint, path, built, content)
        return self._known[node]

    def forget(self, node: Node) -> None:
        """Look again at a node, and at what is made from it, the next time they are asked for."""
        for stale in (node, *self.graph.descendants(node)):
            self._known.pop(stale, None)

    def path(self, node: Node) -> Path:
        """The folder of a built node."""
        standing = self.standing(node)
        assert standing.built and standing.path is not None, f"{node} is not built"
        return standing.path

    def tokenizer(self, model: str) -> Path | None:
        """The tokenizer's folder where the recipe makes one; None where it comes with an imported model."""
        name = self.recipe.tokenizer_of(model)
        return None if name is None else self.path(Node("tokenizer", name))

    def identity(self, node: Node) -> str | None:
        """What the recipe asks of a dataset; None for other nodes."""
        if node.kind != "dataset":
            return None
        spec = self.recipe.datasets[node.name]
        if isinstance(spec, CollectedSpec):
            return None  # it has no source that could change: its key says all
        return dataset_identity(spec, self.options.of_data(self.recipe, spec.heldout))

    def _fingerprint(self, node: Node) -> str | None:
        needs = [self.standing(need) for need in self.graph.needs[node]]
        digests = {standing.node: standing.digest for standing in needs if standing.digest is not None}
        if len(digests) < len(needs):
            return None
        if node.kind == "dataset":
            spec = self.recipe.datasets[node.name]
            if isinstance(spec, CollectedSpec):
                return collected_key(self.recipe, node.name, self.options.world(self.recipe), digests)
            key = dataset_key(spec, self.options.of_data(self.recipe, spec.heldout), self.options.data)
            return self._frozen_before(node, key) or key
        if node.kind == "tokenizer":
            return tokenizer_key(self.recipe.tokenizers[node.name], list(digests.values()))
        return self._model_fingerprint(node.name, digests)

    def _frozen_before(self, node: Node, key: str) -> str | None:
        """The version that was built of a dataset, where it is what the recipe still asks for."""
        family = self.as_built
        if family is None or self.home.path(node.kind, node.name, key).is_dir():
            return None
        version = family.versions.get(str(node))
        asked_then = family.identities.get(str(node))
        if version is None or asked_then != self.identity(node):
            return None
        return version if self.home.path(node.kind, node.name, version).is_dir() else None

    def _model_fingerprint(self, name: str, digests: dict[Node, str]) -> str | None:
        spec = self.recipe.models[name]
        if isinstance(spec.config, importing.ImportConfig):
            return spec.config.digest
        tokenizer = self.recipe.tokenizer_of(name)
        voice = "" if tokenizer is None else self.standing(Node("tokenizer", tokenizer)).digest
        if voice is None:
            return None
        return model_fingerprint(
            self.recipe,
            name,
            stage_version=stages.get(spec.stage).version,
            world_seed=self.options.world(self.recipe),
            tokenizer_digest=voice,
            parents=[digests[Node("model", parent)] for parent in spec.parent],
            datasets={need.name: value for need, value in digests.items() if need.kind == "dataset"},
        )

    def _content_digest(self, node: Node, path: Path, fingerprint: str) -> str:
        if node.kind == "model":
            return fingerprint
        try:
            if node.kind == "dataset":
                from bottega.data.frozen import FrozenDataset

                return FrozenDataset(path).digest
            from bottega.data.tokenizer import Tokenizer

            return Tokenizer.load(path).digest
        except (OSError, ValueError, KeyError) as error:
            raise UserError(
                f"{path}: damaged {node.kind} ({error}). Delete this folder and build again."
            ) from None
