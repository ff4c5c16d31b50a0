"""Freed memory, kept for the next step."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

# Of mallopt, as glibc's malloc.h numbers them.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_NEVER = -1
_LARGEST = 32 << 20  # that glibc lets come from the heap


@contextmanager
def freed_memory_kept() -> Iterator[None]:
    """Within, the C library keeps what is freed: else a step's activations go back to the system at its end,
    and every page is asked for and cleared anew in the next. Does nothing where that is not glibc."""
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "mallopt") or not hasattr(libc, "malloc_trim"):
        yield
        return
    libc.mallopt(_MMAP_THRESHOLD, _LARGEST)
    libc.mallopt(_TRIM_THRESHOLD, _NEVER)
    try:
        yield
    finally:
        libc.mallopt(_TRIM_THRESHOLD, 2 * _LARGEST)  # as glibc does by itself once it has met such sizes
        libc.malloc_trim(0)
