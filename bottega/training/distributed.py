"""One process or many: torchrun starts them, gloo (CPU) or nccl (CUDA) connects them, FSDP2 shards."""

from __future__ import annotations

import atexit
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor

if TYPE_CHECKING:
    from bottega.model.decoder import Backbone

T = TypeVar("T")
_PATIENCE = timedelta(days=30)  # one process may read data or evaluate for hours while the others wait


class FirstProcessError(RuntimeError):
    """What the first process was to do for all has failed; it says why itself."""


@dataclass(frozen=True)
class World:
    """This process among the processes of the run."""

    rank: int = 0
    size: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this process is the one that speaks and writes."""
        return self.rank == 0

    def sum(self, values: Tensor) -> Tensor:
        """``values`` summed over all processes."""
        if self.size > 1:
            torch.distributed.all_reduce(values)
        return values

    def gather(self, value: T) -> list[T]:
        """The ``value`` of every process, in their order, on all of them."""
        held: list[Any] = [value] * self.size
        if self.size > 1:
            torch.distributed.all_gather_object(held, value, group=_patient_group())
        return held

    def share(self, value: T) -> T:
        """The first process's ``value``, on all of them, however long it is in coming."""
        if self.size == 1:
            return value
        held = [value]
        torch.distributed.broadcast_object_list(held, src=0, group=_patient_group())
        return held[0]

    def share_flag(self, value: bool, *, within_s: float | None = None) -> bool:
        """As :meth:`share`. Raises ``TimeoutError`` where it has not come ``within_s`` seconds."""
        if self.size == 1:
            return value
        told = torch.tensor([float(value)])
        work = torch.distributed.broadcast(told, src=0, group=_patient_group(), async_op=True)
        assert work is not None
        try:
            work.wait(_PATIENCE if within_s is None else timedelta(seconds=within_s))
        except RuntimeError as error:
            raise TimeoutError(f"the first process said nothing for {within_s} s") from error
        return bool(told.item())

    def on_first(self, make: Callable[[], T]) -> T | None:
        """What ``make`` gives on the first process, for which the others wait and have None.

        Raises what ``make`` raises, and ``FirstProcessError`` on the others.
        """
        made: T | None = None
        failure: BaseException | None = None
        if self.is_first:
            try:
                made = make()
            except BaseException as error:  # told to those that wait, then raised
                failure = error
        if self.share_flag(failure is not None):
            raise failure or FirstProcessError("the first process failed; its own message says why.")
        return made


ALONE = World()


def join_world(device: torch.device) -> World:
    """The world that torchrun describes in the environment, joined; a world of one where it does not."""
    if processes() == 1:
        return ALONE
    if device.type == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    if not torch.distributed.is_initialized():
        # Weights and gradients travel on their device, the loop's own few numbers on the CPU.
        torch.distributed.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo")
        atexit.register(_leave_world)
    return World(torch.distributed.get_rank(), torch.distributed.get_world_size())


def processes() -> int:
    """How many processes torchrun started together, this one included; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1"))


@cache
def _patient_group() -> Any:
    """A group beside the one that trains, whose members wait for each other as long as it takes."""
    return torch.distributed.new_group(backend="gloo", timeout=_PATIENCE)


def _leave_world() -> None:
    """Leave the process group before the interpreter is taken down, so that a finished run is not aborted.

    gloo's threads outlive the group (DTensor's caches hold it), and one that still has the tensor of the last
    exchange to release asks for the interpreter's lock: once finalization has begun, that ends the process
    ("terminate called without an active exception"). Sleeping hands the lock over while it may still be had.
    """
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
        time.sleep(0.25)


def shard(model: Backbone, dtype: torch.dtype, world: World) -> None:
    """Shard ``model`` over the world in place, layer by layer; compute in ``dtype``, reduce in float32."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

    mesh = init_device_mesh(next(model.parameters()).device.type, (world.size,))
    policy = MixedPrecisionPolicy(param_dtype=dtype, reduce_dtype=torch.float32)
    for layer in model.model.layers:
        fully_shard(layer, mesh=mesh, mp_policy=policy)
    fully_shard(model, mesh=mesh, mp_policy=policy)


def whole(t: Tensor) -> Tensor:
    """``t`` itself, or what its shards on all processes make together."""
    full: Tensor = t.full_tensor() if hasattr(t, "full_tensor") else t
    return full


def shard_like(t: Tensor, like: Tensor) -> Tensor:
    """This process's shard of ``t``, which every process holds whole, sharded as ``like`` is (or is not)."""
    if not hasattr(like, "device_mesh"):
        return t
    from torch.distributed.tensor import DTensor, distribute_tensor

    assert isinstance(like, DTensor)
    return distribute_tensor(t.to(like.device), like.device_mesh, like.placements, src_data_rank=None)


@torch.no_grad()
def fill(target: Tensor, source: Tensor) -> None:
    """Copy a whole tensor into ``target``, which may be a shard of it."""
    target.copy_(shard_like(source, target))
