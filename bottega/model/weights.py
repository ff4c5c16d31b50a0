"""Safetensors in and out: shards with an index, checked by name and shape before a byte of weights is
read."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from bottega.errors import UserError

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.pickle")


class WeightFiles:
    """The tensors of a model folder, opened lazily: names and shapes first, then one tensor at a time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._file_of: dict[str, Path] = {}
        for path in _files(folder):
            with opened(path) as file:
                for name in file.keys():  # noqa: SIM118  (not a mapping)
                    self._shapes[name] = tuple(file.get_slice(name).get_shape())
                    self._file_of[name] = path

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """Shape of every tensor, by name."""
        return self._shapes

    def tensors(self, names: Iterable[str], dtype: torch.dtype | None) -> Iterator[tuple[str, Tensor]]:
        """Each named tensor in ``dtype`` (None: the file's own), in memory of its own."""
        by_file: dict[Path, list[str]] = {}
        for name in names:
            by_file.setdefault(self._file_of[name], []).append(name)
        for path, wanted in by_file.items():
            with opened(path) as file:
                for name in wanted:
                    # The file is mapped into memory; a copy outlives it when somebody writes the file anew.
                    yield name, file.get_tensor(name).to(dtype, copy=True)


def check_names_and_shapes(
    expected: Mapping[str, tuple[int, ...]], found: Mapping[str, tuple[int, ...]], where: Path
) -> None:
    """Raise ``UserError`` naming the tensors that are missing, unexpected or of another shape."""
    problems = []
    if missing := [name for name in expected if name not in found]:
        problems.append(f"missing: {_some(missing)}")
    if unexpected := [name for name in found if name not in expected]:
        problems.append(f"unexpected: {_some(unexpected)}")
    misshapen = [
        f"{name} is {list(found[name])}, should be {list(shape)}"
        for name, shape in expected.items()
        if name in found and found[name] != shape
    ]
    if misshapen:
        problems.append(f"misshapen: {_some(misshapen)}")
    if problems:
        raise UserError(
            f"{where}: the weights do not fit config.json. {'; '.join(problems)}. "
            "Fetch or export the model again; config and weights must come from the same one."
        )


def write_weights(
    state: Mapping[str, Tensor], folder: Path, *, dtype: torch.dtype | None, shard_bytes: int
) -> None:
    """Write tensors as one file, or as shards of at most ``shard_bytes`` (but one tensor each) with an
    index."""
    shards: list[list[str]] = [[]]
    filled = total = 0
    for name, tensor in state.items():
        size = tensor.numel() * (dtype or tensor.dtype).itemsize
        if shards[-1] and filled + size > shard_bytes:
            shards.append([])
            filled = 0
        shards[-1].append(name)
        filled += size
        total += size
    weight_map: dict[str, str] = {}
    for number, names in enumerate(shards, start=1):
        file = WEIGHTS if len(shards) == 1 else f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        tensors = {name: state[name].detach().to("cpu", dtype).contiguous() for name in names}
        save_file(tensors, folder / file, metadata={"format": "pt"})
        weight_map |= dict.fromkeys(names, file)
    if len(shards) > 1:
        index = {"metadata": {"total_size": total}, "weight_map": weight_map}
        (folder / INDEX).write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")


def _files(folder: Path) -> list[Path]:
    """The weight files of a folder: the single one, or all that the index names."""
    if (folder / WEIGHTS).is_file():
        return [folder / WEIGHTS]
    if (folder / INDEX).is_file():
        return _indexed_files(folder)
    pickled = sorted(path.name for pattern in PICKLES for path in folder.glob(pattern))
    if pickled:
        raise UserError(
            f"{folder}: weights are pickled ({_some(pickled)}); unpickling runs whatever code the file "
            "holds, so it is never done here. Convert them to safetensors where you trust the source: "
            "from_pretrained(...) and save_pretrained(...) of transformers."
        )
    raise UserError(f"{folder}: no {WEIGHTS} and no {INDEX}; is this a model folder?")


def _indexed_files(folder: Path) -> list[Path]:
    try:
        weight_map = json.loads((folder / INDEX).read_text(encoding="utf-8"))["weight_map"]
        names = sorted(set(weight_map.values()))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{folder / INDEX}: not a weight index ({error}); fetch the file again.") from error
    if outside := [name for name in names if Path(name).name != name]:
        raise UserError(f"{folder / INDEX}: names files outside the folder ({_some(outside)}); refused.")
    if absent := [name for name in names if not (folder / name).is_file()]:
        raise UserError(f"{folder}: the index names files that are missing: {_some(absent)}; fetch them.")
    return [folder / name for name in names]


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """``safe_open`` whose complaints are for users."""
    try:
        file = safe_open(path, framework="pt", device="cpu")
    except (SafetensorError, OSError, ValueError) as error:
        raise UserError(
            f"{path}: not a whole safetensors file ({error}); it is truncated or corrupted: fetch it again."
        ) from error
    with file:
        yield file


def _some(names: list[str], most: int = 4) -> str:
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")
