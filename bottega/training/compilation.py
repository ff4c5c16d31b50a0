"""Whether to compile the model, and doing it: torch.compile where it pays, plain execution elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch
from torch import nn

from bottega.errors import UserError
from bottega.machine import cpp_compiler

if TYPE_CHECKING:
    from bottega.model.decoder import Backbone

CompileChoice = Literal["auto", "on", "off"]

# Below this much arithmetic a run is over before a cold compilation (20 to 40 s) has earned its time. On a
# CPU in float32 nearly all the time is in matrix products, and compilation gains some 5%; more in bfloat16.
WORTHWHILE_FLOPS = {("cpu", torch.float32): 1e14, ("cpu", torch.bfloat16): 3e13}
WORTHWHILE_FLOPS_GPU = 1e15
MOST_VARIANTS = 32  # of one layer: by the batch's shape, with a gradient or none, with branches or none


def should_compile(
    choice: CompileChoice, device: torch.device, dtype: torch.dtype, flops: float
) -> tuple[bool, str]:
    """Whether to compile a run of ``flops`` in ``dtype``, and why. "on" without a compiler is an error."""
    missing = device.type == "cpu" and cpp_compiler() is None
    if choice == "off":
        return False, "compilation was switched off"
    if missing and choice == "on":
        raise UserError(
            "compile = on needs a C++ compiler and none was found: install g++ (or set CXX), "
            "or use compile = auto"
        )
    if missing:
        return False, "no C++ compiler was found: not compiled (install g++ for faster training)"
    worthwhile = WORTHWHILE_FLOPS.get((device.type, dtype), WORTHWHILE_FLOPS_GPU)
    if choice == "auto" and flops < worthwhile:
        return False, "not compiled: the run is too short for that to pay"
    return True, "compiled with torch.compile"


def compile_model(model: Backbone) -> None:
    """Compile every layer of ``model`` and its last norm in place; shapes are fixed, so a new batch shape is
    compiled anew.

    Layers are alike, so one compilation serves all of them: a third of the time of compiling the model whole.
    Networks of one shape share it too, with and without gradients, so that more variants than torch allows by
    itself are met.
    """
    from torch._dynamo import config

    config.recompile_limit = max(config.recompile_limit, MOST_VARIANTS)
    for part in _parts(model):
        # On the instance, over the class's forward: hooks of the module stay outside the compiled graph.
        vars(part)["forward"] = torch.compile(part.forward, dynamic=False)


def is_compiled(model: Backbone) -> bool:
    """Whether ``model`` is compiled at present."""
    return "forward" in vars(model.model.layers[0])


def restore_plain(model: Backbone) -> None:
    """Undo :func:`compile_model`: what comes after training has other shapes and is not worth compiling."""
    for part in _parts(model):
        vars(part).pop("forward", None)


def _parts(model: Backbone) -> list[nn.Module]:
    return [*model.model.layers, model.model.norm]
