"""Whether the answers of one model are preferred to those of another, on the same prompts."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from bottega.data.records import Prompt
from bottega.errors import UserError
from bottega.evals.prompting import TEMPLATES, encode_prompt, request_text, stop_ids
from bottega.evals.score import Example, Score, ratio_score
from bottega.evals.tasks import cases_digest, even_batches
from bottega.evals.verdicts import passes

if TYPE_CHECKING:
    from bottega.data.tokenizer import Tokenizer
    from bottega.model.decoder import Decoder

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
    context: int | None = None,
    keep_examples: int = 8,
    seed: int = 0,
) -> Score:
    """How often ``model``'s answers are preferred by labelers who rank nothing in training; ties count half.

    Both models answer every prompt once, sampled at temperature 1 with the same draws. Three labelers see
    each pair, in both orders. Details: the share by true quality, the mean quality of both, their lengths,
    and the win rate at equal length.
    """
    from bottega.data.school.judging import labelers, quality

    if not prompts:
        raise UserError(f"{name}: there are no prompts to answer")
    sides = [_answers(each, tokenizer, prompts, context, seed) for each in (model, rival)]
    true = []
    for answers in sides:
        texts = [text for text, _ in answers]
        right = passes(prompts, texts)
        true.append(
            [
                quality(prompt, text, correct=ok, ended=ended)
                for prompt, (text, ended), ok in zip(prompts, answers, right, strict=True)
            ]
        )
    pool = labelers(world_seed, "independent")
    votes = []
    for i, prompt in enumerate(prompts):
        texts, qualities = [side[i][0] for side in sides], [side[i] for side in true]
        start = int(hashlib.sha256(repr(prompt.messages).encode()).hexdigest(), 16) % len(pool)
        chosen = [pool[(start + k) % len(pool)] for k in range(VOTES)]
        key = f"{name}/{i}"
        mine = []
        for labeler in chosen:
            mine.append(_vote(labeler.rank(f"{key}/1", texts, qualities).tiers, 0))
            mine.append(_vote(labeler.rank(f"{key}/2", texts[::-1], qualities[::-1]).tiers, 1))
        votes.append(float(np.mean(mine)))
    lengths = [[float(len(tokenizer.encode(text))) for text, _ in side] for side in sides]
    by_truth = [(a > b) + 0.5 * (a == b) for a, b in zip(*true, strict=True)]
    details = {
        "by_true_quality": float(np.mean(by_truth)),
        "quality": float(np.mean(true[0])),
        "rival_quality": float(np.mean(true[1])),
        "length": float(np.mean(lengths[0])),
        "rival_length": float(np.mean(lengths[1])),
        "at_equal_length": at_equal_length(votes, (np.array(lengths[0]) - np.array(lengths[1])).tolist()),
    }
    examples = tuple(
        Example(request_text(prompts[i]), sides[0][i][0], (sides[1][i][0],), votes[i] > 0.5)
        for i in range(min(keep_examples, len(prompts)))
    )
    return ratio_score(
        name,
        votes,
        [1.0] * len(votes),
        "win rate",
        higher_is_better=True,
        seed=seed,
        template=f"{TEMPLATES['chat']}, sampled at temperature 1; judged by labelers apart from training",
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


def _vote(tiers: tuple[tuple[int, ...], ...], own: int) -> float:
    return 0.5 if len(tiers) == 1 else float(own in tiers[0])


def _answers(
    model: Decoder, tokenizer: Tokenizer, prompts: Sequence[Prompt], context: int | None, seed: int
) -> list[tuple[str, bool]]:
    """Each answer, and whether it ended; none where a prompt fills the context."""
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
    found = [("", False)] * len(prompts)
    with LocalEngine(model, tokenizer, slots=even_batches(len(fits)), max_tokens=limit) as engine:
        for i, (said,) in zip(fits, engine.generate(requests), strict=True):
            found[i] = (said.text, said.stop_id is not None)
    return found
