"""What this machine offers for training, as data: what ``bottega doctor`` prints."""

from __future__ import annotations

import os
import platform
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from bottega.machine import cpp_compiler
from bottega.training.devices import choose_device
from bottega.training.precision import Precision, choose_precision


@dataclass(frozen=True)
class Environment:
    """One machine as the training loop sees it."""

    device: str  # "cpu", or the name of the GPU
    cores: int  # that this process may run on
    memory_bytes: int  # 0 where the system does not say
    device_memory_bytes: int  # of the GPU; 0 on a CPU
    precision: Precision
    compiler: str | None  # the C++ compiler that torch.compile uses on a CPU
    torch_version: str
    python_version: str
    disk_free_bytes: int  # at the folder asked about
    matmul_flops: dict[str, float]  # by dtype, measured; empty unless asked for


def doctor_report(
    device: str = "auto", precision: str = "auto", *, folder: Path | None = None, measure: bool = False
) -> Environment:
    """Look around. ``measure`` multiplies matrices for a second to tell how fast each dtype really is."""
    import torch

    place = choose_device(device)
    on_gpu = place.type == "cuda"
    speeds = {}
    if measure:
        speeds = {
            str(t).removeprefix("torch."): matmul_flops(place, t) for t in (torch.float32, torch.bfloat16)
        }
    return Environment(
        device=torch.cuda.get_device_name(place) if on_gpu else platform.processor() or str(place),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        memory_bytes=_memory_bytes(),
        device_memory_bytes=torch.cuda.get_device_properties(place).total_memory if on_gpu else 0,
        precision=choose_precision(place, precision),
        compiler=cpp_compiler(),
        torch_version=torch.__version__,
        python_version=platform.python_version(),
        disk_free_bytes=shutil.disk_usage(_nearest(folder or Path.cwd())).free,
        matmul_flops=speeds,
    )


def matmul_flops(device: object, dtype: object, *, seconds: float = 0.3) -> float:
    """FLOP/s of a square matrix product, the best of ``seconds``; the size grows until one takes 10 ms."""
    import torch

    assert isinstance(device, torch.device)
    assert isinstance(dtype, torch.dtype)

    def once(size: int) -> float:
        a = torch.randn(size, size, device=device).to(dtype)
        a @ a
        began = time.perf_counter()
        (a @ a)[0, 0].item()  # waits for the device
        return time.perf_counter() - began

    size = 256
    took = once(size)
    while took < 0.01 and size < 8192:
        size *= 2
        took = once(size)
    times = [took]
    while sum(times) < seconds:
        times.append(once(size))
    return float(2 * size**3 / min(times))


def _memory_bytes() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return 0


def _nearest(folder: Path) -> Path:
    """The folder itself, or the nearest one above it that exists."""
    return next(f for f in (folder, *folder.absolute().parents) if f.exists())
