"""Runs stages that are to be killed, each in a fork of its own: what they import is imported once.

Every line on stdin is an order: a ``spec`` as ``run_stage.py`` reads it, and the change to the files under
``root``, or to those called ``named``, before which its process is killed without warning (``dies_at``; 0:
never). What came of it is a line on stdout: whether it was killed, whether it failed, the changes it came to.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import Any

# What a stage imports when it runs, but for what starts threads (pyarrow).
import rich.console  # noqa: F401
import tokenizers  # noqa: F401
import torch._dynamo  # noqa: F401
from run_stage import run

import bottega.data.frozen
import bottega.evals.verdicts
import bottega.stages.learning
import bottega.stages.mixing
import bottega.training.loop  # noqa: F401
from bottega import stages

CHANGES = ("os.rename", "os.remove", "os.rmdir", "os.mkdir")
TO_WRITE = os.O_WRONLY | os.O_RDWR | os.O_CREAT


class Clock:
    """Counts changes to files, as Python's audit events tell of them, and kills its own process at one."""

    def __init__(self, root: str, named: str, dies_at: int) -> None:
        self._root, self._named, self._dies_at = root, named, dies_at
        self.changes = 0

    def __call__(self, event: str, given: tuple[Any, ...]) -> None:
        if self._counts(event, given):
            self.changes += 1
            if self.changes == self._dies_at:
                os.kill(os.getpid(), signal.SIGKILL)

    def _counts(self, event: str, given: tuple[Any, ...]) -> bool:
        if not (event in CHANGES or (event == "open" and given[2] & TO_WRITE)):
            return False
        if not isinstance(given[0], str | os.PathLike):
            return False
        path = os.fspath(given[0])
        if self._named:
            return os.path.basename(path) == self._named  # noqa: PTH119, no audit event is to come of it
        # A tree is removed by names within it, which say nothing of where it is.
        return path.startswith(self._root) or (event in ("os.remove", "os.rmdir") and given[1] != -1)


def carry_out(order: dict[str, Any]) -> dict[str, Any]:
    """Run a stage in a fork, which ends as it was told to."""
    threads = Path("/proc/self/task")
    assert not threads.exists() or len([*threads.iterdir()]) == 1, "no thread is lost in a fork"
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        clock = Clock(order["root"], order["named"], order["dies_at"])
        failed = 1
        try:
            sys.addaudithook(clock)
            run(order["spec"])
            failed = 0
        except BaseException:
            traceback.print_exc()
        os.write(writing, str(clock.changes).encode())
        os._exit(failed)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        changes = int(pipe.read() or 0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return {"killed": code == -signal.SIGKILL, "failed": code not in (0, -signal.SIGKILL), "changes": changes}


def main() -> None:
    for name in stages.names():
        stages.get(name)
    for line in sys.stdin:
        print(json.dumps(carry_out(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
