"""Checkpoints that survive being killed: written beside, then renamed; checked when read; two are kept.

A checkpoint is a folder ``step-00000120``: ``weights.safetensors`` and ``optimizer.safetensors`` (of several
processes: their shards, readable by any number of them), ``random.safetensors`` and ``state.json`` (step,
seconds, identity, and the SHA-256 of every file). No pickle anywhere.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from bottega.errors import UserError
from bottega.training.distributed import ALONE, World

KEEP = 2
FORMAT = 1
RANDOM = "random.safetensors"


@dataclass(frozen=True)
class Checkpoint:
    """What a run needs to go on as if it had never stopped."""

    step: int  # optimiser steps taken
    weights: dict[str, Tensor]  # float32 masters of what is trained
    optimizer: dict[str, Tensor]
    state: dict[str, Any]  # JSON: tokens, seconds and whatever else the loop wants back


class Checkpoints:
    """The checkpoints of one run in ``folder``.

    ``identity`` is what must not change between a run and its resumption (a JSON object). In a world of
    several processes every method is called by all of them.
    """

    def __init__(
        self,
        folder: Path,
        identity: dict[str, Any],
        warn: Callable[[str], None] = print,
        world: World = ALONE,
    ) -> None:
        self.folder = folder
        self.identity = identity
        self._warn = warn
        self._world = world

    def save(self, checkpoint: Checkpoint) -> Path:
        """Write a checkpoint, then drop all but it and the one before. On failure the earlier ones stay.

        One of a later step is dropped too: it is of a run that was begun again, or damaged.
        """
        final = self.folder / f"step-{checkpoint.step:08d}"
        scratch = self.folder / f".writing-{final.name}"
        try:
            self._together(lambda: self._prepare(checkpoint, scratch), first_only=True)
            self._together(lambda: self._write(checkpoint, scratch))
            self._together(lambda: self._seal(checkpoint, scratch, final), first_only=True)
        except OSError as error:
            if self._world.is_first:
                shutil.rmtree(scratch, ignore_errors=True)
            kept = self._steps()
            intact = f"that of step {kept[-1]} is intact" if kept else "there is no earlier one"
            raise UserError(
                f"could not save the checkpoint of step {checkpoint.step} in {self.folder}: "
                f"{error.strerror or error}; {intact}. Free some space and run the same command again."
            ) from error
        return final

    def _together(self, action: Callable[[], None], *, first_only: bool = False) -> None:
        """Do something in every process, or the first; raise ``OSError`` in all where it failed in one."""
        failure: OSError | None = None
        try:
            if self._world.is_first or not first_only:
                action()
        except OSError as error:
            failure = error
        except SafetensorError as error:  # safetensors wraps the operating system's error in its own
            failure = OSError(str(error))
        failed = self._world.sum(torch.tensor([float(failure is not None)])).item()
        if failed:
            raise failure or OSError("another process could not write its part")

    def newest(self, *, last: int | None = None, restore_random: bool = True) -> Checkpoint | None:
        """The newest checkpoint that is whole, of no later step than ``last``; None where there is none.
        Damaged ones are reported.

        The random state is put back where it was, unless ``restore_random`` is False.
        """
        steps = [step for step in self._steps() if last is None or step <= last]
        for step in reversed(steps):
            folder = self.folder / f"step-{step:08d}"
            try:
                return self._read(folder, restore_random)
            except _DamagedError as error:
                self._warn(f"checkpoint {folder} is damaged ({error}): using the one before it")
        if steps:
            raise UserError(f"every checkpoint in {self.folder} is damaged: delete it to start again")
        return None

    def _steps(self) -> list[int]:
        if not self.folder.is_dir():
            return []
        return sorted(int(p.name.removeprefix("step-")) for p in self.folder.glob("step-*") if p.is_dir())

    def _prepare(self, checkpoint: Checkpoint, scratch: Path) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        for unfinished in self.folder.glob(".writing-*"):  # what a killed run left
            shutil.rmtree(unfinished, ignore_errors=True)
        needed = sum(t.nbytes for t in (*checkpoint.weights.values(), *checkpoint.optimizer.values()))
        free = shutil.disk_usage(self.folder).free
        if free < needed:
            what = f"it needs {needed / 1e6:.0f} MB and the disk has {free / 1e6:.0f} MB left"
            raise OSError(errno.ENOSPC, what)
        scratch.mkdir()

    def _write(self, checkpoint: Checkpoint, scratch: Path) -> None:
        if self._world.size > 1:
            from bottega.training.sharded import save_sharded

            named = {f"weights/{n}": t for n, t in checkpoint.weights.items()}
            named |= {f"optimizer/{n}": t for n, t in checkpoint.optimizer.items()}
            save_sharded(named, scratch)
            return
        save_file(checkpoint.weights, scratch / "weights.safetensors")
        save_file(checkpoint.optimizer, scratch / "optimizer.safetensors")

    def _seal(self, checkpoint: Checkpoint, scratch: Path, final: Path) -> None:
        """Checksums, the state, and the rename that makes it a checkpoint; then the older ones go."""
        save_file(_random_tensors(), scratch / RANDOM)
        state = {
            "format": FORMAT,
            "step": checkpoint.step,
            "identity": self.identity,
            "state": checkpoint.state,
            "python_random": _python_random(),
            "sharded": self._world.size > 1,
            "files": {path.name: _sha256(path) for path in sorted(scratch.iterdir())},
        }
        state["sha256"] = _json_digest(state)
        (scratch / "state.json").write_text(json.dumps(state), encoding="utf-8")
        for path in scratch.iterdir():
            _sync(path)
        _sync(scratch)
        if final.exists():
            shutil.rmtree(final)
        scratch.rename(final)
        _sync(self.folder)
        steps = self._steps()
        kept = [step for step in steps if step <= checkpoint.step][-KEEP:]
        for step in set(steps).difference(kept):
            shutil.rmtree(self.folder / f"step-{step:08d}")

    def _read(self, folder: Path, restore_random: bool) -> Checkpoint:
        try:
            state = json.loads((folder / "state.json").read_text(encoding="utf-8"))
            if state.pop("sha256") != _json_digest(state):
                raise _DamagedError("state.json does not match its checksum")
            for name, digest in state["files"].items():
                if _sha256(folder / name) != digest:
                    raise _DamagedError(f"{name} does not match its checksum")
        except (OSError, ValueError, KeyError, AttributeError) as error:
            raise _DamagedError(f"{type(error).__name__}: {error}") from error
        if state["format"] != FORMAT:
            raise UserError(
                f"checkpoint {folder} has format {state['format']}, this version reads {FORMAT}. "
                f"Go on with the version that wrote it, or delete {self.folder} to start again."
            )
        self._require_same_run(folder, state["identity"])
        if state["sharded"]:
            weights, optimizer = self._read_shards(folder)
        else:
            weights = load_file(folder / "weights.safetensors")
            optimizer = load_file(folder / "optimizer.safetensors")
        if restore_random:
            _restore_random(load_file(folder / RANDOM), state["python_random"])
        return Checkpoint(state["step"], weights, optimizer, state["state"])

    def _read_shards(self, folder: Path) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        from bottega.training.sharded import load_sharded

        parts: dict[str, dict[str, Tensor]] = {"weights": {}, "optimizer": {}}
        for name, tensor in load_sharded(folder).items():
            kind, _, rest = name.partition("/")
            if kind in parts:  # the random state lies beside them
                parts[kind][rest] = tensor
        return parts["weights"], parts["optimizer"]

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
    """Put the random state back where :func:`_random_tensors` and :func:`_python_random` found it."""
    torch.set_rng_state(tensors["random.cpu"])
    for index in range(torch.cuda.device_count()):
        if f"random.cuda.{index}" in tensors:
            torch.cuda.set_rng_state(tensors[f"random.cuda.{index}"], index)
    keys, rest = tensors["random.numpy.keys"], tensors["random.numpy.rest"].tolist()
    np.random.set_state(("MT19937", keys.numpy().astype(np.uint32), int(rest[0]), int(rest[1]), rest[2]))
    random.setstate((python[0], tuple(python[1]), python[2]))
