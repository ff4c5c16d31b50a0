"""The decoder by itself: packing, compilation, recomputation, counts, first weights."""

from __future__ import annotations

import copy

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from bottega.errors import UserError
from bottega.model.cache import KVCache
from bottega.model.config import FAMILIES, PRESETS, Family, ModelConfig, RopeScaling, preset
from bottega.model.decoder import Decoder
from bottega.model.init import initialise


def config(family: Family = "qwen3", **changes: object) -> ModelConfig:
    shape: dict[str, object] = {
        "vocab_size": 61, "hidden_size": 32, "intermediate_size": 48, "num_layers": 2, "num_heads": 4,
        "num_kv_heads": 2, "head_dim": 8, "max_positions": 64, "family": family,
    }  # fmt: skip
    return ModelConfig(**shape | changes)  # type: ignore[arg-type]


def model(family: Family = "qwen3", **changes: object) -> Decoder:
    return initialise(Decoder(config(family, **changes)), seed=1, std=0.3)


def packed(lengths: list[int], padding: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Tokens, positions and segments [1, S] of documents in one row, with padding (segment 0) behind them."""
    tokens = torch.randint(0, 61, (1, sum(lengths) + padding), generator=torch.Generator().manual_seed(3))
    positions = torch.cat([torch.arange(n) for n in [*lengths, padding]])[None]
    segments = torch.cat(
        [torch.full((n,), i) for i, n in enumerate(lengths, 1)] + [torch.zeros(padding).long()]
    )
    return tokens, positions, segments[None]


@pytest.mark.parametrize("family", FAMILIES)
def test_packed_documents_do_not_see_each_other(family: Family) -> None:
    decoder, lengths = model(family), [5, 1, 17, 9]
    tokens, positions, segments = packed(lengths, padding=4)
    with torch.no_grad():
        row = decoder.logits(decoder(tokens, positions, segments))
        start = 0
        for length in lengths:
            alone = decoder.logits(decoder(tokens[:, start : start + length]))
            torch.testing.assert_close(row[:, start : start + length], alone, atol=1e-5, rtol=0)
            start += length
        unmasked = decoder.logits(decoder(tokens, positions))
    assert (unmasked - row)[:, 5:-4].abs().max() > 0.1  # without the mask they would see each other
    assert row.isfinite().all()


def test_gradients_of_a_packed_row_are_the_sum_of_its_documents() -> None:
    together, apart = model(), model()
    tokens, positions, segments = packed([5, 1, 17], padding=4)
    together.logits(together(tokens, positions, segments))[:, :-4].square().sum().backward()
    for start, stop in ((0, 5), (5, 6), (6, 23)):
        apart.logits(apart(tokens[:, start:stop])).square().sum().backward()
    for one, other in zip(together.parameters(), apart.parameters(), strict=True):
        assert one.grad is not None
        torch.testing.assert_close(one.grad, other.grad, atol=1e-3, rtol=1e-4)


def test_a_later_token_changes_no_earlier_one() -> None:
    decoder, tokens = model(), torch.randint(0, 61, (1, 20))
    changed = tokens.clone()
    changed[0, 12:] = (changed[0, 12:] + 1) % 61
    with torch.no_grad():
        assert torch.equal(decoder(tokens)[:, :12], decoder(changed)[:, :12])


@pytest.mark.parametrize("packing", [False, True], ids=["plain", "packed"])
def test_compiles_without_a_graph_break_and_computes_the_same(packing: bool) -> None:
    decoder = model()
    tokens, positions, segments = packed([12, 20], padding=0)
    compiled = torch.compile(copy.deepcopy(decoder), fullgraph=True, backend="aot_eager")
    arguments = (tokens, positions, segments if packing else None)
    decoder(*arguments).square().sum().backward()
    compiled(*arguments).square().sum().backward()
    torch.testing.assert_close(compiled(*arguments), decoder(*arguments))
    for one, other in zip(compiled.parameters(), decoder.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, atol=1e-4, rtol=1e-4)


def test_layers_compiled_for_training_are_not_compiled_anew_for_decoding() -> None:
    decoder, graphs = model(), []

    def count(graph: torch.fx.GraphModule, inputs: list[torch.Tensor]) -> torch.fx.GraphModule:
        graphs.append(graph)
        return graph

    for layer in decoder.model.layers:
        layer.compile(backend=count, dynamic=False)
    decoder(torch.zeros(2, 8, dtype=torch.long))
    for_training = len(graphs)
    cache = KVCache(decoder.config, 2, 16, dtype=torch.float32)
    with torch.no_grad():
        for position in range(4):
            decoder(torch.zeros(2, 1, dtype=torch.long), torch.full((2, 1), position), cache=cache)
    assert len(graphs) == for_training > 0


@pytest.mark.parametrize("chunk", [1, 3, 8, 20])
def test_reading_in_chunks_through_the_cache_equals_reading_at_once(chunk: int) -> None:
    decoder = model()
    tokens = torch.randint(0, 61, (3, 20), generator=torch.Generator().manual_seed(5))
    cache = KVCache(decoder.config, rows=3, capacity=32, dtype=torch.float32)
    with torch.no_grad():
        parts = []
        for start in range(0, 20, chunk):
            piece = tokens[:, start : start + chunk]
            cache.extent = start + piece.shape[1]
            parts.append(decoder(piece, torch.arange(start, cache.extent).expand_as(piece), cache=cache))
        torch.testing.assert_close(torch.cat(parts, dim=1), decoder(tokens), atol=1e-5, rtol=0)


def test_recomputing_activations_changes_no_gradient() -> None:
    plain, recomputing = model(), Decoder(config(), checkpoint_activations=True)
    recomputing.load_state_dict(plain.state_dict())
    tokens, positions, segments = packed([12, 20], padding=0)
    for decoder in (plain, recomputing):
        decoder(tokens, positions, segments).square().sum().backward()
    for one, other in zip(recomputing.parameters(), plain.parameters(), strict=True):
        assert torch.equal(one.grad, other.grad)  # type: ignore[arg-type]


@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
@pytest.mark.parametrize("family", FAMILIES)
def test_the_parameter_count_is_what_the_module_holds(family: Family, tied: bool) -> None:
    shape = config(family, tie_embeddings=tied)
    assert shape.num_parameters() == sum(p.numel() for p in Decoder(shape).parameters())


def test_presets_have_the_size_of_their_name() -> None:
    assert {name: round(shape.num_parameters() / 1e6, 1) for name, shape in PRESETS.items()} == {
        "13.8M": 13.8,
        "124M": 123.6,
        "350M": 353.9,
    }
    with torch.device("meta"):
        for shape in PRESETS.values():
            assert sum(p.numel() for p in Decoder(shape).parameters()) == shape.num_parameters()


@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
def test_flops_are_those_of_the_matrix_products(tied: bool) -> None:
    """Equal to torch's own counter, which has no norms and counts the whole square of attention, not half."""
    shape, S = config("llama", tie_embeddings=tied), 32
    decoder = initialise(Decoder(shape), seed=0)
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        decoder.logits(decoder(torch.zeros(1, S, dtype=torch.long))).sum().backward()
    norms = 6 * shape.hidden_size * (2 * shape.num_layers + 1)
    other_half = 6 * shape.num_layers * shape.num_heads * shape.head_dim * S
    assert counter.get_total_flops() == S * (shape.flops_per_token(S) - norms + other_half)


def test_first_weights_are_a_function_of_the_seed() -> None:
    one, same, other = (initialise(Decoder(config()), seed) for seed in (1, 1, 2))
    for a, b in zip(one.parameters(), same.parameters(), strict=True):
        assert torch.equal(a, b)
    assert not torch.equal(one.model.embed_tokens.weight, other.model.embed_tokens.weight)
    assert one.model.layers[0].mlp.up_proj.weight.std().item() == pytest.approx(0.02, rel=0.1)
    assert one.model.layers[0].mlp.down_proj.weight.std().item() == pytest.approx(0.01, rel=0.1)


def test_first_weights_of_a_half_precision_model_are_those_of_the_full_one_rounded() -> None:
    full, half = initialise(Decoder(config()), 1), initialise(Decoder(config()).bfloat16(), 1)
    for a, b in zip(full.parameters(), half.parameters(), strict=True):
        assert torch.equal(a.bfloat16(), b)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"family": "mistral"}, "unknown model family 'mistral'; known: llama, qwen2, qwen3"),
        ({"num_kv_heads": 3}, r"num_heads \(4\) must be a multiple of num_kv_heads \(3\)"),
        ({"head_dim": 7}, "head_dim must be even"),
        ({"num_layers": 0}, "num_layers must be at least 1, not 0"),
        ({"rms_eps": 0.0}, "must be positive"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        config(**change)  # type: ignore[arg-type]


def test_scalings_that_make_no_sense_are_refused() -> None:
    with pytest.raises(UserError, match=r"factor must be at least 1, not 0\.5"):
        RopeScaling("linear", 0.5)
    with pytest.raises(UserError, match="'yarn' needs original_max_positions"):
        RopeScaling("yarn", 2.0)
    with pytest.raises(UserError, match=r"unknown model shape '14M'; known: 13\.8M"):
        preset("14M")
