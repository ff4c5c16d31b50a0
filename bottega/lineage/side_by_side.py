"""Building independent nodes side by side, each in a process of its own with its share of the cores.

Small models do not keep many cores busy: two of them, a core each, learn up to half as fast again as one
after the other on both.
"""

from __future__ import annotations

import contextlib
import copyreg
import ctypes
import multiprocessing
import os
import queue
import signal
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from bottega.errors import UserError
from bottega.lineage.graph import Node
from bottega.lineage.home import Family, Home
from bottega.lineage.options import BuildOptions
from bottega.lineage.recipe import Recipe
from bottega.lineage.resolve import Resolver
from bottega.lineage.schedule import Schedule

if TYPE_CHECKING:
    from bottega.lineage.build import BuildReport, Observer

MOST_JOBS = 4
MEMORY_EACH_BYTES = 6 << 30  # what a job should have; fewer run where there is less
_POLL_S = 0.2
_PR_SET_PDEATHSIG = 1


def _frozen(table: dict[Any, Any]) -> MappingProxyType[Any, Any]:
    return MappingProxyType(table)


# A recipe's tables cannot be changed, and such tables cannot be sent by themselves.
copyreg.pickle(MappingProxyType, lambda table: (_frozen, (dict(table),)))

# In a worker: where it tells of its progress, and whether it is at work.
_events: Any = None
_working = False
_parent = 0


@dataclass
class Outcome:
    """What came of one node."""

    node: Node
    note: str | None = None  # of a node that was made; None where it stood already
    said: tuple[str, ...] = ()  # of a node that was made, once it stood
    version: str | None = None  # its fingerprint, where it stands
    error: Exception | None = None
    interrupted: bool = False
    unscored: dict[Node, BaseException] = field(default_factory=dict)


class _WorkerEndedError(UserError):
    """A worker is gone, and with it the pool."""


def choose_jobs(asked: int | None, options: BuildOptions) -> int:
    """How many nodes to build at once: as asked, else what a CPU's cores and memory allow; one on a GPU."""
    if asked is not None:
        return asked
    from bottega.training.devices import choose_device

    if choose_device(options.device).type != "cpu":
        return 1
    cores = options.threads or os.cpu_count() or 1
    return max(1, min(cores, MOST_JOBS, _memory_bytes() // MEMORY_EACH_BYTES))


def _memory_bytes() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):  # not every system says
        return 0


def build_side_by_side(
    resolver: Resolver,
    nodes: Sequence[Node],
    family: Family,
    observer: Observer,
    report: BuildReport,
    jobs: int,
    is_disk_full: Callable[[BaseException], bool],
) -> Node | None:
    """Build ``nodes``, which come in an order that would do one by one, into ``report``.

    Returns the node at which the build was interrupted, if it was.
    """
    context = multiprocessing.get_context("spawn")
    events = context.Queue()
    cores = resolver.options.threads or os.cpu_count() or 1
    each = replace(resolver.options, threads=max(1, cores // jobs))
    alone = replace(resolver.options, threads=cores)
    schedule = Schedule(resolver.graph, nodes, jobs)
    waiting, running = list(schedule.order), dict[Future[Outcome], Node]()
    settled: dict[Node, str] = {}  # the versions that this build goes on with
    interrupted: Node | None = None
    halted = False
    workers: set[int] = set()
    pool = ProcessPoolExecutor(jobs, mp_context=context, initializer=_begin, initargs=(events, os.getpid()))
    try:
        while running or (waiting and not halted):
            for node in () if halted else tuple(waiting):
                broken = next((n for n in resolver.graph.needs[node] if _is_broken(n, report)), None)
                if broken is not None:
                    waiting.remove(node)
                    report.skipped[node] = report.skipped.get(broken, broken)
                    observer.skipped(node, report.skipped[node])
            while not halted and (turn := schedule.next(waiting, list(running.values()))) is not None:
                waiting.remove(turn)
                options = alone if turn in schedule.alone else each
                work = (resolver.recipe, resolver.home.root, options, family, turn)
                running[pool.submit(_work, *work, dict(settled))] = turn
            finished, _ = wait(running, timeout=_POLL_S, return_when=FIRST_COMPLETED)
            _tell(events, observer, workers)
            for future in finished:
                node = running.pop(future)
                outcome = _outcome(future, node)
                if outcome.version is not None:
                    settled[node] = outcome.version
                if outcome.interrupted:
                    interrupted, halted = node, True
                elif outcome.error is not None:
                    report.failed[node] = outcome.error
                    observer.failed(node, outcome.error)
                    # Nothing else would fit either, or there is nobody left to build it.
                    halted = (
                        halted or is_disk_full(outcome.error) or isinstance(outcome.error, _WorkerEndedError)
                    )
                elif outcome.note is None:
                    report.found.append(node)
                    observer.found(node)
                else:
                    report.built.append(node)
                    observer.done(node, outcome.note)
                    for text in outcome.said:
                        observer.say(text)
                report.unscored.update(outcome.unscored)
    except KeyboardInterrupt:
        interrupted = interrupted or next(iter(running.values()), None) or (waiting or nodes)[0]
    finally:
        _tell(events, observer, workers)
        if interrupted is not None:
            _interrupt(workers)  # once each: a second time would end them before they have saved
        while True:
            try:
                pool.shutdown(wait=True, cancel_futures=True)
                break
            except KeyboardInterrupt:  # a second time: at once, from the last checkpoint
                _interrupt(workers)
        events.close()
    return interrupted


def _interrupt(workers: set[int]) -> None:
    for pid in workers:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGINT)


def _is_broken(node: Node, report: BuildReport) -> bool:
    return node in report.failed or node in report.skipped


def _outcome(future: Future[Outcome], node: Node) -> Outcome:
    try:
        return future.result()
    except BrokenProcessPool:
        return Outcome(
            node,
            error=_WorkerEndedError(
                "its process was ended from outside; if the memory ran out, build with --jobs 1"
            ),
        )


def _tell(events: Any, observer: Observer, workers: set[int]) -> None:
    """Hand on what the workers told, and note who they are."""
    while True:
        try:
            what, *rest = events.get_nowait()
        except queue.Empty:
            return
        if what == "here":
            workers.add(rest[0])
        else:
            getattr(observer, what)(*rest)


# ---------------------------------------------------------------- in a worker


def _begin(events: Any, parent: int) -> None:
    """A worker's first act: remember where to tell, and end when the build ends, however that ends.

    It leaves the terminal's group, so that Ctrl-C reaches the build alone, which passes it on.
    """
    global _events, _parent
    _events, _parent = events, parent
    os.setpgid(0, 0)
    signal.signal(signal.SIGINT, _on_interrupt)
    events.put(("here", os.getpid()))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it ended before this was asked for
            os._exit(1)


def _on_interrupt(number: int, frame: object) -> None:
    if _working:
        raise KeyboardInterrupt


class _Teller:
    """An ``Observer`` that sends what it hears to the build's own process.

    What is said of a node that stands is kept, to come after the word that it does.
    """

    def __init__(self) -> None:
        self.note: str | None = None
        self.said: list[str] = []

    def begin(self, node: Node, run: Path | None) -> None:
        _events.put(("begin", node, run))

    def evaluating(self, node: Node, evaluation: str) -> None:
        _events.put(("evaluating", node, evaluation))

    def say(self, text: str) -> None:
        if self.note is None:
            _events.put(("say", text))
        else:
            self.said.append(text)

    def done(self, node: Node, note: str) -> None:
        self.note = note

    def found(self, node: Node) -> None: ...

    def plan(self, nodes: list[Node]) -> None: ...

    def failed(self, node: Node, error: BaseException) -> None: ...

    def skipped(self, node: Node, because: Node) -> None: ...


def _work(
    recipe: Recipe, root: Path, options: BuildOptions, family: Family, node: Node, pinned: dict[Node, str]
) -> Outcome:
    """Build one node whose needs stand, in the versions of ``pinned``."""
    from bottega.lineage.build import BuildReport, build_node
    from bottega.training.interrupt import TrainingInterrupted

    global _working
    if node.kind == "model" and options.threads is not None:
        import torch

        torch.set_num_threads(options.threads)  # evaluations keep to them too
    teller, report = _Teller(), BuildReport()
    try:
        _working = True
        resolver = Resolver(recipe, Home(root), options, pinned=pinned)
        build_node(resolver, node, family, teller, report)
        version = resolver.standing(node).fingerprint
    except (KeyboardInterrupt, TrainingInterrupted):
        return Outcome(node, interrupted=True)
    except UserError as error:
        return Outcome(node, error=error)
    except Exception as error:
        import traceback

        # Not every exception can be sent; its words can.
        told = RuntimeError(f"{type(error).__name__}: {error}")
        told.add_note(traceback.format_exc())
        return Outcome(node, error=told)
    finally:
        _working = False
        if os.getppid() != _parent:  # what was under way is saved, and nobody waits for the outcome
            os._exit(1)
    unscored = {n: _sendable(e) for n, e in report.unscored.items()}
    return Outcome(node, teller.note, tuple(teller.said), version, unscored=unscored)


def _sendable(error: BaseException) -> BaseException:
    return error if isinstance(error, UserError) else RuntimeError(f"{type(error).__name__}: {error}")
