"""``bottega lineage``, ``scoreboard`` and ``recipes``: what there is, and how good it is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from bottega.evals.scoreboard import Scoreboard
    from bottega.lineage.family import Member
    from bottega.lineage.options import BuildOptions
    from bottega.lineage.recipe import Recipe

PIPE_WIDTH = 132

FamilyOption = Annotated[
    str | None,
    typer.Option("--recipe", "-r", help="A recipe by name or path; the one built last where left out."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
PictureOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--picture",
        "-o",
        help="Write it as a picture too: .svg or .png; may be given twice.",
        show_default=False,
    ),
]


def add_to(app: typer.Typer) -> None:
    """Give the command line this file's verbs."""
    app.command(
        epilog="Examples:\n\n`bottega lineage`\n\n`bottega lineage --open`\n\n"
        "`bottega lineage --picture tree.svg --picture tree.png`\n\n"
        "`bottega lineage --json | jq '.models[].scores'`"
    )(lineage)
    app.command(epilog="Examples:\n\n`bottega scoreboard`\n\n`bottega scoreboard --picture scores.png`")(
        scoreboard
    )
    app.command(epilog="Examples:\n\n`bottega recipes`\n\n`bottega recipes mine.toml`")(recipes)


def lineage(
    recipe: FamilyOption = None,
    as_json: JsonOption = False,
    picture: PictureOption = None,
    html: Annotated[
        Path | None,
        typer.Option(
            "--html",
            help="Write the report as one page: tree, claims, scores, answers, curves, costs, licences.",
            show_default=False,
        ),
    ] = None,
    open_it: Annotated[
        bool, typer.Option("--open", help="Write the report, if need be, and show it in the browser.")
    ] = False,
    language: Annotated[
        Literal["en", "zh"], typer.Option("--language", help="The report opens in English or Chinese.")
    ] = "en",
) -> None:
    """Show the family tree: every model, what it was made from, its scores and its cost."""
    from bottega.lineage.family import members
    from bottega.lineage.home import Home
    from bottega.lineage.tree import legend, tree

    family, options = chosen_family(recipe)
    found = members(family, Home(), options)
    if as_json:
        print_json({"recipe": family.name, "models": [member.to_json() for member in found]})
    else:
        from rich.console import Console

        console = Console()
        console.print(tree(family, found), legend())
    for path in picture or ():
        from bottega.lineage.picture import draw_family

        draw_family(family, found, path)
        typer.echo(f"Wrote {path}.", err=as_json)
    if html is None and open_it:
        html = Home().root / "families" / f"{family.name}.html"
    if html is not None:
        _write_report(family, options, found, html, language)
        typer.echo(f"Wrote {html}.", err=as_json)
    if open_it and html is not None:
        import webbrowser

        if not webbrowser.open(html.absolute().as_uri()):
            typer.echo(f"No browser was found; open {html} in one.", err=True)


def scoreboard(
    recipe: FamilyOption = None, as_json: JsonOption = False, picture: PictureOption = None
) -> None:
    """Show every model by every evaluation, with intervals and floors."""
    from bottega.errors import UserError
    from bottega.lineage import family as families
    from bottega.lineage.home import Home

    chosen, options = chosen_family(recipe)
    board = families.scoreboard(chosen, families.members(chosen, Home(), options))
    if not board.rows and not as_json:
        raise UserError(
            f"no model of {chosen.name!r} has scores yet. "
            f"Build the family: bottega up --recipe {recipe or chosen.name}"
        )
    if as_json:
        print_json(board.to_json())
    else:
        _print_board(board)
    for path in picture or ():
        board.draw(path)
        typer.echo(f"Wrote {path}.", err=as_json)


def recipes(
    which: Annotated[
        str | None,
        typer.Argument(metavar="RECIPE", help="Check this recipe and list its models.", show_default=False),
    ] = None,
) -> None:
    """List the shipped recipes, or check one (by name or path) and list its models."""
    from rich.console import Console
    from rich.table import Table

    from bottega.lineage import recipe as known

    console = Console(highlight=False)
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    if which is None:
        for column in ("recipe", "models", "what it is"):
            table.add_column(column, header_style="dim")
        for name in known.shipped():
            family = known.load(name)
            table.add_row(f"[bold]{name}[/bold]", str(len(family.models)), family.info.description.en)
    else:
        family = known.load(which)
        for column in ("model", "stage", "made from", "data", "tokens"):
            table.add_column(column, header_style="dim", no_wrap=column == "model")
        for name, model in family.models.items():
            data = ", ".join(use.dataset for use in model.data)
            budget = getattr(model.config, "budget_tokens", None)
            shown = f"[bold]{name}[/bold]" if model.role == "model" else f"[dim]{name} ({model.role})[/dim]"
            table.add_row(shown, model.stage, ", ".join(model.parent), data, f"{budget:,}" if budget else "")
    console.print(table)
    if which is not None:
        console.print(f"{which}: sound.", style="green")


def print_scoreboard(family: Recipe, options: BuildOptions) -> None:
    """The scoreboard of a family that was just built; nothing where there are no scores."""
    from bottega.lineage import family as families
    from bottega.lineage.home import Home

    board = families.scoreboard(family, families.members(family, Home(), options))
    if board.rows:
        _print_board(board)


def chosen_family(name: str | None) -> tuple[Recipe, BuildOptions]:
    """A recipe with the options it was last built with; by default the family built last, or the school."""
    from bottega.lineage.home import Home
    from bottega.lineage.options import BuildOptions
    from bottega.lineage.recipe import load

    home = Home()
    families = [family for family in home.families() if family.source != "imports"]  # those have no recipe
    recipe = load(name or (families[0].source if families else "school"))
    index = home.family(recipe.name)
    options = BuildOptions.recalled(index.options) if index else BuildOptions()
    return recipe.scaled(options.scale), options


def print_json(value: object) -> None:
    """JSON on standard output, readable by people too."""
    import json

    typer.echo(json.dumps(value, ensure_ascii=False, indent=2))


def _write_report(
    family: Recipe, options: BuildOptions, found: list[Member], path: Path, language: Literal["en", "zh"]
) -> None:
    """The report, with the claims that ``bottega claims`` has scores for."""
    from bottega.lineage.claims import verdicts
    from bottega.lineage.home import Home
    from bottega.lineage.report import write_report

    world_seed = options.world(family)
    _, judged = verdicts(family, Home(), options, [world_seed], take=False)
    known = [verdict for verdict in judged if verdict.status != "not built"]
    write_report(family, found, path, world_seed=world_seed, verdicts=known, language=language)


def _print_board(board: Scoreboard) -> None:
    from rich.console import Console

    console = Console()
    # A pipe has no width to fit into, and the default would be a narrow one.
    (console if console.is_terminal else Console(width=PIPE_WIDTH)).print(board)
