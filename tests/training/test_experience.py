"""Sampled answers in rows: whatever the packing, every token is where its log-probability is read."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bottega.model.scorer import scorer_from
from bottega.training.experience import Experience, cuts, row_for
from bottega.training.token_logprobs import token_logprobs

from .conftest import VOCAB, tiny_decoder


def experience(prompts: list[list[int]], answers: list[list[int]], batch_tokens: int = 256) -> Experience:
    return Experience(prompts, answers, row=128, batch_tokens=batch_tokens, pad=0, device=torch.device("cpu"))


def random_talk(seed: int, count: int, n: int) -> tuple[list[list[int]], list[list[int]]]:
    draw = np.random.default_rng(seed)
    prompts = [draw.integers(1, VOCAB, draw.integers(1, 12)).tolist() for _ in range(count)]
    answers = [draw.integers(1, VOCAB, draw.integers(1, 15)).tolist() for _ in range(count * n)]
    return prompts, answers


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 99), st.integers(1, 9), st.integers(1, 4), st.integers(1, 4))
def test_every_token_of_every_answer_stands_in_one_microbatch(
    seed: int, count: int, n: int, parts: int
) -> None:
    prompts, answers = random_talk(seed, count, n)
    made = experience(prompts, answers)
    order = np.random.default_rng(seed).permutation(count).tolist()
    micros = [m for minibatch in made.minibatches(parts, order) for m in minibatch]
    flat = [token for answer in answers for token in answer]
    seen = torch.cat([m.tokens for m in micros])
    assert sorted(seen.tolist()) == list(range(len(flat)))
    ends = torch.cat([m.answers for m in micros])
    assert sorted(ends.tolist()) == list(range(len(answers)))
    for micro in micros:
        targets = micro.batch.targets.reshape(-1)[micro.places]
        assert targets.tolist() == [flat[i] for i in micro.tokens.tolist()]
        last = micro.batch.tokens.reshape(-1)[micro.ends]
        assert last.tolist() == [answers[i][-1] for i in micro.answers.tolist()]
    values = torch.arange(float(len(flat)))
    assert torch.equal(made.flat(made.padded(values)), values)


@given(st.integers(1, 60), st.lists(st.integers(1, 60), min_size=1, max_size=9), st.integers(0, 200))
def test_answers_are_parted_in_order_and_no_sooner_than_a_row_is_full(
    prompt: int, answers: list[int], spare: int
) -> None:
    row = prompt + max(answers) + spare
    parts = cuts(prompt, answers, row)
    assert [i for a, b in parts for i in range(a, b)] == list(range(len(answers)))
    size = [prompt - 1 + sum(length + 1 for length in answers[a:b]) for a, b in parts]
    assert max(size) <= row
    for (_, b), this in zip(parts[:-1], size, strict=False):
        assert this + answers[b] + 1 > row


def test_a_row_is_as_long_as_wastes_least() -> None:
    assert row_for([100] * 9, 1, 20) == 128  # the longest prompt with its answer just fits
    assert row_for([302, *[66] * 55], 4, 128) == 512  # three answers of most prompts, then four single ones
    assert row_for([10, 12], 1, 5) == 128
    assert row_for([90] * 8, 4, 30) == 256  # all the answers of a prompt


def test_log_probabilities_are_those_of_each_conversation_alone() -> None:
    model, scorer = tiny_decoder(), scorer_from(tiny_decoder(), seed=1)
    prompts, answers = random_talk(4, 6, 3)
    made = experience(prompts, answers)
    found = torch.empty(made.tokens)
    scores = torch.empty(len(answers))
    for minibatch in made.minibatches(2, range(6)):
        for micro in minibatch:
            batch = micro.batch
            given_to = (batch.tokens, batch.positions, batch.segments)
            hidden = model(*given_to, branches=batch.extra["branches"])
            found[micro.tokens] = token_logprobs(model, hidden, batch.targets, micro.places).logprobs.detach()
            seen = scorer(*given_to, branches=batch.extra["branches"])
            scores[micro.answers] = scorer.scores(seen.reshape(-1, 32)[micro.ends]).detach()
    start = 0
    for i, answer in enumerate(answers):
        prompt = prompts[i // 3]
        tokens = torch.tensor([[*prompt, *answer]])
        table = model.logits(model(tokens))[0, len(prompt) - 1 : -1].log_softmax(-1)
        alone = table.gather(1, torch.tensor(answer)[:, None]).squeeze(1)
        torch.testing.assert_close(found[start : start + len(answer)], alone, atol=1e-5, rtol=0)
        torch.testing.assert_close(scores[i], scorer.scores(scorer(tokens)[0, -1]), atol=1e-5, rtol=0)
        start += len(answer)
