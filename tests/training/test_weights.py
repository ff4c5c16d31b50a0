from __future__ import annotations

import pytest
import torch

from bottega.model.config import FAMILIES, Family, ModelConfig
from bottega.model.decoder import Decoder
from bottega.model.init import initialise
from bottega.training.distributed import ALONE
from bottega.training.weights import MasterWeights


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_computes_in_bfloat16_and_gives_its_masters_float32_gradients(family: Family) -> None:
    config = ModelConfig(
        vocab_size=32, hidden_size=16, intermediate_size=32, num_layers=1, num_heads=2, num_kv_heads=1,
        head_dim=8, family=family,
    )  # fmt: skip
    weights = MasterWeights(initialise(Decoder(config), 0), torch.bfloat16, ALONE)
    hidden = weights.model(torch.arange(6)[None])
    assert hidden.dtype == torch.bfloat16
    hidden.float().square().sum().backward()
    grads = weights.collect_grads()
    assert len(grads) == len(weights.masters)
    assert {g.dtype for g in grads} == {torch.float32}
