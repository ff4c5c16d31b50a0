"""The tokenizer: byte-level BPE with Qwen2's split expression, ours or a folder's from elsewhere.

Text is never normalised, so that ``decode(encode(x)) == x`` for every string. (Qwen2 publishes an NFC step in
its ``tokenizer.json``; GGUF's ``qwen2`` pre-tokenizer has none, so leaving it out also makes the two agree.)

Control tokens are added by id and only by id: the tokenizer that encodes text does not know them, so no text
of a user or a data set can become one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bottega.data.chat_template import CHAT_TEMPLATE
from bottega.errors import UserError

if TYPE_CHECKING:
    from tokenizers import Tokenizer as Backend

CONTROL = (
    "<|endoftext|>",
    "<|pad|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|fim_prefix|>",
    "<|fim_middle|>",
    "<|fim_suffix|>",
    "<|image|>",
)
SPLIT_EXPRESSION = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
MIN_VOCAB = len(CONTROL) + 256
MIN_TEXT_BYTES = 1024
# The names other families give to the same thing.
_ALIASES = {
    "eot": ("<|endoftext|>", "<|end_of_text|>"),
    "pad": ("<|pad|>",),
    "im_start": ("<|im_start|>",),
    "im_end": ("<|im_end|>",),
    "fim_prefix": ("<|fim_prefix|>",),
    "fim_middle": ("<|fim_middle|>",),
    "fim_suffix": ("<|fim_suffix|>",),
    "image": ("<|image|>", "<|image_pad|>"),
}


class Tokenizer:
    """Text to token ids and back. ``eot``, ``pad``, ``im_start`` .. are ids, ``None`` where there is none."""

    def __init__(self, model: dict[str, Any], config: dict[str, Any]) -> None:
        """``model`` is a parsed ``tokenizer.json`` and ``config`` a parsed ``tokenizer_config.json``."""
        self._model = model
        self.config = config
        added = model["added_tokens"]
        self.control: dict[str, int] = {t["content"]: t["id"] for t in added if t["content"].strip()}
        self.eot = self._role("eot", config.get("eos_token"))
        self.pad = self._role("pad", config.get("pad_token"))
        self.im_start = self._role("im_start")
        self.im_end = self._role("im_end")
        self.fim_prefix = self._role("fim_prefix")
        self.fim_middle = self._role("fim_middle")
        self.fim_suffix = self._role("fim_suffix")
        self.image = self._role("image")

    def _role(self, name: str, configured: Any = None) -> int | None:
        content = configured["content"] if isinstance(configured, dict) else configured
        for candidate in (*_ALIASES[name], content):
            if candidate in self.control:
                return self.control[candidate]
        return None

    def require(self, name: str) -> int:
        """The id of a control token by its attribute name. Raises ``UserError`` where there is none."""
        token: int | None = getattr(self, name)
        if token is None:
            raise UserError(
                f"this tokenizer has no {name} token ({' or '.join(_ALIASES[name])}), which is needed here; "
                f"its control tokens are {', '.join(self.control) or 'none'}"
            )
        return token

    @classmethod
    def train(cls, texts: Iterable[str], vocab_size: int) -> Tokenizer:
        """Learn ``vocab_size`` tokens (control tokens and the 256 bytes included) from texts."""
        from tokenizers import Regex, decoders, models, pre_tokenizers, trainers
        from tokenizers import Tokenizer as Backend

        if vocab_size < MIN_VOCAB:
            raise UserError(
                f"vocab_size {vocab_size} is too small: the bytes and the control tokens take {MIN_VOCAB}"
            )
        backend = Backend(models.BPE())
        backend.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex(SPLIT_EXPRESSION), "isolated"),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            ]
        )
        backend.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=vocab_size,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            special_tokens=list(CONTROL),
            show_progress=False,
        )
        backend.train_from_iterator(texts, trainer)
        return cls(json.loads(backend.to_str()), _our_config())

    @classmethod
    def load(cls, folder: Path | str) -> Tokenizer:
        """Read ``tokenizer.json`` and, where there is one, ``tokenizer_config.json``."""
        folder = Path(folder)
        model = _read_json(folder / "tokenizer.json")
        config_path = folder / "tokenizer_config.json"
        config = _read_json(config_path) if config_path.exists() else {}
        return cls(model, config)

    def save(self, folder: Path | str) -> None:
        """Write ``tokenizer.json`` and ``tokenizer_config.json``."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in (("tokenizer.json", self._model), ("tokenizer_config.json", self.config)):
            text = json.dumps(content, ensure_ascii=False, indent=1) + "\n"
            (folder / name).write_text(text, encoding="utf-8")

    @cached_property
    def _text(self) -> Backend:
        """The backend for text: it does not know the control tokens."""
        from tokenizers import Tokenizer as Backend

        plain = [t for t in self._model["added_tokens"] if t["content"] not in self.control]
        return Backend.from_str(json.dumps({**self._model, "added_tokens": plain, "post_processor": None}))

    def encode(self, text: str) -> list[int]:
        """The ids of a text; never a control token."""
        ids: list[int] = self._text.encode(text, add_special_tokens=False).ids
        return ids

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of many texts, in parallel; never a control token."""
        return [e.ids for e in self._text.encode_batch_fast(list(texts), add_special_tokens=False)]

    def decode(self, ids: Iterable[int], skip_control: bool = True) -> str:
        """The text of the ids; bytes that are no UTF-8 become U+FFFD, ids that no token has are ignored."""
        control = self._control_ids
        tokens = (t for t in ids if not (skip_control and t in control))
        return b"".join(self._bytes.get(t, b"") for t in tokens).decode("utf-8", errors="replace")

    def token_bytes(self, token: int) -> bytes:
        """The bytes one token stands for (a control token: the bytes of its name)."""
        return self._bytes[token]

    @cached_property
    def _control_ids(self) -> frozenset[int]:
        return frozenset(self.control.values())

    @cached_property
    def _bytes(self) -> dict[int, bytes]:
        byte_of = {c: b for b, c in enumerate(byte_characters())}
        table = {t["id"]: t["content"].encode() for t in self._model["added_tokens"]}
        for token, i in self._model["model"]["vocab"].items():
            if i not in table:
                table[i] = bytes(byte_of[c] for c in token)
        return table

    @cached_property
    def vocab_size(self) -> int:
        """One more than the largest id: the rows an embedding needs."""
        return 1 + max(self._bytes)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of what decides the ids and the chat format."""
        content = [self._model, self.config.get("chat_template")]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def byte_characters() -> list[str]:
    """The printable character that stands for each byte in a byte-level vocabulary (GPT-2's table)."""
    shown = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    hidden = iter(range(0x100, 0x200))
    return [chr(b) if b in shown else chr(next(hidden)) for b in range(256)]


def _our_config() -> dict[str, Any]:
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": "<|endoftext|>",
        "pad_token": "<|pad|>",
        "additional_special_tokens": [t for t in CONTROL if t not in ("<|endoftext|>", "<|pad|>")],
        "clean_up_tokenization_spaces": False,
        "model_max_length": 1_000_000,
        "chat_template": CHAT_TEMPLATE,
    }


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} is missing: a tokenizer folder needs it") from None
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise UserError(f"{path} is not valid JSON ({error}); copy or download the tokenizer again") from None
    if not isinstance(content, dict):
        raise UserError(f"{path} holds no JSON object; copy or download the tokenizer again")
    return content
