"""What a GPU asks of the engine: kernels where there are some, and copies that do not wait for it."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec

import torch
from torch import Tensor


def has_kernels(weight: Tensor) -> bool:
    """Whether there are Triton kernels for a model of such weights: torch's CUDA builds for Linux bring
    Triton along. They compute in float32."""
    return weight.is_cuda and weight.dtype != torch.float64 and find_spec("triton") is not None


def heights_round_apart(dtype: torch.dtype) -> bool:
    """Whether on this CPU a row's product may depend on how many rows are multiplied.

    In float32 it does, and in bfloat16 it was seen to where there is AMX.
    """
    return dtype == torch.float32 or (dtype == torch.bfloat16 and torch.cpu._is_amx_tile_supported())


def to_device(values: Sequence[float], device: torch.device, dtype: torch.dtype | None = None) -> Tensor:
    """A tensor [N] of numbers; by way of pinned memory, for any other copy waits for the GPU."""
    found = torch.tensor(values, dtype=dtype)
    return found.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else found


class Coming:
    """Integers [N] on their way from a device, copied in the order of its work."""

    def __init__(self, values: Tensor) -> None:
        self._copy, self._event = values, None
        if values.is_cuda:
            self._copy = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
            self._copy.copy_(values, non_blocking=True)
            self._event = torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._event.record()

    def wait(self) -> list[int]:
        """The numbers; what was queued on the device later is not waited for."""
        if self._event is not None:
            self._event.synchronize()
        found: list[int] = self._copy.tolist()
        return found
