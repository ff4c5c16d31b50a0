"""Other Pythons that tests start: where they find the package, and several that train together."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import bottega

TWO_PROCESSES = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]


def environment(**more: str) -> dict[str, str]:
    """An environment in which another Python finds the package that is under test."""
    root = str(Path(bottega.__file__).parents[1])
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([root, os.environ.get("PYTHONPATH", "")]),
        "OMP_NUM_THREADS": "1",
        **more,
    }
