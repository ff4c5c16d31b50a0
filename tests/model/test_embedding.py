from __future__ import annotations

import pytest
import torch

from bottega.model.embedding import Embedding


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_frequent_tokens_gradient_counts_every_occurrence(dtype: torch.dtype) -> None:
    embedding = Embedding(4, 2, dtype=dtype)
    tokens = torch.zeros(1, 4096, dtype=torch.long)
    tokens[0, 0] = 3
    embedding(tokens).sum().backward()
    assert embedding.weight.grad is not None
    assert embedding.weight.grad.dtype == dtype
    expected = torch.tensor([4095.0, 0.0, 0.0, 1.0]).to(dtype)[:, None].expand(4, 2)
    assert torch.equal(embedding.weight.grad, expected)
