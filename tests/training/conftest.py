"""Tiny real parts: a decoder of some thousand parameters, shards of random tokens, plans over them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from bottega.data.encoded import Encoded
from bottega.data.packing import ConversationPlan, DocumentPlan
from bottega.data.shards import TokenShards, write_shards
from bottega.model.config import ModelConfig
from bottega.model.decoder import Decoder
from bottega.model.init import initialise

VOCAB = 96


def tiny_decoder(seed: int = 0, tie_embeddings: bool = True) -> Decoder:
    config = ModelConfig(
        vocab_size=VOCAB, hidden_size=32, intermediate_size=64, num_layers=2, num_heads=2, num_kv_heads=1,
        head_dim=16, max_positions=64, tie_embeddings=tie_embeddings,
    )  # fmt: skip
    return initialise(Decoder(config), seed)


def random_shards(folder: Path, *, masked: bool = False, documents: int = 200, seed: int = 0) -> TokenShards:
    rng = np.random.default_rng(seed)

    def examples() -> list[Encoded]:
        found = []
        for _ in range(documents):
            ids = rng.integers(0, VOCAB, int(rng.integers(4, 24))).tolist()
            weights = [float(i >= len(ids) // 2) for i in range(len(ids))] if masked else None
            found.append(Encoded(ids, weights, len(ids)))
        return found

    return write_shards(examples(), folder, vocab_size=VOCAB)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def documents(tmp_path: Path) -> DocumentPlan:
    return DocumentPlan([(random_shards(tmp_path / "shards"), 1.0)], context=32, batch_rows=4, seed=0)


@pytest.fixture
def conversations(tmp_path: Path) -> ConversationPlan:
    shards = random_shards(tmp_path / "masked", masked=True)
    return ConversationPlan([(shards, 1.0)], context=32, batch_rows=4, seed=0)
