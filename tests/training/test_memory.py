"""What a step frees is there for the next."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

PAGE_FAULTS = """
import resource, torch
from bottega.training.memory import freed_memory_kept
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    tensors = [torch.ones(1 << 18) for _ in range(200)]
    del tensors
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
found = [faults(), faults()]
with freed_memory_kept():
    found += [faults(), faults()]
print(*found, faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_freed_memory_is_kept_within_and_given_back_after() -> None:
    run = subprocess.run([sys.executable, "-c", PAGE_FAULTS], capture_output=True, text=True, check=True)
    _, before, _, within, after = map(int, run.stdout.split())
    assert before > 10_000  # 200 MiB in pages of 4 KiB
    assert within < 5_000
    assert after > 10_000
