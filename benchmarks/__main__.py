"""Every benchmark, one after the other."""

from __future__ import annotations

import subprocess
import sys

import torch

for name in ("tokenizer", "generate", "llamacpp"):
    subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=True)
for name in ("train", "sft", "preference", "ppo"):
    subprocess.run([sys.executable, "-m", f"benchmarks.{name}", *sys.argv[1:]], check=True)
if torch.cuda.is_available():
    subprocess.run([sys.executable, "-m", "benchmarks.gpu", "train", "--peer"], check=True)
    subprocess.run([sys.executable, "-m", "benchmarks.gpu", "generate"], check=True)
    subprocess.run([sys.executable, "-m", "benchmarks.gpu_ppo"], check=True)
