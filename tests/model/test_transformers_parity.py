"""CORRECTNESS 6: our numbers are transformers' numbers, layer by layer, and folders travel both ways."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from transformers import AutoModelForCausalLM, LlamaConfig, Qwen2Config, Qwen3Config

from bottega.model.config import ModelConfig
from bottega.model.decoder import Decoder
from bottega.model.hub import load_model, save_model
from bottega.model.init import initialise

transformers.logging.set_verbosity_error()

CONFIGS = {"llama": LlamaConfig, "qwen2": Qwen2Config, "qwen3": Qwen3Config}
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16}
SCALINGS: dict[str, dict[str, Any] | None] = {
    "default": None,
    "linear": {"rope_type": "linear", "factor": 2.5},
    "llama3": {
        "rope_type": "llama3",
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 32,
    },
    "yarn": YARN,
    "yarn-betas": {**YARN, "beta_fast": 8.0, "beta_slow": 2.0, "attention_factor": 1.3},
    "yarn-untruncated-mscale": {**YARN, "truncate": False, "mscale": 1.2, "mscale_all_dim": 0.7},
}


def theirs(family: str, **changes: Any) -> Any:
    torch.manual_seed(5)
    shape: dict[str, Any] = {
        "vocab_size": 97, "hidden_size": 48, "intermediate_size": 80, "num_hidden_layers": 3,
        "num_attention_heads": 6, "num_key_value_heads": 2, "head_dim": 16, "max_position_embeddings": 64,
        "rope_theta": 500.0, "initializer_range": 0.2, "attn_implementation": "eager",
    }  # fmt: skip
    model = AutoModelForCausalLM.from_config(CONFIGS[family](**shape | changes)).eval()
    for (
        name,
        parameter,
    ) in model.named_parameters():  # norms and biases away from 1 and 0, or they prove nothing
        if parameter.ndim == 1:
            torch.nn.init.normal_(parameter, 1.0 if "norm" in name else 0.0, 0.3)
    return model


def tokens() -> torch.Tensor:
    return torch.randint(0, 97, (2, 40), generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def assert_same_numbers(ours: Decoder, peer: Any) -> None:
    layers: list[torch.Tensor] = []
    hooks = [
        layer.register_forward_hook(lambda module, args, out: layers.append(out))
        for layer in ours.model.layers
    ]
    hidden = ours(tokens())
    for hook in hooks:
        hook.remove()
    expected = peer(tokens(), output_hidden_states=True)
    # Theirs: the embedding, then each layer, the last one after the final norm.
    for got, want in zip([*layers[:-1], hidden], expected.hidden_states[1:], strict=True):
        torch.testing.assert_close(got, want, atol=1e-4, rtol=0)
    torch.testing.assert_close(ours.logits(hidden), expected.logits, atol=1e-4, rtol=0)


@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
@pytest.mark.parametrize("kv_heads", [6, 2, 1])
@pytest.mark.parametrize("family", CONFIGS)
def test_logits_equal_transformers_layer_by_layer(
    family: str, kv_heads: int, tied: bool, tmp_path: Path
) -> None:
    peer = theirs(family, num_key_value_heads=kv_heads, tie_word_embeddings=tied)
    peer.save_pretrained(tmp_path)
    assert_same_numbers(load_model(tmp_path), peer)


@pytest.mark.parametrize("scaling", SCALINGS)
@pytest.mark.parametrize("family", CONFIGS)
def test_rotary_scaling_equals_transformers(family: str, scaling: str, tmp_path: Path) -> None:
    peer = theirs(family, rope_scaling=SCALINGS[scaling] and dict(SCALINGS[scaling] or {}))
    peer.save_pretrained(tmp_path)
    assert_same_numbers(load_model(tmp_path), peer)


def test_scaling_changes_the_numbers(tmp_path: Path) -> None:
    """Guards the test above: a scaling that both sides ignored would pass it."""
    outputs = []
    for name, scaling in SCALINGS.items():
        theirs("llama", rope_scaling=scaling and dict(scaling)).save_pretrained(tmp_path / name)
        outputs.append(load_model(tmp_path / name)(tokens()))
    for i, one in enumerate(outputs):
        for other in outputs[:i]:
            assert (one - other).abs().max() > 1e-3


@pytest.mark.parametrize("scaling", SCALINGS)
def test_config_of_transformers_4_is_read_like_that_of_5(scaling: str, tmp_path: Path) -> None:
    theirs("qwen3", rope_scaling=SCALINGS[scaling] and dict(SCALINGS[scaling] or {})).save_pretrained(
        tmp_path
    )
    new = json.loads((tmp_path / "config.json").read_text())
    old = {key: value for key, value in new.items() if key not in ("rope_parameters", "layer_types")}
    parameters = dict(new["rope_parameters"])
    old["rope_theta"] = parameters.pop("rope_theta")
    old["rope_scaling"] = None if scaling == "default" else parameters
    assert ModelConfig.from_hf(old) == ModelConfig.from_hf(new)
    if old["rope_scaling"]:
        parameters["type"] = parameters.pop("rope_type")
        assert ModelConfig.from_hf(old) == ModelConfig.from_hf(new)


@pytest.mark.parametrize("scaling", SCALINGS)
@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
@pytest.mark.parametrize("family", CONFIGS)
def test_our_export_gives_the_same_logits_in_transformers(
    family: str, tied: bool, scaling: str, tmp_path: Path
) -> None:
    raw = theirs(family, tie_word_embeddings=tied, rope_scaling=SCALINGS[scaling]).config.to_dict()
    ours = initialise(
        Decoder(ModelConfig.from_hf({"architectures": None, **raw, "model_type": family})), seed=3
    )
    save_model(ours, tmp_path / "m", shard_bytes=20_000)
    peer = AutoModelForCausalLM.from_pretrained(
        tmp_path / "m", attn_implementation="eager", dtype=torch.float32
    )
    assert_same_numbers(ours, peer.eval())


def test_a_sharded_folder_of_transformers_loads(tmp_path: Path) -> None:
    peer = theirs("qwen3", tie_word_embeddings=False)
    peer.save_pretrained(tmp_path, max_shard_size="20KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 2
    assert_same_numbers(load_model(tmp_path), peer)
