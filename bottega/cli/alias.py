"""``bottega alias``: names that users see, each pointing at one built version."""

from __future__ import annotations

from typing import Annotated

import typer


def add_to(app: typer.Typer) -> None:
    """Give the command line this file's verb."""
    app.command(
        epilog="Examples:\n\n`bottega alias` (what there is)\n\n"
        "`bottega alias assistant text-davinci-002`\n\n"
        "`bottega alias assistant text-davinci-002@896ab718c102` (an older version)\n\n"
        "`bottega alias --remove assistant`"
    )(alias)


def alias(
    name: Annotated[
        str | None, typer.Argument(metavar="ALIAS", help="The name that users see.", show_default=False)
    ] = None,
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="MODEL", help="A built model: a name, NAME@VERSION, or another alias.", show_default=False
        ),
    ] = None,
    remove: Annotated[
        str | None,
        typer.Option("--remove", help="Remove this alias; no model is touched.", show_default=False),
    ] = None,
) -> None:
    """List aliases, point one at a built version, or remove one."""
    from bottega.errors import UserError
    from bottega.lineage.card import read_card
    from bottega.lineage.home import Home
    from bottega.lineage.names import find_model

    home = Home()
    if remove is not None:
        if name is not None:
            raise UserError("--remove takes the alias to remove and nothing else.")
        home.remove_alias(remove)
        typer.echo(f"{remove} is removed.")
    elif name is None:
        _list(home.aliases())
    elif model is None:
        raise UserError(f"say which model {name} is to point at: bottega alias {name} MODEL")
    else:
        card = read_card(find_model(home, model))
        home.set_alias(name, card.name, card.version)
        typer.echo(f"{name} is {card.name}@{card.version}.")


def _list(aliases: dict[str, tuple[str, str]]) -> None:
    if not aliases:
        typer.echo("There are no aliases. Point one at a built model: bottega alias NAME MODEL")
    width = max(map(len, aliases), default=0)
    for name, (model, version) in sorted(aliases.items()):
        typer.echo(f"{name:{width}}  {model}@{version}")
