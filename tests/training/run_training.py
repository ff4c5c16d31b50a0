"""One small training run, as a program of its own: tests kill it, interrupt it, and start several of it.

Usage: run_training.py FOLDER OPTIMIZER STEPS [key=value ...of TrainConfig]
Writes FOLDER/final.safetensors; shards are expected in FOLDER/../shards.
"""

from __future__ import annotations

import ast
import os
import sys
from pathlib import Path
from typing import Any

import torch
from conftest import tiny_decoder
from safetensors.torch import save_file

from bottega.data.packing import DocumentPlan
from bottega.data.shards import TokenShards
from bottega.errors import UserError
from bottega.training.loop import TrainConfig, train
from bottega.training.objective import language_modelling


def main(folder: Path, optimizer: Any, steps: int, *options: str) -> None:
    torch.set_num_threads(1)
    plan = DocumentPlan([(TokenShards(folder.parent / "shards"), 1.0)], context=32, batch_rows=4, seed=0)
    given = {key: ast.literal_eval(value) for key, _, value in (option.partition("=") for option in options)}
    config = TrainConfig(
        budget_tokens=steps * plan.tokens_per_step, optimizer=optimizer, precision="float32", **given
    )
    model = tiny_decoder()
    result = train(model, language_modelling, plan, config, folder)
    weights = {name: p.detach() for name, p in model.named_parameters()}
    if int(os.environ.get("RANK", "0")) == 0:
        save_file(weights, folder / "final.safetensors")
        print(f"steps {result.steps}, resumed from {result.resumed_from}")


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), *sys.argv[4:])
    except UserError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
