"""What every run of training is held by: checkpoints, going on after them, a stop that loses nothing."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from bottega.bilingual import Text
from bottega.training.checkpoint import Checkpoint, Checkpoints
from bottega.training.distributed import World
from bottega.training.interrupt import StopRequest, TrainingInterrupted
from bottega.training.telemetry import Telemetry


class Cadence(Protocol):
    """When to save, and when to stop; ``TrainConfig`` has these fields."""

    @property
    def seed(self) -> int: ...
    @property
    def checkpoint_every_steps(self) -> int: ...
    @property
    def checkpoint_every_s(self) -> float: ...
    @property
    def stop_after_s(self) -> float: ...


class Held(Protocol):
    """Something whose tensors a checkpoint holds: a learner, say."""

    def state(self) -> tuple[dict[str, Tensor], dict[str, Tensor]]: ...
    def put_back(self, weights: dict[str, Tensor], optimizer: dict[str, Tensor] | None = None) -> None: ...


class Run(ABC):
    """Steps of some kind, one after the other, until there are enough of them.

    ``learners`` are the networks under training by a name, "" for a single one; ``identity`` is what must
    not change between a run and its resumption.
    """

    def __init__(
        self,
        learners: Mapping[str, Held],
        total_steps: int,
        identity: dict[str, Any],
        run_dir: Path,
        cadence: Cadence,
        telemetry: Telemetry,
        world: World,
    ) -> None:
        self.learners, self.total_steps, self.run_dir = learners, total_steps, run_dir
        self.telemetry, self.world = telemetry, world
        self._cadence = cadence
        self.checkpoints = Checkpoints(run_dir / "checkpoints", identity, telemetry.message, world)
        self.best = Checkpoints(run_dir / "best", identity, telemetry.message, world)
        self.step = 0
        self.seconds = 0.0
        self.ended: Text | None = None  # why no further step is to be taken, where something says so
        self.notes: list[Text] = []  # what the user must know of the run when it is over

    @abstractmethod
    def one_step(self) -> None:
        """Take a step: count it in ``step``, its time in ``seconds``, and report it."""

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """What else a checkpoint holds; JSON."""

    @abstractmethod
    def put_back(self, state: dict[str, Any]) -> None:
        """Take over what :meth:`state` gave."""

    def run(self, stop: StopRequest, *, resume: bool) -> int | None:
        """Take all steps, from the newest checkpoint where there is one; the step of that.

        Raises ``TrainingInterrupted`` after Ctrl-C.
        """
        resumed_from = self._resume() if resume else None
        if resumed_from is None:
            torch.manual_seed(self._cadence.seed)
        self.telemetry.start(self.total_steps, self.step)
        saved_at, last_saved = time.monotonic(), self.step
        out_of_time = False
        while self.step < self.total_steps and not out_of_time and not self.ended:
            self.one_step()
            if self.ended:
                break
            due = self._agree(stop.asked, self._is_due(saved_at), self._is_out_of_time())
            asked, due_now, out_of_time = due
            if due_now or asked or out_of_time:
                self.save()
                saved_at, last_saved = time.monotonic(), self.step
            if asked and self.step < self.total_steps:
                raise TrainingInterrupted(
                    f"stopped at step {self.step} of {self.total_steps}; saved in {self.checkpoints.folder}. "
                    "Run the same command to go on."
                )
        if last_saved != self.step:
            self.save()
        return resumed_from

    def save(self) -> None:
        """Write a checkpoint."""
        weights: dict[str, Tensor] = {}
        optimizer: dict[str, Tensor] = {}
        for name, learner in self.learners.items():
            own_weights, own_optimizer = learner.state()
            weights |= _named(own_weights, name)
            optimizer |= _named(own_optimizer, name)
        ended = self.ended.model_dump() if self.ended else None
        state = {"seconds": self.seconds, "ended": ended, **self.state()}
        self.checkpoints.save(Checkpoint(self.step, weights, optimizer, state))

    def save_best(self) -> None:
        """Keep the weights as they are, apart from the checkpoints, in place of the best before."""
        weights: dict[str, Tensor] = {}
        for name, learner in self.learners.items():
            weights |= _named(learner.state()[0], name)
        self.best.save(Checkpoint(self.step, weights, {}, {}))

    def return_to_best(self, step: int) -> None:
        """Put back the weights that were kept as the best, of ``step``: a run that was killed may have kept
        those of a later one, which it has yet to reach again."""
        found = self.best.newest(last=step, restore_random=False)
        assert found is not None, "something was kept as the best"
        for name, learner in self.learners.items():
            learner.put_back(_own(found.weights, name))

    def note(self, text: Text) -> None:
        """Say something now, and when the run is over."""
        self.notes.append(text)
        self.telemetry.message(f"{text.en}.")

    def _resume(self) -> int | None:
        found = self.checkpoints.newest()
        if found is None:
            return None
        for name, learner in self.learners.items():
            learner.put_back(_own(found.weights, name), _own(found.optimizer, name))
        self.step, self.seconds = found.step, found.state["seconds"]
        ended = found.state.get("ended")
        self.ended = Text.of(ended) if ended else None
        self.put_back(found.state)
        self.telemetry.message(f"going on from the checkpoint of step {found.step}")
        return found.step

    def _is_due(self, saved_at: float) -> bool:
        cadence = self._cadence
        by_step = cadence.checkpoint_every_steps and self.step % cadence.checkpoint_every_steps == 0
        by_time = cadence.checkpoint_every_s and time.monotonic() - saved_at >= cadence.checkpoint_every_s
        return bool(by_step or by_time)

    def _is_out_of_time(self) -> bool:
        return bool(self._cadence.stop_after_s and self.seconds >= self._cadence.stop_after_s)

    def _agree(self, *flags: bool) -> list[bool]:
        """True where any process says so: what is decided by a clock or a signal must be decided once."""
        if self.world.size == 1:
            return list(flags)
        return [bool(v) for v in self.world.sum(torch.tensor([float(f) for f in flags])).tolist()]


def _named(tensors: dict[str, Tensor], learner: str) -> dict[str, Tensor]:
    return {f"{learner}:{key}": t for key, t in tensors.items()} if learner else tensors


def _own(tensors: dict[str, Tensor], learner: str) -> dict[str, Tensor]:
    if not learner:
        return tensors
    mark = f"{learner}:"
    return {key.removeprefix(mark): t for key, t in tensors.items() if key.startswith(mark)}


@contextmanager
def determinism(on: bool) -> Iterator[None]:
    """Torch's deterministic algorithms inside the block, where ``on``."""
    from torch.utils import deterministic

    before = torch.are_deterministic_algorithms_enabled()
    # Nothing here reads memory before writing it, and filling all of it costs time.
    fill_before, deterministic.fill_uninitialized_memory = deterministic.fill_uninitialized_memory, False  # type: ignore[attr-defined]
    torch.use_deterministic_algorithms(on or before)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)
        deterministic.fill_uninitialized_memory = fill_before  # type: ignore[attr-defined]
