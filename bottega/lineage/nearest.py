"""The name that a misspelt one was probably meant to be."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(name: str, known: Iterable[str], closeness: float = 0.6) -> str | None:
    """The known name closest to ``name``; None where nothing is (1 is equal, 0 nothing in common)."""
    folded = {candidate.casefold(): candidate for candidate in known}
    found = get_close_matches(name.casefold(), folded, n=1, cutoff=closeness)
    return folded[found[0]] if found else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """``; did you mean 'x'?`` or a full stop, to end a sentence with."""
    found = nearest(name, known)
    return f"; did you mean {found!r}?" if found else "."
