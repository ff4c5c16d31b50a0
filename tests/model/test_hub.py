"""Folders in and out: bitwise, atomic, and whatever is wrong with one is said."""

from __future__ import annotations

import json
import os
import pickle
import resource
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from bottega.data.tokenizer import Tokenizer
from bottega.errors import UserError
from bottega.model.config import Family, ModelConfig
from bottega.model.decoder import Decoder
from bottega.model.folder import _replace
from bottega.model.hub import load_model, save_model
from bottega.model.init import initialise


def model(family: Family = "qwen3", tied: bool = True, vocab_size: int = 300) -> Decoder:
    config = ModelConfig(
        vocab_size,
        32,
        48,
        num_layers=2,
        num_heads=4,
        num_kv_heads=2,
        head_dim=8,
        family=family,
        tie_embeddings=tied,
    )
    return initialise(Decoder(config), seed=2)


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.train(["the cat sat on the mat, then it sat. 猫坐在垫子上。"] * 50, vocab_size=290)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def edit_config(folder: Path, **changes: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shard_bytes", [5_000_000_000, 20_000], ids=["one file", "shards"])
@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
@pytest.mark.parametrize("family", ["llama", "qwen2", "qwen3"])
def test_saving_then_loading_is_bitwise(
    family: Family, tied: bool, shard_bytes: int, dtype: torch.dtype, tmp_path: Path
) -> None:
    ours = model(family, tied).to(dtype)
    save_model(ours, tmp_path / "m", shard_bytes=shard_bytes)
    again = load_model(tmp_path / "m", dtype=None)
    assert again.config == ours.config
    assert [name for name, _ in again.named_parameters()] == [name for name, _ in ours.named_parameters()]
    for one, other in zip(again.parameters(), ours.parameters(), strict=True):
        assert one.dtype == dtype
        assert one.requires_grad
        assert torch.equal(one, other)
    save_model(again, tmp_path / "twice", shard_bytes=shard_bytes)
    assert contents(tmp_path / "twice") == contents(tmp_path / "m")


def test_shards_stay_below_the_limit_and_the_index_names_every_tensor(tmp_path: Path) -> None:
    ours = model(tied=False)
    save_model(ours, tmp_path / "m", shard_bytes=45_000)
    shards = sorted((tmp_path / "m").glob("*.safetensors"))
    assert len(shards) > 2
    held = {name: path.name for path in shards for name in load_file(path)}
    assert all(sum(t.nbytes for t in load_file(path).values()) <= 45_000 for path in shards)
    index = json.loads((tmp_path / "m" / "model.safetensors.index.json").read_text())
    assert index["weight_map"] == held
    assert set(held) == {name for name, _ in ours.named_parameters()}


def test_weights_are_converted_to_the_dtype_asked_for(tmp_path: Path) -> None:
    ours = model()
    save_model(ours, tmp_path / "m", dtype=torch.bfloat16)
    loaded = load_model(tmp_path / "m")
    for one, other in zip(loaded.parameters(), ours.parameters(), strict=True):
        assert one.dtype == torch.float32
        assert torch.equal(one, other.bfloat16().float())


def test_rotary_angles_stay_float32_in_a_bfloat16_model(tmp_path: Path) -> None:
    save_model(model(), tmp_path / "m")
    for half in (model().bfloat16(), load_model(tmp_path / "m", dtype=torch.bfloat16)):
        for angles, exact in zip(
            half.model.rotary(torch.tensor([[12345]])),
            model().model.rotary(torch.tensor([[12345]])),
            strict=True,
        ):
            assert torch.equal(angles, exact)


def test_a_loaded_model_does_not_live_in_the_file(tmp_path: Path) -> None:
    save_model(model(), tmp_path / "m")
    loaded = load_model(tmp_path / "m")
    weights = tmp_path / "m" / "model.safetensors"
    with weights.open("r+b") as file:
        file.truncate(0)
    assert torch.equal(loaded.model.embed_tokens.weight, model().model.embed_tokens.weight)


def test_a_tied_file_may_hold_the_projection_twice_but_not_differently(tmp_path: Path) -> None:
    weights = save_model(model(), tmp_path / "m") / "model.safetensors"
    state = load_file(weights)
    state["lm_head.weight"] = state["model.embed_tokens.weight"].clone()
    state["model.layers.0.self_attn.rotary_emb.inv_freq"] = torch.ones(4)  # old Llama files carry it
    save_file(state, weights)
    assert torch.equal(load_model(tmp_path / "m").output_weight, model().output_weight)
    state["lm_head.weight"][0, 0] += 1
    save_file(state, weights)
    with pytest.raises(UserError, match="says tie_word_embeddings but lm_head"):
        load_model(tmp_path / "m")


def test_tokenizer_and_generation_settings_are_saved_beside_the_model(
    tmp_path: Path, tokenizer: Tokenizer
) -> None:
    save_model(model(), tmp_path / "m", tokenizer)
    assert Tokenizer.load(tmp_path / "m").digest == tokenizer.digest
    generation = json.loads((tmp_path / "m" / "generation_config.json").read_text())
    assert generation["eos_token_id"] == [tokenizer.im_end, tokenizer.eot]
    assert generation["pad_token_id"] == tokenizer.pad
    config = json.loads((tmp_path / "m" / "config.json").read_text())
    assert config["eos_token_id"] == config["bos_token_id"] == tokenizer.eot


def test_a_tokenizer_larger_than_the_vocabulary_is_refused(tmp_path: Path, tokenizer: Tokenizer) -> None:
    message = r"has 290 ids \(0 to 289\) but the model's vocabulary ends at 280"
    with pytest.raises(UserError, match=message):
        save_model(model(vocab_size=280), tmp_path / "m", tokenizer)
    assert list(tmp_path.iterdir()) == []
    save_model(model(vocab_size=280), tmp_path / "m")
    tokenizer.save(tmp_path / "m")
    with pytest.raises(UserError, match=message):
        load_model(tmp_path / "m")


@pytest.mark.parametrize("keep", [0, 4, 100, 0.5, 0.99])
def test_truncated_weights_are_refused(keep: float, tmp_path: Path) -> None:
    weights = save_model(model(), tmp_path / "m") / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[: int(keep if keep >= 1 else keep * len(whole))])
    with pytest.raises(UserError, match=r"model.safetensors: not a whole safetensors file .*fetch it again"):
        load_model(tmp_path / "m")


def test_a_corrupted_header_is_refused(tmp_path: Path) -> None:
    weights = save_model(model(), tmp_path / "m") / "model.safetensors"
    whole = bytearray(weights.read_bytes())
    whole[20:40] = b"\xff" * 20
    weights.write_bytes(whole)
    with pytest.raises(UserError, match="truncated or corrupted"):
        load_model(tmp_path / "m")


def test_missing_unexpected_and_misshapen_tensors_are_named(tmp_path: Path) -> None:
    weights = save_model(model(), tmp_path / "m") / "model.safetensors"
    state = load_file(weights)
    del state["model.norm.weight"]
    state["model.stranger"] = torch.ones(2)
    state["model.layers.1.mlp.up_proj.weight"] = torch.ones(3, 32)
    save_file(state, weights)
    with pytest.raises(UserError) as error:
        load_model(tmp_path / "m")
    assert "missing: model.norm.weight;" in str(error.value)
    assert "unexpected: model.stranger;" in str(error.value)
    assert "misshapen: model.layers.1.mlp.up_proj.weight is [3, 32], should be [48, 32]." in str(error.value)


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    folder = save_model(model(), tmp_path / "m", shard_bytes=20_000)
    next(folder.glob("model-00002-*")).unlink()
    with pytest.raises(UserError, match="the index names files that are missing: model-00002-of-"):
        load_model(folder)


def test_an_index_cannot_reach_outside_its_folder(tmp_path: Path) -> None:
    folder = save_model(model(), tmp_path / "m", shard_bytes=20_000)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": "../../secret"}}))
    with pytest.raises(UserError, match="names files outside the folder"):
        load_model(folder)


class Malicious:
    """Unpickling it would create a file."""

    def __init__(self, victim: Path) -> None:
        self.victim = victim

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.victim),)


@pytest.mark.parametrize(
    "name", ["pytorch_model.bin", "consolidated.00.pth", "model.pt", "model.safetensors"]
)
def test_a_pickle_never_runs(name: str, tmp_path: Path) -> None:
    folder, victim = save_model(model(), tmp_path / "m"), tmp_path / "victim"
    (folder / "model.safetensors").unlink()
    (folder / name).write_bytes(pickle.dumps(Malicious(victim)))
    refused = "not a whole safetensors file" if name.endswith("safetensors") else f"pickled .{name}.*Convert"
    with pytest.raises(UserError, match=refused):
        load_model(folder)
    with pytest.raises(UserError, match="give the folder"):
        load_model(folder / name)
    assert not victim.exists()
    pickle.loads((folder / name).read_bytes())  # the trap works, so the test can fail
    assert victim.exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"architectures": ["GPT2LMHeadModel"]},
            "not supported: GPT2LMHeadModel. Supported: LlamaForCausalLM, Qwen2",
        ),
        ({"hidden_act": "gelu"}, "hidden_act = 'gelu'"),
        ({"attention_bias": True}, "attention_bias = true in the qwen3 family"),
        (
            {"use_sliding_window": True, "sliding_window": 16, "max_window_layers": 1},
            "sliding-window attention",
        ),
        ({"layer_types": ["full_attention", "sliding_attention"]}, "sliding-window attention"),
        ({"quantization_config": {"bits": 4}}, "quantised"),
        (
            {"rope_parameters": {"rope_type": "dynamic", "factor": 2.0}},
            "'dynamic' is not supported .its angles",
        ),
        ({"rope_parameters": {"rope_type": "longrope"}}, "supported: linear, llama3, yarn"),
        ({"rope_parameters": {"rope_type": "linear"}}, "lacks its factor"),
        ({"hidden_size": None}, "hidden_size must be a whole number, found None"),
        ({"num_key_value_heads": 3}, "must be a multiple of num_kv_heads"),
    ],
)
def test_configurations_that_cannot_be_honoured_are_refused(
    change: dict[str, object], message: str, tmp_path: Path
) -> None:
    folder = save_model(model(), tmp_path / "m")
    edit_config(folder, **change)
    with pytest.raises(UserError, match=message):
        load_model(folder)


def test_a_window_that_is_switched_off_is_no_obstacle(tmp_path: Path) -> None:
    folder = save_model(model("qwen2"), tmp_path / "m")
    edit_config(folder, use_sliding_window=False, sliding_window=4096, max_window_layers=0)
    load_model(folder)


@pytest.mark.parametrize(
    ("source", "message"),
    [("no/such/folder/at-all", "no such folder, and not a hub id"), ("/absent", "no such folder")],
)
def test_what_is_neither_folder_nor_hub_id_is_said(source: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        load_model(source)


def test_an_unreachable_hub_is_said_with_what_to_do(tmp_path: Path) -> None:
    code = "from bottega.model.hub import load_model; load_model('Qwen/Qwen3-0.6B@main')"
    nowhere = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | nowhere, capture_output=True, text=True
    )
    assert "UserError: Qwen/Qwen3-0.6B@main: neither a folder here nor to be had from the hub" in done.stderr
    assert "download the folder elsewhere and give its path" in done.stderr


def test_saving_replaces_a_model_but_nothing_else(tmp_path: Path) -> None:
    save_model(model("llama"), tmp_path / "m")
    save_model(model("qwen2"), tmp_path / "m")
    assert load_model(tmp_path / "m").config.family == "qwen2"
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("years of work")
    with pytest.raises(UserError, match=r"thesis: exists and holds no config.json, so it is not replaced"):
        save_model(model(), tmp_path / "thesis")
    assert contents(tmp_path / "thesis") == {"chapter.txt": b"years of work"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m", "thesis"]


@pytest.mark.parametrize("standing", [False, True], ids=["new", "replacing"])
def test_a_full_disk_is_said_and_leaves_no_half_model(standing: bool, tmp_path: Path) -> None:
    folder = tmp_path / "m"
    if standing:
        save_model(model("llama"), folder)
    before = contents(folder) if standing else None

    def small_disk() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000))

    code = (
        "from bottega.model.config import ModelConfig; from bottega.model.decoder import Decoder\n"
        "from bottega.model.hub import save_model\n"
        "config = ModelConfig(300, 32, 48, num_layers=2, num_heads=4, num_kv_heads=2, head_dim=8)\n"
        f"save_model(Decoder(config), {str(folder)!r})"
    )
    done = subprocess.run([sys.executable, "-c", code], preexec_fn=small_disk, capture_output=True, text=True)
    assert "UserError" in done.stderr
    assert "could not be written" in done.stderr
    assert "make room or choose another folder" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == (["m"] if standing else [])
    if standing:
        assert contents(folder) == before


def test_a_model_that_cannot_be_replaced_stands_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    with pytest.raises(FileNotFoundError):
        _replace(tmp_path / "model", tmp_path / "gone")
    assert [p.name for p in tmp_path.rglob("*")] == ["model", "config.json"]
