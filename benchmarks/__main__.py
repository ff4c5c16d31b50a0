"""Every benchmark, one after the other."""

from __future__ import annotations

import subprocess
import sys

subprocess.run([sys.executable, "-m", "benchmarks.tokenizer"], check=True)
for name in ("train", "sft"):
    subprocess.run([sys.executable, "-m", f"benchmarks.{name}", *sys.argv[1:]], check=True)
