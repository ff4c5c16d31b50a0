"""One file for llama.cpp: its names, its tokens, the weights in bfloat16; and the same logits from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bottega.data.tokenizer import Tokenizer
from bottega.errors import UserError
from bottega.model.config import FAMILIES, Family, ModelConfig, RopeScaling
from bottega.model.decoder import Decoder
from bottega.model.gguf import write_gguf
from bottega.model.hub import load_model, save_model
from bottega.model.init import initialise

gguf = pytest.importorskip("gguf")
TEXT = ["The cat sat on the mat, and the dog lay by the fire.", "猫坐在垫子上。"] * 30


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.train(TEXT, 300)


def folder_of(family: Family, tokenizer: Tokenizer, place: Path, **changes: Any) -> Path:
    config = ModelConfig(
        vocab_size=tokenizer.vocab_size + 3,
        hidden_size=64,
        intermediate_size=96,
        num_layers=2,
        num_heads=4,
        num_kv_heads=2,
        **{"head_dim": 16 if family == "qwen2" else 32, "max_positions": 128, **changes},
        family=family,
    )
    model = initialise(Decoder(config), seed=2, std=0.1)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter += 0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1))
    save_model(model, place, tokenizer)
    return place


def read(file: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    reader = gguf.GGUFReader(file)
    fields = {name: field.contents() for name, field in reader.fields.items()}
    tensors = {t.name: gguf.quants.dequantize(t.data, t.tensor_type) for t in reader.tensors}
    return fields, tensors


@pytest.mark.parametrize("family", FAMILIES)
def test_the_file_holds_shape_tokens_and_weights(
    family: Family, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    folder = folder_of(family, tokenizer, tmp_path / "model", tie_embeddings=family != "llama")
    write_gguf(folder, tmp_path / "m.gguf", "a-name")
    fields, tensors = read(tmp_path / "m.gguf")
    model = load_model(folder)
    assert fields["general.architecture"] == family
    assert fields["general.name"] == "a-name"
    for key, value in {
        "block_count": 2,
        "embedding_length": 64,
        "feed_forward_length": 96,
        "attention.head_count": 4,
        "attention.head_count_kv": 2,
        "attention.key_length": 16 if family == "qwen2" else 32,
        "context_length": 128,
    }.items():
        assert fields[f"{family}.{key}"] == value
    assert fields["tokenizer.ggml.pre"] == "qwen2"
    assert (
        len(fields["tokenizer.ggml.tokens"])
        == len(fields["tokenizer.ggml.token_type"])
        == model.config.vocab_size
    )
    assert fields["tokenizer.ggml.eos_token_id"] == tokenizer.eot
    assert "{%- generation" not in fields["tokenizer.chat_template"]
    assert len(tensors) == len(list(model.parameters()))
    expected = model.model.layers[1].mlp.gate_proj.weight.detach().bfloat16().float().numpy()  # type: ignore[union-attr, operator]
    np.testing.assert_array_equal(tensors["blk.1.ffn_gate.weight"], expected)
    np.testing.assert_array_equal(tensors["output_norm.weight"], model.model.norm.weight.detach().numpy())
    assert ("output.weight" in tensors) == (family == "llama")


def test_what_the_format_cannot_say_is_refused(tokenizer: Tokenizer, tmp_path: Path) -> None:
    folder = folder_of("llama", tokenizer, tmp_path / "model", rope_scaling=RopeScaling("linear", 2.0))
    with pytest.raises(UserError, match=r"scaled rotary positions \(linear\)"):
        write_gguf(folder, tmp_path / "m.gguf", "x")
    assert not list(tmp_path.glob("*gguf*"))
    odd = folder_of("qwen2", tokenizer, tmp_path / "odd", head_dim=32)
    with pytest.raises(UserError, match="heads are as wide as its layers"):
        write_gguf(odd, tmp_path / "m.gguf", "x")
    (tmp_path / "there.gguf").write_text("")
    with pytest.raises(UserError, match="exists already"):
        write_gguf(folder, tmp_path / "there.gguf", "x")


@pytest.mark.parametrize("family", FAMILIES)
def test_llama_cpp_gives_the_same_logits(family: Family, tokenizer: Tokenizer, tmp_path: Path) -> None:
    llama_cpp = pytest.importorskip(
        "llama_cpp", reason="llama-cpp-python is built by hand where it is wanted"
    )
    folder = folder_of(family, tokenizer, tmp_path / "model")
    write_gguf(folder, tmp_path / "m.gguf", "x")
    text = "The dog sat on the 猫"
    ids = tokenizer.encode(text)
    theirs = llama_cpp.Llama(str(tmp_path / "m.gguf"), n_ctx=64, logits_all=True, verbose=False)
    assert theirs.tokenize(text.encode(), add_bos=False, special=False) == ids
    theirs.eval(ids)
    model = load_model(folder)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.copy_(parameter.bfloat16())
        ours = model.logits(model(torch.tensor([ids]))[0])
    np.testing.assert_allclose(theirs.scores[: len(ids)], ours.numpy(), atol=0.05)
