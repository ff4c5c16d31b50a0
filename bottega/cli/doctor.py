"""``bottega doctor``: what this machine offers, and what Bottega makes of it."""

from __future__ import annotations

from typing import Annotated, Literal

import typer


def add_to(app: typer.Typer) -> None:
    """Give the command line this file's verb."""
    app.command(epilog="Examples:\n\n`bottega doctor --measure`\n\n`bottega doctor --precision bfloat16`")(
        doctor
    )


def doctor(
    device: Annotated[
        str, typer.Option("--device", help="auto, cpu, cuda, or one card such as cuda:1.")
    ] = "auto",
    precision: Annotated[
        Literal["auto", "float32", "bfloat16"], typer.Option("--precision", help="What you would ask for.")
    ] = "auto",
    measure: Annotated[
        bool, typer.Option("--measure", help="Time matrix products: how fast each number format really is.")
    ] = False,
) -> None:
    """Say what will be used here: device, precision and why, compiler, disk, home."""
    from rich.console import Console
    from rich.table import Table

    from bottega.lineage.card import own_version
    from bottega.lineage.home import Home
    from bottega.training.environment import doctor_report

    home = Home()
    found = doctor_report(device, precision, folder=home.root, measure=measure)
    gpu = found.device_memory_bytes
    rows = [
        ("bottega", own_version()),
        ("python", found.python_version),
        ("torch", found.torch_version),
        ("device", f"{found.device}, {gpu / 2**30:.0f} GiB" if gpu else found.device),
        ("precision", f"{found.precision.name}: {found.precision.reason}"),
        ("cores", str(found.cores)),
        ("memory", f"{found.memory_bytes / 2**30:.1f} GiB"),
        ("compiler", found.compiler or "none: training runs uncompiled, more slowly (install g++)"),
        ("home", f"{home.root} ({found.disk_free_bytes / 2**30:.1f} GiB free)"),
        ("built", ", ".join(home.names("model")) or "nothing yet: bottega up"),
    ]
    rows += [(name, f"{flops / 1e12:.3g} TFLOP/s") for name, flops in found.matmul_flops.items()]
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    for name, value in rows:
        table.add_row(f"[bold]{name}[/bold]", value)
    console = Console(highlight=False)
    console.print(table)
    if found.precision.warning:
        console.print(found.precision.warning, style="yellow")
