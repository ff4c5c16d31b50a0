"""Whether the answers of one model are preferred to those of another, on the same prompts."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bottega.data.records import Prompt
from bottega.errors import UserError
from bottega.evals.prompting import TEMPLATES, encode_prompt, request_text, stop_ids
from bottega.evals.score import Example, Score, bootstrap_ratio, ratio_score
from bottega.evals.tasks import cases_digest, even_batches
from bottega.evals.verdicts import qualities

if TYPE_CHECKING:
    from bottega.data.tokenizer import Tokenizer
    from bottega.model.decoder import Decoder
    from bottega.model.scorer import Scorer

ANSWER_TOKENS = 64
VOTES = 3  # labelers to a pair of answers, each in both orders


def win_rate(
    model: Decoder,
    rival: Decoder,
    tokenizer: Tokenizer,
    prompts: Sequence[Prompt],
    *,
    name: str,
    world_seed: int,
    judge: Scorer | None = None,
    judged_by: str = "a reward model",
    checked: bool = True,
    answers: int = 1,
    context: int | None = None,
    keep_examples: int = 8,
    seed: int = 0,
) -> Score:
    """How often ``model``'s answers are preferred by labelers who rank nothing in training; ties count half.

    Both models answer every prompt, ``answers`` times each, sampled at temperature 1 with the same draws; a
    prompt's outcome is the mean over its answers. Three labelers see each pair, in both orders; or a reward
    model, ``judge`` (``judged_by`` says which), gives the greater reward. Details: the lengths of both, the
    win rate at equal length; of a judge, the mean rewards of both and how much is gained, with its 95%
    interval; and by the prompts' checks, unless they say nothing (``checked``), the share by true quality and
    the mean quality of both.
    """
    if not prompts:
        raise UserError(f"{name}: there are no prompts to answer")
    asked = [prompt for prompt in prompts for _ in range(answers)]
    sides = [_answers(each, tokenizer, asked, context, seed) for each in (model, rival)]
    true = []
    if checked:
        true = [
            qualities(asked, [one.text for one in side], [one.end is not None for one in side])
            for side in sides
        ]
    details: dict[str, float] = {}
    if judge is None:
        votes = _by_labelers(name, asked, sides, true, world_seed)
        judged = "labelers apart from training"
    else:
        rewards = _rewards(judge, tokenizer, asked, sides)
        votes = [float((a > b) + 0.5 * (a == b)) for a, b in rewards]
        judged = judged_by
        gains = _by_prompt([float(a - b) for a, b in rewards], answers)
        low, high = bootstrap_ratio(gains, [1.0] * len(gains), seed)
        details |= {
            "score": float(np.mean([a for a, _ in rewards])),
            "rival_score": float(np.mean([b for _, b in rewards])),
            "score_gain": float(np.mean(gains)),
            "score_gain_low": low,
            "score_gain_high": high,
        }
    lengths = [[float(len(tokenizer.encode(one.text))) for one in side] for side in sides]
    details |= {
        "length": float(np.mean(lengths[0])),
        "rival_length": float(np.mean(lengths[1])),
        "at_equal_length": at_equal_length(votes, (np.array(lengths[0]) - np.array(lengths[1])).tolist()),
    }
    if checked:
        by_truth = [(a > b) + 0.5 * (a == b) for a, b in zip(*true, strict=True)]
        details |= {
            "by_true_quality": float(np.mean(by_truth)),
            "quality": float(np.mean(true[0])),
            "rival_quality": float(np.mean(true[1])),
        }
    examples = tuple(
        Example(request_text(asked[i]), sides[0][i].text, (sides[1][i].text,), votes[i] > 0.5)
        for i in range(0, min(keep_examples * answers, len(asked)), answers)
    )
    return ratio_score(
        name,
        _by_prompt(votes, answers),
        [1.0] * len(prompts),
        "win rate",
        higher_is_better=True,
        seed=seed,
        template=f"{TEMPLATES['chat']}, sampled at temperature 1; judged by {judged}",
        cases=cases_digest(prompts),
        details=details,
        examples=examples,
        floors={"even": 0.5},
    )


def at_equal_length(votes: Sequence[float], longer_by: Sequence[float]) -> float:
    """The win rate that is left where neither answer is longer (2404.04475): a logistic regression of the
    votes on tanh of the standardised difference in length, read at 0."""
    y, x = np.asarray(votes, np.float64), np.asarray(longer_by, np.float64)
    spread = x.std()
    features = np.stack([np.ones_like(x), np.tanh(x / spread) if spread else np.zeros_like(x)], axis=1)
    weights = np.zeros(2)
    for _ in range(25):  # Newton's method, with a little ridge
        likely = 1 / (1 + np.exp(-features @ weights))
        slope = features.T @ (y - likely) - 1e-3 * weights
        bend = (features * (likely * (1 - likely))[:, None]).T @ features + 1e-3 * np.eye(2)
        weights += np.linalg.solve(bend, slope)
    return 1 / (1 + math.exp(-float(weights[0])))


def _by_labelers(
    name: str,
    prompts: Sequence[Prompt],
    sides: Sequence[Sequence[_Said]],
    true: Sequence[Sequence[float]],
    world_seed: int,
) -> list[float]:
    """The mean vote of three strangers on each pair, who see it in both orders."""
    from bottega.data.school.judging import labelers

    pool = labelers(world_seed, "independent")
    votes = []
    for i, prompt in enumerate(prompts):
        texts, qualities = [side[i].text for side in sides], [side[i] for side in true]
        start = int(hashlib.sha256(repr(prompt.messages).encode()).hexdigest(), 16) % len(pool)
        chosen = [pool[(start + k) % len(pool)] for k in range(VOTES)]
        key = f"{name}/{i}"
        mine = []
        for labeler in chosen:
            mine.append(_vote(labeler.rank(f"{key}/1", texts, qualities).tiers, 0))
            mine.append(_vote(labeler.rank(f"{key}/2", texts[::-1], qualities[::-1]).tiers, 1))
        votes.append(float(np.mean(mine)))
    return votes


def _vote(tiers: tuple[tuple[int, ...], ...], own: int) -> float:
    return 0.5 if len(tiers) == 1 else float(own in tiers[0])


def _by_prompt(values: Sequence[float], answers: int) -> list[float]:
    """The mean of each prompt's answers, which stand side by side."""
    return [float(of_one) for of_one in np.reshape(values, (-1, answers)).mean(1)]


def _rewards(
    judge: Scorer, tokenizer: Tokenizer, prompts: Sequence[Prompt], sides: Sequence[Sequence[_Said]]
) -> list[NDArray[np.float32]]:
    """The judge's rewards [2] of both answers to each prompt; of the same answer the same, to the bit."""
    from bottega.data.comparisons import Judged
    from bottega.evals.scoring import score_answers

    def tokens(one: _Said) -> list[int]:
        return [*tokenizer.encode(one.text), *([] if one.end is None else [one.end])]

    judged = [
        Judged.unranked(encode_prompt(tokenizer, prompt, "chat"), [tokens(side[i]) for side in sides])
        for i, prompt in enumerate(prompts)
    ]
    rewards = score_answers(judge, judged)
    for found, first, second in zip(rewards, *sides, strict=True):
        if first == second:  # they stand in other places of a row, which rounds otherwise
            found[1] = found[0]
    return rewards


@dataclass(frozen=True, slots=True)
class _Said:
    text: str
    end: int | None  # the token that ended it, if any


def _answers(
    model: Decoder, tokenizer: Tokenizer, prompts: Sequence[Prompt], context: int | None, seed: int
) -> list[_Said]:
    """Each answer; none where a prompt fills the context."""
    from bottega.engine.local import LocalEngine
    from bottega.engine.requests import Request, Sampling

    limit = context or model.config.max_positions
    rendered = [encode_prompt(tokenizer, prompt, "chat") for prompt in prompts]
    fits = [i for i, ids in enumerate(rendered) if len(ids) < limit]
    ends = stop_ids(tokenizer)
    requests = [
        Request(
            rendered[i],
            min(ANSWER_TOKENS, limit - len(rendered[i])),
            Sampling(temperature=1.0, seed=seed * 1_000_003 + i),
            stop_ids=ends,
        )
        for i in fits
    ]
    found = [_Said("", None)] * len(prompts)
    with LocalEngine(model, tokenizer, slots=even_batches(len(fits)), max_tokens=limit) as engine:
        for i, (said,) in zip(fits, engine.generate(requests), strict=True):
            found[i] = _Said(said.text, said.stop_id)
    return found
