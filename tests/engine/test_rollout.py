"""CORRECTNESS 15 and 18: what a rollout says it sampled from is what the policy says of it."""

from __future__ import annotations

import pytest
import torch

from bottega.data.tokenizer import Tokenizer
from bottega.engine.local import LocalEngine
from bottega.engine.rollout import rollout
from bottega.errors import UserError
from bottega.model.decoder import Decoder
from tests.engine.conftest import some_prompts

STOP = {7, 90, 200, 201, 202}


@torch.no_grad()
def test_log_probabilities_are_the_policys_at_the_temperature(model: Decoder) -> None:
    prompts = some_prompts(5, longest=80, seed=3)
    with LocalEngine(model, slots=4) as engine:
        got = rollout(
            engine, prompts, max_new_tokens=24, stop_ids=STOP, n=3, temperature=0.7, detokenise=False
        )
    assert got.tokens.shape[0] == 15
    assert got.ended.any()
    assert not got.ended.all()
    for row in range(15):
        start, stop = int(got.prompt_lengths[row]), int(got.lengths[row])
        ids = got.tokens[row, :stop]
        assert ids[:start].tolist() == prompts[row // 3]
        logs = (model.logits(model(ids[None])[0]) / 0.7).log_softmax(-1)
        expected = logs[torch.arange(start - 1, stop - 1), ids[start:]]
        torch.testing.assert_close(got.logprobs[row, start:stop], expected, atol=2e-5, rtol=0)
        # The token that ended it was sampled like the others.
        assert got.sampled[row].tolist() == [start <= i < stop for i in range(got.tokens.shape[1])]
        assert bool(got.ended[row]) == (int(ids[-1]) in STOP)
        assert all(int(token) not in STOP for token in ids[start:-1])
        assert bool((got.logprobs[row][~got.sampled[row]] == 0).all())
        if not got.ended[row]:
            assert stop - start == 24


def test_the_seed_decides(model: Decoder, tokenizer: Tokenizer) -> None:
    prompts = some_prompts(2)
    with LocalEngine(model, tokenizer, slots=4) as engine:
        one, again, other = (
            rollout(engine, prompts, max_new_tokens=8, stop_ids=(), n=2, seed=seed) for seed in (1, 1, 2)
        )
    assert torch.equal(one.tokens, again.tokens)
    assert not torch.equal(one.tokens, other.tokens)
    assert one.texts == tuple(
        tokenizer.decode(row[start:].tolist())
        for row, start in zip(one.tokens, one.prompt_lengths.tolist(), strict=True)
    )


def test_temperature_zero_is_no_rollout(model: Decoder) -> None:
    with LocalEngine(model, slots=1) as engine, pytest.raises(UserError, match="temperature above 0"):
        rollout(engine, [[1]], max_new_tokens=4, stop_ids=(), temperature=0.0)


def test_no_prompts_give_no_rows(model: Decoder) -> None:
    with LocalEngine(model, slots=1) as engine:
        assert rollout(engine, [], max_new_tokens=4, stop_ids=()).tokens.shape == (0, 0)
