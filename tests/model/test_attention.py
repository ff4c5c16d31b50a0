"""The CPU's mask of pairs and CUDA's block mask are one rule."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F
from torch.nn.attention.flex_attention import flex_attention

from bottega.model import attention
from bottega.model.attention import (
    PIECE,
    _attend_in_pieces,
    _block_mask,
    attend,
    attend_cache,
    cache_mask,
    document_mask,
)
from bottega.model.cache import KVCache
from bottega.model.config import ModelConfig
from bottega.model.decoder import Decoder
from bottega.model.init import initialise

SEGMENTS = torch.tensor([[1] * 70 + [2] * 90 + [3] * 40, [1] * 3 + [2] * 150 + [0] * 47])
BRANCHES = torch.tensor(
    [[0] * 30 + [1] * 40 + [0] * 90 + [0] * 5 + [1, 2] * 17 + [3], [0] * 140 + [1] * 13 + [0] * 47]
)
POSITIONS = torch.tensor([[*range(70), *range(90), *range(40)], [*range(3), *range(150), *range(47)]])


def test_a_token_sees_its_own_document_up_to_itself() -> None:
    mask = document_mask(torch.tensor([[1, 1, 2, 2, 0]]), torch.bfloat16)
    assert isinstance(mask, torch.Tensor)
    assert mask.dtype == torch.bfloat16
    assert mask[0, 0].exp().int().tolist() == [
        [1, 0, 0, 0, 0],
        [1, 1, 0, 0, 0],
        [0, 0, 1, 0, 0],
        [0, 0, 1, 1, 0],
        [0, 0, 0, 0, 1],
    ]


def test_a_token_sees_the_cache_up_to_its_own_position() -> None:
    mask = cache_mask(torch.tensor([[2], [0]]), extent=4)
    assert mask[:, 0, 0].int().tolist() == [[1, 1, 1, 0], [1, 0, 0, 0]]


def test_answers_see_their_prompt_and_not_each_other() -> None:
    mask = document_mask(
        torch.tensor([[1, 1, 1, 1, 1, 2]]), torch.float32, torch.tensor([[0, 0, 1, 1, 2, 0]])
    )
    assert isinstance(mask, torch.Tensor)
    assert mask[0, 0].exp().int().tolist() == [
        [1, 0, 0, 0, 0, 0],
        [1, 1, 0, 0, 0, 0],
        [1, 1, 1, 0, 0, 0],
        [1, 1, 1, 1, 0, 0],
        [1, 1, 0, 0, 1, 0],
        [0, 0, 0, 0, 0, 1],
    ]


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
def test_the_block_mask_gives_what_the_mask_of_pairs_gives() -> None:
    generator = torch.Generator().manual_seed(0)
    q = torch.randn(2, 4, 200, 16, generator=generator)
    k, v = (torch.randn(2, 2, 200, 16, generator=generator) for _ in range(2))
    for branches in (None, BRANCHES):
        blocks = flex_attention(q, k, v, block_mask=_block_mask(SEGMENTS, branches), enable_gqa=True)
        expected = attend(q, k, v, document_mask(SEGMENTS, q.dtype, branches))
        torch.testing.assert_close(blocks, expected, atol=1e-5, rtol=0)


def _packed(dtype: torch.dtype, kv_heads: int = 2) -> tuple[list[torch.Tensor], torch.Tensor]:
    """Queries, keys, values of two rows of 384 tokens, four documents in one of them, and their mask."""
    generator = torch.Generator().manual_seed(0)
    shapes = [(2, heads, 384, 16) for heads in (4, kv_heads, kv_heads)]
    segments = torch.tensor([[1] * 100 + [2] * 28 + [3] * 200 + [0] * 56, [1] * 384])
    mask = document_mask(segments, dtype)
    assert isinstance(mask, torch.Tensor)
    return [torch.randn(s, generator=generator).to(dtype).requires_grad_() for s in shapes], mask


@pytest.mark.parametrize("kv_heads", [4, 2])
def test_attention_in_pieces_and_its_gradients_are_attentions(kv_heads: int) -> None:
    found = []
    for way in (_attend_in_pieces, attend):
        inputs, mask = _packed(torch.float32, kv_heads)
        out = way(*inputs, mask)
        (out * torch.linspace(-1, 1, out.numel()).view_as(out)).sum().backward()
        found.append([out.detach(), *(x.grad for x in inputs)])
    for mine, expected in zip(*found, strict=True):
        torch.testing.assert_close(mine, expected, atol=2e-5, rtol=0)


def test_a_compiler_in_bfloat16_meets_attention_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    inputs, mask = _packed(torch.bfloat16)
    expected = attend(*inputs, mask)
    taken = []

    def counted(q: torch.Tensor, *rest: torch.Tensor) -> torch.Tensor:
        taken.append(q.shape)
        return _attend_in_pieces(q, *rest)

    monkeypatch.setattr(attention, "_attend_in_pieces", counted)
    compiled = torch.compile(attend, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(*inputs, mask), expected, atol=2e-2, rtol=2e-2)
    assert len(taken) == 1
    short = [x[:, :, :100] for x in inputs]  # less than two pieces
    assert torch.equal(
        torch.compile(attend, backend="aot_eager")(*short, mask[:, :, :100, :100]),
        attend(*short, mask[:, :, :100, :100]),
    )
    assert len(taken) == 1


@pytest.mark.parametrize("kv_heads", [4, 2])
def test_attention_over_the_cache_is_attention(kv_heads: int) -> None:
    generator = torch.Generator().manual_seed(0)
    q = torch.randn(3, 4, 5, 16, generator=generator)
    k, v = (torch.randn(3, kv_heads, 24, 16, generator=generator) for _ in range(2))
    mask = cache_mask(torch.tensor([[3, 4, 5, 6, 7], [0, 1, 2, 3, 4], [19, 20, 21, 22, 23]]), extent=24)
    torch.testing.assert_close(attend_cache(q, k, v, mask), attend(q, k, v, mask), atol=1e-6, rtol=0)


def test_in_float32_no_bit_of_a_row_depends_on_its_slot_or_its_neighbours() -> None:
    config = ModelConfig(61, 128, 192, num_layers=2, num_heads=4, num_kv_heads=4, head_dim=32)
    decoder = initialise(Decoder(config), seed=1)

    def last_hidden(tokens: torch.Tensor, extent: int) -> torch.Tensor:
        cache = KVCache(config, rows=32, capacity=256, dtype=torch.float32)
        cache.extent = extent
        positions = torch.arange(20).expand_as(tokens)
        decoder(tokens[:, :16], positions[:, :16], cache=cache)
        return [decoder(tokens[:, i : i + 1], positions[:, i : i + 1], cache=cache) for i in range(16, 20)][
            -1
        ]

    generator = torch.Generator().manual_seed(2)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with torch.inference_mode():
            tokens = torch.randint(0, 61, (32, 20), generator=generator)
            expected = last_hidden(tokens, extent=64)[3]
            for slot in (0, 15, 16, 31):
                others = torch.randint(0, 61, (32, 20), generator=generator)
                others[slot] = tokens[3]
                assert torch.equal(last_hidden(others, extent=192)[slot], expected)
    finally:
        torch.set_num_threads(threads)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
def test_packed_documents_on_cuda_give_the_cpus_numbers(compiled: bool) -> None:
    config = ModelConfig(61, 64, 96, num_layers=2, num_heads=4, num_kv_heads=2, head_dim=16)
    cpu, cuda = (initialise(Decoder(config), seed=1).to(device) for device in ("cpu", "cuda"))
    forward = torch.compile(cuda, fullgraph=True) if compiled else cuda
    tokens = torch.randint(0, 61, SEGMENTS.shape, generator=torch.Generator().manual_seed(2))
    expected = cpu(tokens, POSITIONS, SEGMENTS)
    got = forward(tokens.cuda(), POSITIONS.cuda(), SEGMENTS.cuda())
    torch.testing.assert_close(got.cpu(), expected, atol=1e-3, rtol=0)
    expected.square().sum().backward()
    got.square().sum().backward()
    for one, other in zip(cuda.parameters(), cpu.parameters(), strict=True):
        assert one.grad is not None
        torch.testing.assert_close(one.grad.cpu(), other.grad, atol=1e-2, rtol=1e-2)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.lists(st.integers(1, 200), min_size=0, max_size=8), min_size=1, max_size=3),
    st.sampled_from([64, 128, 300, 512]),
    st.integers(0, 3),
)
def test_no_pair_of_a_document_is_left_out_of_the_blocks(
    rows: list[list[int]], length: int, answers: int
) -> None:
    segments = torch.zeros(len(rows), length, dtype=torch.long)
    branches = torch.zeros_like(segments)
    for b, (row, documents) in enumerate(zip(segments, rows, strict=True)):
        start = 0
        for number, tokens in enumerate(documents, 1):
            row[start : start + tokens] = number
            for answer in range(answers if number % 2 else 0):
                begin = start + tokens * (answer + 1) // (answers + 1)
                branches[b, begin : start + tokens] = answer + 1
            start += tokens
    seen = document_mask(segments, torch.float32, branches)
    assert isinstance(seen, torch.Tensor)
    blocks = -(-length // PIECE)
    filler = blocks * PIECE - length
    pairs = F.pad(seen[:, 0] == 0, (0, filler, 0, filler)).view(len(rows), blocks, PIECE, blocks, PIECE)
    found = _block_mask(segments, branches)
    partial, whole = torch.zeros(2, len(rows), blocks, blocks, dtype=torch.bool)
    for mask, counts, numbers in (
        (partial, found.kv_num_blocks, found.kv_indices),
        (whole, found.full_kv_num_blocks, found.full_kv_indices),
    ):
        assert counts is not None and numbers is not None
        for b in range(len(rows)):
            for query in range(blocks):
                mask[b, query, numbers[b, 0, query, : counts[b, 0, query]].long()] = True
    assert not (partial & whole).any()
    assert (pairs.any(4).any(2) <= (partial | whole)).all()
    assert (whole <= pairs.all(4).all(2)).all()
