"""The command line: ``bottega VERB``. Verbs parse, call and print; each group of them is a file here."""

from __future__ import annotations

import io
import os
import sys
from typing import Annotated

import typer

from bottega.cli import alias, build, claims, data, doctor, evaluate, exchange, score, show, talk
from bottega.cli.interrupted import Interrupted
from bottega.errors import UserError

INTERRUPTED, USER_ERROR, BUG = 130, 2, 1
# The parser's own errors. Some versions of typer carry click inside, so the class is found by its heir.
_USAGE = next(cls for cls in typer.BadParameter.__mro__ if cls.__name__ == "ClickException")

app = typer.Typer(
    name="bottega",
    help="The workshop that turns a GPT into a ChatGPT: raise a family of language models, talk to them, "
    "keep their lineage.",
    epilog="Begin with `bottega up`: it raises the embedded family, then opens a chat.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
for group in (build, show, talk, evaluate, score, claims, alias, exchange, doctor):
    group.add_to(app)
app.add_typer(data.app, name="data")

_debug = False


def _print_version(wanted: bool) -> None:
    if wanted:
        from bottega.lineage.card import own_version

        typer.echo(f"bottega {own_version()}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and stop."),
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of any error.")] = False,
) -> None:
    """Options that stand before the verb."""
    global _debug
    _debug = _debug or debug


def main() -> None:
    """Run the command line and exit: with 2 for what a user can mend, 130 for Ctrl-C, 1 for a bug."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # a log file shows how far a long build is, as it goes
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command line; its exit code."""
    global _debug
    _debug = bool(os.environ.get("BOTTEGA_DEBUG"))
    if "--debug" in arguments:  # accepted after the verb too, where people add it to a line that failed
        _debug = True
        arguments = [argument for argument in arguments if argument != "--debug"]
    try:
        result = app(arguments, standalone_mode=False)
    except Exception as error:
        return _explain(error)
    except KeyboardInterrupt:
        result = INTERRUPTED
    if result == INTERRUPTED:  # the parser makes this number of Ctrl-C
        _say("Interrupted.", "yellow")
    return result if isinstance(result, int) else 0


def _explain(error: Exception) -> int:
    if isinstance(error, Interrupted | typer.Abort):
        _say(str(error) or "Interrupted.", "yellow")
        return INTERRUPTED
    if isinstance(error, _USAGE):
        error.show()  # type: ignore[attr-defined]
        return USER_ERROR
    if _debug:
        import traceback

        traceback.print_exception(error)
    if isinstance(error, UserError):
        _say(str(error), "red")
        return USER_ERROR
    if isinstance(error, BrokenPipeError):  # the reader of a pipe has left; nobody is there to be told
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BUG
    _say(f"unexpected {type(error).__name__}: {error}", "red")
    if not _debug:
        _say("This is a fault of Bottega. Run the same command with --debug for the traceback.", style="dim")
    return BUG


def _say(text: str, style: str) -> None:
    from rich.console import Console

    Console(stderr=True, soft_wrap=True).print(text, style=style, markup=False, highlight=False)


if __name__ == "__main__":
    main()
