"""``bottega claims``: what every model has to show, and whether it does."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from bottega.cli.build import DeviceOption, ThreadsOption
from bottega.cli.show import PIPE_WIDTH, FamilyOption, JsonOption

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from bottega.evals.claims import Rules, Verdict
    from bottega.lineage.claims import Taking

_STYLES = {"shown": "bold green", "not shown": "red", "not built": "dim"}


def add_to(app: typer.Typer) -> None:
    """Give the command line this file's verb."""
    app.command(
        epilog="Examples:\n\n`bottega claims`\n\n`bottega claims code code-ten-tries --json`\n\n"
        "`bottega claims --world-seed 11 --world-seed 12` (families that were built with these seeds)"
    )(claims)


def claims(
    ids: Annotated[
        list[str] | None,
        typer.Argument(metavar="ID...", help="Only these claims; all where left out.", show_default=False),
    ] = None,
    recipe: FamilyOption = None,
    world_seed: Annotated[
        list[int] | None,
        typer.Option(
            "--world-seed",
            help="A world whose family counts; may be given several times. The family's own by default.",
            show_default=False,
        ),
    ] = None,
    as_json: JsonOption = False,
    language: Annotated[Literal["en", "zh"], typer.Option("--language", help="Of the claims.")] = "en",
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
) -> None:
    """Judge every claim: its effect with a 95% interval, n, seeds and verdict.

    Scores that are missing are taken first and kept: some minutes the first time. A claim whose interval
    includes "no effect" is not shown.
    """
    from dataclasses import replace

    from rich.console import Console

    from bottega.cli.show import chosen_family, print_json
    from bottega.errors import UserError
    from bottega.evals.claims import load_claims
    from bottega.lineage.claims import verdicts
    from bottega.lineage.home import Home
    from bottega.lineage.nearest import did_you_mean

    family, options = chosen_family(recipe)
    known = [claim.id for claim in load_claims(family.info.claims)[1]]
    for wanted in ids or ():
        if wanted not in known:
            raise UserError(f"there is no claim {wanted!r}{did_you_mean(wanted, known)}")
    options = replace(options, device=device, threads=threads)
    seeds = world_seed or [options.world(family)]
    with _Watched(Console(stderr=True), worlds=len(seeds)) as watched:
        rules, found = verdicts(family, Home(), options, seeds, only=ids or (), progress=watched.taking)
    if as_json:
        print_json({"recipe": family.name, "world_seeds": seeds, "claims": [_row(v, seeds) for v in found]})
        return
    judged = [verdict for verdict in found if verdict.status != "not built"]
    console = Console()
    # A pipe has no width to fit into, and the default would be a narrow one.
    console = console if console.is_terminal else Console(width=PIPE_WIDTH)
    if judged:
        console.print(_table(judged, rules, seeds, language))
    for reason, ids_of in _not_built(found, language).items():
        console.print(f"not built ({reason}): {', '.join(ids_of)}", style="dim", highlight=False)
    shown = sum(verdict.status == "shown" for verdict in judged)
    console.print(f"{shown} of {len(judged)} claims are shown; {len(found) - len(judged)} are not built.")
    if not judged and not ids:
        console.print(f"Build the family: bottega up --recipe {recipe or family.name}")


class _Watched:
    """The scores as they are taken: a bar with the time left in a terminal, else a line for each."""

    def __init__(self, console: Console, worlds: int) -> None:
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            SpinnerColumn,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        self._console, self._worlds, self._began = console, worlds, time.monotonic()
        self._bar = Progress(
            *(SpinnerColumn(), BarColumn(24), MofNCompleteColumn(), TimeElapsedColumn()),
            *(TextColumn("left"), TimeRemainingColumn(), TextColumn("{task.description}")),
            console=console,
            transient=True,
            disable=not console.is_terminal,
            speed_estimate_period=3600,  # scores take from a second to minutes: the mean of all is steadiest
        )
        self._task = self._bar.add_task("reading the scores ...", total=None)

    def __enter__(self) -> _Watched:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def taking(self, score: Taking) -> None:
        from bottega.lineage.readme import duration

        what = f"{score.evaluation} of {' and '.join(score.models)}"
        if self._worlds > 1:
            what = f"world {score.world_seed}: {what}"
        self._bar.update(self._task, completed=score.done, total=score.total, description=what)
        if not self._console.is_terminal:
            spent = duration(time.monotonic() - self._began)
            typer.echo(f"[{score.done + 1}/{score.total}, {spent}] {what}", err=True)


def _not_built(found: list[Verdict], language: str) -> dict[str, list[str]]:
    """The claims that cannot be judged, by the reason."""
    reasons: dict[str, list[str]] = {}
    for verdict in found:
        if verdict.status == "not built":
            reasons.setdefault(verdict.reason.told(language), []).append(verdict.claim.id)
    return reasons


def _row(verdict: Verdict, seeds: list[int]) -> dict[str, Any]:
    claim = verdict.claim
    return {
        "id": claim.id,
        "model": claim.model,
        "against": claim.against,
        "says": claim.says,
        "says_zh": claim.says_zh,
        "metric": claim.metric,
        "verdict": verdict.status,
        "reason": verdict.reason.en,
        "reason_zh": verdict.reason.zh,
        "effect": verdict.effect,
        "low": verdict.low,
        "high": verdict.high,
        "effect_kind": claim.effect,
        "minimum_effect": claim.minimum_effect,
        "n": verdict.n,
        "n_for_power": verdict.enough,
        "world_seeds": seeds,
        "provisional": verdict.provisional.en,
        "provisional_zh": verdict.provisional.zh,
    }


def _table(found: list[Verdict], rules: Rules, seeds: list[int], language: str) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    from bottega.bilingual import Text as Bilingual
    from bottega.evals.claims import STATUS_ZH, effect_text, provisionally

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    heads = ("model", "claim", "effect", "interval", "n", "verdict")
    if language == "zh":
        heads = ("模型", "主张", "效应", "区间", "n", "结论")
    for column in heads[:2]:
        table.add_column(column, overflow="fold")
    for column in (heads[2], f"{rules.confidence:.0%} {heads[3]}", heads[4]):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column(heads[5])
    model = ""
    common = {verdict.provisional for verdict in found}
    shared = common.pop() if len(common) == 1 else Bilingual()  # said once, where it holds for all
    for verdict in found:
        claim = verdict.claim
        label = verdict.status if language == "en" else STATUS_ZH[verdict.status]
        said = Text(label, style=_STYLES[verdict.status])
        provisional = verdict.provisional if verdict.provisional != shared else Bilingual()
        for more in verdict.reasons(provisional):
            said.append(f"\n{more.told(language)}", style="dim")
        effect = interval = ""
        if verdict.effect is not None and verdict.low is not None and verdict.high is not None:
            effect = effect_text(verdict.effect, claim.effect)
            interval = (
                f"{effect_text(verdict.low, claim.effect)} to {effect_text(verdict.high, claim.effect)}"
            )
        table.add_row(
            Text("" if claim.model == model else claim.model, style="bold"),
            claim.says if language == "en" else claim.says_zh,
            effect,
            interval,
            f"{verdict.n:,}" if verdict.n else "",
            said,
        )
        model = claim.model
    caption = [f"world seeds: {', '.join(map(str, seeds))}"] if rules.world_seeds > 1 else []
    if shared:
        caption.append(provisionally(shared).told(language))
    table.caption, table.caption_justify = "; ".join(caption), "left"
    return table
