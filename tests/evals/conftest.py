from __future__ import annotations

import pytest

from bottega.data.tokenizer import Tokenizer
from bottega.model.config import ModelConfig
from bottega.model.decoder import Decoder
from bottega.model.init import initialise

TEXTS = [
    "The cat sat on the mat. The dog lay by the fire and the bird sang in the tree.",
    "2 + 2 = 4\nQ: What colour is the sky?\nA: blue.\n",
    "猫坐在垫子上，狗躺在火边，鸟在树上唱歌。",
] * 20


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    return Tokenizer.train(TEXTS, 320)


@pytest.fixture(scope="session")
def model(tokenizer: Tokenizer) -> Decoder:
    shape = ModelConfig(
        vocab_size=tokenizer.vocab_size,
        hidden_size=32,
        intermediate_size=64,
        num_layers=2,
        num_heads=2,
        num_kv_heads=1,
        head_dim=16,
        max_positions=256,
    )
    return initialise(Decoder(shape), seed=0, std=0.3)
