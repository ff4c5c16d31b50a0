"""CORRECTNESS 7 and 8: decoding with the cache is the full forward pass, whoever stands in the batch."""

from __future__ import annotations

import random

import pytest
import torch

from bottega.engine.plain import generate, stream
from bottega.engine.sampling import choose, request_seeds
from bottega.errors import UserError
from bottega.model.config import ModelConfig
from bottega.model.decoder import Decoder
from bottega.model.init import initialise

VOCAB = 61


def model(**changes: int) -> Decoder:
    shape: dict[str, int] = {"max_positions": 256, "num_kv_heads": 2, **changes}
    config = ModelConfig(VOCAB, 32, 48, num_layers=2, num_heads=4, head_dim=8, **shape)  # type: ignore[arg-type]
    return initialise(Decoder(config), seed=1, std=0.6).eval()


def some_prompts(n: int, longest: int = 50) -> list[list[int]]:
    draw = random.Random(4)
    return [[draw.randrange(1, VOCAB) for _ in range(draw.randint(1, longest))] for _ in range(n)]


@torch.no_grad()
def full_forward(decoder: Decoder, prompt: list[int], steps: int, stop: set[int]) -> list[int]:
    """The oracle: the whole sequence anew for every token, no cache, no batch."""
    ids = list(prompt)
    for _ in range(steps):
        token = int(decoder.logits(decoder(torch.tensor([ids]))[0, -1]).argmax())
        if token in stop:
            break
        ids.append(token)
    return ids[len(prompt) :]


def test_greedy_decoding_equals_the_full_forward_pass_token_by_token() -> None:
    decoder, prompts = model(), some_prompts(23)
    expected = [full_forward(decoder, prompt, 20, {0, 7}) for prompt in prompts]
    assert {len(answer) for answer in expected} > {20}  # some end early, some do not
    assert generate(decoder, prompts, max_new_tokens=20, stop_ids={0, 7}, batch_rows=8) == expected


def test_streaming_gives_the_same_tokens() -> None:
    decoder = model()
    for prompt in some_prompts(6):
        expected = full_forward(decoder, prompt, 20, {0, 7})
        assert list(stream(decoder, prompt, max_new_tokens=20, stop_ids={0, 7})) == expected


def test_a_stream_gives_each_token_before_the_next_is_computed() -> None:
    decoder, passes = model(), []
    decoder.register_forward_pre_hook(lambda module, args: passes.append(1))
    tokens = stream(decoder, [1, 2, 3], max_new_tokens=10, stop_ids=set())
    seen = [len(passes) for _ in tokens]
    assert seen == list(range(1, 11))  # the prompt in one pass, then one pass a token


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("temperature", "top_p"), [(0.0, 1.0), (0.8, 1.0), (0.8, 0.7)])
def test_neighbours_and_order_change_no_token(temperature: float, top_p: float, dtype: torch.dtype) -> None:
    decoder, prompts = model().to(dtype), some_prompts(21)
    seeds = request_seeds(3, len(prompts))

    def run(chosen: list[int]) -> list[list[int]]:
        return generate(
            decoder,
            [prompts[i] for i in chosen],
            max_new_tokens=24,
            stop_ids={0},
            temperature=temperature,
            top_p=top_p,
            seed=[seeds[i] for i in chosen],
            batch_rows=8,
        )

    everyone = run(list(range(21)))
    assert run(list(reversed(range(21)))) == everyone[::-1]
    for i in range(0, 21, 4):
        assert run([i]) == [everyone[i]]


@torch.no_grad()
def test_padding_and_neighbours_change_no_logit() -> None:
    decoder = model()
    long, short = some_prompts(1, 40)[0] + [5] * 20, [3, 1, 4, 1, 5]
    alone = decoder(torch.tensor([short]))
    padded_right = decoder(torch.tensor([short + [0] * (len(long) - 5), long]))[:1, :5]
    torch.testing.assert_close(padded_right, alone, atol=1e-5, rtol=0)
    filler = len(long) - 5
    padded_left = decoder(
        torch.tensor([[0] * filler + short, long]),
        torch.tensor([[0] * filler + list(range(5)), list(range(len(long)))]),
        torch.tensor([[0] * filler + [1] * 5, [1] * len(long)]),
    )[:1, filler:]
    torch.testing.assert_close(padded_left, alone, atol=1e-5, rtol=0)


def test_one_seed_gives_each_request_its_own_draws() -> None:
    decoder = model()
    same = [[1, 2, 3]] * 12
    answers = generate(decoder, same, max_new_tokens=16, stop_ids=set(), temperature=1.0, seed=9)
    assert len({tuple(answer) for answer in answers}) == 12
    again = generate(decoder, same, max_new_tokens=16, stop_ids=set(), temperature=1.0, seed=9)
    other = generate(decoder, same, max_new_tokens=16, stop_ids=set(), temperature=1.0, seed=10)
    assert again == answers != other


def test_sampled_tokens_follow_the_softmax_at_the_temperature() -> None:
    logits = torch.tensor([2.0, 1.0, 0.0, -1.0])
    uniform = (torch.arange(10_000, dtype=torch.float64) + 0.5) / 10_000
    drawn = choose(logits.expand(10_000, 4), uniform, 0.5, 1.0)
    share = torch.bincount(drawn, minlength=4) / 10_000
    torch.testing.assert_close(share, (logits / 0.5).softmax(0), atol=2e-4, rtol=0)


def test_top_p_keeps_the_fewest_tokens_that_reach_the_mass() -> None:
    logits = torch.tensor([0.1, 0.5, 0.15, 0.25]).log()
    uniform = (torch.arange(1000, dtype=torch.float64) + 0.5) / 1000
    drawn = choose(logits.expand(1000, 4), uniform, 1.0, 0.7)
    share = torch.bincount(drawn, minlength=4) / 1000
    torch.testing.assert_close(share, torch.tensor([0.0, 0.5 / 0.75, 0.0, 0.25 / 0.75]), atol=1.1e-3, rtol=0)


def test_top_p_zero_keeps_the_likeliest_token() -> None:
    logits = torch.tensor([[0.0, 2.0, 1.0]])
    drawn = [choose(logits, torch.tensor([u]).double(), 1.0, 0.0).item() for u in (0.0, 0.5, 0.999)]
    assert drawn == [1, 1, 1]


def test_the_largest_draw_never_takes_an_impossible_token() -> None:
    logits = torch.tensor([[1.0, 0.3, float("-inf")]])
    largest = torch.tensor([1.0 - 2.0**-53], dtype=torch.float64)
    assert choose(logits, largest, 1.0, 1.0).item() == 1


def test_a_row_ends_at_the_last_position_of_the_model() -> None:
    decoder = model(max_positions=40)
    prompts = [[1] * 30, [2] * 39]
    answers = generate(decoder, prompts, max_new_tokens=64, stop_ids=set(), batch_rows=2)
    assert [len(answer) for answer in answers] == [10, 1]
    assert answers[0] == full_forward(decoder, prompts[0], 10, set())


def test_a_bfloat16_model_generates() -> None:
    answers = generate(model().bfloat16(), some_prompts(3), max_new_tokens=4, stop_ids=set(), batch_rows=2)
    assert [len(answer) for answer in answers] == [4, 4, 4]


def test_no_prompts_give_no_answers() -> None:
    assert generate(model(), [], max_new_tokens=4, stop_ids=set()) == []


@pytest.mark.parametrize(
    ("prompts", "message"),
    [
        ([[1], []], "prompt 1 is empty; a base model's prompt begins with <|endoftext|>."),
        ([[1] * 256], "prompt 0 has 256 tokens and the model 256 positions; shorten it."),
    ],
)
def test_prompts_that_cannot_be_continued_are_refused(prompts: list[list[int]], message: str) -> None:
    with pytest.raises(UserError, match=message.replace("|", r"\|")):
        generate(model(), prompts, max_new_tokens=4, stop_ids=set())
