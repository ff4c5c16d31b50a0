"""Fingerprints: a hash of everything that decides what a node turns out to be, and of nothing else.

In: the stage's configuration and version, seeds, the digests of the tokenizer and of the datasets' content,
the parents' fingerprints. Out: names, titles, paths, devices, precision, logging. Datasets and tokenizers
have keys of the same kind, under which what was frozen is found again without freezing it twice.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import metadata, resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bottega.lineage.recipe import CollectedSpec, DatasetSpec, ModelSpec, Recipe, TokenizerSpec
from bottega.stages.collect import Collect

if TYPE_CHECKING:
    from bottega.lineage.graph import Node

FREEZE_VERSION = 2  # raised when the same sources start to freeze to other records
TOKENIZER_VERSION = 1  # raised when the same text starts to train another tokenizer


def canonical(value: Any) -> bytes:
    """JSON with one spelling: sorted keys, no spaces, no NaN. Equal values have equal bytes."""
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()


def digest(value: Any) -> str:
    """The sha256 of a value's canonical JSON, in hex."""
    return hashlib.sha256(canonical(value)).hexdigest()


def file_digest(path: Path) -> str:
    """The sha256 of a file's content, in hex."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def folder_digest(folder: Path, names: Sequence[str]) -> str:
    """The sha256 over the named files of a folder: their names and contents."""
    return digest({name: file_digest(folder / name) for name in sorted(names)})


def model_fingerprint(
    recipe: Recipe,
    name: str,
    *,
    stage_version: int,
    world_seed: int,
    tokenizer_digest: str,
    parents: Sequence[str],
    datasets: Mapping[str, str],
) -> str:
    """The fingerprint of a model.

    Args:
        parents: the parents' fingerprints, in the recipe's order.
        datasets: dataset name -> content digest.
    """
    spec: ModelSpec = recipe.models[name]
    data = [
        {
            "digest": datasets[use.dataset],
            "sources": sorted(use.sources),
            "weight": use.weight,
            "role": use.role,
        }
        for use in spec.data
    ]
    return digest(
        {
            "stage": spec.stage,
            "stage_version": stage_version,
            "config": spec.config.model_dump(mode="json"),
            "seed": seed_of(recipe, name),
            "world_seed": world_seed,
            "tokenizer": tokenizer_digest,
            "parents": list(parents),
            "data": data,
        }
    )


def seed_of(recipe: Recipe, name: str) -> int:
    """The seed a model is built with."""
    own = recipe.models[name].seed
    return recipe.info.seed if own is None else own


def tokenizer_key(spec: TokenizerSpec, datasets: Sequence[str]) -> str:
    """The key of a tokenizer, given the content digests of what it is learnt from."""
    return digest({"version": TOKENIZER_VERSION, "vocab_size": spec.vocab_size, "datasets": list(datasets)})


def dataset_identity(spec: DatasetSpec, options: Mapping[str, Any]) -> str:
    """What a recipe and its options ask of a dataset, whatever its sources hold at the moment."""
    # Of a source only what it says: a key that comes to be known later changes no dataset that lacks it.
    asked = spec.model_dump(mode="json", exclude={"cutoff", "sources"})
    asked["sources"] = [source.model_dump(mode="json", exclude_defaults=True) for source in spec.sources]
    return digest({"version": FREEZE_VERSION, "spec": asked, "options": dict(options)})


def dataset_key(spec: DatasetSpec, options: Mapping[str, Any], data: Path | None) -> str:
    """The key of a frozen dataset: its identity, and the state of what it reads.

    Files count by name, size and time, so an edited file is frozen again; whether its models are stale is
    then decided by the content digest, which a mere ``touch`` does not change.
    """
    state = [source_state(source.uri, data) for source in spec.sources]
    return digest({"identity": dataset_identity(spec, options), "state": state})


def collected_key(recipe: Recipe, name: str, world_seed: int, digests: Mapping[Node, str]) -> str:
    """The key of a dataset that a model makes: whose answers, to what, ranked by which world's labelers."""
    spec = recipe.datasets[name]
    assert isinstance(spec, CollectedSpec)
    return digest(
        {
            "stage": spec.stage,
            "stage_version": Collect.version,
            "config": spec.config.model_dump(mode="json"),
            "seed": recipe.info.seed if spec.seed is None else spec.seed,
            "world_seed": world_seed,
            "needs": [digests[need] for need in sorted(digests)],
            "sources": [sorted(use.sources) for use in spec.data],
        }
    )


def source_state(uri: str, data: Path | None) -> Any:
    """What can be known of a source's state without reading it through."""
    scheme, _, rest = uri.partition(":")
    if scheme == "file":
        pattern = rest.replace("$DATA", str(data)) if data else rest
        return [
            [f.name, f.stat().st_size, f.stat().st_mtime_ns] for f in _matches(Path(pattern).expanduser())
        ]
    if scheme == "hf" and rest.startswith((".", "/", "~")):  # a local folder; the hub's own are pinned
        folder = Path(rest.rpartition(":")[0]).expanduser()
        files = (file for file in sorted(folder.rglob("*")) if file.is_file())
        return [[f.relative_to(folder).as_posix(), f.stat().st_size, f.stat().st_mtime_ns] for f in files]
    if scheme == "python":
        import sys

        installed = (
            sorted(f"{d.name}=={d.version}" for d in metadata.distributions()) if "packages" in rest else []
        )
        return [sys.version, *installed]
    if scheme == "school":
        return _school_digest()
    return None


def _matches(pattern: Path) -> list[Path]:
    if pattern.is_file():
        return [pattern]
    base, parts = Path(pattern.anchor or "."), pattern.relative_to(pattern.anchor).parts
    return sorted(file for file in base.glob("/".join(parts)) if file.is_file())


@cache
def _school_digest() -> str:
    """A digest of the school's own source: another edition of it teaches other texts."""
    folder = resources.files("bottega.data.school")
    sources = {f.name: f.read_bytes() for f in folder.iterdir() if f.name.endswith(".py")}
    return digest({name: hashlib.sha256(content).hexdigest() for name, content in sources.items()})
