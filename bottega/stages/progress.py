"""A progress bar with the time left for work that is no training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")


def shown_progress(items: Sequence[T], title: str, shown: bool) -> Iterator[T]:
    """The items one by one, with a bar on standard error where it is a terminal and ``shown``."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True, quiet=not shown)
    if not (shown and console.is_terminal):
        yield from items
        return
    yield from track(items, description=title, console=console)
