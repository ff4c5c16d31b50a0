"""Greedy text in float32 is that of transformers' generate, for models in both families' layouts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from bottega.engine.local import LocalEngine
from bottega.engine.requests import Request
from bottega.model.hub import load_model

LENGTHS = (1, 5, 17, 40, 64, 65, 100, 130)
PER_LENGTH, NEW = 25, 24
NEAR = 1e-4  # where the two best logits are this close, either token will do


def peer(family: str) -> Any:
    import transformers

    torch.manual_seed(5)
    shape = {
        "vocab_size": 512,
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "max_position_embeddings": 256,
        "initializer_range": 0.3,
    }
    config, model = {
        "llama": (transformers.LlamaConfig, transformers.LlamaForCausalLM),
        "qwen3": (transformers.Qwen3Config, transformers.Qwen3ForCausalLM),
    }[family]
    built = model(config(**shape, tie_word_embeddings=family == "qwen3")).eval()
    built.generation_config.eos_token_id = None
    return built


@pytest.mark.parametrize("family", ["llama", "qwen3"])
@torch.inference_mode()
def test_greedy_text_of_200_prompts_is_that_of_transformers(family: str, tmp_path: Path) -> None:
    theirs = peer(family)
    theirs.save_pretrained(tmp_path)
    model = load_model(tmp_path).eval()
    generator = torch.Generator().manual_seed(0)
    prompts = [torch.randint(0, 512, (PER_LENGTH, length), generator=generator) for length in LENGTHS]
    expected = [
        row[length:].tolist()
        for block, length in zip(prompts, LENGTHS, strict=True)
        for row in theirs.generate(
            block,
            attention_mask=torch.ones_like(block),
            max_new_tokens=NEW,
            do_sample=False,
            pad_token_id=0,
        )
    ]
    asked = [row.tolist() for block in prompts for row in block]
    with LocalEngine(model, slots=16) as engine:
        answers = engine.generate([Request(ids, NEW, detokenise=False) for ids in asked])
    found = [list(answer.tokens) for (answer,) in answers]
    assert len(found) == len(expected) == 200
    different = [i for i in range(200) if found[i] != expected[i]]
    for i in different:
        at = next(step for step in range(NEW) if found[i][step] != expected[i][step])
        logits = theirs(torch.tensor([asked[i] + expected[i][:at]])).logits[0, -1]
        best = logits.topk(2).values
        assert float(best[0] - best[1]) < NEAR, (i, at)
    assert len(different) <= 4
    assert len({tuple(tokens) for tokens in found}) > 100  # the models say more than one thing
