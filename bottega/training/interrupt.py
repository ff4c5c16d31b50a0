"""Ctrl-C during training: the first asks for a checkpoint and an orderly end, the second stops at once."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType

from bottega.errors import UserError


class TrainingInterrupted(UserError):  # noqa: N818, it is no fault
    """Training was stopped from outside after a checkpoint was saved; the same command goes on from there."""


class StopRequest:
    """While entered, SIGINT and SIGTERM set ``asked`` instead of ending the process; a second one ends it."""

    def __init__(self) -> None:
        self.asked = False
        self._previous: dict[signal.Signals, object] = {}

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():  # only there may handlers be set
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        self._previous.clear()

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
        self._restore()  # the next one does what it always did
