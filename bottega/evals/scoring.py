"""Scores of answers by a reward model, many at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from bottega.data.comparisons import Judged
from bottega.data.judged import ComparisonPlan
from bottega.engine.requests import Completion
from bottega.model.scorer import Scorer

BATCH_TOKENS = 8192


def best_of(scorer: Scorer, prompt: Sequence[int], completions: Sequence[Completion]) -> Completion:
    """The completion that the reward model likes best; of equals the first."""
    answers = [[*one.tokens, *([] if one.stop_id is None else [one.stop_id])] for one in completions]
    (rewards,) = score_answers(scorer, [Judged.unranked(prompt, answers)])
    return completions[int(rewards.argmax())]


@torch.inference_mode()
def score_answers(
    scorer: Scorer, judged: Sequence[Judged], *, batch_tokens: int = BATCH_TOKENS
) -> list[NDArray[np.float32]]:
    """The rewards of every record's answers, the model's shift taken off, in the order given."""
    if not judged:
        return []
    device = next(scorer.parameters()).device
    plan = ComparisonPlan(judged, batch_tokens, seed=0)
    found = [np.zeros(len(one.answers), np.float32) for one in judged]
    training = scorer.training
    scorer.eval()
    for step in range(plan.steps):
        batch = plan.batch(step)
        tokens, positions, segments, branches = (
            torch.from_numpy(array).to(device)
            for array in (batch.tokens, batch.positions, batch.segments, batch.extra["branches"])
        )
        hidden = scorer(tokens, positions, segments, branches=branches)
        ends, items = batch.extra["ends"], batch.extra["item"]
        hidden = hidden.view(len(ends), -1, hidden.shape[-1])
        rows, places = np.nonzero(ends >= 0)
        at = hidden[torch.from_numpy(rows).to(device), torch.from_numpy(ends[rows, places]).to(device)]
        values = scorer.rewards(at).cpu().numpy()
        met: dict[int, int] = {}
        for item, value in zip(items[rows, places].tolist(), values.tolist(), strict=True):
            nth = met.get(item, 0)
            found[item][nth] = value
            met[item] = nth + 1
    scorer.train(training)
    return found
