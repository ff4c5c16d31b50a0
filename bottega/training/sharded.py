"""Tensors that many processes hold together, on disk: torch.distributed.checkpoint, in safetensors files."""

from __future__ import annotations

import warnings
from pathlib import Path

import torch
from torch import Tensor
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader, HuggingFaceStorageWriter
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save


def save_sharded(tensors: dict[str, Tensor], folder: Path) -> None:
    """Every process writes its own shards into ``folder``. Raises ``OSError`` on all when one cannot."""
    writer = HuggingFaceStorageWriter(str(folder), save_distributed=True)
    try:
        save(dict(tensors), storage_writer=writer)
    except CheckpointException as error:  # not an Exception: it would pass every handler
        raise OSError(str(error)) from error


def load_sharded(folder: Path) -> dict[str, Tensor]:
    """All tensors of ``folder``, whole, however many processes wrote them and however many read."""
    found = HuggingFaceStorageReader(str(folder)).read_metadata().state_dict_metadata
    tensors = {name: torch.empty(m.size, dtype=m.properties.dtype) for name, m in found.items()}  # type: ignore[union-attr]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="torch.distributed is disabled")
        load(tensors, storage_reader=HuggingFaceStorageReader(str(folder)), no_dist=True)
    return tensors
