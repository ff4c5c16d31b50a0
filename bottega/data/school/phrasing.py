"""Ways of asking: which of them training shows and which are kept to be unseen."""

from __future__ import annotations

from collections.abc import Sequence

from bottega.data.school.draw import Draw

UNSEEN = 2  # the last so many phrasings of a list never occur in training


def phrase(draw: Draw, phrasings: Sequence[str], *, unseen: bool | None = None) -> str:
    """One of the phrasings; ``unseen`` ones training never shows. By default held-out items mix both."""
    known = len(phrasings) - UNSEEN
    if unseen is None:
        unseen = draw.heldout and draw.chance(0.5)
    return phrasings[known + draw.below(UNSEEN)] if unseen else phrasings[draw.below(known)]
