"""What compiling a model asks of the compiler."""

from __future__ import annotations

from torch._dynamo import config

from bottega.model.config import ModelConfig
from bottega.model.decoder import Decoder
from bottega.training.compilation import MOST_VARIANTS, compile_model, is_compiled, restore_plain


def test_the_shapes_of_several_networks_fit_into_what_torch_keeps() -> None:
    """PPO has four networks of one shape, three kinds of batches, and passes with and without gradients: past
    torch's own limit of eight a layer is no longer compiled, with a warning in the middle of a run."""
    shape = ModelConfig(64, 16, 32, num_layers=1, num_heads=2, num_kv_heads=2, head_dim=8, max_positions=16)
    model = Decoder(shape)
    with config.patch(recompile_limit=8):
        compile_model(model)
        assert is_compiled(model) and config.recompile_limit == MOST_VARIANTS > 8
    restore_plain(model)
    assert not is_compiled(model)
