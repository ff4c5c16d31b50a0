"""Attention of one token a row in C++ (``attend.cpp``), for a CPU in bfloat16: compiled once a machine."""

from __future__ import annotations

import ctypes
import os
import subprocess
import tempfile
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bottega.machine import cpp_compiler, cpu_flags

SOURCE = Path(__file__).with_name("attend.cpp")
# As -ffast-math, but for what would change how the whole process treats denormals.
FLAGS = [
    *("-O3", "-march=native", "-fopenmp", "-shared", "-fPIC"),
    *("-fno-math-errno", "-fno-trapping-math", "-fno-signed-zeros", "-fassociative-math"),
]
LANES = 16  # that a head's width has to be a multiple of

_library = torch.library.Library("bottega", "FRAGMENT")  # type: ignore[no-untyped-call]
_library.define("attend_one(Tensor q, Tensor keys, Tensor values, Tensor positions) -> Tensor")  # type: ignore[no-untyped-call]


def can_attend(weight: Tensor, head_dim: int) -> bool:
    """Whether :func:`attend_one` serves a model of such weights here; compiles it where it must."""
    if weight.device.type != "cpu" or weight.dtype != torch.bfloat16 or head_dim % LANES:
        return False
    return _compiled(head_dim) is not None


def attend_one(q: Tensor, keys: Tensor, values: Tensor, positions: Tensor) -> Tensor:
    """Attention of q [B, H, hd] over the slots 0..position of the cache [rows, KV, capacity, hd], positions
    int64 [B]: [B, H, hd], all but positions in bfloat16. What it gives a row depends on that row alone."""
    out: Tensor = torch.ops.bottega.attend_one(q, keys, values, positions)
    return out


def _attend_one(q: Tensor, keys: Tensor, values: Tensor, positions: Tensor) -> Tensor:
    B, H, hd = q.shape
    KV, capacity = keys.shape[1], keys.shape[2]
    assert q.stride()[1:] == (hd, 1) and keys.is_contiguous() and values.is_contiguous()
    assert positions.is_contiguous() and positions.dtype == torch.int64
    out = q.new_empty(B, H, hd)
    function = _compiled(hd)
    assert function is not None
    function(
        *(q.data_ptr(), q.stride(0), keys.data_ptr(), values.data_ptr(), positions.data_ptr()),
        *(out.data_ptr(), B, KV, H // KV, capacity),
    )
    return out


def _shape_alone(q: Tensor, keys: Tensor, values: Tensor, positions: Tensor) -> Tensor:
    return q.new_empty(q.shape)


@cache
def _compiled(head_dim: int) -> Any:
    """The function for heads of one width, from the cache where it lies; None without a compiler."""
    compiler = cpp_compiler()
    if compiler is None:
        return None
    command = [compiler, *FLAGS, f"-DHD={head_dim}"]
    key = blake2b(digest_size=10)
    for part in (SOURCE.read_bytes(), *(word.encode() for word in (*command, *sorted(cpu_flags())))):
        key.update(part)
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bottega" / "kernels"
    library = folder / f"attend-{key.hexdigest()}.so"
    try:
        if not library.exists():
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=folder) as beside:
                made = Path(beside) / library.name
                subprocess.run([*command, str(SOURCE), "-o", str(made)], check=True, capture_output=True)
                made.rename(library)
        function = ctypes.CDLL(str(library)).attend_one
    except (OSError, subprocess.CalledProcessError):
        return None
    pointer, number = ctypes.c_void_p, ctypes.c_int64
    function.argtypes = [pointer, number, *[pointer] * 4, *[number] * 4]
    function.restype = None
    return function


_library.impl("attend_one", _attend_one, "CPU")  # type: ignore[no-untyped-call]
torch.library.register_fake("bottega::attend_one", _shape_alone, lib=_library)
