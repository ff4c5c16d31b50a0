"""A folder that appears whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from bottega.errors import UserError


@contextmanager
def appearing_whole(folder: Path, *, replaces_one_with: str) -> Iterator[Path]:
    """A temporary folder beside ``folder``, which takes its name when the block ends, flushed to the disk.

    A folder that stands there is replaced if it is empty or holds a file named ``replaces_one_with``; any
    other is refused. When the block fails, nothing is left behind, and what stood there still stands. A full
    disk is a ``UserError``.
    """
    if folder.exists() and not (folder.is_dir() and _may_be_replaced(folder, replaces_one_with)):
        raise UserError(
            f"{folder}: exists and holds no {replaces_one_with}, so it is not replaced; choose another name."
        )
    partial = folder.parent / f".{folder.name}.partial-{os.getpid()}"
    try:
        partial.mkdir(parents=True)
        yield partial
        _flush(partial)
        _replace(folder, partial)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise UserError(
            f"{folder}: could not be written ({error}). Nothing was left behind; "
            "make room or choose another folder, and run again."
        ) from error
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def _may_be_replaced(folder: Path, mark: str) -> bool:
    return (folder / mark).is_file() or not any(folder.iterdir())


def _flush(folder: Path) -> None:
    """Have the disk hold every byte before the name says so."""
    for path in [*folder.iterdir(), folder]:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _replace(folder: Path, partial: Path) -> None:
    """Put ``partial`` in the place of ``folder``, which at no moment is half of either.

    Where that fails, what stood there stands again.
    """
    if not folder.exists():
        partial.rename(folder)
        return
    old = folder.parent / f".{folder.name}.replaced-{os.getpid()}"
    folder.rename(old)
    try:
        partial.rename(folder)
    except OSError:
        old.rename(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)
