"""The reward model's objective against plain loops, one forward pass an answer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from bottega.data.comparisons import Judged
from bottega.data.judged import ComparisonPlan
from bottega.evals.scoring import score_answers
from bottega.model.scorer import Scorer, scorer_from
from bottega.training.loop import TrainConfig, train
from bottega.training.objective import TensorBatch
from bottega.training.reward import reward_modelling

from .conftest import tiny_decoder

VOCABULARY = tiny_decoder().config.vocab_size


def judged(draw: np.random.Generator, answers: int, *, rated: bool = False) -> Judged:
    """A prompt with answers of random tokens, ranked by two labelers who disagree, or rated."""
    wins = np.zeros((answers, answers), np.float32)
    ratings = np.full(answers, np.nan, np.float32)
    if rated:
        ratings[:] = draw.integers(0, 2, answers)
    else:
        wins = draw.integers(0, 3, (answers, answers)).astype(np.float32)
        np.fill_diagonal(wins, 0)
        wins[0, 1] += 1
        wins /= wins.sum()
    return Judged(
        draw.integers(1, VOCABULARY, draw.integers(1, 9)).astype(np.int32),
        tuple(draw.integers(1, VOCABULARY, draw.integers(1, 12)).astype(np.int32) for _ in range(answers)),
        wins,
        ratings,
    )


def some(seed: int, count: int = 12, *, ratings: bool = False) -> list[Judged]:
    draw = np.random.default_rng(seed)
    return [judged(draw, int(draw.integers(2, 10))) for _ in range(count)] + [
        judged(draw, 1, rated=True) for _ in range(5 if ratings else 0)
    ]


def alone(scorer: Scorer, one: Judged) -> tuple[Tensor, Tensor]:
    """Each answer's score and its prompt's offset, by a forward pass of prompt and answer alone."""
    prompt = one.prompt.tolist()
    rows = [torch.tensor([[*prompt, *answer.tolist()]]) for answer in one.answers]
    scores = torch.stack([scorer.scores(scorer(row)[0, -1]) for row in rows])
    offset = scorer.offsets(scorer(torch.tensor([prompt]))[0, -1]) if scorer.offset is not None else scores[0]
    return scores, offset


@pytest.mark.parametrize("strip", [None, 32], ids=["whole", "in strips"])
@pytest.mark.parametrize("ratings", [False, True], ids=["comparisons", "with ratings"])
def test_loss_and_gradients_are_those_of_a_loop_over_pairs(ratings: bool, strip: int | None) -> None:
    """CORRECTNESS 13."""
    packed = scorer_from(tiny_decoder(), seed=1, offset=ratings)
    if packed.offset is not None:
        torch.nn.init.normal_(packed.offset.weight)
    plain = scorer_from(packed, seed=1, offset=ratings)
    if packed.offset is not None and plain.offset is not None:
        plain.offset.weight.data.copy_(packed.offset.weight)
    data = some(3, ratings=ratings)
    plan = ComparisonPlan(data, batch_tokens=100_000, seed=0, context=strip and 9 * strip, strip=strip)
    found = reward_modelling(packed, TensorBatch.of(plan.batch(0), torch.device("cpu")))
    (found.loss_sum / found.weight).backward()

    total = torch.zeros(())
    for one in data:
        scores, offset = alone(plain, one)
        for i in range(len(one.answers)):
            for j in range(len(one.answers)):
                total = total - float(one.wins[i, j]) * logsigmoid(scores[i] - scores[j])
            if not np.isnan(one.ratings[i]):
                sign = 1 if one.ratings[i] else -1
                total = total - logsigmoid(sign * (scores[i] - offset))
    (total / len(data)).backward()
    assert found.weight.item() == pytest.approx(len(data))
    torch.testing.assert_close(found.loss_sum / found.weight, total / len(data), atol=1e-6, rtol=0)
    for a, b in zip(packed.parameters(), plain.parameters(), strict=True):
        assert a.grad is not None and b.grad is not None
        torch.testing.assert_close(a.grad, b.grad, atol=2e-6, rtol=1e-4)


def test_scores_do_not_depend_on_what_shares_their_row() -> None:
    """CORRECTNESS 11: at the last token of prompt and answer, shared prompt or not."""
    scorer = scorer_from(tiny_decoder(), seed=1)
    scorer.shift = 0.5
    data = some(4)
    for one, scores in zip(data, score_answers(scorer, data, batch_tokens=300), strict=True):
        expected = alone(scorer, one)[0] - 0.5
        np.testing.assert_allclose(scores, expected.detach().numpy(), atol=1e-5)


def test_scores_of_rows_read_in_strips_are_those_of_each_answer_alone() -> None:
    scorer = scorer_from(tiny_decoder(), seed=1)
    draw = np.random.default_rng(5)
    data = [
        Judged.unranked(
            draw.integers(1, VOCABULARY, 9).tolist(),
            [draw.integers(1, VOCABULARY, n).tolist() for n in draw.integers(100, 300, answers)],
        )
        for answers in (9, 2, 7, 8)
    ]
    assert ComparisonPlan(data, 8192, 0).strip < max(one.size for one in data)
    for one, scores in zip(data, score_answers(scorer, data), strict=True):
        np.testing.assert_allclose(scores, alone(scorer, one)[0].detach().numpy(), atol=1e-5)


def test_a_reward_model_learns_whom_its_labelers_prefer(tmp_path: Path) -> None:
    """They prefer the answer with more tokens of one kind; it is asked about prompts that it never saw."""
    draw = np.random.default_rng(0)

    def ranked() -> Judged:
        answers = [draw.integers(1, VOCABULARY, 12) for _ in range(3)]
        for answer in answers:
            answer[draw.random(12) < draw.random()] = 7
        counts = np.array([(answer == 7).sum() for answer in answers])
        wins = (counts[:, None] > counts[None]).astype(np.float32)
        return Judged(
            draw.integers(1, VOCABULARY, 4).astype(np.int32),
            tuple(answer.astype(np.int32) for answer in answers),
            wins / max(wins.sum(), 1),
            np.full(3, np.nan, np.float32),
        )

    plan = ComparisonPlan([ranked() for _ in range(600)], batch_tokens=1024, seed=0)
    scorer = scorer_from(tiny_decoder(), seed=1)
    config = TrainConfig(
        budget_tokens=plan.steps * plan.tokens_per_step, lr=3e-3, precision="float32", compile="off"
    )
    train(scorer, reward_modelling, plan, config, tmp_path)
    unseen = [ranked() for _ in range(100)]
    right = total = 0.0
    for one, scores in zip(unseen, score_answers(scorer, unseen), strict=True):
        right += float((one.wins * (scores[:, None] > scores[None])).sum())
        total += float(one.wins.sum())
    assert right / total > 0.9


def test_the_head_stays_in_float32_and_is_no_matrix_for_muon(tmp_path: Path) -> None:
    from bottega.training.distributed import ALONE
    from bottega.training.optim import build_optimizers
    from bottega.training.weights import MasterWeights

    scorer = scorer_from(tiny_decoder(), seed=1)
    weights = MasterWeights(scorer, torch.bfloat16, ALONE)
    assert weights.model.score.weight.dtype == torch.float32
    assert weights.model.model.embed_tokens.weight.dtype == torch.bfloat16
    optimizers = build_optimizers(
        weights.masters,
        optimizer="muon",
        lr=1e-3,
        muon_lr=1e-3,
        weight_decay=0.0,
        betas=(0.9, 0.95),
        eps=1e-8,
        muon_dtype=torch.float32,
    )
    by_adamw = {p for group in optimizers.parts["adamw"].param_groups for p in group["params"]}
    assert weights.masters["score.weight"] in by_adamw
