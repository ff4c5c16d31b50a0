"""``bottega eval``: running a built model's evaluations."""

from __future__ import annotations

from typing import Annotated

import typer

from bottega.cli.build import DataOption, DeviceOption, ThreadsOption


def add_to(app: typer.Typer) -> None:
    """Give the command line this file's verb."""
    app.command(
        name="eval",
        epilog="Examples:\n\n`bottega eval davinci`\n\n`bottega eval --again text-davinci-001`",
    )(evaluate)


def evaluate(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NAME...", help="Models; all that are built where left out.", show_default=False
        ),
    ] = None,
    recipe: Annotated[
        str | None, typer.Option("--recipe", "-r", help="The family; the one built last where left out.")
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Run evaluations that the card has already, too.")
    ] = False,
    data: DataOption = None,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
) -> None:
    """Evaluate built models; scores go into their cards, and the scoreboard is shown."""
    from dataclasses import replace

    from rich.console import Console

    from bottega.cli.show import chosen_family, print_scoreboard
    from bottega.errors import UserError
    from bottega.lineage import build
    from bottega.lineage.graph import Node
    from bottega.lineage.home import Home
    from bottega.lineage.nearest import did_you_mean
    from bottega.lineage.overview import Overview
    from bottega.lineage.resolve import Resolver

    family, options = chosen_family(recipe)
    options = replace(options, device=device, threads=threads, data=data or options.data)
    home = Home()
    resolver = Resolver(family, home, options, as_built=home.family(family.name))
    for name in names or ():
        if name not in family.models:
            raise UserError(
                f"the recipe {family.name!r} has no model {name!r}{did_you_mean(name, family.models)}"
            )
        if not resolver.standing(Node("model", name)).built:
            raise UserError(
                f"{name} is not built as the recipe {family.name!r} stands now. First: bottega build {name}"
            )
    chosen = names or [name for name in family.models if resolver.standing(Node("model", name)).built]
    with Overview(family, Console()) as overview:
        overview.plan([Node("model", name) for name in chosen])
        for name in chosen:
            build.verify(resolver.path(Node("model", name)))
            build.evaluate(resolver, name, overview, again=again)
            overview.found(Node("model", name))
    print_scoreboard(family, options)
