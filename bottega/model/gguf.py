"""A model as one GGUF file, the format of llama.cpp: weights in bfloat16, tokenizer and chat template inside.

Names and meanings are those of llama.cpp's own converter for the same architectures.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bottega.errors import UserError
from bottega.model.config import ModelConfig
from bottega.model.hub import load_model

if TYPE_CHECKING:
    from bottega.data.tokenizer import Tokenizer

_NORMAL, _CONTROL, _UNUSED = 1, 3, 5  # llama.cpp's kinds of token
_TOKENIZER_MODEL, _TOKENIZER_SPLIT = "gpt2", "qwen2"  # byte-level BPE, split as Qwen2 does
_LAYER = {
    "input_layernorm.weight": "attn_norm.weight",
    "self_attn.q_proj.weight": "attn_q.weight",
    "self_attn.k_proj.weight": "attn_k.weight",
    "self_attn.v_proj.weight": "attn_v.weight",
    "self_attn.q_proj.bias": "attn_q.bias",
    "self_attn.k_proj.bias": "attn_k.bias",
    "self_attn.v_proj.bias": "attn_v.bias",
    "self_attn.o_proj.weight": "attn_output.weight",
    "self_attn.q_norm.weight": "attn_q_norm.weight",
    "self_attn.k_norm.weight": "attn_k_norm.weight",
    "post_attention_layernorm.weight": "ffn_norm.weight",
    "mlp.gate_proj.weight": "ffn_gate.weight",
    "mlp.up_proj.weight": "ffn_up.weight",
    "mlp.down_proj.weight": "ffn_down.weight",
}
_REST = {
    "model.embed_tokens.weight": "token_embd.weight",
    "model.norm.weight": "output_norm.weight",
    "lm_head.weight": "output.weight",
}


def write_gguf(folder: Path, out: Path, name: str) -> None:
    """Write the model of ``folder`` to the file ``out``, which appears whole or not at all.

    Raises ``UserError`` where the ``gguf`` package is missing, the model has what the format cannot say
    (scaled rotary positions, a qwen2 model of odd heads), or ``out`` exists or cannot be written.
    """
    try:
        import gguf
    except ImportError:
        raise UserError("writing GGUF needs the package gguf: pip install 'bottega[gguf]'") from None
    from bottega.data.tokenizer import Tokenizer

    if out.exists():
        raise UserError(f"{out}: exists already; choose another file.")
    model, tokenizer = load_model(folder), Tokenizer.load(folder)
    config = model.config
    if config.rope_scaling is not None:
        raise UserError(
            f"{folder}: scaled rotary positions ({config.rope_scaling.kind}) are not written to GGUF."
        )
    if config.family == "qwen2" and config.num_heads * config.head_dim != config.hidden_size:
        raise UserError(
            f"{folder}: llama.cpp reads a qwen2 model only where its heads are as wide as its layers."
        )
    partial = out.absolute().with_name(f".{out.name}.partial-{os.getpid()}")
    try:
        partial.parent.mkdir(parents=True, exist_ok=True)
        writer = gguf.GGUFWriter(partial, config.family)
        writer.add_name(name)
        _write_shape(writer, config)
        _write_tokenizer(writer, folder, tokenizer, config.vocab_size)
        for key, parameter in model.named_parameters():
            tensor = _rotated(key, parameter.detach(), config)
            _write_tensor(gguf, writer, _tensor_name(key), tensor)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        partial.replace(out)
    except OSError as error:
        raise UserError(f"{out}: could not be written ({error.strerror}); nothing was left there.") from error
    finally:
        partial.unlink(missing_ok=True)


def _write_shape(writer: Any, config: ModelConfig) -> None:
    writer.add_context_length(config.max_positions)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_heads)
    writer.add_head_count_kv(config.num_kv_heads)
    writer.add_key_length(config.head_dim)
    writer.add_value_length(config.head_dim)
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_rope_freq_base(config.rope_theta)
    writer.add_layer_norm_rms_eps(config.rms_eps)
    writer.add_vocab_size(config.vocab_size)


def _write_tokenizer(writer: Any, folder: Path, tokenizer: Tokenizer, vocab_size: int) -> None:
    described = json.loads((folder / "tokenizer.json").read_text("utf-8"))
    ids: dict[int, str] = {token: text for text, token in described["model"]["vocab"].items()}
    control = {entry["id"] for entry in described["added_tokens"]}
    ids |= {entry["id"]: entry["content"] for entry in described["added_tokens"]}
    merges = [pair if isinstance(pair, str) else " ".join(pair) for pair in described["model"]["merges"]]
    writer.add_tokenizer_model(_TOKENIZER_MODEL)
    writer.add_tokenizer_pre(_TOKENIZER_SPLIT)
    writer.add_token_list([ids.get(i, f"[PAD{i}]") for i in range(vocab_size)])
    writer.add_token_types(
        [_CONTROL if i in control else _NORMAL if i in ids else _UNUSED for i in range(vocab_size)]
    )
    writer.add_token_merges(merges)
    if tokenizer.eot is not None:
        writer.add_eos_token_id(tokenizer.eot)
    if tokenizer.im_end is not None:
        writer.add_eot_token_id(tokenizer.im_end)
    writer.add_add_bos_token(False)
    template = json.loads((folder / "tokenizer_config.json").read_text("utf-8")).get("chat_template")
    if isinstance(template, str):
        # These tags mark what is trained on; llama.cpp's templates do not know them.
        for tag in ("{%- generation -%}", "{%- endgeneration -%}"):
            template = template.replace(tag, "")
        writer.add_chat_template(template)


def _tensor_name(key: str) -> str:
    if key in _REST:
        return _REST[key]
    layer, _, rest = key.removeprefix("model.layers.").partition(".")
    return f"blk.{layer}.{_LAYER[rest]}"


def _rotated(key: str, tensor: Tensor, config: ModelConfig) -> Tensor:
    """Llama's queries and keys in the order of llama.cpp, whose rotary pairs are neighbours there."""
    if config.family != "llama" or not key.endswith(("q_proj.weight", "k_proj.weight")):
        return tensor
    heads = config.num_heads if key.endswith("q_proj.weight") else config.num_kv_heads
    halves = tensor.reshape(heads, 2, config.head_dim // 2, tensor.shape[1])
    return halves.transpose(1, 2).reshape(tensor.shape)


def _write_tensor(gguf: Any, writer: Any, name: str, tensor: Tensor) -> None:
    values: NDArray[np.float32] = tensor.to(torch.float32).contiguous().numpy()
    if tensor.ndim < 2:  # norms and biases stay as they are
        writer.add_tensor(name, values)
        return
    kind = gguf.GGMLQuantizationType.BF16
    writer.add_tensor(name, gguf.quants.quantize(values, kind), raw_dtype=kind)
