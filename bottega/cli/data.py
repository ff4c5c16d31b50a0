"""``bottega data``: looking at data before training on them."""

from __future__ import annotations

from collections.abc import Callable
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
    epilog="Examples:\n\n`bottega data inspect file:chats/*.jsonl.gz`\n\n"
    "`bottega data inspect school:prose-en`\n\n"
    "`bottega data inspect qa.jsonl --field prompt=question --field completion=answer`\n\n"
    "`bottega data inspect python:stdlib --tokenizer davinci`"
)
def inspect(
    source: Annotated[
        str, typer.Argument(help="A source's URI (file:, hf:, python:, school:), or a file's path.")
    ],
    limit: Annotated[
        int | None, typer.Option("--limit", "-n", min=1, help="Look at no more than the first records.")
    ] = None,
    shape: Annotated[
        str | None, typer.Option("--shape", help="The row shape, where the fields say another.")
    ] = None,
    field: Annotated[
        list[str] | None,
        typer.Option(
            "--field",
            metavar="NAME=FIELD",
            help="A shape's field by the row's own name, or by a text with fields in braces; may be given "
            "several times.",
        ),
    ] = None,
    mixed: Annotated[
        bool, typer.Option("--mixed", help="Allow rows of different shapes in one file.")
    ] = False,
    data: Annotated[Path | None, typer.Option("--data", help="The folder that $DATA stands for.")] = None,
    tokenizer: Annotated[
        str | None, typer.Option("--tokenizer", help="Count tokens as this model (or folder) does.")
    ] = None,
    world_seed: Annotated[int, typer.Option("--world-seed", help="Which world the school teaches.")] = 0,
) -> None:
    """Print a source's shapes, counts, lengths and a sample, and what is wrong with it and where."""
    from rich.console import Console

    from bottega.data.inspect import inspect as look
    from bottega.data.inspect import render
    from bottega.data.sources import ReadOptions, SourceSpec

    uri = f"file:{source}" if ":" not in source or Path(source).exists() else source
    found = look(
        SourceSpec(uri=uri, shape=shape, fields=_fields(field or []), mixed=mixed),
        ReadOptions(world_seed=world_seed, data=data),
        count_tokens=_counter(tokenizer),
        limit=limit,
    )
    Console().print(render(found))


def _fields(given: list[str]) -> dict[str, str]:
    """The fields of ``--field NAME=FIELD``, as a recipe's ``fields`` has them."""
    found = {}
    for pair in given:
        name, mark, value = pair.partition("=")
        if not (name and mark and value):
            raise typer.BadParameter(
                f"{pair!r} is not NAME=FIELD, such as prompt=question or 'text={{title}}: {{body}}'",
                param_hint="--field",
            )
        found[name] = value
    return found


def _counter(name: str | None) -> Callable[[str], int] | None:
    """How many tokens a text has, by the tokenizer of a model or of a folder."""
    if name is None:
        return None
    from bottega.data.tokenizer import Tokenizer
    from bottega.lineage.home import Home
    from bottega.lineage.names import find_model

    folder = Path(name)
    known = Tokenizer.load(folder if (folder / "tokenizer.json").is_file() else find_model(Home(), name))
    return lambda text: len(known.encode(text))
