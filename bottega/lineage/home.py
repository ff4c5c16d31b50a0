"""Where built things live: the folder ``BOTTEGA_HOME``, its locks, its aliases and the index of each family.

    models/NAME/VERSION/       a built model: Hugging Face layout, card.json, README.md
    datasets/NAME/VERSION/     a frozen dataset
    tokenizers/NAME/VERSION/   a trained tokenizer
    runs/NAME-VERSION/         a model in the making: work/ holds checkpoints, NAME/ what is moved in the end
    cache/                     token shards shared between stages
    families/RECIPE.json       which version of each node a recipe last built
    aliases.json               names that users see -> (model, version)
    locks/                     one file per node being built

A VERSION is the first twelve characters of a fingerprint. A folder under models, datasets or tokenizers is
whole: it was made elsewhere and renamed into place.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bottega.errors import UserError

VERSION_LENGTH = 12


@dataclass(frozen=True, slots=True)
class Family:
    """What a recipe last built."""

    recipe: str  # its name
    source: str  # how to load it again: a shipped name or an absolute path
    options: dict[str, Any] = field(default_factory=dict)  # the build options that its datasets depend on
    versions: dict[str, str] = field(default_factory=dict)  # "model davinci" -> version
    identities: dict[str, str] = field(default_factory=dict)  # "dataset prose" -> what was asked of it
    updated: float = 0.0  # seconds since the epoch


class Home:
    """The folder that everything built is kept in."""

    def __init__(self, root: Path | None = None) -> None:
        chosen = root or Path(os.environ.get("BOTTEGA_HOME") or "~/.bottega")
        self.root = chosen.expanduser().absolute()

    def path(self, kind: str, name: str, version: str) -> Path:
        """The folder of a built dataset, tokenizer or model."""
        return self.root / f"{kind}s" / name / version[:VERSION_LENGTH]

    def run(self, name: str, version: str) -> Path:
        """The folder in which a model is being made."""
        return self.root / "runs" / f"{name}-{version[:VERSION_LENGTH]}"

    @property
    def cache(self) -> Path:
        """Token shards, which any stage may share and anyone may delete."""
        return self.root / "cache"

    def versions(self, kind: str, name: str) -> list[str]:
        """The built versions of a node, the newest first."""
        folder = self.root / f"{kind}s" / name
        built = [entry for entry in _folders(folder) if not entry.name.startswith(".")]
        return [entry.name for entry in sorted(built, key=lambda entry: entry.stat().st_mtime, reverse=True)]

    def names(self, kind: str) -> list[str]:
        """Every name of which some version is built."""
        return [entry.name for entry in _folders(self.root / f"{kind}s") if self.versions(kind, entry.name)]

    @contextlib.contextmanager
    def lock(self, label: str, waiting: Callable[[str], None] | None = None) -> Iterator[None]:
        """Hold the lock called ``label``, waiting for whoever holds it.

        The kernel drops the lock when its holder ends, however it ends, so no lock is ever stale. ``waiting``
        is called once, with a sentence naming the holder, when there is something to wait for.
        """
        folder = self.root / "locks"
        make_folder(folder)
        with (folder / f"{label}.lock").open("a+") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                handle.seek(0)
                if waiting:
                    waiting(
                        f"{label} is being built by process {handle.read().strip() or '?'}; waiting for it."
                    )
                fcntl.flock(handle, fcntl.LOCK_EX)
            handle.truncate(0)
            handle.write(str(os.getpid()))
            handle.flush()
            yield

    def family(self, recipe: str) -> Family | None:
        """What the recipe called ``recipe`` last built, or None."""
        row = read_json(self.root / "families" / f"{recipe}.json")
        return None if row is None else Family(**row)

    def families(self) -> list[Family]:
        """Every family that anything was built of, the one built last first."""
        found = [self.family(file.stem) for file in sorted((self.root / "families").glob("*.json"))]
        return sorted((f for f in found if f is not None), key=lambda f: f.updated, reverse=True)

    def record(self, family: Family, node: str, version: str, identity: str | None = None) -> None:
        """Note that ``version`` of ``node`` now stands; safe when two builds of one family run at once."""
        with self.lock(f"family-{family.recipe}"):
            known = self.family(family.recipe)
            versions = {**(known.versions if known else {}), node: version[:VERSION_LENGTH]}
            identities = dict(known.identities) if known else {}
            if identity is not None:
                identities[node] = identity
            changes = {"versions": versions, "identities": identities, "updated": time.time()}
            row = asdict(family) | changes
            write_json(self.root / "families" / f"{family.recipe}.json", row)

    def aliases(self) -> dict[str, tuple[str, str]]:
        """Alias -> (model, version)."""
        rows = read_json(self.root / "aliases.json") or {}
        return {alias: (row["model"], row["version"]) for alias, row in rows.items()}

    def set_alias(self, alias: str, model: str, version: str) -> None:
        """Point an alias at a built model; readers see the old one or the new one, never neither."""
        if not self.path("model", model, version).is_dir():
            raise UserError(f"cannot point {alias!r} at {model} {version}: no such version is built.")
        with self.lock("aliases"):
            rows = read_json(self.root / "aliases.json") or {}
            rows[alias] = {"model": model, "version": version[:VERSION_LENGTH]}
            write_json(self.root / "aliases.json", rows)

    def remove_alias(self, alias: str) -> None:
        """Forget an alias. Raises UserError where there is none of this name."""
        with self.lock("aliases"):
            rows = read_json(self.root / "aliases.json") or {}
            if alias not in rows:
                raise UserError(
                    f"there is no alias {alias!r}; there are {', '.join(sorted(rows)) or 'none'}."
                )
            del rows[alias]
            write_json(self.root / "aliases.json", rows)


def make_folder(folder: Path) -> None:
    """Create a folder and its parents. Raises UserError where that is not allowed."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (PermissionError, FileExistsError, NotADirectoryError) as error:
        raise UserError(
            f"{folder}: cannot make this folder ({error.strerror}). "
            "Set BOTTEGA_HOME to a folder you may write to."
        ) from None


def read_json(path: Path) -> Any:
    """The file's content, or None where there is no such file. Raises UserError where it is damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(
            f"{path}: damaged ({error}). Delete it and run `bottega build --all` again."
        ) from None


def write_json(path: Path, value: Any) -> None:
    """Replace a file at once: a reader, or a crash, finds the old content or the new, never half."""
    write_text(path, json.dumps(value, ensure_ascii=False, indent=1, default=str) + "\n")


def write_text(path: Path, text: str) -> None:
    """Replace a text file at once."""
    make_folder(path.parent)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("w", encoding="utf-8") as handle:
            handle.write(text)
            handle.flush()
            os.fsync(handle.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)  # on a full disk, half of it would stay


def _folders(folder: Path) -> list[Path]:
    try:
        return sorted(entry for entry in folder.iterdir() if entry.is_dir())
    except (FileNotFoundError, NotADirectoryError):
        return []
