"""Low-rank adapters (LoRA, 2106.09685): W x + (alpha / rank) B A x with W frozen. In and out in PEFT's
layout."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from bottega.errors import UserError
from bottega.model.decoder import Decoder
from bottega.model.folder import appearing_whole
from bottega.model.weights import check_names_and_shapes, opened

TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
_PEFT_PREFIX = "base_model.model."
# What PEFT can do beyond the plain update, and the value that means it does not.
_PLAIN = {
    "use_dora": False,
    "use_rslora": False,
    "use_qalora": False,
    "fan_in_fan_out": False,
    "bias": "none",
    "lora_bias": False,
    "rank_pattern": {},
    "alpha_pattern": {},
    "modules_to_save": None,
    "layers_to_transform": None,
    "layer_replication": None,
    "trainable_token_indices": None,
    "target_parameters": None,
}


@dataclass(frozen=True, slots=True)
class LoRAConfig:
    """What an adapter is made of."""

    rank: int = 8  # columns of B and rows of A
    alpha: float = 16.0  # the update is scaled by alpha / rank
    targets: tuple[str, ...] = TARGETS  # the linear layers that get one, by their last name

    def __post_init__(self) -> None:
        if self.rank < 1:
            raise UserError(f"LoRA: rank must be at least 1, not {self.rank}")
        if not self.targets:
            raise UserError(f"LoRA: no targets; choose among {', '.join(TARGETS)}")
        for target in self.targets:
            if target not in TARGETS:
                raise UserError(f"LoRA: unknown target {target!r}; known: {', '.join(TARGETS)}")


class LoRALinear(nn.Module):
    """A frozen linear layer and its low-rank update. B starts at zero, so the first output is the base's."""

    def __init__(self, base: nn.Linear, config: LoRAConfig, generator: torch.Generator) -> None:
        super().__init__()
        weight = base.weight
        self.base_layer = base
        self.scale = config.alpha / config.rank
        self.is_on = True
        # Uniform as torch's own linear layers, 2106.09685 leaves it open and PEFT does so.
        bound = base.in_features**-0.5
        a = torch.rand(config.rank, base.in_features, generator=generator) * 2 * bound - bound
        self.lora_A = nn.Parameter(a.to(weight))
        self.lora_B = nn.Parameter(weight.new_zeros(base.out_features, config.rank))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.base_layer(x)
        if not self.is_on:
            return out
        return out + F.linear(F.linear(x, self.lora_A), self.lora_B) * self.scale

    def merged_weight(self) -> Tensor:
        """The weight of one plain layer that computes the same."""
        return self.base_layer.weight + (self.lora_B @ self.lora_A) * self.scale


def add_lora(
    model: Decoder,
    rank: int = 8,
    alpha: float = 16.0,
    targets: Sequence[str] = TARGETS,
    *,
    seed: int = 0,
) -> Decoder:
    """Give every target layer of ``model`` an adapter, in place; only the adapters remain trainable."""
    config = LoRAConfig(rank, alpha, tuple(targets))
    if any(True for _ in _adapted(model)):
        raise UserError("the model has LoRA adapters already; merge or remove them first.")
    generator = torch.Generator().manual_seed(seed)
    model.requires_grad_(False)
    for name, module in list(model.named_modules()):
        if isinstance(module, nn.Linear) and name.rpartition(".")[2] in config.targets:
            _put(model, name, LoRALinear(module, config, generator))
    return model


@torch.no_grad()
def merge_lora(model: Decoder) -> Decoder:
    """Fold every adapter into its base weight, in place; the model is plain again and all of it trainable."""
    for name, layer in list(_adapted(model)):
        layer.base_layer.weight.copy_(layer.merged_weight())
        _put(model, name, layer.base_layer)
    return model.requires_grad_(True)


def remove_lora(model: Decoder) -> Decoder:
    """Take the adapters off, in place: the base is bitwise what it was, and all of it trainable."""
    for name, layer in list(_adapted(model)):
        _put(model, name, layer.base_layer)
    return model.requires_grad_(True)


@contextmanager
def without_lora(model: Decoder) -> Iterator[None]:
    """Inside, the model computes as if it had no adapters: bitwise what its base does."""
    layers = [layer for _, layer in _adapted(model)]
    for layer in layers:
        layer.is_on = False
    try:
        yield
    finally:
        for layer in layers:
            layer.is_on = True


def lora_config(model: Decoder) -> LoRAConfig | None:
    """What the model's adapters are made of; None where it has none."""
    layers = dict(_adapted(model))
    if not layers:
        return None
    first = next(iter(layers.values()))
    rank = first.lora_A.shape[0]
    names = {name.rpartition(".")[2] for name in layers}
    return LoRAConfig(rank, first.scale * rank, tuple(target for target in TARGETS if target in names))


def save_adapter(model: Decoder, folder: str | Path, *, base_model: str = "") -> Path:
    """Write the adapters as PEFT does; ``base_model`` is the path or hub id that PEFT will look for.

    The folder appears whole or not at all. Raises ``UserError`` where the model has no adapter or the disk is
    full.
    """
    config, folder = lora_config(model), Path(folder)
    if config is None:
        raise UserError("the model has no LoRA adapter to save.")
    raw = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base_model,
        "r": config.rank,
        "lora_alpha": config.alpha,
        "target_modules": list(config.targets),
        "lora_dropout": 0.0,
        "bias": "none",
        "fan_in_fan_out": False,
        "inference_mode": True,
        "init_lora_weights": True,
    }
    tensors = {
        f"{_PEFT_PREFIX}{name}.{side}.weight": getattr(layer, side).detach().cpu().contiguous()
        for name, layer in _adapted(model)
        for side in ("lora_A", "lora_B")
    }
    with appearing_whole(folder, replaces_one_with=CONFIG) as partial:
        (partial / CONFIG).write_text(json.dumps(raw, indent=2) + "\n", encoding="utf-8")
        save_file(tensors, partial / WEIGHTS, metadata={"format": "pt"})
    return folder


def load_adapter(model: Decoder, folder: str | Path) -> Decoder:
    """Put an adapter, ours or PEFT's, on ``model``, in place; only the adapter is trainable afterwards.

    Raises ``UserError`` where the folder holds no LoRA adapter, one of a kind that is not built here, or one
    that was made for another shape.
    """
    folder = Path(folder)
    config = _read_config(folder)
    if not (folder / WEIGHTS).is_file():
        raise UserError(
            f"{folder}: no {WEIGHTS}; a pickled adapter_model.bin is never loaded, for it can run code."
        )
    add_lora(model, config.rank, config.alpha, config.targets)
    wanted = {
        f"{_PEFT_PREFIX}{name}.{side}.weight": getattr(layer, side)
        for name, layer in _adapted(model)
        for side in ("lora_A", "lora_B")
    }
    try:
        with opened(folder / WEIGHTS) as file, torch.no_grad():
            found = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
            check_names_and_shapes({name: tuple(own.shape) for name, own in wanted.items()}, found, folder)
            for name, own in wanted.items():
                own.copy_(file.get_tensor(name))
    except BaseException:
        remove_lora(model)
        raise
    return model


def _read_config(folder: Path) -> LoRAConfig:
    path = folder / CONFIG
    if not path.is_file():
        raise UserError(f"{folder}: no {CONFIG}; is this an adapter folder?")
    try:
        raw: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        kind, targets = raw["peft_type"], raw["target_modules"]
        rank, alpha = int(raw["r"]), float(raw["lora_alpha"])
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: not an adapter's configuration ({error!r}); fetch it again.") from error
    if kind != "LORA":
        raise UserError(f"{path}: an adapter of kind {kind}; only LORA is supported.")
    for key, plain in _PLAIN.items():
        if raw.get(key) not in (None, False, plain, [], {}):
            raise UserError(f"{path}: {key} = {raw[key]!r} is not supported; export a plain LoRA adapter.")
    if not isinstance(targets, list):
        raise UserError(f"{path}: target_modules must be a list of layer names, found {targets!r}.")
    # PEFT may write each layer's whole path; that all layers are there is seen by the tensors' names.
    names = {str(target).rpartition(".")[2] for target in targets}
    known = tuple(target for target in TARGETS if target in names)
    return LoRAConfig(rank, alpha, known + tuple(sorted(names.difference(known))))


def _adapted(model: Decoder) -> Iterator[tuple[str, LoRALinear]]:
    for name, module in model.named_modules():
        if isinstance(module, LoRALinear):
            yield name, module


def _put(model: Decoder, name: str, layer: nn.Module) -> None:
    parent, _, leaf = name.rpartition(".")
    setattr(model.get_submodule(parent), leaf, layer)
