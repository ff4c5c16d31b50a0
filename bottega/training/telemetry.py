"""What a run tells the world: a progress bar, metrics.jsonl, and TensorBoard where it is installed."""

from __future__ import annotations

import json
import time
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

TENSORBOARD_FOLDER = "tensorboard"  # in a run's folder
LINE_EVERY_S = 15.0  # without a terminal
TENSORBOARD_EVERY_S = 10.0  # its import costs seconds, so it never delays the first step


class Telemetry:
    """The reports of one run in ``run_dir``; none when ``quiet``, as all processes but the first are."""

    def __init__(
        self,
        run_dir: Path,
        *,
        title: str = "training",
        quiet: bool = False,
        console: Console | None = None,
        shown: tuple[str, ...] = ("loss",),
    ) -> None:
        """``shown``: the figures that the bar has beside its own."""
        from rich.console import Console

        self.run_dir = run_dir
        self.title = title
        self.quiet = quiet
        self.console = console or Console(stderr=True)
        self._file = run_dir / "metrics.jsonl"
        self._progress: Progress | None = None
        self._task: TaskID | None = None
        self._total = 0
        self._shown = shown
        self._last_line = time.monotonic()
        self._board = _TensorBoard(run_dir / TENSORBOARD_FOLDER)

    def start(self, total_steps: int, done_steps: int = 0) -> None:
        """Begin, or go on after ``done_steps``; lines written beyond that are dropped, to come anew."""
        self._total = total_steps
        if self.quiet:
            return
        self.run_dir.mkdir(parents=True, exist_ok=True)
        keep_steps(self._file, done_steps)
        if not self.console.is_terminal:
            return
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed}/{task.total}"),
            TextColumn("{task.fields[figures]}"),
            TextColumn("{task.fields[speed]} tokens/s"),
            TimeRemainingColumn(),
            console=self.console,
        )
        self._task = self._progress.add_task(
            self.title, total=total_steps, completed=done_steps, figures="-", speed="-"
        )
        self._progress.start()

    def step(self, record: dict[str, Any]) -> None:
        """One optimiser step. ``record`` has at least step, tokens, loss and tokens_per_s."""
        if self.quiet:
            return
        with self._file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record | {"steps": self._total}) + "\n")
        self._board.add(record)
        figures = ", ".join(f"{name} {record[name]:.3f}" for name in self._shown)
        speed = f"{record['tokens_per_s']:,.0f}"
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, completed=record["step"], figures=figures, speed=speed)
        elif record["step"] in (1, self._total) or time.monotonic() - self._last_line >= LINE_EVERY_S:
            self._last_line = time.monotonic()
            left = (self._total - record["step"]) * record["step_s"]
            self.console.print(
                f"{self.title}: step {record['step']}/{self._total}, {figures}, {speed} tokens/s, "
                f"about {_duration(left)} left",
                highlight=False,
            )

    def message(self, text: str) -> None:
        """A line for the reader, above the bar."""
        if not self.quiet:
            self.console.print(f"{self.title}: {text}", highlight=False)

    def close(self) -> None:
        """End the bar and flush what is buffered."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None
        self._board.close()

    def __enter__(self) -> Telemetry:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def keep_steps(metrics: Path, last_step: int) -> None:
    """Drop the lines of ``metrics`` after ``last_step``, and one that was cut off while being written."""
    kept = [json.dumps(r) + "\n" for r in read_metrics(metrics) if r["step"] <= last_step]
    scratch = metrics.with_name(f".{metrics.name}.writing")
    scratch.write_text("".join(kept), encoding="utf-8")
    scratch.replace(metrics)


def read_metrics(metrics: Path) -> list[dict[str, Any]]:
    """The records of a metrics.jsonl in order; a line cut short by a kill is left out."""
    if not metrics.exists():
        return []
    records = []
    for line in metrics.read_text(encoding="utf-8").splitlines():
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict):
            records.append(record)
    return records


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


class _TensorBoard:
    """Scalars for TensorBoard, handed over in batches; does nothing where the package is not installed."""

    def __init__(self, folder: Path) -> None:
        import importlib.util

        self._folder = folder
        self._installed = importlib.util.find_spec("tensorboard") is not None
        self._writer: Any = None
        self._waiting: list[dict[str, Any]] = []
        self._last = time.monotonic()

    def add(self, record: dict[str, Any]) -> None:
        if not self._installed:
            return
        self._waiting.append(record)
        if time.monotonic() - self._last >= TENSORBOARD_EVERY_S:
            self._flush()

    def close(self) -> None:
        # A run too short to have been flushed once is not worth the import.
        if self._writer is not None:
            self._flush()
            self._writer.close()

    def _flush(self) -> None:
        if self._writer is None:
            from torch.utils.tensorboard import SummaryWriter

            # purge_step hides what an interrupted run had written beyond the checkpoint.
            self._writer = SummaryWriter(str(self._folder), purge_step=self._waiting[0]["step"])
        for record in self._waiting:
            for name, value in record.items():
                if isinstance(value, int | float) and name != "step":
                    self._writer.add_scalar(name, value, record["step"])
        self._writer.flush()
        self._waiting.clear()
        self._last = time.monotonic()
