"""Judging programs by their tests, in processes that can do nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType
from typing import Literal

from bottega.errors import UserError
from bottega.sandbox.confine import why_not

Status = Literal["passed", "failed", "error", "timeout", "memory", "output", "crashed"]


@dataclass(frozen=True, slots=True)
class Limits:
    """What one program may use; its tests have as much."""

    wall_s: float = 5.0  # until both are ended
    cpu_s: int = 3  # processor seconds
    memory_bytes: int = 512 << 20  # of address space
    output_bytes: int = 64 << 10  # printed; more ends the program


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a program did."""

    status: Status
    message: str = ""  # the assertion that failed, or the error
    output: str = ""  # what the program printed

    @property
    def passed(self) -> bool:
        """Whether every test passed."""
        return self.status == "passed"


class Sandbox:
    """Judges programs, several at a time. Use as a context manager.

    Raises ``UserError`` on a system where programs cannot be confined.
    """

    def __init__(self, limits: Limits = Limits(), *, workers: int | None = None) -> None:
        if reason := why_not():
            raise UserError(f"programs cannot be judged here: {reason}.")
        self._limits = limits
        count = workers or os.cpu_count() or 1
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="bottega-sandbox")
        self._nurseries: SimpleQueue[_Nursery] = SimpleQueue()
        self._all = [_Nursery() for _ in range(count)]
        for nursery in self._all:
            self._nurseries.put(nursery)

    def judge(self, cases: Sequence[tuple[str, str]]) -> list[Verdict]:
        """The verdict on each (program, tests); both are Python source."""
        return list(self._threads.map(self._judge_one, cases))

    def close(self) -> None:
        """End the processes."""
        self._threads.shutdown()
        for nursery in self._all:
            nursery.end()

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _judge_one(self, case: tuple[str, str]) -> Verdict:
        nursery = self._nurseries.get()
        try:
            return nursery.judge(*case, self._limits)
        finally:
            self._nurseries.put(nursery)


class _Nursery:
    """One process that programs are forked from, started when it is needed."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def judge(self, program: str, tests: str, limits: Limits) -> Verdict:
        """Run one program against its tests."""
        if self._process is None or self._process.poll() is not None:
            self._process = _start()
        process = self._process
        assert process.stdin is not None and process.stdout is not None
        job = {
            "program": program,
            "wall_s": limits.wall_s,
            "cpu_s": limits.cpu_s,
            "memory_bytes": limits.memory_bytes,
            "output_bytes": limits.output_bytes,
        }
        try:
            process.stdin.write(_part(json.dumps(job)) + _part(tests))
            process.stdin.flush()
            line = process.stdout.readline()
        except BrokenPipeError:
            line = b""
        if not line:
            self.end()
            return Verdict("crashed", "the sandbox's own process ended")
        found = json.loads(line)
        if found["status"] == "unconfined":
            raise UserError(
                "programs cannot be judged here: the system refused to confine them (a container without "
                "seccomp filters, perhaps); nothing was run."
            )
        return Verdict(**found)

    def end(self) -> None:
        """End the process, if there is one."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


def _start() -> subprocess.Popen[bytes]:
    root = Path(__file__).parents[2]
    code = f"import sys; sys.path.insert(0, {str(root)!r}); from bottega.sandbox.nursery import main; main()"
    return subprocess.Popen(
        [sys.executable, "-S", "-s", "-P", "-B", "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        # Nothing of this process's environment: it may hold keys.
        env={"PYTHONHASHSEED": "0", "LC_ALL": "C.UTF-8", "PYTHONUTF8": "1"},
        start_new_session=True,
        close_fds=True,
    )


def _part(text: str) -> bytes:
    raw = text.encode("utf-8", "replace")
    return len(raw).to_bytes(8, "big") + raw
