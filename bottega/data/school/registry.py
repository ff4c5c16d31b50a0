"""What the school can teach and ask: its parts, its evaluation tasks, and its door as a source.

A module registers its parts and tasks when it is imported (``register_part``, ``register_task``);
``bottega.data.school`` imports them all, so whoever imports this registry finds it filled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, Protocol

from bottega.data.records import Message, Prompt, Record
from bottega.data.school.world import Language as Language
from bottega.data.school.world import Split, World
from bottega.errors import UserError

if TYPE_CHECKING:
    from bottega.data.sources import ReadOptions


@dataclass(frozen=True)
class Part:
    """One kind of text. ``item(world, split, i)`` depends on its arguments alone."""

    name: str
    kind: Literal["documents", "conversations", "cases", "comparisons"]
    description: str
    item: Callable[[World, Split, int], Record]
    distinct: Callable[
        [World], int
    ]  # how many different items there are in both splits together, by counting


class Cases(Protocol):
    """The first ``n`` held-out cases of a task in a world."""

    def __call__(self, world: World, n: int) -> list[Prompt]: ...


class FloorExamples(Protocol):
    """The first ``n`` training examples that the floors of a task are computed from: (question, answer)."""

    def __call__(self, world: World, n: int) -> list[tuple[str, str]]: ...


@dataclass(frozen=True)
class EvalTask:
    """Checkable held-out cases of one ability.

    ``completion``: ``messages[0].content`` is continued verbatim, and the answer runs to ``stop``.
    ``fill``: two messages, what stands before and after the gap; the answer is the line between them.
    ``chat``: the messages are rendered by the chat template, and the answer is the assistant's turn.
    """

    name: str
    mode: Literal["completion", "fill", "chat"]
    language: Language
    description: str
    cases: Cases
    floor_examples: FloorExamples | None = None  # None: no floor but zero (programs)
    stop: str = "\n"  # where a completion ends; a blank line where an answer spans lines
    programs: bool = False  # the answers are programs, judged by their tests
    aligned: bool = False  # case i asks the same as case i of a task of other shots: none is left out

    def asked(self, world: World, count: int) -> list[Prompt]:
        """The first ``count`` cases that differ, among twice as many: a prompt asked again is answered the
        same, and is no second case."""
        if self.aligned:
            return self.cases(world, count)
        found: dict[tuple[Message, ...], Prompt] = {}
        for case in self.cases(world, 2 * count):
            found.setdefault(case.messages, case)
        return list(found.values())[:count]


PARTS: dict[str, Part] = {}
TASKS: dict[str, EvalTask] = {}


def register_part(part: Part) -> Part:
    """Add a part; two parts of one name are a programming error."""
    assert part.name not in PARTS, f"two parts are named {part.name}"
    PARTS[part.name] = part
    return part


def register_task(task: EvalTask) -> EvalTask:
    """Add an evaluation task; two tasks of one name are a programming error."""
    assert task.name not in TASKS, f"two tasks are named {task.name}"
    TASKS[task.name] = task
    return task


@lru_cache(maxsize=8)
def world(seed: int) -> World:
    """The world of this seed."""
    return World(seed)


def part(name: str) -> Part:
    """The part of this name. Raises ``UserError`` naming the nearest one where there is none."""
    import difflib

    import bottega.data.school  # noqa: F401  (fills the registry)

    if name not in PARTS:
        near = difflib.get_close_matches(name, PARTS, n=1)
        hint = f"did you mean school:{near[0]}?" if near else f"known parts: {', '.join(sorted(PARTS))}"
        raise UserError(f"school:{name}: the school has no part of this name; {hint}")
    return PARTS[name]


def records(name: str, world_seed: int, split: Split, start: int = 0) -> Iterator[Record]:
    """The items of a part from ``start`` on, without end; item i is a function of the arguments alone."""
    chosen, home, index = part(name), world(world_seed), start
    while True:
        yield chosen.item(home, split, index)
        index += 1


def open_school(uri: str, options: ReadOptions) -> Iterator[Record]:
    """``school:NAME`` as a source. ``all`` strews held-out items among the others."""
    name = uri.removeprefix("school:")
    if options.split != "all":
        yield from records(name, options.world_seed, options.split)
        return
    train = records(name, options.world_seed, "train")
    heldout = records(name, options.world_seed, "heldout")
    given = 0
    while True:
        given += 1
        # A whole number of held-out items is due after every item; the margin is for fractions such as 0.1.
        due = int(given * options.heldout_fraction + 1e-9) > int(
            (given - 1) * options.heldout_fraction + 1e-9
        )
        yield next(heldout if due else train)
