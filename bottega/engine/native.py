"""What stands between the matrix products of one token's pass in C++ (``native.cpp``), for a CPU in bfloat16:
compiled once a machine, in a second."""

from __future__ import annotations

import ctypes
import os
import subprocess
import tempfile
from functools import cache
from hashlib import blake2b
from pathlib import Path

import torch
from torch import Tensor

from bottega.machine import cpp_compiler, cpu_flags

SOURCE = Path(__file__).with_name("native.cpp")
# As -ffast-math, but for what would change how the whole process treats denormals.
FLAGS = [
    *("-O3", "-march=native", "-fopenmp", "-shared", "-fPIC"),
    *("-fno-math-errno", "-fno-trapping-math", "-fno-signed-zeros", "-fassociative-math"),
]
LANES = 16  # that widths have to be multiples of


class Native:
    """The functions for heads of one width. All tensors are contiguous, in bfloat16 but where it is said, and
    what is given for a row depends on that row alone."""

    def __init__(self, library: ctypes.CDLL) -> None:
        pointer, number, real = ctypes.c_void_p, ctypes.c_int64, ctypes.c_float
        self._add_norm, self._gate, self._attend = library.add_norm, library.gate, library.attend
        self._likeliest, self._place = library.likeliest, library.place
        self._add_norm.argtypes = [*[pointer] * 4, number, number, real]
        self._gate.argtypes = [pointer, pointer, number, number]
        self._attend.argtypes = [*[pointer] * 5, *[number] * 4]
        self._likeliest.argtypes = [pointer, pointer, number, number]
        self._place.argtypes = [*[pointer] * 8, *[number] * 5, real]
        for function in (self._add_norm, self._gate, self._attend, self._likeliest, self._place):
            function.restype = None

    def add_norm(self, x: Tensor, delta: Tensor | None, weight: Tensor, eps: float) -> Tensor:
        """x [B, D] += delta, in place; then x / rms(x) x weight, float32 [D]."""
        out = torch.empty_like(x)
        added = None if delta is None else delta.data_ptr()
        self._add_norm(x.data_ptr(), added, weight.data_ptr(), out.data_ptr(), *x.shape, eps)
        return out

    def gate(self, gate_up: Tensor) -> Tensor:
        """silu(gate) x up of gate_up [B, 2 I]: [B, I]."""
        rows, width = gate_up.shape
        out = gate_up.new_empty(rows, width // 2)
        self._gate(gate_up.data_ptr(), out.data_ptr(), rows, width // 2)
        return out

    def likeliest(self, logits: Tensor) -> Tensor:
        """The first of the largest of each row of logits [B, V]: int64 [B]."""
        out = torch.empty(len(logits), dtype=torch.long)
        self._likeliest(logits.data_ptr(), out.data_ptr(), *logits.shape)
        return out

    def place(
        self,
        qkv: Tensor,
        keys: Tensor,
        values: Tensor,
        positions: Tensor,
        turns: tuple[Tensor, Tensor],
        qk_norm: Tensor | None,
        eps: float,
    ) -> Tensor:
        """Turn queries and keys of qkv [B S, (H + 2 KV) hd] and write keys and values into the cache [rows,
        KV, capacity, hd] at positions int64 [B, S]; the queries [B, H, S, hd].

        ``turns``: cosines and sines float32 [capacity, hd / 2]; qk_norm float32 [H + KV, hd], of models that
        have one.
        """
        _, kv_heads, capacity, hd = keys.shape
        (rows, steps), heads = positions.shape, qkv.shape[1] // hd - 2 * kv_heads
        q = qkv.new_empty(rows, heads, steps, hd)
        cos, sin = turns
        self._place(
            *(qkv.data_ptr(), q.data_ptr(), keys.data_ptr(), values.data_ptr(), positions.data_ptr()),
            *(cos.data_ptr(), sin.data_ptr(), None if qk_norm is None else qk_norm.data_ptr()),
            *(rows, steps, kv_heads, heads // kv_heads, capacity, eps),
        )
        return q

    def attend(self, q: Tensor, keys: Tensor, values: Tensor, positions: Tensor) -> Tensor:
        """Attention of q [B, H, 1, hd] over the slots up to positions int64 [B, 1]: [B, H hd]. A row at the
        last position, which is scratch, stands idle: what comes out of it means nothing."""
        rows, heads, _, hd = q.shape
        kv_heads, capacity = keys.shape[1:3]
        out = q.new_empty(rows, heads * hd)
        self._attend(
            *(q.data_ptr(), keys.data_ptr(), values.data_ptr(), positions.data_ptr(), out.data_ptr()),
            *(rows, kv_heads, heads // kv_heads, capacity),
        )
        return out


def native_for(weight: Tensor, head_dim: int, intermediate_size: int) -> Native | None:
    """The functions for a model of such weights, or None: for another device or format, for widths that fill
    no vector, or without a compiler."""
    fits = head_dim % LANES == 0 and intermediate_size % LANES == 0
    if weight.device.type != "cpu" or weight.dtype != torch.bfloat16 or not fits:
        return None
    return _compiled(head_dim)


@cache
def _compiled(head_dim: int) -> Native | None:
    compiler = cpp_compiler()
    if compiler is None:
        return None
    command = [compiler, *FLAGS, f"-DHD={head_dim}"]
    key = blake2b(SOURCE.read_bytes(), digest_size=10)
    for word in (*command, *sorted(cpu_flags())):
        key.update(word.encode())
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bottega" / "kernels"
    library = folder / f"native-{key.hexdigest()}.so"
    try:
        if not library.exists():
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=folder) as beside:
                made = Path(beside) / library.name
                subprocess.run([*command, str(SOURCE), "-o", str(made)], check=True, capture_output=True)
                made.rename(library)
        return Native(ctypes.CDLL(str(library)))
    except (OSError, subprocess.CalledProcessError):
        return None
