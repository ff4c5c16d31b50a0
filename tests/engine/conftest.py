"""A tiny model with a tokenizer, and what it says by the slowest way there is."""

from __future__ import annotations

import random

import pytest
import torch

from bottega.data.tokenizer import Tokenizer
from bottega.model.config import ModelConfig
from bottega.model.decoder import Decoder
from bottega.model.init import initialise

VOCAB_SIZE = 290


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    # So few merges that most characters beyond ASCII take several tokens.
    return Tokenizer.train(
        ["the cat sat on the mat, then it sat. 猫坐在垫子上。"] * 50, vocab_size=VOCAB_SIZE
    )


@pytest.fixture(scope="session")
def model() -> Decoder:
    return tiny_model()


def tiny_model(seed: int = 1, **changes: int) -> Decoder:
    shape: dict[str, int] = {"max_positions": 256, "num_kv_heads": 2, "head_dim": 8, **changes}
    config = ModelConfig(VOCAB_SIZE, 32, 48, num_layers=2, num_heads=4, **shape)  # type: ignore[arg-type]
    return initialise(Decoder(config), seed=seed, std=0.5).eval()


def some_prompts(n: int, longest: int = 50, seed: int = 4) -> list[list[int]]:
    draw = random.Random(seed)
    return [[draw.randrange(1, VOCAB_SIZE) for _ in range(draw.randint(1, longest))] for _ in range(n)]


@torch.no_grad()
def next_logits(model: Decoder, ids: list[int]) -> torch.Tensor:
    """Logits [V] after ``ids``, from the whole sequence anew: no cache, no batch."""
    return model.logits(model(torch.tensor([ids]))[0, -1])


def slow_greedy(model: Decoder, prompt: list[int], steps: int, stop: set[int]) -> list[int]:
    """The likeliest continuation, without the stop that ends it."""
    ids = list(prompt)
    for _ in range(steps):
        token = int(next_logits(model, ids).argmax())
        if token in stop:
            break
        ids.append(token)
    return ids[len(prompt) :]
