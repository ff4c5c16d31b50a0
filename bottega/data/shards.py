"""Token shards on disk: written in one pass, read through a memory map.

A folder holds ``meta.json`` and flat little-endian arrays: ``tokens.bin`` (uint16 where the vocabulary fits,
else uint32), ``offsets.bin`` (int64, one more than there are documents), ``text_bytes.bin`` (int64 per
document) and, only when some weight differs from 1, ``weights.bin`` (a byte per token, an index into the list
of weights in ``meta.json``).
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from bottega.data.encoded import Encoded
from bottega.errors import UserError

FORMAT = 1
_FLUSH_TOKENS = 1 << 20


def write_shards(
    encoded: Iterable[Encoded], folder: Path | str, *, vocab_size: int, name: str = ""
) -> TokenShards:
    """Stream examples into ``folder``: a temporary folder beside it, renamed when complete.

    Raises ``UserError``, and leaves nothing behind, when the disk is full, a token does not fit the
    vocabulary, there is not one example, or the folder exists.
    """
    folder = Path(folder)
    if folder.exists():
        raise UserError(f"{folder} exists already; remove it or choose another folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        with _Writer(work, vocab_size, name or folder.name) as writer:
            for example in encoded:
                writer.add(example)
            writer.finish()
        work.chmod(0o755)
        work.rename(folder)
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f"writing {folder} failed: {reason}; nothing was left behind") from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return TokenShards(folder, verify=False)


class _Writer:
    def __init__(self, folder: Path, vocab_size: int, name: str) -> None:
        self._folder = folder
        self._vocab_size = vocab_size
        self._name = name
        self._dtype = np.dtype("<u2" if vocab_size <= 1 << 16 else "<u4")
        self._tokens: list[NDArray[np.int64]] = []
        self._buffered = 0
        self._offsets = [0]
        self._text_bytes: list[int] = []
        self._codes: dict[float, int] = {1.0: 0}
        self._weight_codes: list[bytes] = []
        self._written = 0
        self._digest = hashlib.sha256()
        self._weights_file: BinaryIO | None = None

    def __enter__(self) -> _Writer:
        self._tokens_file = (self._folder / "tokens.bin").open("wb")
        return self

    def __exit__(self, *exc: object) -> None:
        self._tokens_file.close()
        if self._weights_file is not None:
            self._weights_file.close()

    def add(self, example: Encoded) -> None:
        self._tokens.append(np.array(example.ids, np.int64))
        self._offsets.append(self._offsets[-1] + len(example.ids))
        self._text_bytes.append(example.text_bytes)
        if example.weights is None:
            self._weight_codes.append(bytes(len(example.ids)))
        elif len(example.weights) != len(example.ids):
            raise ValueError(f"{len(example.weights)} weights for {len(example.ids)} tokens")
        else:
            self._weight_codes.append(self._code(example.weights))
        self._buffered += len(example.ids)
        if self._buffered >= _FLUSH_TOKENS:
            self._flush()

    def _code(self, weights: list[float]) -> bytes:
        codes = self._codes
        for weight in sorted(set(weights).difference(codes)):
            codes[weight] = len(codes)
        if len(codes) > 256:
            raise UserError(f"{self._name} has more than 256 different loss weights; round them")
        return bytes(map(codes.__getitem__, weights))

    def _flush(self) -> None:
        tokens = np.concatenate([*self._tokens, np.empty(0, np.int64)])
        outside = tokens[(tokens < 0) | (tokens >= self._vocab_size)]
        if outside.size:
            raise UserError(
                f"token {int(outside[0])} is outside the vocabulary of {self._vocab_size}: wrong tokenizer"
            )
        data = tokens.astype(self._dtype).tobytes()
        self._tokens_file.write(data)
        self._digest.update(data)
        if self._weights_file is None and len(self._codes) > 1:
            self._weights_file = (self._folder / "weights.bin").open("wb")
            for first in range(0, self._written, _FLUSH_TOKENS):
                self._weights_file.write(bytes(min(_FLUSH_TOKENS, self._written - first)))
        if self._weights_file is not None:
            self._weights_file.writelines(self._weight_codes)
        self._written += len(tokens)
        self._tokens, self._weight_codes, self._buffered = [], [], 0

    def finish(self) -> None:
        self._flush()
        if not self._text_bytes:
            raise UserError(f"{self._name} has no examples: there is nothing to write")
        self._tokens_file.close()
        if self._weights_file is not None:
            self._weights_file.close()
            with (self._folder / "weights.bin").open("rb") as written:
                while block := written.read(1 << 20):
                    self._digest.update(block)
        for name, values in (("offsets", self._offsets), ("text_bytes", self._text_bytes)):
            data = np.array(values, "<i8").tobytes()
            (self._folder / f"{name}.bin").write_bytes(data)
            self._digest.update(data)
        weights = list(self._codes) if self._weights_file is not None else None
        self._digest.update(json.dumps([FORMAT, self._dtype.str, weights]).encode())
        meta = {
            "format": FORMAT,
            "name": self._name,
            "documents": len(self._text_bytes),
            "tokens": self._written,
            "dtype": self._dtype.str,
            "vocab_size": self._vocab_size,
            "weights": weights,
            "digest": self._digest.hexdigest(),
        }
        (self._folder / "meta.json").write_text(json.dumps(meta, indent=1) + "\n")


class TokenShards:
    """Documents as tokens, memory-mapped. ``len``, ``[i]``, and flat arrays for the packers."""

    def __init__(self, folder: Path | str, *, verify: bool = True) -> None:
        self.folder = Path(folder)
        meta = self._meta()
        self.name: str = meta["name"]
        self.digest: str = meta["digest"]
        self.vocab_size: int = meta["vocab_size"]
        count = meta["documents"]
        self.tokens = self._map("tokens", np.dtype(meta["dtype"]), meta["tokens"])
        self.offsets = self._map("offsets", np.dtype("<i8"), count + 1)
        self.text_bytes = self._map("text_bytes", np.dtype("<i8"), count)
        self.weight_values: NDArray[np.float32] | None = None
        self._weight_codes: NDArray[Any] | None = None
        if meta["weights"] is not None:
            self.weight_values = np.array(meta["weights"], np.float32)
            self._weight_codes = self._map("weights", np.dtype("u1"), meta["tokens"])
        if verify:
            self._verify(meta)

    def _meta(self) -> dict[str, Any]:
        path = self.folder / "meta.json"
        try:
            meta: dict[str, Any] = json.loads(path.read_text())
        except FileNotFoundError:
            raise UserError(f"{self.folder} holds no token shards: meta.json is missing") from None
        except ValueError as error:
            raise self._corrupt("meta.json", str(error)) from None
        wanted = {"name", "digest", "vocab_size", "documents", "tokens", "dtype", "weights", "format"}
        if not isinstance(meta, dict) or wanted - meta.keys():
            raise self._corrupt("meta.json", "keys are missing")
        if meta["format"] != FORMAT:
            raise UserError(f"{path} has format {meta['format']}, not {FORMAT}; delete and build it again")
        return meta

    def _map(self, name: str, dtype: np.dtype[Any], count: int) -> NDArray[Any]:
        path = self.folder / f"{name}.bin"
        size = path.stat().st_size if path.exists() else 0
        if size != count * dtype.itemsize:
            raise self._corrupt(path.name, f"{size} bytes where {count * dtype.itemsize} belong")
        if not count:
            return np.empty(0, dtype)
        # A plain ndarray view: indexing np.memmap itself costs several times more.
        return np.memmap(path, dtype, "r").view(np.ndarray)

    def _verify(self, meta: dict[str, Any]) -> None:
        digest = hashlib.sha256()
        for part in (self.tokens, self._weight_codes, self.offsets, self.text_bytes):
            if part is not None:
                digest.update(part.data)
        digest.update(json.dumps([FORMAT, meta["dtype"], meta["weights"]]).encode())
        if digest.hexdigest() != self.digest:
            raise self._corrupt("the contents", "the digest differs")

    def _corrupt(self, what: str, why: str) -> UserError:
        return UserError(f"{self.folder}: {what} is damaged ({why}); delete the folder and build it again")

    def __len__(self) -> int:
        return len(self.text_bytes)

    def __getitem__(self, document: int) -> Encoded:
        first, last = int(self.offsets[document]), int(self.offsets[document + 1])
        weights = None if self._weight_codes is None else self.weights(np.arange(first, last)).tolist()
        return Encoded(self.tokens[first:last].tolist(), weights, int(self.text_bytes[document]))

    @property
    def num_tokens(self) -> int:
        """Tokens of all documents."""
        return len(self.tokens)

    def weights(self, indices: NDArray[np.int64]) -> NDArray[np.float32]:
        """The weights, as targets, of the tokens at these places in ``tokens``."""
        if self._weight_codes is None or self.weight_values is None:
            return np.ones(indices.shape, np.float32)
        weights: NDArray[np.float32] = self.weight_values[self._weight_codes[indices]]
        return weights
