"""Whether to compile the model, and doing it: torch.compile where it pays, plain execution elsewhere."""

from __future__ import annotations

import os
import shutil
from typing import Literal

import torch
from torch import nn

from bottega.errors import UserError

CompileChoice = Literal["auto", "on", "off"]

# Below this much arithmetic a run is over before a cold compilation (some 20 s) has earned its time.
WORTHWHILE_FLOPS = 5e12


def cpp_compiler() -> str | None:
    """The C++ compiler that torch.compile would use on a CPU, or None."""
    names = [os.environ["CXX"]] if os.environ.get("CXX") else ["g++", "clang++", "c++"]
    return next((path for name in names if (path := shutil.which(name))), None)


def should_compile(choice: CompileChoice, device: torch.device, flops: float) -> tuple[bool, str]:
    """Whether to compile a run of ``flops``, and why in words. "on" without a compiler is an error."""
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
    if choice == "auto" and flops < WORTHWHILE_FLOPS:
        return False, "the run is too short for compilation to pay"
    return True, "compiled with torch.compile"


def compile_model(model: nn.Module) -> None:
    """Compile ``model``'s forward in place; shapes are fixed, so a new batch shape is compiled anew."""
    model.compile(dynamic=False)


def is_compiled(model: nn.Module) -> bool:
    """Whether :func:`compile_model` was called on this very module."""
    # nn.Module.compile leaves no public trace; the attribute has been there since torch 2.0.
    return getattr(model, "_compiled_call_impl", None) is not None
