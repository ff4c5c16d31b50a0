"""Which source the n-th row comes from: fixed shares, exact at every prefix, with random access."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import gcd, isfinite, lcm

import numpy as np
from numpy.typing import NDArray

from bottega.errors import UserError

PERIOD_MAX = 1 << 16


class Mixture:
    """Assigns rows 0, 1, 2 .. to sources: after any n rows each source has its share of n within one row.

    The assignment repeats with a period: the sum of the weights in lowest terms, at most ``PERIOD_MAX``
    (weights that need more are rounded to shares in units of 1 / ``PERIOD_MAX``). Within the period it is the
    chairman assignment of Tijdeman (1980), whose deviation stays below one row.
    """

    def __init__(self, weights: Sequence[float]) -> None:
        quotas = _whole_quotas(weights)
        self.period = int(quotas.sum())
        self._source, self._before = _chairman(quotas)
        self._quotas = quotas

    def locate(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """For each row: its source, and how many earlier rows came from that source."""
        cycle, phase = np.divmod(rows, self.period)
        source = self._source[phase]
        return source, cycle * self._quotas[source] + self._before[phase]

    def counts(self, rows: int) -> NDArray[np.int64]:
        """How many of the first ``rows`` rows come from each source."""
        cycles, phase = divmod(rows, self.period)
        counts: NDArray[np.int64] = cycles * self._quotas
        return counts + np.bincount(self._source[:phase], minlength=len(self._quotas))


def _whole_quotas(weights: Sequence[float]) -> NDArray[np.int64]:
    if not weights or any(not isfinite(w) or w < 0 for w in weights) or sum(weights) <= 0:
        raise UserError(f"mixture weights {list(weights)}: give finite weights, none negative, not all zero")
    exact = [Fraction(repr(float(w))) for w in weights]
    scale = lcm(*(f.denominator for f in exact))
    whole = [int(f * scale) for f in exact]
    divisor = gcd(*whole)
    whole = [w // divisor for w in whole]
    total = sum(whole)
    if total > PERIOD_MAX:
        floors = [w * PERIOD_MAX // total for w in whole]
        by_remainder = sorted(range(len(whole)), key=lambda i: -(whole[i] * PERIOD_MAX % total))
        for i in by_remainder[: PERIOD_MAX - sum(floors)]:
            floors[i] += 1
        whole = [max(f, 1) if w else 0 for f, w in zip(floors, whole, strict=True)]
    return np.array(whole, np.int64)


def _chairman(quotas: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """One period: the source of each row, and its count of earlier rows within the period.

    Of the sources that may take row n within their upper quota, the one whose next row falls due first.
    """
    total = int(quotas.sum())
    live = [int(i) for i in np.flatnonzero(quotas)]
    share = [int(q) for q in quotas]
    slack = 2 * max(
        len(live) - 1, 1
    )  # deviations are kept within 1 - 1/slack; all arithmetic is in whole numbers
    counts = [0] * len(share)
    source = np.empty(total, np.int64)
    before = np.empty(total, np.int64)
    for n in range(1, total + 1):
        best, best_due = -1, (0, 1)
        for i in live:
            # may take it: share * n - count >= 1/slack   (in units of the total)
            if slack * (share[i] * n - counts[i] * total) < total:
                continue
            # due time of the next row: the n at which count + 1 - 1/slack would be exceeded
            due = ((counts[i] + 1) * slack * total - total, share[i])
            if best < 0 or due[0] * best_due[1] < best_due[0] * due[1]:
                best, best_due = i, due
        source[n - 1], before[n - 1] = best, counts[best]
        counts[best] += 1
    return source, before
