"""A score: a value with its 95% interval, floors and ceiling; and the paired comparison of two of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from bottega.errors import UserError

Z95 = 1.959963984540054  # the two-sided 95% point of the normal distribution
RESAMPLES = 2000


@dataclass(frozen=True, slots=True)
class Example:
    """One case as the model saw it, kept for the card."""

    prompt: str
    answer: str
    expected: tuple[str, ...]
    correct: bool


@dataclass(frozen=True, slots=True)
class Score:
    """What one evaluation says of one model.

    ``outcomes`` and ``sizes`` hold one entry per case, so that two models can be compared on the same cases:
    the value is always ``sum(outcomes) / sum(sizes)`` (correct answers over cases; bits over bytes).
    """

    name: str
    value: float
    low: float  # of the 95% interval
    high: float
    n: int
    unit: str  # "accuracy", "bits/byte"
    higher_is_better: bool
    seed: int
    floors: dict[str, float] = field(default_factory=dict)  # what a method that understands nothing reaches
    ceiling: float | None = None  # what a perfect model reaches, where that is known
    template: str = ""  # how the prompt was put
    cases: str = ""  # digest of the cases: only scores with the same one are comparable case by case
    outcomes: tuple[float, ...] = ()
    sizes: tuple[float, ...] = ()
    details: dict[str, float] = field(default_factory=dict)  # parts of the score, such as by number of shots
    examples: tuple[Example, ...] = ()
    not_built: str = ""  # why there is no value, where there is none; value, low and high are then NaN

    @property
    def above_floors(self) -> bool:
        """Whether the interval lies wholly on the better side of every floor."""
        if self.higher_is_better:
            return all(self.low > floor for floor in self.floors.values())
        return all(self.high < floor for floor in self.floors.values())

    @property
    def off_ceiling(self) -> bool:
        """Whether the value leaves room to show a difference: for an accuracy, between 2% and 98%."""
        return self.unit != "accuracy" or 0.02 <= self.value <= 0.98

    def to_json(self) -> dict[str, Any]:
        """A dictionary for ``json``, which ``from_json`` reads back equal (NaN is written as null)."""
        row = asdict(self)
        for key in ("value", "low", "high"):
            row[key] = None if math.isnan(row[key]) else row[key]
        return row

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Score:
        """The score that ``to_json`` wrote."""
        data = dict(row)
        for key in ("value", "low", "high"):
            data[key] = math.nan if data[key] is None else data[key]
        data["outcomes"] = tuple(data.get("outcomes", ()))
        data["sizes"] = tuple(data.get("sizes", ()))
        data["examples"] = tuple(
            Example(e["prompt"], e["answer"], tuple(e["expected"]), e["correct"])
            for e in data.get("examples", ())
        )
        return cls(**data)

    def with_context(self, floors: Mapping[str, float], ceiling: float | None) -> Score:
        """The same score with floors and ceiling set beside it."""
        return replace(self, floors=dict(floors), ceiling=ceiling)


@dataclass(frozen=True, slots=True)
class Difference:
    """How far one model is ahead of another on the same cases; positive is better, for every unit."""

    value: float
    low: float
    high: float
    n: int

    @property
    def shown(self) -> bool:
        """Whether the 95% interval excludes "no effect" on the better side."""
        return self.low > 0.0


def wilson_interval(successes: float, n: int) -> tuple[float, float]:
    """Wilson's 95% interval of a proportion (Wilson 1927); (0, 1) for no cases."""
    if n == 0:
        return 0.0, 1.0
    p, z2 = successes / n, Z95 * Z95
    centre = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = Z95 / (1 + z2 / n) * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n))
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == n else min(1.0, centre + half)
    return low, high


def bootstrap_ratio(
    numerators: Sequence[float], denominators: Sequence[float], seed: int, resamples: int = RESAMPLES
) -> tuple[float, float]:
    """The percentile 95% interval of ``sum(numerators) / sum(denominators)`` under resampling of cases."""
    top, bottom = np.asarray(numerators, np.float64), np.asarray(denominators, np.float64)
    if len(top) == 0:
        return math.nan, math.nan
    ratios = resampled_sums(top, seed, resamples) / resampled_sums(bottom, seed, resamples)
    low, high = np.quantile(ratios, (0.025, 0.975))
    return float(low), float(high)


def proportion_score(name: str, correct: Sequence[bool], *, seed: int, **rest: Any) -> Score:
    """The score of cases that are right or wrong, with Wilson's interval."""
    n, hits = len(correct), sum(correct)
    low, high = wilson_interval(hits, n)
    value = hits / n if n else math.nan
    outcomes, sizes = tuple(float(c) for c in correct), (1.0,) * n
    return Score(name, value, low, high, n, "accuracy", True, seed, outcomes=outcomes, sizes=sizes, **rest)


def ratio_score(
    name: str,
    outcomes: Sequence[float],
    sizes: Sequence[float],
    unit: str,
    *,
    higher_is_better: bool,
    seed: int,
    **rest: Any,
) -> Score:
    """The score ``sum(outcomes) / sum(sizes)``, with a bootstrap interval over cases."""
    low, high = bootstrap_ratio(outcomes, sizes, seed)
    value, n = sum(outcomes) / sum(sizes), len(outcomes)
    kept = {"outcomes": tuple(outcomes), "sizes": tuple(sizes)}
    return Score(name, value, low, high, n, unit, higher_is_better, seed, **kept, **rest)  # type: ignore[arg-type]


def missing_score(name: str, reason: str, *, unit: str = "accuracy", higher_is_better: bool = True) -> Score:
    """The place of a score that cannot be had yet, with the reason; shown as "not built", never as 0."""
    return Score(name, math.nan, math.nan, math.nan, 0, unit, higher_is_better, 0, not_built=reason)


def compare(better: Score, worse: Score, *, same_prompts: bool = True) -> Difference:
    """How far ``better`` is ahead of ``worse``, paired case by case.

    For right-or-wrong cases the interval is Newcombe's for paired proportions (Newcombe 1998, method 10),
    which stays honest when few cases differ; otherwise a bootstrap that draws the same cases for both.
    Without ``same_prompts`` the questions may be put in other words, with more or fewer examples, say.

    Raises:
        UserError: the two were not scored on the same cases.
    """
    keys = [score.cases if same_prompts else score.cases.partition("-")[0] for score in (better, worse)]
    if keys[0] != keys[1] or len(better.outcomes) != len(worse.outcomes):
        raise UserError(
            f"the scores {better.name!r} (n={better.n}) and {worse.name!r} (n={worse.n}) are not of the same "
            "cases; score both models with the same evaluation, number of cases and seed"
        )
    if better.unit == "accuracy" and set(better.outcomes) | set(worse.outcomes) <= {0.0, 1.0}:
        return _newcombe_paired(np.asarray(better.outcomes) > 0, np.asarray(worse.outcomes) > 0)
    sizes = np.asarray(better.sizes)
    ahead = np.asarray(better.outcomes) - np.asarray(worse.outcomes)
    if not better.higher_is_better:
        ahead = -ahead
    low, high = bootstrap_ratio(ahead.tolist(), sizes.tolist(), better.seed)
    return Difference(float(ahead.sum() / sizes.sum()), low, high, better.n)


def _newcombe_paired(first: np.ndarray, second: np.ndarray) -> Difference:
    n = len(first)
    if n == 0:
        return Difference(0.0, -1.0, 1.0, 0)
    both, neither = int((first & second).sum()), int((~first & ~second).sum())
    only_first, only_second = int((first & ~second).sum()), int((~first & second).sum())
    p1, p2 = (both + only_first) / n, (both + only_second) / n
    (low1, high1), (low2, high2) = (wilson_interval(both + only, n) for only in (only_first, only_second))
    margins = (both + only_first) * (only_second + neither) * (both + only_second) * (only_first + neither)
    covariance = float(both * neither - only_first * only_second)
    if covariance > 0:  # the continuity correction of the paper
        covariance = max(covariance - n / 2, 0)
    phi = covariance / math.sqrt(margins) if margins else 0.0

    def half(a: float, b: float) -> float:
        return math.sqrt(max(a * a - 2 * phi * a * b + b * b, 0.0))

    return Difference(
        p1 - p2, p1 - p2 - half(p1 - low1, high2 - p2), p1 - p2 + half(high1 - p1, p2 - low2), n
    )


def resampled_sums(values: np.ndarray, seed: int, resamples: int) -> np.ndarray:
    """Sums over ``resamples`` draws with replacement; the same draws for the same seed and length."""
    rng = np.random.default_rng(seed)
    sums = np.empty(resamples)
    for start in range(0, resamples, 100):  # a hundred draws at a time bounds the memory
        stop = min(start + 100, resamples)
        sums[start:stop] = values[rng.integers(0, len(values), (stop - start, len(values)))].sum(axis=1)
    return sums
