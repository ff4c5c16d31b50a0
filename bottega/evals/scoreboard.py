"""Every model of a family by every evaluation: as a table in the terminal, as a picture, as JSON."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from bottega.evals.score import Score

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.table import Table
    from rich.text import Text

Role = Literal["model", "control", "base"]
_BEST, _MODEL, _ASIDE, _FLOOR, _CEILING = "#0b7a4b", "#2b5d9e", "#a8adb5", "#c0392b", "#7f8c8d"
_FILE = re.compile(r"file:(?:.*/)?([^/*]+?)(?:\.[a-z]+)*$")
_UNIT_LABELS = {
    "accuracy": "% right",
    "bits/byte": "bits a byte, lower is better",
    "tokens/s": "tokens a second",
}


@dataclass(frozen=True, slots=True)
class Row:
    """A model's scores by evaluation."""

    model: str
    scores: dict[str, Score]
    role: Role = "model"


@dataclass(frozen=True)
class Scoreboard:
    """The rows in the order of the recipe. Columns appear in the order in which scores first name them."""

    rows: tuple[Row, ...]
    title: str = ""
    _columns: tuple[str, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        columns = dict.fromkeys(name for row in self.rows for name in row.scores)
        object.__setattr__(self, "_columns", tuple(columns))

    @property
    def columns(self) -> tuple[str, ...]:
        """The evaluations."""
        return self._columns

    def best(self, column: str) -> frozenset[str]:
        """The models that lead a column, unless all are equal. Controls and bases do not compete."""
        values = {
            row.model: row.scores[column].value
            for row in self.rows
            if row.role == "model" and column in row.scores and not math.isnan(row.scores[column].value)
        }
        if len(set(values.values())) < 2:
            return frozenset()
        top = max(values.values()) if self._score(column).higher_is_better else min(values.values())
        return frozenset(model for model, value in values.items() if value == top)

    def floors(self, column: str) -> dict[str, float]:
        """The column's floors by name."""
        return self._score(column).floors

    def ceiling(self, column: str) -> float | None:
        """The column's ceiling, where it has one."""
        return self._score(column).ceiling

    def _score(self, column: str) -> Score:
        return next(row.scores[column] for row in self.rows if column in row.scores)

    def to_json(self) -> dict[str, Any]:
        """Everything on the board, for files and for the web; cases and examples are left to the cards."""
        drop = ("outcomes", "sizes", "examples")
        return {
            "title": self.title,
            "columns": list(self.columns),
            "rows": [
                {
                    "model": row.model,
                    "role": row.role,
                    "scores": {
                        name: {k: v for k, v in score.to_json().items() if k not in drop}
                        for name, score in row.scores.items()
                    },
                }
                for row in self.rows
            ],
        }

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The table, in several parts where the terminal is too narrow for all columns."""
        names = [row.model if row.role == "model" else f"{row.model}  {row.role}" for row in self.rows]
        room = options.max_width - max(map(len, [*names, "floor: nearest"])) - 2
        part: list[str] = []
        title = self.title
        for column in self.columns:
            used = sum(self._width(c) for c in part)
            if part and used + self._width(column) > room:
                yield self.table(part, title=title)
                part, title = [], ""
            part.append(column)
        yield self.table(part, title=title)

    def _width(self, column: str) -> int:
        return max(len(short_name(column)), len("00.0–00.0 "), len(self._unit(column))) + 3

    def _unit(self, column: str) -> str:
        """The better direction, and the unit."""
        score = self._score(column)
        return f"{'↑' if score.higher_is_better else '↓'} {'%' if score.unit == 'accuracy' else score.unit}"

    def table(self, columns: Sequence[str] | None = None, *, title: str | None = None) -> Table:
        """One line for each model with any of these scores, an interval under every value, then the floors
        and the ceiling."""
        from rich.box import SIMPLE_HEAD
        from rich.table import Table
        from rich.text import Text

        columns = self.columns if columns is None else columns
        title = self.title if title is None else title
        table = Table(box=SIMPLE_HEAD, title=title or None, title_justify="left", pad_edge=False)
        table.add_column("model", no_wrap=True)
        for column in columns:
            table.add_column(f"{short_name(column)}\n{self._unit(column)}", justify="right", no_wrap=True)
        for row in self.rows:
            if not any(column in row.scores for column in columns):
                continue
            name = Text(row.model, style="bold" if row.role == "model" else "dim")
            if row.role != "model":
                name.append(f"  {row.role}", style="dim italic")
            table.add_row(name, *(self._cell(row, column) for column in columns))
        table.add_section()
        for floor in dict.fromkeys(name for column in columns for name in self.floors(column)):
            values = [self._reference(self.floors(column).get(floor), column) for column in columns]
            table.add_row(Text(f"floor: {floor}", style="dim"), *values)
        if any(self.ceiling(column) is not None for column in columns):
            values = [self._reference(self.ceiling(column), column) for column in columns]
            table.add_row(Text("ceiling", style="dim"), *values)
        reasons = dict.fromkeys(s.not_built for c in columns for s in self._scores(c) if s.not_built)
        if reasons:
            table.caption, table.caption_justify = "\n".join(f"n/a: {reason}" for reason in reasons), "left"
        return table

    def _cell(self, row: Row, column: str) -> Text:
        from rich.text import Text

        score = row.scores.get(column)
        if score is None:
            return Text("·", style="dim")
        if score.not_built:
            return Text("n/a", style="dim italic")
        leads = row.model in self.best(column)
        style = "bold green" if leads else "dim" if row.role != "model" else ""
        text = Text(f"{_shown(score.value, score.unit)}{'*' if leads else ' '}", style=style)
        return text.append(
            f"\n{_shown(score.low, score.unit)}–{_shown(score.high, score.unit)} ", style="dim"
        )

    def _reference(self, value: float | None, column: str) -> Text:
        from rich.text import Text

        unit = self._score(column).unit
        return Text("" if value is None else f"{_shown(value, unit)} ", style="dim")

    def draw(self, path: Path) -> None:
        """Write the board as a picture, PNG or SVG by the suffix: a panel per evaluation."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        columns = [c for c in self.columns if not all(s.not_built for s in self._scores(c))]
        across = min(3, max(1, len(columns)))
        down = max(1, math.ceil(len(columns) / across))
        height = 0.9 + 0.26 * len(self.rows)
        figure = Figure(figsize=(2.2 + 3.3 * across, 0.6 + height * down), layout="constrained", dpi=150)
        FigureCanvasAgg(figure)
        grid = figure.subplots(down, across, squeeze=False, sharey=True)
        for axes, column in zip(grid.flat, columns, strict=False):
            self._panel(axes, column)
        for axes in grid.flat[len(columns) :]:
            axes.set_visible(False)
        for axes in grid[:, 0]:
            for label, row in zip(axes.get_yticklabels(), self.rows, strict=False):
                label.set_color("#1d2126" if row.role == "model" else "#8a9099")
        self._legend(figure)
        if self.title:
            figure.suptitle(self.title, x=0.01, ha="left", fontsize=11, fontweight="bold")
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path)

    def _legend(self, figure: Figure) -> None:
        from matplotlib.lines import Line2D

        marks = {"model": _MODEL, "best model": _BEST, "control or base": _ASIDE}
        handles = [
            Line2D([], [], color=c, marker="o", ms=4, lw=2, alpha=0.9, label=n) for n, c in marks.items()
        ]
        handles.append(Line2D([], [], color=_FLOOR, lw=0.9, ls=(0, (4, 3)), label="best floor"))
        handles.append(Line2D([], [], color=_CEILING, lw=0.9, ls=":", label="ceiling"))
        figure.legend(handles=handles, loc="outside lower left", ncols=5, fontsize=6.5, frameon=False)

    def _scores(self, column: str) -> Iterable[Score]:
        return (row.scores[column] for row in self.rows if column in row.scores)

    def _panel(self, axes: Axes, column: str) -> None:
        from matplotlib.patheffects import withStroke

        halo = [withStroke(linewidth=2, foreground="white")]  # a label stays readable on a line
        best, sample = self.best(column), self._score(column)
        factor = 100.0 if sample.unit == "accuracy" else 1.0
        for y, row in enumerate(self.rows):
            score = row.scores.get(column)
            if score is None or math.isnan(score.value):
                continue
            colour = _BEST if row.model in best else _MODEL if row.role == "model" else _ASIDE
            axes.plot([score.low * factor, score.high * factor], [y, y], color=colour, lw=2.2, alpha=0.45)
            axes.plot([score.value * factor], [y], "o", color=colour, ms=5)
            axes.annotate(
                _shown(score.value, score.unit), (score.value * factor, y), xytext=(0, 4.5),
                textcoords="offset points", ha="center", fontsize=6.5, color=colour, path_effects=halo,
            )  # fmt: skip
        if sample.floors:
            floor = (max if sample.higher_is_better else min)(sample.floors.values())
            axes.axvline(floor * factor, color=_FLOOR, lw=0.9, ls=(0, (4, 3)), zorder=1)
        if sample.ceiling is not None:
            axes.axvline(sample.ceiling * factor, color=_CEILING, lw=0.9, ls=":", zorder=1)
        if sample.unit == "accuracy":
            axes.set_xlim(-4, 104)
        axes.set_yticks(range(len(self.rows)), [row.model for row in self.rows], fontsize=7.5)
        axes.set_ylim(len(self.rows) - 0.4, -0.8)
        axes.set_title(f"{short_name(column)}\n", fontsize=8.5, loc="left", fontweight="bold", pad=1)
        axes.text(
            0,
            1.01,
            _UNIT_LABELS.get(sample.unit, sample.unit),
            transform=axes.transAxes,
            fontsize=6.5,
            color="#6b7280",
        )
        axes.tick_params(axis="x", labelsize=6.5, length=2)
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="x", color="#e5e7eb", lw=0.6)
        axes.set_axisbelow(True)
        for side in ("top", "right", "left"):
            axes.spines[side].set_visible(False)


def short_name(evaluation: str) -> str:
    """An evaluation as a column names it: a task without its kind, a file without its folders and endings."""
    return _FILE.sub(r"\1", evaluation.removeprefix("task:"))


def _shown(value: float, unit: str) -> str:
    return f"{100 * value:.1f}" if unit == "accuracy" else f"{value:.3f}"
