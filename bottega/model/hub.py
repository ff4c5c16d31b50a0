"""Models in and out in Hugging Face layout: a folder or a hub id in, a folder out. Safetensors, never
pickle."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from bottega.errors import UserError
from bottega.model.config import ModelConfig
from bottega.model.decoder import Backbone, Decoder
from bottega.model.folder import appearing_whole
from bottega.model.hf_config import SCORERS, config_from_hf, config_to_hf
from bottega.model.scorer import Scorer, put_parameters
from bottega.model.weights import WeightFiles, check_names_and_shapes, write_weights

if TYPE_CHECKING:
    from bottega.data.tokenizer import Tokenizer

HUB_ID = re.compile(r"[\w.-]+/[\w.-]+(@[\w./-]+)?")
HUB_FILES = ("*.safetensors", "*.safetensors.index.json", "*.json", "*.txt", "*.jinja", "*.model")
SHARD_BYTES = 5_000_000_000
TRAINED_WITH = ("offset.", "value.")  # heads that take part in training alone


def load_model(
    source: str | Path, *, dtype: torch.dtype | None = torch.float32, device: torch.device | str = "cpu"
) -> Decoder:
    """The model of a folder, or of a hub id such as ``Qwen/Qwen3-0.6B`` or ``Qwen/Qwen3-0.6B@<commit>``.

    ``dtype`` None keeps what the files hold. Needs memory for the weights once. Raises ``UserError`` for an
    unsupported architecture, pickled, truncated, missing or misshapen weights, and a tokenizer that does not
    fit.
    """
    folder = fetch(source)
    config = load_config(folder)
    with torch.device("meta"):
        model = Decoder(config)
    files = WeightFiles(folder)
    _fill(model, files, dtype, device, tied=config.tie_embeddings)
    if config.tie_embeddings and "lm_head.weight" in files.shapes:
        _check_tied(model, files, folder)
    return model.to(device)


def load_scorer(
    source: str | Path, *, dtype: torch.dtype | None = torch.float32, device: torch.device | str = "cpu"
) -> Scorer:
    """The reward model of a folder or a hub id: a ``...ForSequenceClassification`` of one label, its shift
    included. As :func:`load_model` in all else."""
    folder = fetch(source)
    config = load_config(folder, scorer=True)
    with torch.device("meta"):
        scorer = Scorer(config)
    _fill(scorer, WeightFiles(folder), dtype, device)
    scorer.shift = float(_read_json(folder / "config.json").get("reward_shift", 0.0))
    return scorer.to(device)


def load_config(folder: Path, *, scorer: bool = False) -> ModelConfig:
    """The shape of the model in a folder, from its ``config.json``."""
    path = folder / "config.json"
    if not path.is_file():
        raise UserError(f"{folder}: no config.json; is this a model folder?")
    return config_from_hf(_read_json(path), str(path), scorer=scorer)


def is_scorer(folder: Path) -> bool:
    """Whether a model folder holds a reward model."""
    path = folder / "config.json"
    named = _read_json(path).get("architectures") or [] if path.is_file() else []
    return any(name in SCORERS for name in named)


def _fill(
    model: Backbone,
    files: WeightFiles,
    dtype: torch.dtype | None,
    device: torch.device | str,
    *,
    tied: bool = False,
) -> None:
    """The weights of the files into a model on the meta device, names and shapes checked before."""
    _check_tokenizer_file(model.config, files.folder)
    expected = {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}
    found = {name: shape for name, shape in files.shapes.items() if not name.endswith("rotary_emb.inv_freq")}
    if tied:
        found.pop("lm_head.weight", None)
    check_names_and_shapes(expected, found, files.folder)
    put_parameters(model, {name: tensor.to(device) for name, tensor in files.tensors(expected, dtype)})


def save_model(
    model: Backbone,
    folder: str | Path,
    tokenizer: Tokenizer | None = None,
    *,
    dtype: torch.dtype | None = None,
    shard_bytes: int = SHARD_BYTES,
) -> Path:
    """Write a folder that :func:`load_model` and ``transformers.AutoModelForCausalLM`` load, or of a scorer
    :func:`load_scorer` and ``AutoModelForSequenceClassification``; return its path.

    It appears whole or not at all: everything is written beside it under a temporary name, flushed, and
    renamed. A model that stands there is replaced. ``dtype`` None keeps the parameters' own. Raises
    ``UserError`` where the disk is full, the folder holds something else, or the tokenizer does not fit.
    """
    folder = Path(folder)
    state = {name: p for name, p in model.named_parameters() if not name.startswith(TRAINED_WITH)}
    if any(".lora_" in name for name in state):
        raise UserError("the model has LoRA adapters: merge them before saving, or save the adapter alone.")
    if tokenizer is not None:
        check_tokenizer(model.config, tokenizer.vocab_size, "the tokenizer")
    with appearing_whole(folder, replaces_one_with="config.json") as partial:
        _write(model, state, partial, tokenizer, dtype, shard_bytes)
    return folder


def check_tokenizer(config: ModelConfig, vocab_size: int, what: str) -> None:
    """Raise ``UserError`` where a tokenizer has ids that the embedding has no row for."""
    if vocab_size > config.vocab_size:
        raise UserError(
            f"{what} has {vocab_size:,} ids (0 to {vocab_size - 1:,}) but the model's vocabulary ends at "
            f"{config.vocab_size:,}; use the tokenizer that the model was trained with."
        )


def fetch(source: str | Path) -> Path:
    """The local folder of a model: the one given, or the hub's snapshot, downloaded unless cached."""
    path = Path(source)
    if path.is_dir():
        return path
    if path.is_file():
        raise UserError(
            f"{path}: a file; give the folder that holds config.json and model.safetensors. A "
            "pickled file (.bin, .pt, .pth) is never loaded, for it can run code; convert it to safetensors."
        )
    if not HUB_ID.fullmatch(str(source)):
        raise UserError(f"{source}: no such folder, and not a hub id such as Qwen/Qwen3-0.6B.")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    name, _, revision = str(source).partition("@")
    try:
        snapshot = snapshot_download(name, revision=revision or None, allow_patterns=list(HUB_FILES))
    except (OSError, HfHubHTTPError, HFValidationError) as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"{source}: neither a folder here nor to be had from the hub ({reason[:200]}). "
            "Check the name and the network, or download the folder elsewhere and give its path."
        ) from error
    if not any(Path(snapshot).glob("*.safetensors")):
        raise UserError(
            f"{source}: the hub has no safetensors for it, only what must not be loaded; "
            "choose a repository or a revision with safetensors."
        )
    return Path(snapshot)


def _write(
    model: Backbone,
    state: dict[str, nn.Parameter],
    folder: Path,
    tokenizer: Tokenizer | None,
    dtype: torch.dtype | None,
    shard_bytes: int,
) -> None:
    stored = dtype or next(iter(state.values())).dtype
    scorer = model if isinstance(model, Scorer) else None
    raw: dict[str, Any] = config_to_hf(model.config, scorer=scorer is not None)
    raw["torch_dtype"] = str(stored).removeprefix("torch.")
    if scorer is not None:
        raw["reward_shift"] = scorer.shift
    generation: dict[str, Any] = {"do_sample": False}
    if tokenizer is not None:
        marks = {"bos_token_id": tokenizer.eot, "pad_token_id": tokenizer.pad}
        raw |= marks | {"eos_token_id": tokenizer.eot}
        # A chat model ends its turn with <|im_end|>, a base model its document with <|endoftext|>.
        ends = [token for token in (tokenizer.im_end, tokenizer.eot) if token is not None]
        generation |= marks | {"eos_token_id": ends}
        tokenizer.save(folder)
    _write_json(folder / "config.json", raw)
    if scorer is None:
        _write_json(folder / "generation_config.json", generation)
    write_weights(state, folder, dtype=dtype, shard_bytes=shard_bytes)


def _check_tokenizer_file(config: ModelConfig, folder: Path) -> None:
    path = folder / "tokenizer.json"
    if not path.is_file():
        return
    raw = _read_json(path)
    vocabulary = (raw.get("model") or {}).get("vocab") or {}
    # Unigram models list their pieces; BPE and WordPiece map each to its id.
    ids = list(vocabulary.values()) if isinstance(vocabulary, dict) else list(range(len(vocabulary)))
    ids += [token["id"] for token in raw.get("added_tokens") or []]
    check_tokenizer(config, max(ids, default=-1) + 1, str(path))


def _check_tied(model: Decoder, files: WeightFiles, folder: Path) -> None:
    """A file may hold the tied projection a second time; a different one would be silently lost."""
    embedding: Tensor = model.model.embed_tokens.weight
    ((_, head),) = files.tensors(["lm_head.weight"], embedding.dtype)
    if not torch.equal(head.to(embedding.device), embedding):
        raise UserError(
            f"{folder}: config.json says tie_word_embeddings but lm_head.weight differs from the embedding; "
            "one of the two is wrong: fetch or export the model again."
        )


def _read_json(path: Path) -> dict[str, Any]:
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: not JSON ({error}); the file is damaged: fetch it again.") from error
    if not isinstance(raw, dict):
        raise UserError(f"{path}: not a JSON object; the file is damaged: fetch it again.")
    return raw


def _write_json(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
