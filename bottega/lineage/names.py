"""From what a user types to a model's folder: a name, alias, NAME@VERSION, fingerprint or path."""

from __future__ import annotations

import re
from pathlib import Path

from bottega.errors import UserError
from bottega.lineage.home import Home
from bottega.lineage.nearest import did_you_mean

SHORTEST_PREFIX = 4


def find_model(home: Home, text: str, recipe: str | None = None) -> Path:
    """The folder of the model that ``text`` means: the newest version where it is a name.

    ``recipe`` narrows names to the versions that this recipe last built. Raises UserError with the nearest.
    """
    as_path = Path(text).expanduser()
    if (as_path / "config.json").is_file():
        return as_path
    if "/" in text or text.startswith("."):
        raise UserError(f"{text}: not a model folder (there is no config.json in it).")
    name, _, version = text.partition("@")
    if version:
        return _by_version(home, name, version)
    aliases = home.aliases()
    if text in aliases and recipe is None:
        return home.path("model", *aliases[text])
    folder = _newest(home, text, recipe)
    if folder is not None:
        return folder
    if re.fullmatch(rf"[0-9a-f]{{{SHORTEST_PREFIX},64}}", text):
        return _by_prefix(home, text)
    raise UserError(_unknown(home, text, recipe))


def _newest(home: Home, name: str, recipe: str | None) -> Path | None:
    families = home.families() if recipe is None else [f for f in [home.family(recipe)] if f is not None]
    for family in families:
        version = family.versions.get(f"model {name}")
        if version is not None and home.path("model", name, version).is_dir():
            return home.path("model", name, version)
    versions = home.versions("model", name) if recipe is None else []
    return home.path("model", name, versions[0]) if versions else None


def _by_version(home: Home, name: str, version: str) -> Path:
    found = [known for known in home.versions("model", name) if known.startswith(version[:12])]
    if len(found) == 1:
        return home.path("model", name, found[0])
    if found:
        raise UserError(f"{name}@{version} could be any of {', '.join(found)}; give more characters.")
    known = ", ".join(home.versions("model", name))
    raise UserError(
        f"{name} has no version {version}; built: {known}." if known else _unknown(home, name, recipe=None)
    )


def _by_prefix(home: Home, prefix: str) -> Path:
    found = [
        (name, version)
        for name in home.names("model")
        for version in home.versions("model", name)
        if version.startswith(prefix[:12])
    ]
    if len(found) == 1:
        return home.path("model", *found[0])
    if found:
        listing = ", ".join(f"{name}@{version}" for name, version in found)
        raise UserError(f"{prefix} could be any of {listing}; give more characters.")
    raise UserError(
        f"no built model has a fingerprint that begins with {prefix}. `bottega lineage` lists them."
    )


def _unknown(home: Home, name: str, recipe: str | None) -> str:
    if recipe is not None:
        family = home.family(recipe)
        built = [
            key.removeprefix("model ")
            for key in (family.versions if family else {})
            if key.startswith("model ")
        ]
    else:
        built = [*home.names("model"), *home.aliases()]
    where = f" in the family {recipe!r}" if recipe else ""
    if not built:
        return (
            f"no model is built{where} yet, so there is no {name!r}. "
            f"Start with `bottega up`, or `bottega build {name}`."
        )
    hint = did_you_mean(name, built)
    if hint != ".":
        return f"no built model is called {name!r}{where}{hint}"
    known = ", ".join(built)
    return f"no built model is called {name!r}{where}. Built: {known}. To make it: `bottega build {name}`."
