"""``bottega data``: looking at data before training on them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    help="Look at data before training on them.", no_args_is_help=True, rich_markup_mode="markdown"
)

_FIELD = "NAME=FIELD, such as prompt=question or 'text={title}: {body}'"
_PATTERN = "FIELD=PATTERN, such as language=zh or 'template=*_summary'"


@app.callback()
def _group() -> None:
    """Look at data before training on them."""


@app.command(
    epilog="Examples:\n\n`bottega data inspect file:chats/*.jsonl.gz`\n\n"
    "`bottega data inspect school:prose-en`\n\n"
    "`bottega data inspect qa.jsonl --field prompt=question --field completion=answer`\n\n"
    "`bottega data inspect reviews.csv --only 'language=zh*' --without rating=3`\n\n"
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
    only: Annotated[
        list[str] | None,
        typer.Option(
            "--only",
            metavar="FIELD=PATTERN",
            help="Only rows whose field matches; may be given several times, for one field or several.",
        ),
    ] = None,
    without: Annotated[
        list[str] | None,
        typer.Option(
            "--without",
            metavar="FIELD=PATTERN",
            help="No rows whose field matches; may be given several times.",
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
        SourceSpec(
            uri=uri,
            shape=shape,
            fields=dict(_pairs(field, "--field", _FIELD)),
            only=_patterns(only, "--only"),
            without=_patterns(without, "--without"),
            mixed=mixed,
        ),
        ReadOptions(world_seed=world_seed, data=data),
        count_tokens=_counter(tokenizer),
        limit=limit,
    )
    Console().print(render(found))


def _pairs(given: list[str] | None, option: str, form: str) -> list[tuple[str, str]]:
    """What an option NAME=VALUE was given as."""
    found = []
    for pair in given or ():
        name, mark, value = pair.partition("=")
        if not (name and mark and value):
            raise typer.BadParameter(f"{pair!r} is not {form}", param_hint=option)
        found.append((name, value))
    return found


def _patterns(given: list[str] | None, option: str) -> dict[str, list[str]]:
    """The patterns by field, as a recipe's ``only`` and ``without`` have them."""
    found: dict[str, list[str]] = {}
    for name, pattern in _pairs(given, option, _PATTERN):
        found.setdefault(name, []).append(pattern)
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
