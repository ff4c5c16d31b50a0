"""A reward model before rankings it did not learn from: whether it agrees, and knows how surely."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bottega.data.comparisons import UNKNOWN, Judged, JudgedCounts, encode_judged, ordered_pairs
from bottega.data.records import Comparison, Ranking, Record
from bottega.data.splits import widely
from bottega.errors import UserError
from bottega.evals.score import Score, ratio_score
from bottega.evals.scoring import score_answers

if TYPE_CHECKING:
    from bottega.data.tokenizer import Tokenizer
    from bottega.model.scorer import Scorer

BINS = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)  # of the probability given to the answer that is thought better
LARGEST_GAP = 3  # ranks apart; what is further apart counts with it


@dataclass(frozen=True)
class Rankings:
    """Comparisons as a reward model reads them, with the rewards it gives."""

    judged: list[Judged]
    rewards: list[NDArray[np.float32]]
    gaps: list[NDArray[np.int64]]  # [K, K] of each: how many tiers apart, 0 where tied or not ranked
    skipped: int

    @property
    def cases(self) -> str:
        """A digest of what is compared."""
        found = hashlib.sha256()
        for one in self.judged:
            found.update(one.prompt.tobytes() + one.wins.tobytes())
        return found.hexdigest()[:16]


def labelers_of(records: Iterable[Record]) -> frozenset[str]:
    """Whoever ranked any of these."""
    return frozenset(
        ranking.labeler or UNKNOWN
        for record in records
        if isinstance(record, Comparison)
        for ranking in record.rankings
    )


def of_labelers(records: Iterable[Record], labelers: frozenset[str], *, strangers: bool) -> list[Comparison]:
    """The comparisons with the rankings of these labelers alone, or of all but these."""
    found = []
    for record in records:
        if not isinstance(record, Comparison):
            continue
        kept = tuple(r for r in record.rankings if ((r.labeler or UNKNOWN) in labelers) != strangers)
        if kept:
            found.append(replace(record, rankings=kept))
    return found


def read_rankings(
    scorer: Scorer, tokenizer: Tokenizer, comparisons: Sequence[Comparison], context: int, cases: int
) -> Rankings:
    """Score the answers of ``cases`` comparisons that say something, of as many prompts as there are. Raises
    ``UserError`` where none can be read."""
    counts = JudgedCounts()
    read: list[tuple[Judged, NDArray[np.int64]]] = []
    for comparison in comparisons:
        for one in encode_judged(tokenizer, [comparison], context, counts):
            read.append((one, _gaps(comparison.rankings, len(comparison.answers))))
    chosen = widely(read, cases, lambda one: one[0].prompt.tobytes())
    judged, gaps = [one for one, _ in chosen], [gap for _, gap in chosen]
    if not judged:
        raise UserError(f"there is no ranking to agree with; left out: {dict(counts.skipped) or 'nothing'}")
    return Rankings(judged, score_answers(scorer, judged), gaps, sum(counts.skipped.values()))


def pair_accuracy(rankings: Rankings, *, name: str, seed: int) -> Score:
    """The share of untied pairs on which the better answer has the higher reward; every prompt weighs the
    same, whatever is said of it, a pair of equal rewards counts half. Its floor is the better of two rules:
    the longer, the shorter.

    Details: the standard error, the accuracy by gap in rank, and by confidence how often it was right.
    """
    judged = rankings.judged
    agree = by_prompt(judged, map(agreement, judged, rankings.rewards))
    longer = by_prompt(judged, (agreement(one, np.array([*map(len, one.answers)])) for one in judged))
    details = {"standard_error": _standard_error(agree)}
    details |= _by_gap(rankings) | _by_confidence(rankings)
    share = float(np.mean(longer))
    return ratio_score(
        name,
        agree,
        [1.0] * len(agree),
        "accuracy",
        higher_is_better=True,
        seed=seed,
        template="the reward at the answer's end, of two answers to one prompt",
        cases=rankings.cases,
        details=details,
        floors={"length": max(share, 1 - share), "coin": 0.5},
    )


def brier(rankings: Rankings, *, name: str, seed: int) -> Score:
    """The mean squared distance of sigmoid(r_i - r_j) from who won; that of one who knows but how often pairs
    are won, which is half the time, is 0.25."""
    found = []
    for one, rewards in zip(rankings.judged, rankings.rewards, strict=True):
        likely = 1 / (1 + np.exp(-(rewards[:, None] - rewards[None]).astype(np.float64)))
        found.append(float((one.wins * (1 - likely) ** 2).sum()))
    losses = by_prompt(rankings.judged, found)
    return ratio_score(
        name,
        losses,
        [1.0] * len(losses),
        "brier",
        higher_is_better=False,
        seed=seed,
        template="sigmoid of the difference of two rewards",
        cases=rankings.cases,
        details={"standard_error": _standard_error(losses), **_by_confidence(rankings)},
        floors={"base-rate": 0.25},
    )


def _standard_error(of_prompts: Sequence[float]) -> float:
    return float(np.std(of_prompts) / math.sqrt(len(of_prompts)))


def agreement(one: Judged, values: NDArray[Any]) -> float:
    """The share of a comparison's pairs whose better answer has the higher value; equal ones count half."""
    above = (values[:, None] > values[None]) + 0.5 * (values[:, None] == values[None])
    return float((one.wins * above).sum())


def by_prompt(judged: Sequence[Judged], values: Iterable[float]) -> list[float]:
    """The mean of what the comparisons of a prompt have, for every prompt: what is said of one prompt many
    times over is one case, or the interval would be too narrow."""
    found: dict[bytes, list[float]] = {}
    for one, value in zip(judged, values, strict=True):
        found.setdefault(one.prompt.tobytes(), []).append(value)
    return [float(np.mean(of_one)) for of_one in found.values()]


def _gaps(rankings: Sequence[Ranking], answers: int) -> NDArray[np.int64]:
    found = np.zeros((answers, answers), np.int64)
    for ranking in rankings:
        place = {answer: number for number, tier in enumerate(ranking.tiers) for answer in tier}
        for better, worse in ordered_pairs(ranking):
            found[better, worse] = max(found[better, worse], place[worse] - place[better])
    return found


def _votes(rankings: Rankings) -> Iterator[tuple[float, int, float, float]]:
    """Of every pair that somebody ranked, each side that has votes: their share, by how many tiers they set
    the answers apart, the probability given to the answer thought better, and whether that is this side.

    The shares of a pair sum to 1 however many labelers there were. A pair and not a prompt is the unit here,
    for a probability is given to each pair.
    """
    for one, rewards, gaps in zip(rankings.judged, rankings.rewards, rankings.gaps, strict=True):
        votes = one.wins + one.wins.T
        for i, j in zip(*np.nonzero(one.wins), strict=True):
            ahead = float(rewards[i] - rewards[j])
            likely = 1 / (1 + math.exp(-abs(ahead)))
            yield float(one.wins[i, j] / votes[i, j]), int(gaps[i, j]), likely, 0.5 * (1 + np.sign(ahead))


def _by_gap(rankings: Rankings) -> dict[str, float]:
    right: dict[int, list[tuple[float, float]]] = {}
    for share, gap, _, agrees in _votes(rankings):
        right.setdefault(min(gap, LARGEST_GAP), []).append((share, agrees))
    found = {}
    for gap, votes in sorted(right.items()):
        shares, agrees = np.array(votes).T
        found[f"accuracy_gap_{gap}"] = float(np.average(agrees, weights=shares))
    return found


def _by_confidence(rankings: Rankings) -> dict[str, float]:
    """How often the answer thought better was, by how surely it was thought so; and the mean distance of the
    two, weighted by pairs (the expected calibration error)."""
    votes = np.array([(share, likely, agrees) for share, _, likely, agrees in _votes(rankings)])
    shares, sure, won = votes.T
    edges = np.digitize(sure, BINS[1:-1])
    found: dict[str, float] = {}
    error = 0.0
    for number, (low, high) in enumerate(pairwise(BINS)):
        inside = edges == number
        if inside.any():
            rate, said = (float(np.average(of[inside], weights=shares[inside])) for of in (won, sure))
            found[f"right_when_{low:.1f}_to_{high:.1f}"] = rate
            found[f"pairs_at_{low:.1f}_to_{high:.1f}"] = round(float(shares[inside].sum()), 6)
            error += float(shares[inside].sum() / shares.sum()) * abs(rate - said)
    return found | {"calibration_error": error}
