"""The tokenizer: byte-level BPE with Qwen2's split expression, ours or a folder's from elsewhere.

Text is never normalised, so that ``decode(encode(x)) == x`` for every string. (Qwen2 publishes an NFC step in
its ``tokenizer.json``; GGUF's ``qwen2`` pre-tokenizer has none, so leaving it out also makes the two agree.)

Control tokens are added by id and only by id: the backend that encodes text does not know them, so no text of
a user or a data set can become one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import chain, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bottega.data.chat_template import CHAT_TEMPLATE
from bottega.data.presplit import SPLIT_EXPRESSION, chunks
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
MIN_VOCAB = len(CONTROL) + 256
SAMPLE_BYTES = 16 << 20
# What an attribute's token may be called; other families have their own names.
_NAMES = {
    "eot": ("<|endoftext|>", "<|end_of_text|>"),
    "pad": ("<|pad|>", "<|finetune_right_pad_id|>"),
    "im_start": ("<|im_start|>",),
    "im_end": ("<|im_end|>",),
    "fim_prefix": ("<|fim_prefix|>",),
    "fim_middle": ("<|fim_middle|>",),
    "fim_suffix": ("<|fim_suffix|>",),
    "image": ("<|image|>", "<|image_pad|>"),
}
_MEMO_CHUNKS = 1 << 17  # distinct chunks whose ids are remembered
_MEMO_LENGTH = 64  # longer ones seldom come again
_GROUP_CHUNKS = 1024  # chunks encoded in one call: the call itself costs more than a chunk


class Tokenizer:
    """Text to token ids and back. ``eot``, ``pad``, ``im_start`` .. are ids, or ``None`` where there is none.

    ``control`` maps every control token to its id: all added tokens but those of whitespace alone.
    """

    def __init__(self, model: dict[str, Any], config: dict[str, Any]) -> None:
        """``model`` is a parsed ``tokenizer.json`` and ``config`` a parsed ``tokenizer_config.json``."""
        self.model = model
        self.config = config
        added = model["added_tokens"]
        self.control: dict[str, int] = {t["content"]: t["id"] for t in added if t["content"].strip()}
        self.eot = self._find("eot", "eos_token")
        self.pad = self._find("pad", "pad_token")
        self.im_start = self._find("im_start")
        self.im_end = self._find("im_end")
        self.fim_prefix = self._find("fim_prefix")
        self.fim_middle = self._find("fim_middle")
        self.fim_suffix = self._find("fim_suffix")
        self.image = self._find("image")
        self._memo: dict[str, tuple[int, ...]] = {}
        # The chunks are those of our split expression on text as it is.
        self._chunkable = model.get("normalizer") is None and model.get("pre_tokenizer") == _pre_tokenizer()

    def _find(self, name: str, configured: str = "") -> int | None:
        for candidate in (*_NAMES[name], self.special(configured)):
            if candidate in self.control:
                return self.control[candidate]
        return None

    def special(self, key: str) -> str | None:
        """A token of ``tokenizer_config.json``, such as ``eos_token``."""
        value = self.config.get(key)
        content: str | None = value.get("content") if isinstance(value, dict) else value
        return content

    def text_ids(self) -> NDArray[np.int64]:
        """The ids that text is made of: all but the control tokens'."""
        return np.setdiff1d(np.arange(self.vocab_size), list(self.control.values()))

    def require(self, name: str) -> int:
        """The id of a control token by its attribute's name. Raises ``UserError`` where there is none."""
        token: int | None = getattr(self, name)
        if token is None:
            raise UserError(
                f"this tokenizer has no {name} token ({' or '.join(_NAMES[name])}), which is needed here; "
                f"its control tokens are {', '.join(list(self.control)[:20]) or 'none'}"
            )
        return token

    @property
    def end_ids(self) -> frozenset[int]:
        """The tokens at which an answer ends: end of text, end of turn, the folder's own ``eos_token``."""
        ended = {self.eot, self.im_end, self.control.get(self.special("eos_token") or "")}
        ended |= {self.control.get(name) for name in ("<|eot_id|>", "<|eom_id|>")}
        return frozenset(token for token in ended if token is not None)

    @classmethod
    def train(cls, texts: Iterable[str], vocab_size: int, *, sample_bytes: int = SAMPLE_BYTES) -> Tokenizer:
        """Learn ``vocab_size`` tokens, control tokens and the 256 bytes included.

        Learns from at most ``sample_bytes`` of text, drawn evenly from the whole, and holds no more than that
        in memory. The same texts in the same order give the same tokenizer. Raises ``UserError`` when the
        vocabulary cannot hold the bytes, or the text does not have that many pairs that occur twice.
        """
        from bottega.data.bpe import learn_merges
        from bottega.data.presplit import count_words

        if vocab_size < MIN_VOCAB:
            raise UserError(
                f"vocab_size {vocab_size} is too small: the bytes and the control tokens take {MIN_VOCAB}"
            )
        words = count_words(_sample(texts, sample_bytes))
        if not words:
            raise UserError(
                "there is no text to train a tokenizer on: the sources gave nothing but empty records"
            )
        characters = byte_characters()
        ranked = sorted(characters)  # the order in which `tokenizers` numbers an alphabet
        byte_rank = [ranked.index(character) for character in characters]
        merges = learn_merges(words, vocab_size - len(CONTROL), byte_rank=byte_rank)
        tokens = ranked + [""] * len(merges)
        for left, right, new in merges:
            tokens[new] = tokens[left] + tokens[right]
        vocab = {token: i for i, token in enumerate([*CONTROL, *filter(None, tokens)])}
        if len(vocab) < vocab_size:
            raise UserError(
                f"too little text for a vocabulary of {vocab_size}: it gives {len(vocab)} tokens; "
                f"add text, or set vocab_size to {len(vocab)} or less"
            )
        return cls(_model(vocab, [(tokens[left], tokens[right]) for left, right, _ in merges]), _our_config())

    @classmethod
    def load(cls, folder: Path | str) -> Tokenizer:
        """Read ``tokenizer.json`` and, where they are, ``tokenizer_config.json`` and ``chat_template.jinja``.

        Raises ``UserError`` for files that are missing, damaged, or not of a byte-level BPE.
        """
        folder = Path(folder)
        path = folder / "tokenizer.json"
        model = _read_json(path)
        config_path, template_path = folder / "tokenizer_config.json", folder / "chat_template.jinja"
        config = _read_json(config_path) if config_path.exists() else {}
        if template_path.exists():
            config = {**config, "chat_template": template_path.read_text(encoding="utf-8")}
        model.setdefault("added_tokens", [])
        if (model.get("model") or {}).get("type") != "BPE" or '"ByteLevel"' not in json.dumps(
            model.get("decoder")
        ):
            raise UserError(f"{path} is not a byte-level BPE tokenizer, the only kind that is supported")
        try:
            tokenizer = cls(model, config)
            tokenizer._refuse_control_from_text(path)
        except UserError:
            raise
        except Exception as error:  # the backend raises plain Exception for what it cannot read
            raise UserError(f"{path} is damaged ({error}); copy or download the tokenizer again") from error
        return tokenizer

    def _refuse_control_from_text(self, path: Path) -> None:
        for name, ids in zip(self.control, self.encode_batch(list(self.control)), strict=True):
            if not self._control_ids.isdisjoint(ids):
                raise UserError(
                    f"{path}: the plain text {name!r} becomes a control token; it cannot be used safely"
                )

    def save(self, folder: Path | str) -> None:
        """Write ``tokenizer.json`` and ``tokenizer_config.json``."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in (("tokenizer.json", self.model), ("tokenizer_config.json", self.config)):
            text = json.dumps(content, ensure_ascii=False, indent=1) + "\n"
            (folder / name).write_text(text, encoding="utf-8")

    @cached_property
    def text_backend(self) -> Backend:
        """The backend for text, which knows no control token."""
        from tokenizers import Tokenizer as Backend

        plain = [t for t in self.model["added_tokens"] if t["content"] not in self.control]
        without = {"added_tokens": plain, "post_processor": None, "truncation": None, "padding": None}
        return Backend.from_str(json.dumps({**self.model, **without}))

    def encode(self, text: str) -> list[int]:
        """The ids of a text; never a control token."""
        return self.encode_batch([text])[0]

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of many texts, in parallel; never a control token."""
        if not self._chunkable:
            return [e.ids for e in self.text_backend.encode_batch_fast(list(texts), add_special_tokens=False)]
        memo = self._memo
        if len(memo) > _MEMO_CHUNKS:
            memo.clear()
        parts = [chunks(text) for text in texts]
        unknown = list(set(chain.from_iterable(parts)).difference(memo))
        for chunk, chunk_ids in zip(unknown, self._encode_chunks(unknown), strict=True):
            memo[chunk] = chunk_ids
        ids = [list(chain.from_iterable(map(memo.__getitem__, part))) for part in parts]
        for chunk in unknown:
            if len(chunk) > _MEMO_LENGTH:
                del memo[chunk]
        return ids

    def _encode_chunks(self, unknown: list[str]) -> list[tuple[int, ...]]:
        """The ids of each chunk. Short ones are encoded end to end, many in one call, then told apart."""
        # A chunk that begins with a space, after one that does not end with any, begins a token.
        joins = [c[0] == " " and not c[-1].isspace() and len(c) <= _MEMO_LENGTH for c in unknown]
        short = [c for c, join in zip(unknown, joins, strict=True) if join]
        groups = [short[i : i + _GROUP_CHUNKS] for i in range(0, len(short), _GROUP_CHUNKS)]
        alone = [c for c, join in zip(unknown, joins, strict=True) if not join]
        texts = [*map("".join, groups), *alone]
        encoded = [e.ids for e in self.text_backend.encode_batch_fast(texts, add_special_tokens=False)]
        from_groups = chain.from_iterable(map(self._split_ids, encoded, groups))
        from_alone = map(tuple, encoded[len(groups) :])
        return [next(from_groups) if join else next(from_alone) for join in joins]

    def _split_ids(self, ids: list[int], group: list[str]) -> list[tuple[int, ...]]:
        token_ends = np.cumsum(self._lengths[ids])
        chunk_ends = np.cumsum([len(chunk.encode()) for chunk in group])
        bounds = [0, *(np.searchsorted(token_ends, chunk_ends) + 1).tolist()]
        return [tuple(ids[first:last]) for first, last in pairwise(bounds)]

    def decode(self, ids: Iterable[int], skip_control: bool = True) -> str:
        """The text of the ids; bytes that are no UTF-8 become U+FFFD, ids that no token has are ignored."""
        control = self._control_ids if skip_control else frozenset()
        table = self._bytes
        return b"".join(table.get(i, b"") for i in ids if i not in control).decode("utf-8", errors="replace")

    def token_bytes(self, token: int) -> bytes:
        """The bytes one token stands for (a control token: the bytes of its name)."""
        return self._bytes[token]

    @cached_property
    def _control_ids(self) -> frozenset[int]:
        return frozenset(self.control.values())

    @cached_property
    def _bytes(self) -> dict[int, bytes]:
        byte_of = {character: byte for byte, character in enumerate(byte_characters())}
        table = {t["id"]: t["content"].encode() for t in self.model["added_tokens"]}
        for token, i in self.model["model"]["vocab"].items():
            if i not in table:
                table[i] = bytes(map(byte_of.__getitem__, token))
        return table

    @cached_property
    def _lengths(self) -> NDArray[np.int64]:
        """The number of bytes of each token."""
        table = self._bytes
        return np.array([len(table.get(i, b"")) for i in range(self.vocab_size)], np.int64)

    @cached_property
    def vocab_size(self) -> int:
        """One more than the largest id: the rows an embedding needs."""
        vocab: dict[str, int] = self.model["model"]["vocab"]
        added: list[int] = [token["id"] for token in self.model["added_tokens"]]  # whitespace alone, too
        return 1 + max(chain(vocab.values(), added))

    @cached_property
    def digest(self) -> str:
        """SHA-256 of what decides the ids and the chat format."""
        content = [self.model, self.config.get("chat_template")]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def byte_characters() -> list[str]:
    """The printable character that stands for each byte in a byte-level vocabulary (GPT-2's table)."""
    shown = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    hidden = iter(range(0x100, 0x200))
    return [chr(b) if b in shown else chr(next(hidden)) for b in range(256)]


def _sample(texts: Iterable[str], limit_bytes: int) -> list[str]:
    """At most ``limit_bytes`` of text, each record as likely as any other, by its number alone.

    What is kept is halved whenever it exceeds the limit: a large source gives half the limit or more.
    """
    kept: list[tuple[int, int, str]] = []
    total, ceiling = 0, 1 << 64
    for number, text in enumerate(texts):
        rank = int.from_bytes(hashlib.blake2b(number.to_bytes(8), digest_size=8).digest())
        if rank >= ceiling:
            continue
        text = text[:limit_bytes]
        kept.append((rank, len(text.encode()), text))
        total += kept[-1][1]
        while total > limit_bytes and len(kept) > 1:
            ceiling //= 2
            kept = [entry for entry in kept if entry[0] < ceiling]
            total = sum(size for _, size, _ in kept)
    return [text for _, _, text in kept]


def _pre_tokenizer() -> dict[str, Any]:
    split = {"type": "Split", "pattern": {"Regex": SPLIT_EXPRESSION}, "behavior": "Isolated", "invert": False}
    mapping = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}
    return {"type": "Sequence", "pretokenizers": [split, mapping]}


def _model(vocab: dict[str, int], merges: list[tuple[str, str]]) -> dict[str, Any]:
    """Our ``tokenizer.json``."""
    added = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": vocab[token], "content": token, **added} for token in CONTROL],
        "normalizer": None,
        "pre_tokenizer": _pre_tokenizer(),
        "post_processor": None,
        "decoder": {
            "type": "ByteLevel",
            "add_prefix_space": False,
            "trim_offsets": False,
            "use_regex": False,
        },
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": vocab,
            "merges": [list(merge) for merge in merges],
        },
    }


def _our_config() -> dict[str, Any]:
    return {
        # Not Qwen2's class: that one would put its own NFC step in place of ours.
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
    except ValueError as error:
        raise UserError(f"{path} is damaged ({error}); copy or download the tokenizer again") from None
    if not isinstance(content, dict):
        raise UserError(f"{path} is damaged (no JSON object); copy or download the tokenizer again")
    return content
