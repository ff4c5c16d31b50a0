"""``config.json`` to :class:`ModelConfig` and back, in the spellings of transformers 4 and 5.

What a configuration says and this decoder does not do is refused by name: a model that loads computes what
was meant.
"""

from __future__ import annotations

from typing import Any

from bottega.errors import UserError
from bottega.model.config import Family, ModelConfig, RopeScaling

ARCHITECTURES: dict[str, Family] = {
    "LlamaForCausalLM": "llama",
    "Qwen2ForCausalLM": "qwen2",
    "Qwen3ForCausalLM": "qwen3",
}
SCORERS: dict[str, Family] = {
    "LlamaForSequenceClassification": "llama",
    "Qwen2ForSequenceClassification": "qwen2",
    "Qwen3ForSequenceClassification": "qwen3",
}
# What transformers assumes where a file is silent.
_DEFAULT_POSITIONS: dict[Family, int] = {"llama": 2048, "qwen2": 32768, "qwen3": 32768}
_DEFAULT_HEAD_DIM: dict[Family, int | None] = {"llama": None, "qwen2": None, "qwen3": 128}


def config_from_hf(raw: dict[str, Any], where: str = "config.json", *, scorer: bool = False) -> ModelConfig:
    """The shape that a Hugging Face configuration describes: of a language model, or of a ``scorer``. Raises
    ``UserError`` naming what is not built."""
    family = _family(raw, where, scorer)
    _refuse_what_is_not_built(raw, family, where)
    hidden = _integer(raw, "hidden_size", where)
    heads = _integer(raw, "num_attention_heads", where)
    positions = raw.get("max_position_embeddings") or _DEFAULT_POSITIONS[family]
    theta, scaling = _rope(raw, positions, where)
    return ModelConfig(
        vocab_size=_integer(raw, "vocab_size", where),
        hidden_size=hidden,
        intermediate_size=_integer(raw, "intermediate_size", where),
        num_layers=_integer(raw, "num_hidden_layers", where),
        num_heads=heads,
        num_kv_heads=raw.get("num_key_value_heads") or heads,
        head_dim=raw.get("head_dim") or _DEFAULT_HEAD_DIM[family] or hidden // heads,
        max_positions=positions,
        family=family,
        rope_theta=theta,
        rope_scaling=scaling,
        rms_eps=float(raw.get("rms_norm_eps", 1e-6)),
        tie_embeddings=bool(raw.get("tie_word_embeddings", False)),
    )


def config_to_hf(config: ModelConfig, *, scorer: bool = False) -> dict[str, Any]:
    """A configuration that transformers 4 and 5 both read: the rope settings stand in both spellings."""
    known = SCORERS if scorer else ARCHITECTURES
    architecture = next(name for name, family in known.items() if family == config.family)
    rope = {"rope_type": "default"} if config.rope_scaling is None else _scaling_to_hf(config.rope_scaling)
    raw: dict[str, Any] = {
        "architectures": [architecture],
        "model_type": config.family,
        "vocab_size": config.vocab_size,
        "hidden_size": config.hidden_size,
        "intermediate_size": config.intermediate_size,
        "num_hidden_layers": config.num_layers,
        "num_attention_heads": config.num_heads,
        "num_key_value_heads": config.num_kv_heads,
        "head_dim": config.head_dim,
        "hidden_act": "silu",
        "max_position_embeddings": config.max_positions,
        "rms_norm_eps": config.rms_eps,
        "rope_theta": config.rope_theta,
        "rope_scaling": None if config.rope_scaling is None else rope,
        "rope_parameters": {**rope, "rope_theta": config.rope_theta},
        "tie_word_embeddings": config.tie_embeddings,
        "attention_dropout": 0.0,
        "use_cache": True,
    }
    if config.family == "llama":
        raw |= {"attention_bias": False, "mlp_bias": False}
    else:
        raw |= {"use_sliding_window": False, "sliding_window": None}
    if config.family == "qwen3":
        raw |= {"attention_bias": False}
    if scorer:
        raw |= {"id2label": {"0": "reward"}, "label2id": {"reward": 0}}
    return raw


def _family(raw: dict[str, Any], where: str, scorer: bool) -> Family:
    named = raw.get("architectures") or []
    known, others = (SCORERS, ARCHITECTURES) if scorer else (ARCHITECTURES, SCORERS)
    for architecture in named:
        if architecture in known:
            return known[architecture]
        if architecture in others:
            kinds = ("a language model", "a reward model")
            wanted, found = reversed(kinds) if scorer else kinds
            raise UserError(f"{where}: {wanted} is wanted here, and this is {found} ({architecture}).")
    if not named and raw.get("model_type") in ARCHITECTURES.values():
        family: Family = raw["model_type"]
        return family
    found = ", ".join(map(str, named)) or raw.get("model_type") or "none named"
    raise UserError(
        f"{where}: architecture not supported: {found}. Supported: {', '.join(known)}. "
        "Choose a model of one of these families."
    )


def _integer(raw: dict[str, Any], key: str, where: str) -> int:
    value = raw.get(key)
    if not isinstance(value, int) or isinstance(value, bool):
        raise UserError(f"{where}: {key} must be a whole number, found {value!r}")
    return value


def _refuse_what_is_not_built(raw: dict[str, Any], family: Family, where: str) -> None:
    def refuse(what: str) -> None:
        raise UserError(f"{where}: {what} is not supported; choose a checkpoint without it.")

    if raw.get("hidden_act", "silu") not in ("silu", "swish"):
        refuse(f"hidden_act = {raw['hidden_act']!r} (only silu)")
    if family != "qwen2" and raw.get("attention_bias"):
        refuse(f"attention_bias = true in the {family} family")
    if raw.get("mlp_bias"):
        refuse("mlp_bias = true")
    if raw.get("quantization_config"):
        refuse("a quantised checkpoint (quantization_config)")
    if raw.get("partial_rotary_factor", 1.0) not in (None, 1.0):
        refuse("partial_rotary_factor other than 1")
    if _uses_sliding_window(raw):
        refuse("sliding-window attention")


def _uses_sliding_window(raw: dict[str, Any]) -> bool:
    """Whether some layer really attends over a window: Qwen files name one that is switched off."""
    if raw.get("layer_types"):
        return any(kind != "full_attention" for kind in raw["layer_types"])
    if not raw.get("use_sliding_window") or raw.get("sliding_window", 4096) is None:
        return False
    return bool(raw.get("max_window_layers", 28) < raw.get("num_hidden_layers", 0))


def _rope(raw: dict[str, Any], positions: int, where: str) -> tuple[float, RopeScaling | None]:
    """Theta and scaling: ``rope_parameters`` (transformers 5), or ``rope_theta`` and ``rope_scaling`` (4)."""
    rope: dict[str, Any] = raw.get("rope_parameters") or raw.get("rope_scaling") or {}
    theta = float(rope.get("rope_theta") or raw.get("rope_theta") or 10_000.0)
    kind: Any = rope.get("rope_type") or rope.get("type") or "default"
    if kind == "default":
        return theta, None
    if kind not in ("linear", "llama3", "yarn"):
        reason = (
            " (its angles change with the length, so a cache would go stale)" if kind == "dynamic" else ""
        )
        raise UserError(
            f"{where}: rope scaling {kind!r} is not supported{reason}; supported: linear, llama3, yarn."
        )
    if rope.get("partial_rotary_factor", 1.0) != 1.0:
        raise UserError(f"{where}: partial_rotary_factor other than 1 is not supported.")
    original = rope.get("original_max_position_embeddings") or raw.get("original_max_position_embeddings")
    factor = rope.get("factor")
    if factor is None and kind == "yarn" and original:
        factor = positions / original
    if factor is None:
        raise UserError(f"{where}: rope scaling {kind!r} lacks its factor.")
    optional = ("low_freq_factor", "high_freq_factor", "beta_fast", "beta_slow", "truncate")
    given = {key: rope[key] for key in optional if rope.get(key) is not None}
    return theta, RopeScaling(
        kind=kind,
        factor=float(factor),
        original_max_positions=None if kind == "linear" else original or positions,
        attention_factor=rope.get("attention_factor"),
        mscale=rope.get("mscale"),
        mscale_all_dim=rope.get("mscale_all_dim"),
        **given,
    )


def _scaling_to_hf(scaling: RopeScaling) -> dict[str, Any]:
    rope: dict[str, Any] = {"rope_type": scaling.kind, "factor": scaling.factor}
    if scaling.kind == "linear":
        return rope
    rope["original_max_position_embeddings"] = scaling.original_max_positions
    if scaling.kind == "llama3":
        return rope | {
            "low_freq_factor": scaling.low_freq_factor,
            "high_freq_factor": scaling.high_freq_factor,
        }
    rope |= {"beta_fast": scaling.beta_fast, "beta_slow": scaling.beta_slow, "truncate": scaling.truncate}
    for key in ("attention_factor", "mscale", "mscale_all_dim"):
        if getattr(scaling, key) is not None:
            rope[key] = getattr(scaling, key)
    return rope
