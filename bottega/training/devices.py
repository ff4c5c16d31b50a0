"""Which device to compute on, by the name a user gives."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from bottega.errors import UserError

if TYPE_CHECKING:
    import torch


def choose_device(asked: str = "auto") -> torch.device:
    """The device called ``asked``: auto (a GPU where there is one), cpu, cuda, or one card such as cuda:1.

    Raises:
        UserError: there is no such device here.
    """
    import torch

    if asked == "auto":
        if not torch.cuda.is_available():
            return torch.device("cpu")
        return torch.device(
            "cuda", int(os.environ.get("LOCAL_RANK", "0"))
        )  # torchrun's number of this process
    try:
        device = torch.device(asked)
    except RuntimeError:
        raise UserError(
            f"there is no device {asked!r}: use auto, cpu, cuda, or one card such as cuda:1"
        ) from None
    if device.type == "cuda":
        cards = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if not cards:
            raise UserError(f"{asked}: torch finds no CUDA device here; use auto or cpu (see bottega doctor)")
        if device.index is not None and device.index >= cards:
            raise UserError(f"{asked}: there are {cards} cards here, the last is cuda:{cards - 1}")
    return device
