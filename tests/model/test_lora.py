"""LoRA: the base stays, the adapter alone learns, and PEFT reads and writes the same folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM

from bottega.errors import UserError
from bottega.model.config import ModelConfig
from bottega.model.decoder import Decoder
from bottega.model.hub import load_model, save_model
from bottega.model.init import initialise
from bottega.model.lora import (
    TARGETS,
    LoRAConfig,
    add_lora,
    load_adapter,
    lora_config,
    merge_lora,
    remove_lora,
    save_adapter,
)

CONFIG = ModelConfig(53, 32, 48, num_layers=2, num_heads=4, num_kv_heads=2, head_dim=8)
TOKENS = torch.arange(24).reshape(2, 12) % 53


def model() -> Decoder:
    return initialise(Decoder(CONFIG), seed=2, std=0.2)


def trained(decoder: Decoder, **lora: object) -> Decoder:
    add_lora(decoder, rank=4, alpha=12.0, seed=1, **lora)  # type: ignore[arg-type]
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for parameter in decoder.parameters():
            if parameter.requires_grad:
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.1)
    return decoder


def logits(decoder: Decoder) -> torch.Tensor:
    with torch.no_grad():
        return decoder.logits(decoder(TOKENS))


def test_a_fresh_adapter_changes_nothing_exactly() -> None:
    assert torch.equal(logits(add_lora(model())), logits(model()))


def test_only_the_adapters_of_the_chosen_layers_learn() -> None:
    decoder = add_lora(model(), targets=("q_proj", "down_proj"))
    before = {name: parameter.clone() for name, parameter in decoder.named_parameters()}
    optimizer = torch.optim.AdamW([p for p in decoder.parameters() if p.requires_grad], lr=0.1)
    for _ in range(2):
        decoder.logits(decoder(TOKENS)).square().mean().backward()
        optimizer.step()
    changed = {
        name for name, parameter in decoder.named_parameters() if not torch.equal(parameter, before[name])
    }
    layers = [f"model.layers.{i}.{part}" for i in (0, 1) for part in ("self_attn.q_proj", "mlp.down_proj")]
    assert changed == {f"{layer}.{side}" for layer in layers for side in ("lora_A", "lora_B")}


def test_merging_gives_a_plain_model_with_the_same_logits(tmp_path: Path) -> None:
    decoder = trained(model())
    expected = logits(decoder)
    merge_lora(decoder)
    assert lora_config(decoder) is None
    assert all(parameter.requires_grad for parameter in decoder.parameters())
    torch.testing.assert_close(logits(decoder), expected, atol=1e-5, rtol=0)
    save_model(decoder, tmp_path / "merged")
    assert torch.equal(logits(load_model(tmp_path / "merged")), logits(decoder))


def test_removing_the_adapter_leaves_the_base_bitwise() -> None:
    decoder = remove_lora(trained(model()))
    for (name, parameter), (base_name, base) in zip(
        decoder.named_parameters(), model().named_parameters(), strict=True
    ):
        assert name == base_name
        assert torch.equal(parameter, base)


@pytest.mark.parametrize("targets", [TARGETS, ("q_proj", "v_proj")])
def test_peft_loads_our_adapter_and_gives_the_same_logits(targets: tuple[str, ...], tmp_path: Path) -> None:
    save_model(model(), tmp_path / "base")
    ours = trained(model(), targets=targets)
    save_adapter(ours, tmp_path / "adapter", base_model=str(tmp_path / "base"))
    base = AutoModelForCausalLM.from_pretrained(tmp_path / "base", dtype=torch.float32)
    theirs = PeftModel.from_pretrained(base, tmp_path / "adapter").eval()
    with torch.no_grad():
        torch.testing.assert_close(theirs(TOKENS).logits, logits(ours), atol=1e-4, rtol=0)
    assert (logits(ours) - logits(model())).abs().max() > 0.1


@pytest.mark.parametrize("targets", [list(TARGETS), ["o_proj", "up_proj"], "all-linear"])
def test_our_loader_reads_pefts_adapter(targets: list[str] | str, tmp_path: Path) -> None:
    save_model(model(), tmp_path / "base")
    base = AutoModelForCausalLM.from_pretrained(tmp_path / "base", dtype=torch.float32)
    theirs = get_peft_model(
        base,
        LoraConfig(r=3, lora_alpha=5, target_modules=targets, init_lora_weights=False, task_type="CAUSAL_LM"),
    ).eval()
    theirs.save_pretrained(tmp_path / "adapter")
    ours = load_adapter(model(), tmp_path / "adapter")
    with torch.no_grad():
        torch.testing.assert_close(logits(ours), theirs(TOKENS).logits, atol=1e-4, rtol=0)
    assert (logits(ours) - logits(model())).abs().max() > 0.01


def test_an_adapter_travels_bitwise(tmp_path: Path) -> None:
    decoder = trained(model(), targets=("q_proj", "gate_proj"))
    save_adapter(decoder, tmp_path / "a")
    again = load_adapter(model(), tmp_path / "a")
    assert torch.equal(logits(again), logits(decoder))
    assert lora_config(again) == lora_config(decoder) == LoRAConfig(4, 12.0, ("q_proj", "gate_proj"))


def test_an_adapter_for_another_shape_is_refused_and_leaves_the_model_plain(tmp_path: Path) -> None:
    save_adapter(trained(model()), tmp_path / "a")
    wide = ModelConfig(53, 64, 48, num_layers=2, num_heads=4, num_kv_heads=2, head_dim=8)
    other = initialise(Decoder(wide), seed=0)
    with pytest.raises(UserError, match=r"misshapen: .*lora_A.weight is \[4, 32\], should be \[4, 64\]"):
        load_adapter(other, tmp_path / "a")
    assert lora_config(other) is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"peft_type": "IA3"}, "an adapter of kind IA3; only LORA is supported"),
        ({"use_dora": True}, "use_dora = True is not supported"),
        ({"rank_pattern": {"q_proj": 2}}, "rank_pattern = .* is not supported"),
        ({"bias": "all"}, "bias = 'all' is not supported"),
        ({"target_modules": ["lm_head"]}, "unknown target 'lm_head'"),
    ],
)
def test_adapters_that_are_not_plain_lora_are_refused(
    change: dict[str, object], message: str, tmp_path: Path
) -> None:
    path = save_adapter(trained(model()), tmp_path / "a") / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(UserError, match=message):
        load_adapter(model(), tmp_path / "a")


def test_a_model_with_adapters_is_not_saved_as_if_it_were_plain(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="merge them before saving, or save the adapter alone"):
        save_model(trained(model()), tmp_path / "m")
    with pytest.raises(UserError, match="has LoRA adapters already"):
        add_lora(trained(model()))
    with pytest.raises(UserError, match="no LoRA adapter to save"):
        save_adapter(model(), tmp_path / "a")
