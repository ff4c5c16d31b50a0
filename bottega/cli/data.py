"""``bottega data``: looking at data before training on them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    help="Look at data before training on them.", no_args_is_help=True, rich_markup_mode="markdown"
)


@app.callback()
def _group() -> None:
    """Look at data before training on them."""


@app.command(
    epilog="Examples:\n\n`bottega data inspect file:chats/*.jsonl.gz`\n\n`bottega data inspect school:prose-en`\n\n"
    "`bottega data inspect python:stdlib --tokenizer davinci`"
)
def inspect(
    source: Annotated[
        str, typer.Argument(help="A source's URI: file:, hf:, python: or school:; or a plain path.")
    ],
    limit: Annotated[
        int | None, typer.Option("--limit", "-n", min=1, help="Read at most this many records.")
    ] = None,
    data: Annotated[Path | None, typer.Option("--data", help="The folder that $DATA stands for.")] = None,
    tokenizer: Annotated[
        str | None,
        typer.Option("--tokenizer", help="Count tokens with this model's (or folder's) tokenizer."),
    ] = None,
    world_seed: Annotated[int, typer.Option("--world-seed", help="Which world the school teaches.")] = 0,
) -> None:
    """Print a source's shapes, counts, lengths and a sample, and what is wrong with it and where."""
    from rich.console import Console

    from bottega.cli.inspection import show
    from bottega.data.inspect import inspect as look
    from bottega.data.sources import ReadOptions, SourceSpec

    uri = source if ":" in source and not Path(source).exists() else f"file:{source}"
    spec = SourceSpec(uri=uri, records=limit)
    options = ReadOptions(
        split="all",
        skip_bad_rows=True,
        include_nc=True,
        include_unclear=True,
        world_seed=world_seed,
        data=data,
    )
    show(look(spec, options, tokenizer=_tokenizer(tokenizer)), Console())


def _tokenizer(name: str | None) -> object:
    if name is None:
        return None
    from bottega.data.tokenizer import Tokenizer
    from bottega.lineage.home import Home
    from bottega.lineage.names import find_model

    folder = Path(name)
    return Tokenizer.load(folder if (folder / "tokenizer.json").is_file() else find_model(Home(), name))
