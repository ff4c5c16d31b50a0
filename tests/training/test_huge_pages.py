"""The package asks torch for huge pages before torch has allocated anything."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SETTING = Path("/sys/kernel/mm/transparent_hugepage/enabled")
PROGRAM = """
import bottega, torch
from pathlib import Path
weights = torch.ones(16 << 20)
lines = Path("/proc/self/smaps").read_text().splitlines()
print(sum(int(line.split()[1]) for line in lines if line.startswith("AnonHugePages")))
"""


def huge_kib(**environment: str) -> int:
    """KiB on huge pages of a program that holds a tensor of 64 MiB."""
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | environment,
    )
    return int(run.stdout)


@pytest.mark.skipif(
    not SETTING.exists() or "[madvise]" not in SETTING.read_text(), reason="huge pages are not asked for here"
)
def test_large_tensors_lie_on_huge_pages_unless_it_is_said_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("THP_MEM_ALLOC_ENABLE", raising=False)
    assert huge_kib() > 32 << 10
    assert huge_kib(THP_MEM_ALLOC_ENABLE="0") < 32 << 10
