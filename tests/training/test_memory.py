"""Large tensors lie on huge pages, and what a step frees is there for the next."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

SETTING = Path("/sys/kernel/mm/transparent_hugepage/enabled")
ON_HUGE_PAGES = """
import bottega, torch
from pathlib import Path
weights = torch.ones(16 << 20)
lines = Path("/proc/self/smaps").read_text().splitlines()
print(sum(int(line.split()[1]) for line in lines if line.startswith("AnonHugePages")))
"""
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


def printed(program: str, **environment: str) -> list[int]:
    """The numbers that a Python of its own prints."""
    run = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | environment,
    )
    return [int(word) for word in run.stdout.split()]


@pytest.mark.skipif(
    not SETTING.exists() or "[madvise]" not in SETTING.read_text(), reason="huge pages are not asked for here"
)
def test_large_tensors_lie_on_huge_pages_unless_it_is_said_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("THP_MEM_ALLOC_ENABLE", raising=False)
    (kib,) = printed(ON_HUGE_PAGES)
    assert kib > 32 << 10
    (kib,) = printed(ON_HUGE_PAGES, THP_MEM_ALLOC_ENABLE="0")
    assert kib < 32 << 10


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_freed_memory_is_kept_within_and_given_back_after() -> None:
    _, before, _, within, after = printed(PAGE_FAULTS)
    assert before > 10_000  # 200 MiB in pages of 4 KiB
    assert within < 5_000
    assert after > 10_000
