"""Which number format the matrix products run in, and why.

Master weights are float32 always. Compute is bfloat16 where the hardware is fast at it, else float32.
"""

from __future__ import annotations

import platform
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from bottega.errors import UserError
from bottega.machine import cpu_flags

if TYPE_CHECKING:
    import torch

PrecisionName = Literal["auto", "float32", "bfloat16"]


@dataclass(frozen=True)
class Precision:
    """What was chosen; ``reason`` is for people, ``warning`` is not empty when the choice is unwise."""

    name: Literal["float32", "bfloat16"]
    dtype: torch.dtype
    reason: str
    warning: str = ""


def choose_precision(device: str | torch.device = "cpu", asked: str = "auto") -> Precision:
    """The compute precision for ``device``; ``asked`` is "auto", "float32" or "bfloat16"."""
    import torch

    if asked not in ("auto", "float32", "bfloat16"):
        raise UserError(f"precision {asked!r} is not known: use auto, float32 or bfloat16")
    fast, why = _fast_at_bfloat16(torch.device(device))
    if asked == "float32":
        return Precision("float32", torch.float32, f"float32 was asked for ({why})")
    if asked == "bfloat16":
        warning = "" if fast else _slowness(torch.device(device), why)
        return Precision("bfloat16", torch.bfloat16, f"bfloat16 was asked for ({why})", warning)
    if fast:
        return Precision("bfloat16", torch.bfloat16, why)
    return Precision("float32", torch.float32, why)


def _fast_at_bfloat16(device: torch.device) -> tuple[bool, str]:
    import torch

    if device.type == "cuda":
        major, minor = torch.cuda.get_device_capability(device)
        name = torch.cuda.get_device_name(device)
        known = f"{name}, compute capability {major}.{minor}"
        if major >= 8:
            return True, f"{known}: fast at bfloat16"
        return False, f"{known}: bfloat16 needs 8.0"
    if device.type != "cpu":
        return False, f"{device.type}: bfloat16 is not known to be fast there"
    flags = cpu_flags()
    for flag, name in (("amx_bf16", "AMX"), ("avx512_bf16", "AVX512-BF16")):
        if flag in flags:
            return True, f"this CPU has {name}: fast at bfloat16"
    best = next((name for flag, name in (("avx512f", "AVX512"), ("avx2", "AVX2")) if flag in flags), "")
    if not best:
        return False, f"this CPU ({platform.machine()}) lists neither AMX nor AVX512-BF16"
    return False, f"this CPU has {best} but neither AMX nor AVX512-BF16"


def _slowness(device: torch.device, why: str) -> str:
    if device.type == "cpu":
        return f"bfloat16 on this machine is about 100 times slower than float32: {why}"
    return f"bfloat16 is slow here: {why}"
