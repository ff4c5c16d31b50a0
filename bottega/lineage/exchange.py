"""Models in and out of the home: an import becomes a root for recipes, an export a folder for anybody."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from bottega.errors import UserError
from bottega.lineage.build import verify
from bottega.lineage.card import Card, Cost, Weights, now, versions, write_card
from bottega.lineage.fingerprint import file_digest
from bottega.lineage.home import Family, Home, make_folder
from bottega.lineage.importing import ImportStage, copy_model

IMPORTS = "imports"  # the family that models imported by hand belong to
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def import_model(home: Home, source: str, name: str) -> tuple[Card, Path]:
    """Copy a model from a folder or the hub into the home under ``name``; its card and its folder.

    Raises:
        UserError: it does not load, or is pickled, or the name cannot be a name.
    """
    from bottega.model.hub import load_model

    if not _NAME.fullmatch(name):
        raise UserError(f"{name!r} cannot be a model's name: use letters, digits, '.', '_' and '-'.")
    scratch = home.root / "runs" / f"import-{name}-{os.getpid()}"
    try:
        fingerprint = copy_model(source, scratch)
        model = load_model(scratch, dtype=None)  # whatever is wrong with it is said now, not in a build
        card = Card(
            name=name,
            fingerprint=fingerprint,
            recipe=IMPORTS,
            stage=ImportStage.name,
            stage_version=ImportStage.version,
            role="base",
            chat=_has_chat_template(scratch),
            seed=0,
            world_seed=0,
            config={"source": source, "digest": fingerprint},
            cost=Cost(seconds=0.0, tokens=0, steps=0, flops=0.0, device="none", precision="none"),
            metrics={"parameters": float(model.config.num_parameters())},
            files={
                f.name: Weights(sha256=file_digest(f), size_bytes=f.stat().st_size)
                for f in scratch.glob("*.safetensors")
            },
            versions=versions(),
            made=now(),
        )
        write_card(scratch, card)
        place = home.path("model", name, fingerprint)
        if not place.is_dir():
            make_folder(place.parent)
            scratch.replace(place)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    home.record(Family(IMPORTS, IMPORTS), f"model {name}", fingerprint)
    return card, place


def export_model(folder: Path, out: Path) -> None:
    """Copy a model folder, checked, to ``out``, which appears whole or not at all.

    Raises:
        UserError: the model is damaged or does not load, ``out`` is not empty, or the disk is full.
    """
    from bottega.model.hub import load_model

    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out}: exists already. Choose a folder that does not, or empty it.")
    if (folder / "card.json").is_file():
        verify(folder)
    load_model(folder, dtype=None)
    partial = out.absolute().with_name(f".{out.name}.partial-{os.getpid()}")
    try:
        make_folder(partial.parent)
        shutil.copytree(folder, partial)
        if out.exists():
            out.rmdir()
        partial.replace(out)
    except OSError as error:
        raise UserError(
            f"{out}: could not be written ({error.strerror}). Nothing was left there; "
            "make room or choose another folder."
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def export_gguf(folder: Path, out: Path) -> None:
    """Write a model, checked, as one GGUF file for llama.cpp, which appears whole or not at all.

    Raises:
        UserError: the model is damaged or does not load, or ``out`` exists or cannot be written.
    """
    from bottega.model.gguf import write_gguf

    name = folder.name
    if (folder / "card.json").is_file():
        name = verify(folder).name
    write_gguf(folder, out, name)


def _has_chat_template(folder: Path) -> bool:
    config = folder / "tokenizer_config.json"
    return (folder / "chat_template.jinja").is_file() or (
        config.is_file() and "chat_template" in config.read_text("utf-8")
    )
