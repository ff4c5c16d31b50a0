"""Drawing: the shares that come out, what truncation keeps, and who decides over what."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bottega.engine.requests import Sampling
from bottega.engine.sampling import CANDIDATES, BatchSampler, invert, truncate, uniforms

VOCAB_SIZE = 400


def weights_of(logits: torch.Tensor) -> torch.Tensor:
    return logits.softmax(-1)[None]


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    spread=st.sampled_from([0.05, 0.5, 2.0, 8.0]),
    top_k=st.sampled_from([0, 1, 3, 100, 200, 399, 400, 1000]),
    top_p=st.sampled_from([0.0, 0.1, 0.5, 0.9, 0.999, 1.0]),
    min_p=st.sampled_from([0.0, 0.02, 0.3, 1.0]),
)
def test_truncation_keeps_what_transformers_keeps(
    seed: int, spread: float, top_k: int, top_p: float, min_p: float
) -> None:
    from transformers import MinPLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(1, VOCAB_SIZE, generator=generator, dtype=torch.float64) * spread
    expected = logits
    if top_k:
        expected = TopKLogitsWarper(top_k)(None, expected)
    if 0 < top_p < 1:
        expected = TopPLogitsWarper(top_p)(None, expected)
    if min_p:
        expected = MinPLogitsWarper(min_p)(None, expected)
    kept = expected[0] > -math.inf
    if top_p == 0.0:
        kept = logits[0] == logits.max()
    sampling = Sampling(top_k=top_k, top_p=top_p, min_p=min_p)
    ranked, order = logits.softmax(-1).sort(descending=True)
    found, enough = truncate(ranked, [sampling], VOCAB_SIZE)
    assert bool(enough)
    assert set(order[0][found[0] > 0].tolist()) == set(torch.nonzero(kept)[:, 0].tolist())
    first, decided = truncate(ranked[:, :CANDIDATES], [sampling], VOCAB_SIZE)
    if decided:  # then the candidates alone give the same answer
        assert torch.equal(first, found[:, :CANDIDATES])
        assert not found[:, CANDIDATES:].any()


def test_a_flat_distribution_is_cut_beyond_the_candidates() -> None:
    """The nucleus is wider than what is looked at first."""
    sampler = BatchSampler(1, VOCAB_SIZE, torch.device("cpu"))
    logits = torch.zeros(1, VOCAB_SIZE)
    logits[0, :300] = 1.0
    sampler.begin(0, Sampling(top_p=0.5, seed=1), [1], choice=0, steps=2000)
    drawn = [sampler.draw(logits, [step], [0]).tokens[0] for step in range(2000)]
    assert len(set(drawn)) > CANDIDATES
    assert max(drawn) < 300


def test_drawn_tokens_follow_the_softmax_at_the_temperature() -> None:
    logits = torch.tensor([2.0, 1.0, 0.0, -1.0])
    uniform = (torch.arange(10_000, dtype=torch.float64) + 0.5) / 10_000
    drawn = invert((logits / 0.5).softmax(0).expand(10_000, 4), uniform)
    share = torch.bincount(drawn, minlength=4) / 10_000
    torch.testing.assert_close(share, (logits / 0.5).softmax(0), atol=2e-4, rtol=0)


def test_the_largest_draw_never_takes_an_impossible_token() -> None:
    largest = torch.tensor([1.0 - 2.0**-53], dtype=torch.float64)
    assert invert(torch.tensor([[0.8, 0.2, 0.0]]), largest).item() == 1


def test_rows_under_different_settings_do_not_disturb_each_other() -> None:
    ways = [
        Sampling(temperature=0.0),
        Sampling(temperature=0.7, seed=1),
        Sampling(temperature=1.2, top_p=0.6, seed=2),
        Sampling(temperature=1.0, top_k=3, logit_bias={5: 3.0}, seed=3),
        Sampling(temperature=1.0, presence_penalty=2.0, min_p=0.1, seed=4),
    ]
    logits = torch.randn(30, len(ways), VOCAB_SIZE, generator=torch.Generator().manual_seed(0))

    def run(rows: list[int]) -> dict[int, list[tuple[int, float]]]:
        sampler = BatchSampler(len(ways), VOCAB_SIZE, torch.device("cpu"))
        for row in rows:
            sampler.begin(row, ways[row], [1, 2, 3], choice=0, steps=30, report=2)
        found: dict[int, list[tuple[int, float]]] = {row: [] for row in rows}
        for step in range(30):
            drawn = sampler.draw(logits[step], [step] * len(ways), rows)
            for row in rows:
                found[row].append((drawn.tokens[row], drawn.logprobs[row]))
        return found

    together = run([0, 1, 2, 3, 4])
    assert all(run([row])[row] == together[row] for row in range(5))


def test_a_row_given_to_another_request_forgets_the_last_one() -> None:
    sampler = BatchSampler(1, VOCAB_SIZE, torch.device("cpu"))
    logits = torch.zeros(1, VOCAB_SIZE)
    logits[0, 9] = 1.0
    sampler.begin(
        0, Sampling(temperature=0.0, frequency_penalty=5.0, logit_bias={4: 9.0}), [1], choice=0, steps=9
    )
    assert [sampler.draw(logits, [step], [0]).tokens[0] for step in range(3)] == [4, 4, 9]
    sampler.begin(0, Sampling(temperature=0.0), [1], choice=0, steps=9, report=0)
    drawn = sampler.draw(logits, [0], [0])
    assert drawn.tokens == [9]
    assert drawn.logprobs[0] == pytest.approx(float(logits[0].log_softmax(-1)[9]))


def test_each_choice_has_numbers_of_its_own() -> None:
    assert np.array_equal(uniforms(3, 1, 10), uniforms(3, 1, 20)[:10])
    assert not np.array_equal(uniforms(3, 0, 10), uniforms(3, 1, 10))
    assert not np.array_equal(uniforms(3, 1, 10), uniforms(4, 1, 10))
