"""What a build shows while it runs: the whole family, live in a terminal, as lines anywhere else."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Literal

from bottega.lineage.graph import Graph, Node
from bottega.lineage.readme import duration, quantity
from bottega.lineage.recipe import CollectedSpec, Recipe
from bottega.lineage.schedule import Schedule

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live
    from rich.table import Table

LINE_EVERY_S = 20.0  # without a terminal
_TAIL_BYTES = 4096
_SETTLED = 0.05  # of a model's tokens, before which its pace says little: the first steps compile
_WIDE = 100  # columns of a terminal that has room for bars

# What is told of learning by trial, as CORRECTNESS 28 lists it: name in metrics.jsonl, label, format.
_TRIAL = (
    ("score", "score", ".3f"),
    ("kl", "KL", ".3f"),
    ("length", "length", ".1f"),
    ("ended", "ended", ".0%"),
    ("entropy", "entropy", ".3f"),
    ("approx_kl", "approx. KL", ".2g"),
    ("clip_fraction", "clipped", ".1%"),
    ("ratio", "ratio", ".4f"),
    ("ratio_variance", "ratio variance", ".2g"),
    ("explained_variance", "values explain", ".0%"),
    ("grad_norm", "gradient norm", ".3g"),
)
_LOSS = (("loss", "loss", ".3f"), ("accuracy", "accuracy", ".1%"))

State = Literal["waiting", "running", "evaluating", "built", "found", "failed", "skipped"]
_MARKS: dict[State, tuple[str, str]] = {
    "waiting": ("·", "dim"),
    "running": ("▶", "bold cyan"),
    "evaluating": ("◆", "cyan"),
    "built": ("✓", "green"),
    "found": ("✓", "dim green"),
    "failed": ("✗", "bold red"),
    "skipped": ("–", "dim"),
}


@dataclass
class _Line:
    """One node as the reader sees it."""

    state: State = "waiting"
    note: str = ""
    run: Path | None = None
    begun: float = 0.0
    budget: int = 0  # tokens
    guessed: bool = False  # by the steps so far, where the recipe names no tokens
    before: int = 0  # prompts answered before this build, where one goes on
    seconds: float = 0.0  # what it took, once it stands


@dataclass(frozen=True)
class Pace:
    """The last line of a run's metrics."""

    tokens: int
    tokens_per_s: float
    whole: int = 0  # tokens when all steps are done, by those of the steps so far
    figures: Mapping[str, float] = field(default_factory=dict)  # all numbers of the line

    def seconds_for(self, tokens: int) -> float:
        """How long so many tokens take at this pace."""
        return tokens / max(1e-6, self.tokens_per_s)

    def told(self) -> list[str]:
        """What a reader is told of how it learns: all figures of learning by trial, whose loss says nothing;
        the loss of any other run, and beside it how often a reward model was right."""
        shown = _TRIAL if "score" in self.figures else _LOSS
        return [f"{label} {self.figures[name]:{form}}" for name, label, form in shown if name in self.figures]


@dataclass
class Overview:
    """An ``Observer`` for people. Use as a context manager around the build."""

    recipe: Recipe
    console: Console
    jobs: int = 1  # nodes built side by side
    _lines: dict[Node, _Line] = field(default_factory=dict)
    _live: Live | None = None
    _begun: float = field(default_factory=time.monotonic)
    _schedule: Schedule = field(init=False)
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Overview:
        if self.console.is_terminal:
            from rich.live import Live

            self._live = Live(get_renderable=self._render, console=self.console, refresh_per_second=2)
            self._live.start()
        else:
            self._thread = threading.Thread(target=self._report_lines, daemon=True)
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        if self._live is not None:
            self._live.stop()
            self._live = None

    def plan(self, nodes: list[Node]) -> None:
        """All that the build will look at, in order."""
        self._lines = {node: _Line(budget=self._budget(node)) for node in nodes}
        self._schedule = Schedule(Graph(self.recipe), nodes, self.jobs)

    def found(self, node: Node) -> None:
        """The node stood already."""
        self._lines[node].state = "found"

    def begin(self, node: Node, run: Path | None) -> None:
        """The node is being made."""
        line = self._lines[node]
        line.state, line.run, line.begun = "running", run, time.monotonic()
        line.before, _ = self._answered(node, line)
        self._print(f"{self._progress()} building {node}{self._how(node)}")

    def evaluating(self, node: Node, evaluation: str) -> None:
        """One of a model's evaluations begins."""
        line = self._lines.setdefault(node, _Line())
        line.state, line.note = "evaluating", evaluation

    def done(self, node: Node, note: str) -> None:
        """The node stands."""
        line = self._lines[node]
        line.seconds = time.monotonic() - line.begun
        # The table has room for the first part; the rest is said above it.
        line.state, (line.note, _, more) = "built", note.partition("; ")
        if self._live is None:
            self.say(f"{self._progress()} built {node}: {note}")
        elif more:
            self.say(f"  {node.name}: {more}")
        if node.kind == "model" and self.recipe.models[node.name].chat and self._first_chat(node):
            self.say(f"{node.name} stands. Talk to it while the rest is built: bottega chat {node.name}")

    def failed(self, node: Node, error: BaseException) -> None:
        """The node cannot be made."""
        line = self._lines[node]
        line.state, line.note = "failed", str(error).splitlines()[0] if str(error) else type(error).__name__
        self._print(f"{self._progress()} failed {node}: {error}")

    def skipped(self, node: Node, because: Node) -> None:
        """The node is not tried, since what it needs has failed."""
        line = self._lines[node]
        line.state, line.note = "skipped", f"needs {because.name}"

    def say(self, text: str) -> None:
        """Anything else worth a line; above the live table where there is one."""
        self.console.print(text, highlight=False, markup=False)

    def _print(self, text: str) -> None:
        if self._live is None:
            self.say(text)

    def _progress(self) -> str:
        settled = sum(line.state not in ("waiting", "running", "evaluating") for line in self._lines.values())
        return f"[{settled}/{len(self._lines)}, {duration(time.monotonic() - self._begun)}]"

    def _how(self, node: Node) -> str:
        if node.kind != "model":
            return ""
        spec = self.recipe.models[node.name]
        made_from = f" from {' + '.join(spec.parent)}" if spec.parent else ""
        budget = self._lines[node].budget
        return f" ({spec.stage}{made_from}{f', {quantity(budget)} tokens' if budget else ''})"

    def _first_chat(self, node: Node) -> bool:
        standing = [n for n, line in self._lines.items() if line.state in ("built", "found", "evaluating")]
        return not any(n != node and n.kind == "model" and self.recipe.models[n.name].chat for n in standing)

    def _budget(self, node: Node) -> int:
        if node.kind != "model":
            return 0
        return int(getattr(self.recipe.models[node.name].config, "budget_tokens", 0))

    def _seconds_left(self) -> float | None:
        """Until all stands, each node by its own pace or, before it has one, by its effort and the pace of
        this build so far; None before there is any."""
        work, seconds = 0.0, 0.0
        paces = {node: _pace_of(line) for node, line in self._lines.items()}
        for node, line in self._lines.items():
            effort = self._schedule.efforts.get(node, 0.0)
            pace = paces[node]
            if not effort:
                continue
            if line.begun and line.state in ("built", "evaluating"):
                work += effort
                seconds += (line.seconds or time.monotonic() - line.begun) * self._cores(node)
            elif pace and pace.tokens >= _SETTLED * line.budget:
                work += effort * pace.tokens / line.budget
                seconds += pace.seconds_for(pace.tokens) * self._cores(node)
        if not work:
            return None
        left = {
            node: self._left(node, line, paces[node], work / seconds)
            for node, line in self._lines.items()
            if line.state in ("waiting", "running", "evaluating")
        }
        at_work = [node for node in left if self._lines[node].state != "waiting"]
        return self._schedule.seconds(left, at_work) or None

    def _left(self, node: Node, line: _Line, pace: Pace | None, rate: float) -> float:
        """Seconds that a node still takes where ``rate`` is the effort that a job does in a second."""
        effort = self._schedule.efforts.get(node, 0.0)
        if pace and (pace.tokens >= _SETTLED * line.budget or not effort):
            return pace.seconds_for(max(0, line.budget - pace.tokens))
        so_far = time.monotonic() - line.begun if line.state != "waiting" else 0.0
        answered, whole = self._answered(node, line)
        if answered > line.before:
            return so_far * (whole - answered) / (answered - line.before)
        return max(0.0, effort / (rate * self._cores(node)) - so_far)

    def _cores(self, node: Node) -> int:
        """The jobs whose cores a node has."""
        return self.jobs if node in self._schedule.alone else 1

    def _time_left(self) -> str:
        """Empty before anything is known; a floor while a model is to come whose effort nobody knows."""
        seconds = self._seconds_left()
        if not seconds:
            return ""
        uncounted = any(
            line.state in ("waiting", "running")
            and node.kind == "model"
            and not (line.budget or self._schedule.efforts[node])
            for node, line in self._lines.items()
        )
        return f"{'more than' if uncounted else 'about'} {duration(seconds)}"

    def _report_lines(self) -> None:
        while not self._stop.wait(LINE_EVERY_S):
            for node, line in list(self._lines.items()):
                self._report_line(node, line)

    def _report_line(self, node: Node, line: _Line) -> None:
        if answers := self._answers(node, line):
            self._print(f"  {node.name}: {answers}")
        if pace := _pace_of(line):
            left = self._time_left()
            whole = f"; the family {left}" if left else ""
            self._print(
                f"  {node.name}: {quantity(pace.tokens)} of {quantity(line.budget)} tokens, "
                f"{', '.join(pace.told())}, {pace.tokens_per_s:,.0f} tokens/s{whole}"
            )

    def _answers(self, node: Node, line: _Line) -> str:
        """How far a dataset is whose answers are being collected."""
        answered, whole = self._answered(node, line)
        return f"{answered:,} of {whole:,} prompts answered" if whole else ""

    def _answered(self, node: Node, line: _Line) -> tuple[int, int]:
        """The prompts answered, and how many there are, of a dataset that is being collected; 0 of 0 of any
        other node."""
        from bottega.stages.collect import answered

        spec = self.recipe.datasets[node.name] if node.kind == "dataset" else None
        if line.state != "running" or line.run is None or not isinstance(spec, CollectedSpec):
            return 0, 0
        whole = spec.knobs.prompts + spec.knobs.heldout_prompts
        return min(answered(line.run / "work"), whole), whole

    def _render(self) -> RenderableType:
        from rich.console import Group
        from rich.text import Text

        models = {node: line for node, line in self._lines.items() if node.kind == "model"}
        material = [line for node, line in self._lines.items() if node.kind != "model"]
        settled = sum(line.state in ("built", "found") for line in material)
        head = Text(self.recipe.info.title.en or self.recipe.name, style="bold")
        head.append(f" · {duration(time.monotonic() - self._begun)} so far", style="dim")
        if left := self._time_left():
            head.append(f", {left} left", style="dim")
        below = Text(f"data and tokenizers {settled}/{len(material)}", style="dim")
        for node, line in self._lines.items():
            if node.kind != "model" and line.state == "running":
                below.append(f"  ▶ {node}", style="cyan")
                below.append(f" {answers}" if (answers := self._answers(node, line)) else "", style="dim")
        return Group(head, below, *self._figures(models), self._table(models))

    def _figures(self, models: dict[Node, _Line]) -> list[RenderableType]:
        """A line for each model at work of which there is more to tell than a loss."""
        from rich.columns import Columns
        from rich.text import Text

        lines: list[RenderableType] = []
        for node, line in models.items():
            pace = _pace_of(line)
            if pace and len(told := pace.told()) > 1:
                name = Text(f"▶ {node.name}", style="cyan")
                lines.append(Columns([name, *(Text(one, style="dim") for one in told)], padding=(0, 2)))
        return lines

    def _table(self, models: dict[Node, _Line]) -> Table:
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
        # Where room is scarce the bars give way, and on a narrow terminal the ends of long names.
        wide = self.console.width >= _WIDE
        for what in ("mark", "name", "stage", *(["bar"] if wide else []), "note"):
            yields = what == ("bar" if wide else "name")
            table.add_column(what, no_wrap=not yields, max_width=24 if what == "bar" else None)
        for node, line in models.items():
            mark, style = _MARKS[line.state]
            spec = self.recipe.models[node.name]
            told = style if line.state != "waiting" else "dim"
            table.add_row(
                Text(mark, style=style),
                Text(node.name, style=told, no_wrap=True, overflow="ellipsis"),
                Text(spec.stage, style="dim"),
                *([self._bar(line)] if wide else []),
                Text(self._note(line), style="dim"),
            )
        return table

    def _bar(self, line: _Line) -> RenderableType:
        from rich.progress_bar import ProgressBar

        pace = _pace_of(line)
        done = line.budget if line.state in ("built", "found", "evaluating") else pace.tokens if pace else 0
        return ProgressBar(total=max(1, line.budget), completed=min(done, line.budget) or 0)

    def _note(self, line: _Line) -> str:
        if line.state == "running":
            pace = _pace_of(line)
            if not pace:
                return "starting"
            left = pace.seconds_for(max(0, line.budget - pace.tokens))
            told = pace.told()
            loss = f"{told[0]}  " if len(told) == 1 else ""  # more than that has a line of its own
            return f"{loss}{pace.tokens_per_s:,.0f} tokens/s  {duration(left)} left"
        if line.state == "evaluating":
            return f"evaluating {line.note}"
        if line.state == "waiting":
            return f"{quantity(line.budget)} tokens" if line.budget else ""
        return line.note


def _pace_of(line: _Line) -> Pace | None:
    """How far a model at work is; one whose recipe names no tokens gets its number by this, each time anew:
    answers grow and shrink."""
    pace = read_pace(line.run) if line.state == "running" else None
    if pace and (line.guessed or not line.budget):
        line.budget, line.guessed = pace.whole, True
    return pace


def read_pace(run: Path | None) -> Pace | None:
    """How far a run is, from the end of its metrics.jsonl; None before its first step."""
    if run is None:
        return None
    try:
        with (run / "work" / "train" / "metrics.jsonl").open("rb") as handle:
            size = handle.seek(0, 2)
            handle.seek(max(0, size - _TAIL_BYTES))
            lines = handle.read().splitlines()
    except OSError:
        return None
    for line in reversed(lines):
        try:
            row = json.loads(line)
            tokens = int(row["tokens"])
            whole = round(tokens / row["step"] * row.get("steps", 0)) if row.get("step") else 0
            figures = {name: float(value) for name, value in row.items() if isinstance(value, int | float)}
            return Pace(tokens, float(row["tokens_per_s"]), whole, figures)
        except (ValueError, KeyError, TypeError):
            continue
    return None
