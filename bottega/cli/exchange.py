"""``bottega import`` and ``bottega export``: models in and out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer


def add_to(app: typer.Typer) -> None:
    """Give the command line this file's verbs."""
    app.command(
        name="import",
        epilog="Examples:\n\n`bottega import ./llama-folder --as llama`\n\n"
        "`bottega import Qwen/Qwen3-0.6B@COMMIT --as qwen`",
    )(import_model)
    app.command(
        name="export",
        epilog="Examples:\n\n`bottega export text-davinci-002 ./out`\n\n"
        "`bottega export text-davinci-002 ./model.gguf --format gguf`",
    )(export_model)


def import_model(
    source: Annotated[
        str,
        typer.Argument(metavar="FOLDER_OR_HUB_ID", help="A model folder, or owner/name@commit on the hub."),
    ],
    name: Annotated[str, typer.Option("--as", help="The name it gets here.")],
) -> None:
    """Take in a model made elsewhere, as a root for recipes."""
    from bottega.lineage.exchange import import_model as take_in
    from bottega.lineage.home import Home

    card, folder = take_in(Home(), source, name)
    typer.echo(f"{name} is in {folder}. To build on it, put this into a recipe:\n")
    typer.echo(f'[models.{name}]\nstage = "import"\ndigest = "{card.fingerprint}"')


def export_model(
    name: Annotated[
        str, typer.Argument(help="A built model: a name, NAME@VERSION, a fingerprint's beginning, or a path.")
    ],
    out: Annotated[
        Path,
        typer.Argument(
            help="The folder (or, for gguf, the file) to write; it must not exist yet, or be empty."
        ),
    ],
    recipe: Annotated[
        str | None, typer.Option("--recipe", "-r", help="Only versions that this recipe built.")
    ] = None,
    layout: Annotated[
        Literal["hf", "gguf"],
        typer.Option("--format", help="hf: a folder for transformers; gguf: one file for llama.cpp."),
    ] = "hf",
) -> None:
    """Write a model as a folder that transformers.AutoModelForCausalLM loads, chat template included.

    Or as one file for llama.cpp, its weights in bfloat16.
    """
    from bottega.lineage.exchange import export_gguf
    from bottega.lineage.exchange import export_model as write_out
    from bottega.lineage.home import Home
    from bottega.lineage.names import find_model

    if layout == "gguf":
        export_gguf(find_model(Home(), name, recipe), out)
        typer.echo(f"Wrote {out}, for llama.cpp and what is built on it.")
        return
    write_out(find_model(Home(), name, recipe), out)
    typer.echo(f"Wrote {out}. Load it with transformers.AutoModelForCausalLM.from_pretrained({str(out)!r}).")
