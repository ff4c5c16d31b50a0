"""How far each labeler's word can be relied on, told from those who saw the same answers."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable

from bottega.data.comparisons import UNKNOWN, ordered_pairs
from bottega.data.records import Comparison

FIRST_GUESS = 0.75  # the share of pairs on which anybody is right, before anything is known of them
PRIOR_PAIRS = 20  # on which everybody counts as right that often: few pairs say little of anybody
LEAST = 0.05  # nobody is silenced
ROUNDS = 30


def reliabilities(comparisons: Iterable[Comparison]) -> dict[str, float]:
    """Each labeler's weight, 1 on average over what was labeled: 2 x p - 1, p being how often they are right.

    What is right is not known: p and the odds of either side of a pair are found together, by expectation and
    maximisation (Dawid and Skene 1979, with one p for each labeler). One who is right no more than a coin has
    :data:`LEAST`. Where nobody shares a pair with anybody, all weigh the same.
    """
    spoken: Counter[str] = Counter()
    shared: list[list[tuple[str, int]]] = []  # of each pair that several spoke on: labeler, side (1 or -1)
    for comparison in comparisons:
        sides: dict[tuple[int, int], list[tuple[str, int]]] = {}
        for ranking in comparison.rankings:
            labeler = ranking.labeler or UNKNOWN
            for better, worse in ordered_pairs(ranking):
                pair = (min(better, worse), max(better, worse))
                sides.setdefault(pair, []).append((labeler, 1 if better < worse else -1))
                spoken[labeler] += 1
        shared += [voices for voices in sides.values() if len(voices) > 1]
    right = dict.fromkeys(sorted(spoken), FIRST_GUESS)
    for _ in range(ROUNDS if shared else 0):
        hits = dict.fromkeys(right, PRIOR_PAIRS * FIRST_GUESS)
        met = dict.fromkeys(right, float(PRIOR_PAIRS))
        for voices in shared:
            odds = sum(side * math.log(right[one] / (1 - right[one])) for one, side in voices)
            first = 1 / (1 + math.exp(-odds))
            for labeler, side in voices:
                hits[labeler] += first if side > 0 else 1 - first
                met[labeler] += 1
        right = {one: min(max(hits[one] / met[one], 0.01), 0.99) for one in right}
    raw = {labeler: max(2 * p - 1, LEAST) for labeler, p in right.items()}
    mean = sum(raw[labeler] * n for labeler, n in spoken.items()) / max(1, sum(spoken.values()))
    return {labeler: weight / mean for labeler, weight in raw.items()}
