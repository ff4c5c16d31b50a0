"""Checkpoints that survive being killed: written beside, then renamed; checked when read; two are kept.

A checkpoint is a folder ``step-00000120`` with ``weights.safetensors``, ``optimizer.safetensors`` and
``state.json`` (step, seconds, random state, and the SHA-256 of every file). No pickle anywhere.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from bottega.errors import UserError

KEEP = 2
FORMAT = 1


@dataclass(frozen=True)
class Checkpoint:
    """What a run needs to go on as if it had never stopped."""

    step: int  # optimiser steps taken
    weights: dict[str, Tensor]  # float32 masters of what is trained
    optimizer: dict[str, Tensor]
    state: dict[str, Any]  # JSON: tokens, seconds and whatever else the loop wants back


class Checkpoints:
    """The checkpoints of one run in ``folder``.

    ``identity`` is what must not change between a run and its resumption (a flat JSON object).
    """

    def __init__(self, folder: Path, identity: dict[str, Any], warn: Callable[[str], None] = print) -> None:
        self.folder = folder
        self.identity = identity
        self._warn = warn

    def save(self, checkpoint: Checkpoint) -> Path:
        """Write a checkpoint, then drop all but the newest two. On failure the earlier ones stay."""
        self.folder.mkdir(parents=True, exist_ok=True)
        final = self.folder / f"step-{checkpoint.step:08d}"
        scratch = self.folder / f".writing-{final.name}"
        try:
            shutil.rmtree(scratch, ignore_errors=True)
            self._require_space(checkpoint)
            scratch.mkdir()
            self._write(checkpoint, scratch)
            if final.exists():
                shutil.rmtree(final)
            scratch.rename(final)
            _sync(self.folder)
        except Exception as error:
            shutil.rmtree(scratch, ignore_errors=True)
            if not _is_io_error(error):
                raise
            kept = self._steps()
            intact = f"that of step {kept[-1]} is intact" if kept else "there is no earlier one"
            raise UserError(
                f"could not save the checkpoint of step {checkpoint.step} in {self.folder}: {error}; "
                f"{intact}. Free some space and run the same command again."
            ) from error
        for step in self._steps()[:-KEEP]:
            shutil.rmtree(self.folder / f"step-{step:08d}")
        return final

    def newest(self) -> Checkpoint | None:
        """The newest checkpoint that is whole, None where there is none. Damaged ones are reported."""
        steps = self._steps()
        for step in reversed(steps):
            folder = self.folder / f"step-{step:08d}"
            try:
                return self._read(folder)
            except _DamagedError as error:
                self._warn(f"checkpoint {folder} is damaged ({error}): using the one before it")
        if steps:
            raise UserError(f"every checkpoint in {self.folder} is damaged: delete it to start again")
        return None

    def _steps(self) -> list[int]:
        if not self.folder.is_dir():
            return []
        return sorted(int(p.name.removeprefix("step-")) for p in self.folder.glob("step-*") if p.is_dir())

    def _require_space(self, checkpoint: Checkpoint) -> None:
        needed = sum(t.nbytes for t in (*checkpoint.weights.values(), *checkpoint.optimizer.values()))
        free = shutil.disk_usage(self.folder).free
        if free < needed:
            raise OSError(f"it needs {needed / 1e6:.0f} MB and the disk has {free / 1e6:.0f} MB left")

    def _write(self, checkpoint: Checkpoint, folder: Path) -> None:
        save_file(checkpoint.weights, folder / "weights.safetensors")
        save_file({**checkpoint.optimizer, **_random_tensors()}, folder / "optimizer.safetensors")
        files = {path.name: _sha256(path) for path in sorted(folder.iterdir())}
        state = {
            "format": FORMAT,
            "step": checkpoint.step,
            "identity": self.identity,
            "state": checkpoint.state,
            "python_random": _python_random(),
            "files": files,
        }
        state["sha256"] = _json_digest(state)
        (folder / "state.json").write_text(json.dumps(state), encoding="utf-8")
        for path in folder.iterdir():
            _sync(path)
        _sync(folder)

    def _read(self, folder: Path) -> Checkpoint:
        try:
            state = json.loads((folder / "state.json").read_text(encoding="utf-8"))
            if state.pop("sha256") != _json_digest(state):
                raise _DamagedError("state.json does not match its checksum")
            for name, digest in state["files"].items():
                if _sha256(folder / name) != digest:
                    raise _DamagedError(f"{name} does not match its checksum")
        except (OSError, ValueError, KeyError, AttributeError) as error:
            raise _DamagedError(f"{type(error).__name__}: {error}") from error
        self._require_same_run(folder, state["identity"])
        weights = load_file(folder / "weights.safetensors")
        optimizer = load_file(folder / "optimizer.safetensors")
        _restore_random(optimizer, state["python_random"])
        return Checkpoint(state["step"], weights, optimizer, state["state"])

    def _require_same_run(self, folder: Path, saved: dict[str, Any]) -> None:
        wanted = json.loads(json.dumps(self.identity))
        for key in sorted({*saved, *wanted}):
            if saved.get(key) != wanted.get(key):
                raise UserError(
                    f"checkpoint {folder} belongs to another run: {key} was {saved.get(key)!r} and is now "
                    f"{wanted.get(key)!r}. Train in another folder, or delete {self.folder}."
                )


class _DamagedError(Exception):
    pass


def _is_io_error(error: Exception) -> bool:
    # safetensors wraps the operating system's error in its own class.
    return isinstance(error, OSError) or type(error).__name__ == "SafetensorError"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _json_digest(state: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(state, sort_keys=True).encode()).hexdigest()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _random_tensors() -> dict[str, Tensor]:
    """Torch's generators (CPU, every CUDA device) and numpy's, as tensors."""
    tensors = {"random.cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        tensors |= {f"random.cuda.{i}": state for i, state in enumerate(torch.cuda.get_rng_state_all())}
    _, keys, position, has_gauss, cached = np.random.get_state()
    tensors["random.numpy.keys"] = torch.from_numpy(np.asarray(keys).astype(np.int64))
    tensors["random.numpy.rest"] = torch.tensor([position, has_gauss, cached], dtype=torch.float64)
    return tensors


def _python_random() -> list[Any]:
    version, internal, gauss = random.getstate()
    return [version, list(internal), gauss]


def _restore_random(tensors: dict[str, Tensor], python: list[Any]) -> None:
    """Take the random state out of ``tensors`` and put it back where it came from."""
    torch.set_rng_state(tensors.pop("random.cpu"))
    for name in list(_cuda_names(tensors)):
        state, index = tensors.pop(name), int(name.rsplit(".", 1)[1])
        if index < torch.cuda.device_count():
            torch.cuda.set_rng_state(state, index)
    keys, rest = tensors.pop("random.numpy.keys"), tensors.pop("random.numpy.rest").tolist()
    np.random.set_state(("MT19937", keys.numpy().astype(np.uint32), int(rest[0]), int(rest[1]), rest[2]))
    random.setstate((python[0], tuple(python[1]), python[2]))


def _cuda_names(tensors: dict[str, Tensor]) -> Iterator[str]:
    return (name for name in tensors if name.startswith("random.cuda."))
