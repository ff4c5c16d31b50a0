"""Models from elsewhere, as roots of a recipe: the stage ``import``, and ``bottega import``.

An imported model is known by what is in it: its fingerprint is the digest of its weights, configuration and
tokenizer, wherever they were fetched from.
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import ClassVar

from pydantic import Field

from bottega.errors import UserError
from bottega.lineage.fingerprint import folder_digest
from bottega.stages.base import Cost, StageConfig, StageInputs, StageResult, register

# What a model folder holds that decides what the model says; everything else in it is left behind.
KEPT = (
    "config.json",
    "generation_config.json",
    "*.safetensors",
    "*.safetensors.index.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
    "vocab.json",
    "merges.txt",
)


class ImportConfig(StageConfig):
    """What a recipe says of a model that was made elsewhere."""

    digest: str = Field(
        pattern=r"^[0-9a-f]{64}$", description="the content digest that `bottega import` printed"
    )
    source: str = Field(
        default="", description="a folder or hub id to fetch it from when it has not been imported yet"
    )


class ImportStage:
    """Fetch a model and hold it to its digest."""

    name: ClassVar[str] = "import"
    version: ClassVar[int] = 1
    Config: ClassVar[type[StageConfig]] = ImportConfig

    def run(self, config: ImportConfig, inputs: StageInputs, seed: int) -> StageResult:
        """Copy the model to ``inputs.out``. Raises UserError where it is not the one the recipe means."""
        if not config.source:
            raise UserError(
                "this model is imported, but is not here. Run `bottega import FOLDER_OR_HUB_ID --as NAME`, "
                "or give the recipe a `source` to fetch it from."
            )
        begun = time.perf_counter()
        found = copy_model(config.source, inputs.out)
        if found != config.digest:
            shutil.rmtree(inputs.out)
            raise UserError(
                f"{config.source}: its content has the digest {found}, the recipe asks for {config.digest}. "
                "Pin the commit that was meant, or put the new digest into the recipe."
            )
        inputs.work.mkdir(parents=True, exist_ok=True)
        curves = inputs.work / "metrics.jsonl"
        curves.touch()
        cost = Cost(time.perf_counter() - begun, 0, 0, 0.0, "none", "none")
        return StageResult(cost, {}, curves, report={"source": config.source})


register(ImportStage())


def copy_model(source: str, out: Path) -> str:
    """Copy a model from a folder or the hub into ``out``; its digest. Only safetensors are taken."""
    from bottega.model.hub import fetch

    folder = fetch(source)
    names = sorted({file.name for pattern in KEPT for file in folder.glob(pattern) if file.is_file()})
    if "config.json" not in names or not any(name.endswith(".safetensors") for name in names):
        raise UserError(
            f"{source}: not a model that can be imported; config.json and *.safetensors are needed"
            + ("; pickled weights (*.bin, *.pt) are never read." if any(folder.glob("*.bin")) else ".")
        )
    out.mkdir(parents=True, exist_ok=True)
    for name in names:
        shutil.copyfile(folder / name, out / name)
    return folder_digest(out, names)
