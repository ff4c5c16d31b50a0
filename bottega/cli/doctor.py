"""``bottega doctor``: what this machine offers, and what Bottega makes of it."""

from __future__ import annotations

from typing import Annotated, Literal

import typer


def add_to(app: typer.Typer) -> None:
    """Give the command line this file's verb."""
    app.command(
        epilog="Examples:\n\n`bottega doctor`\n\n`bottega doctor --device cuda --precision bfloat16`"
    )(doctor)


def doctor(
    device: Annotated[
        str, typer.Option("--device", help="auto, cpu, cuda, or one card such as cuda:1.")
    ] = "auto",
    precision: Annotated[
        Literal["auto", "float32", "bfloat16"], typer.Option("--precision", help="What you would ask for.")
    ] = "auto",
) -> None:
    """Say what will be used here: device, precision and why, compiler, disk, home."""
    import os
    import platform
    import shutil

    import torch
    from rich.console import Console
    from rich.table import Table

    from bottega.lineage.card import own_version
    from bottega.lineage.home import Home
    from bottega.training.precision import choose_precision

    chosen = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    number = choose_precision(chosen, precision)
    home = Home()
    place = next(folder for folder in (home.root, *home.root.parents) if folder.exists())
    compiler = shutil.which("g++") or shutil.which("clang++")
    rows = [
        ("bottega", own_version()),
        ("python", f"{platform.python_version()} on {platform.platform()}"),
        ("torch", torch.__version__),
        ("device", _device(chosen)),
        ("precision", f"{number.name}: {number.reason}"),
        ("threads", f"{torch.get_num_threads()} of {os.cpu_count()} cores"),
        ("memory", _memory()),
        ("compiler", compiler or "none: training runs uncompiled, more slowly (install g++)"),
        ("home", f"{home.root} ({shutil.disk_usage(place).free / 2**30:.1f} GiB free)"),
        ("built", ", ".join(home.names("model")) or "nothing yet: bottega up"),
    ]
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    for name, value in rows:
        table.add_row(f"[bold]{name}[/bold]", value)
    console = Console(highlight=False)
    console.print(table)
    if number.warning:
        console.print(number.warning, style="yellow")


def _device(chosen: str) -> str:
    import torch

    if not chosen.startswith("cuda"):
        return f"{chosen} (no CUDA device is visible)" if not torch.cuda.is_available() else chosen
    properties = torch.cuda.get_device_properties(torch.device(chosen))
    return f"{chosen}: {properties.name}, {properties.total_memory / 2**30:.0f} GiB"


def _memory() -> str:
    import os

    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return f"{pages / 2**30:.1f} GiB"
