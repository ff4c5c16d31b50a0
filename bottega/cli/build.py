"""``bottega up`` and ``bottega build``: raising a family."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from bottega.cli.interrupted import Interrupted
from bottega.errors import UserError

if TYPE_CHECKING:
    from bottega.lineage.build import BuildReport
    from bottega.lineage.options import BuildOptions
    from bottega.lineage.recipe import Recipe

RecipeOption = Annotated[
    str,
    typer.Option(
        "--recipe", "-r", help="A shipped recipe's name (`bottega recipes`), or a path to a .toml file."
    ),
]
DataOption = Annotated[
    Path | None,
    typer.Option(
        "--data", help="The folder that $DATA stands for in a recipe's sources.", exists=True, file_okay=False
    ),
]
NcOption = Annotated[bool, typer.Option("--include-nc", help="Let in rows under non-commercial licences.")]
UnclearOption = Annotated[
    bool, typer.Option("--include-unclear", help="Let in rows whose licence is unclear.")
]
SkipOption = Annotated[
    bool,
    typer.Option("--skip-bad-rows", help="Count and report rows that cannot be read, instead of stopping."),
]
WorldOption = Annotated[
    int | None,
    typer.Option("--world-seed", help="Another world for the school to teach: other names, facts and tasks."),
]
ScaleOption = Annotated[
    float,
    typer.Option(
        "--scale",
        min=0.0001,
        help="Multiply every budget of tokens: 0.1 for a quick look, 10 for a machine with time.",
    ),
]
PrecisionOption = Annotated[
    Literal["auto", "float32", "bfloat16"],
    typer.Option(
        "--precision", help="The numbers that matrix products run in; `bottega doctor` explains auto."
    ),
]
DeviceOption = Annotated[str, typer.Option("--device", help="auto, cpu, cuda, or one card such as cuda:1.")]
ThreadsOption = Annotated[
    int | None, typer.Option("--threads", min=1, help="CPU threads; all cores where left out.")
]
JobsOption = Annotated[
    int | None,
    typer.Option(
        "--jobs",
        "-j",
        min=1,
        help="Models to build side by side; where left out, as many as a CPU's cores and memory allow, "
        "and one on a GPU.",
        show_default=False,
    ),
]
CompileOption = Annotated[
    Literal["auto", "on", "off"],
    typer.Option("--compile", help="Compile the training step; auto does so where it pays."),
]


def add_to(app: typer.Typer) -> None:
    """Give the command line this file's verbs."""
    app.command(epilog="Examples:\n\n`bottega up`\n\n`bottega up --recipe open-cpu --data ../shared/data`")(
        up
    )
    app.command(
        epilog="Examples:\n\n`bottega build text-davinci-001`\n\n`bottega build --all --recipe mine.toml`\n\n"
        "`bottega build davinci --recipe open-cpu --data ../shared/data --include-nc`\n\n"
        "`torchrun --nproc-per-node 8 -m bottega build davinci --recipe open` (eight GPUs together)"
    )(build)


def up(
    recipe: RecipeOption = "school",
    data: DataOption = None,
    include_nc: NcOption = False,
    include_unclear: UnclearOption = False,
    skip_bad_rows: SkipOption = False,
    world_seed: WorldOption = None,
    scale: ScaleOption = 1.0,
    precision: PrecisionOption = "auto",
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
    jobs: JobsOption = None,
    compile: CompileOption = "auto",
) -> None:
    """Raise a whole family, show its scoreboard, and open a chat with its best model."""
    from bottega.lineage.options import BuildOptions

    options = BuildOptions(
        data, include_nc, include_unclear, skip_bad_rows, world_seed, scale, precision, device, compile,
        threads, command=_typed(),
    )  # fmt: skip
    family = _raise_family(recipe, None, options, jobs)
    from bottega.cli.show import print_scoreboard

    print_scoreboard(family, options)
    chats = [name for name, model in family.models.items() if model.chat and model.role == "model"]
    if not chats:
        return
    if sys.stdin.isatty() and sys.stdout.isatty() and not os.environ.get("CI"):
        from bottega.cli.talk import converse

        converse(chats[-1], family.name, device)
    else:
        typer.echo(f"Talk to the family: bottega chat {chats[-1]}")


def build(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="NAME...", help="The models to build.", show_default=False)
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Build every model of the recipe.")] = False,
    recipe: RecipeOption = "school",
    data: DataOption = None,
    include_nc: NcOption = False,
    include_unclear: UnclearOption = False,
    skip_bad_rows: SkipOption = False,
    world_seed: WorldOption = None,
    scale: ScaleOption = 1.0,
    precision: PrecisionOption = "auto",
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
    jobs: JobsOption = None,
    compile: CompileOption = "auto",
    evaluate: Annotated[
        bool, typer.Option("--eval/--no-eval", help="Evaluate each model once it is built.")
    ] = True,
) -> None:
    """Build models and whatever they are made from: what is missing, and nothing else."""
    from bottega.lineage.options import BuildOptions

    if not names and not everything:
        raise UserError("name the models to build, or say --all for the whole recipe.")
    if names and everything:
        raise UserError("--all builds every model; leave out the names, or leave out --all.")
    options = BuildOptions(
        data, include_nc, include_unclear, skip_bad_rows, world_seed, scale, precision, device, compile,
        threads, evaluate=evaluate, command=_typed(),
    )  # fmt: skip
    _raise_family(recipe, None if everything else names, options, jobs)


def _raise_family(
    recipe_name: str, models: list[str] | None, options: BuildOptions, jobs: int | None
) -> Recipe:
    """Build with the overview on the screen; under torchrun that is the first process's, and the others end
    here. Raises UserError, with how to go on, where a node failed.
    """
    from bottega.stages import together
    from bottega.training.distributed import processes

    if processes() == 1:
        return _build_family(recipe_name, models, options, jobs)
    if jobs is not None and jobs > 1:
        raise UserError("under torchrun all processes build one model at a time; leave out --jobs.")
    world = together.join(options.device)
    if not world.is_first:
        together.follow(world)
        raise typer.Exit
    with together.leading(world):
        return _build_family(recipe_name, models, options, 1)


def _build_family(
    recipe_name: str, models: list[str] | None, options: BuildOptions, jobs: int | None
) -> Recipe:
    from rich.console import Console

    from bottega.lineage import recipe as recipes
    from bottega.lineage.build import BuildInterrupted
    from bottega.lineage.build import build as build_family
    from bottega.lineage.home import Home
    from bottega.lineage.overview import Overview
    from bottega.lineage.side_by_side import choose_jobs

    family = recipes.load(recipe_name).scaled(options.scale)
    source = recipe_name if recipe_name in recipes.shipped() else str(Path(recipe_name).absolute())
    try:
        side_by_side = choose_jobs(jobs, options)
        with Overview(family, Console(soft_wrap=not sys.stdout.isatty()), side_by_side) as overview:
            report = build_family(
                family,
                Home(),
                options,
                overview,
                models=models,
                source=source,
                jobs=side_by_side,
            )
    except BuildInterrupted as stopped:
        raise Interrupted(
            f"Interrupted at {stopped}. What was built is kept; the same command goes on from here:\n"
            f"  {options.command}"
        ) from None
    _report(report, options)
    return family


def _report(report: BuildReport, options: BuildOptions) -> None:
    models = sum(node.kind == "model" for node in report.built)
    stood = sum(node.kind == "model" for node in report.found)
    if not report.failed and not report.unscored:
        typer.echo(
            f"Built {models} model{'s' if models != 1 else ''}; {stood} stood already."
            if models
            else "Everything stands already."
        )
        return
    errors = report.failed | report.unscored
    lines = [f"{node}: {error}" for node, error in report.failed.items()]
    lines += [
        f"{node} stands, but could not be evaluated: {error}" for node, error in report.unscored.items()
    ]
    if report.skipped:
        lines.append(
            f"Not tried, since they are made from these: {', '.join(node.name for node in report.skipped)}."
        )
    lines.append(f"What was built is kept. Mend this, then run the same command again:\n  {options.command}")
    message = "\n".join(lines)
    first = next(iter(errors.values()))
    if all(isinstance(error, UserError) for error in errors.values()):
        raise UserError(message) from first
    raise RuntimeError(message) from first


def _typed() -> str:
    """The command as it was typed, for cards and for the line that says how to resume."""
    import shlex

    return shlex.join(["bottega", *sys.argv[1:]])
