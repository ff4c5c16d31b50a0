"""What a small model reads before its first document: random tokens, every stretch of them twice.

There is nothing to be learnt from it but to look for what was said before and to say on from there: the
induction heads that in-context learning rests on (Olsson et al., "In-context Learning and Induction Heads",
2209.11895). Text alone brings them about too, after many more tokens than a small budget has.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bottega.data.batches import Batch

SHORTEST, LONGEST = 6, 15  # tokens in a stretch: short ones keep few places to look at


class RepeatedTokens:
    """Rows of such stretches, each a document of its own; a function of the seed and the row's number."""

    def __init__(self, tokens: NDArray[np.int64], eot: int, context: int, seed: int) -> None:
        self._tokens = tokens  # those that text is made of
        self._eot = eot
        self._context = context
        self._seed = seed

    def rows(self, numbers: NDArray[np.int64]) -> Batch:
        """One row per number: EOT, a stretch, the stretch again, EOT ..., cut off at the end of the row."""
        batch = Batch.padding(len(numbers), self._context)
        for place, number in enumerate(numbers.tolist()):
            rng = np.random.default_rng((self._seed, number, SHORTEST, LONGEST))
            tokens: list[int] = []
            segments: list[int] = []
            positions: list[int] = []
            while len(tokens) <= self._context:
                length = rng.integers(SHORTEST, LONGEST + 1)
                stretch = rng.choice(self._tokens, length).tolist()
                document = [self._eot, *stretch, *stretch]
                tokens += document
                segments += [segments[-1] + 1 if segments else 1] * len(document)
                positions += range(len(document))
            batch.tokens[place] = tokens[: self._context]
            batch.targets[place] = tokens[1 : self._context + 1]
            batch.segments[place] = segments[: self._context]
            batch.positions[place] = positions[: self._context]
        batch.weights[:] = 1.0
        return batch

    def row_provenance(self, number: int) -> str:
        """What a row is."""
        return "primer: random tokens, every stretch twice"

    def row_epochs(self, rows: int) -> dict[str, float]:
        """Nothing: no source is passed over."""
        return {}
