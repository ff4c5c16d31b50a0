"""A build by several processes that torchrun started: the first one builds, the others train with it.

The first process is the one of every other build: it reads, locks, evaluates and writes. Before a stage it
tells the others which, and all of them run it; what they share out is the loop's affair. The work folder has
to be one that all of them see.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from bottega import stages
from bottega.stages.base import Stage, StageInputs, StageResult
from bottega.stages.knobs import OptimizerConfig
from bottega.training.devices import choose_device
from bottega.training.distributed import World, join_world, processes

_TO_FAIL_TOO_S = 60.0  # how long a process whose stage failed waits to hear that it failed for all


def join(device: str) -> World:
    """The processes of this build. Raises ``UserError`` for a device that is not here."""
    return join_world(choose_device(device))


@contextmanager
def leading(world: World) -> Iterator[None]:
    """While entered, the other processes follow; they are dismissed at the end, however it comes."""
    try:
        yield
    finally:
        world.share(None)


def run_stage(stage: Stage[Any], config: Any, inputs: StageInputs, seed: int) -> StageResult:
    """Run a stage in this process and, where it trains, in those that follow it."""
    if processes() == 1 or not isinstance(config, OptimizerConfig):
        return stage.run(config, inputs, seed)
    world = join(inputs.run.device)
    world.share((stage.name, config, inputs, seed))
    failed = True
    try:
        result = stage.run(config, inputs, seed)
        failed = False
        return result
    finally:
        world.share_flag(failed)


def follow(world: World) -> None:
    """Run the stages that the first process runs, until it has no more.

    A stage that fails for all is the first process's to report, and so is Ctrl-C. Raises what fails for this
    process alone.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a stage in training hears it all the same
    while (call := world.share(None)) is not None:
        name, config, inputs, seed = call
        failure: Exception | None = None
        try:
            stages.get(name).run(config, inputs, seed)
        except Exception as error:
            failure = error
        try:
            failed = world.share_flag(False, within_s=_TO_FAIL_TOO_S if failure else None)
        except TimeoutError:
            failed = False
        if failure is not None and not failed:
            raise failure
