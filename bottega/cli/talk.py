"""``bottega chat``: talking to a model in the terminal, or through a pipe."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from bottega.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console

    from bottega.cli.conversation import Conversation
    from bottega.engine.requests import Sampling
    from bottega.lineage.home import Home

_HELP = """/new            begin a new conversation            开始新对话
/model NAME     go on with another model            换一个模型继续
/model          list the models that are built      列出已有的模型
/help           this                                帮助
/bye            leave (or Ctrl-D)                   离开
Ctrl-C          stop the answer                     停止回答"""


def add_to(app: typer.Typer) -> None:
    """Give the command line this file's verb."""
    app.command(
        epilog="Examples:\n\n`bottega chat text-davinci-002`\n\n"
        "`echo 'Who lives by the river?' | bottega chat text-davinci-002`\n\n"
        "`bottega chat chatgpt --best-of 8 --judge chat-reward-model`\n\n"
        "`bottega chat davinci` (a base model: it continues your text)"
    )(chat)


def chat(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME",
            help="A built model; the best chat model of the family built last where left out.",
            show_default=False,
        ),
    ] = None,
    recipe: Annotated[
        str | None, typer.Option("--recipe", "-r", help="Only versions that this recipe built.")
    ] = None,
    system: Annotated[
        str, typer.Option("--system", help="Instructions that stand before the conversation.")
    ] = "",
    temperature: Annotated[
        float, typer.Option("--temperature", "-t", min=0.0, max=2.0, help="0 takes the likeliest token.")
    ] = 0.0,
    top_p: Annotated[
        float, typer.Option("--top-p", min=0.01, max=1.0, help="Keep the likeliest tokens up to this mass.")
    ] = 1.0,
    max_tokens: Annotated[int, typer.Option("--max-tokens", min=1, help="The longest answer.")] = 256,
    seed: Annotated[int, typer.Option("--seed", help="What a temperature above 0 draws with.")] = 0,
    best_of: Annotated[
        int, typer.Option("--best-of", min=1, help="Sample so many answers; a reward model chooses.")
    ] = 1,
    judge: Annotated[
        str, typer.Option("--judge", help="The reward model that chooses, with --best-of.")
    ] = "reward-model",
    device: Annotated[
        str, typer.Option("--device", help="auto, cpu, cuda, or one card such as cuda:1.")
    ] = "auto",
) -> None:
    """Talk to a model: many turns, streamed, in English or Chinese. From a pipe, each line is a message."""
    from bottega.engine.requests import Sampling

    if best_of > 1 and not temperature:
        temperature = 1.0  # the likeliest token alone gives the same answer every time
    sampling = Sampling(temperature=temperature, top_p=top_p, seed=seed)
    converse(name, recipe, device, system, sampling, max_tokens, (judge, best_of) if best_of > 1 else None)


def converse(
    name: str | None,
    recipe: str | None,
    device: str = "auto",
    system: str = "",
    sampling: Sampling | None = None,
    max_tokens: int = 256,
    judge: tuple[str, int] | None = None,
) -> None:
    """Hold the conversation until the user leaves. ``judge``: a reward model, and among how many answers it
    chooses."""
    from contextlib import closing

    from rich.console import Console

    from bottega.cli.conversation import Conversation, Judge
    from bottega.engine.requests import GREEDY
    from bottega.lineage.home import Home
    from bottega.lineage.names import find_model

    home = Home()
    folder = find_model(home, name or _best_chat(home, recipe), recipe)
    console = Console(highlight=False)
    chooses = Judge(find_model(home, judge[0], recipe), judge[1]) if judge else None
    talk = Conversation(folder, device, sampling or GREEDY, max_tokens, system, chooses)
    with closing(talk) as conversation:
        if sys.stdin.isatty():
            _converse(conversation, console, home, recipe)
        else:
            _from_pipe(conversation)


def _converse(conversation: Conversation, console: Console, home: Home, recipe: str | None) -> None:
    """Questions from the keyboard until there are no more."""
    _greet(conversation, console)
    while True:
        try:
            line = _read_line()
        except EOFError:
            console.print()
            return
        if line.startswith("/"):
            if line.split()[0] in ("/bye", "/exit", "/quit"):
                return
            try:
                _command(line, conversation, console, home, recipe)
            except UserError as error:
                console.print(str(error), style="red", markup=False)
        elif line:
            _answer(conversation, line, console)


def _read_line() -> str:
    """One message from the keyboard. Ctrl-C clears the line, as a shell does."""
    import contextlib

    with contextlib.suppress(ImportError):
        import readline  # noqa: F401  (line editing and history for input())
    while True:
        try:
            return input("› ").strip()
        except KeyboardInterrupt:
            print()


def _answer(conversation: Conversation, text: str, console: Console) -> None:
    from contextlib import closing

    try:
        with closing(conversation.ask(text)) as pieces:
            for piece in pieces:
                console.print(piece, end="", style="cyan", markup=False, soft_wrap=True)
                console.file.flush()
    except KeyboardInterrupt:
        console.print(" (stopped)", style="dim", end="")
    except UserError as error:
        console.print(str(error), style="red", markup=False, end="")
    console.print()
    if conversation.forgotten:
        console.print(
            f"(the oldest {conversation.forgotten} messages no longer fit; /new begins anew)", style="dim"
        )


def _from_pipe(conversation: Conversation) -> None:
    for line in sys.stdin:
        if line.strip():
            for piece in conversation.ask(line.strip()):
                sys.stdout.write(piece)
                sys.stdout.flush()
            sys.stdout.write("\n")


def _greet(conversation: Conversation, console: Console) -> None:
    console.print(f"[bold]{conversation.name}[/bold] [dim]{conversation.folder.name}[/dim]")
    if not conversation.speaks:
        console.print(
            "A base model: it continues your text.  基础模型：它会接着你的文字写下去。", style="dim"
        )
    console.print("/help lists what else you can type.  输入 /help 查看命令。", style="dim")


def _command(line: str, conversation: Conversation, console: Console, home: Home, recipe: str | None) -> None:
    from bottega.lineage.names import find_model
    from bottega.lineage.nearest import did_you_mean

    verb, _, rest = line.partition(" ")
    if verb == "/help":
        console.print(_HELP, style="dim", markup=False)
    elif verb == "/new":
        conversation.clear()
        console.print("A new conversation.  新的对话。", style="dim")
    elif verb == "/model" and not rest.strip():
        console.print("  ".join(home.names("model")), style="dim", markup=False)
    elif verb == "/model":
        conversation.switch(find_model(home, rest.strip(), recipe))
        _greet(conversation, console)
    else:
        known = ("/help", "/new", "/model", "/bye")
        console.print(f"there is no {verb}{did_you_mean(verb, known)}", style="red", markup=False)


def _best_chat(home: Home, recipe: str | None) -> str:
    """The last chat model of a family that is built: recipes list their best last."""
    from bottega.lineage.recipe import load

    families = [family for family in home.families() if recipe in (None, family.recipe)]
    for family in families:
        if family.source == family.recipe == "imports":
            continue
        models = load(family.source).models
        built = [name for name, model in models.items() if model.chat and f"model {name}" in family.versions]
        if built:  # a control or a step on the way is talked to by its name alone, unless there is no other
            return next((name for name in reversed(built) if models[name].role == "model"), built[-1])
    raise UserError(
        "no chat model is built yet. `bottega up` raises a family; `bottega chat NAME` talks to any model."
    )
