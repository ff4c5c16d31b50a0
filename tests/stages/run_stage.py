"""Run one stage in a process of its own, to be killed; its spec is JSON, in a file or on stdin."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from bottega import stages
from bottega.stages import collect
from bottega.stages.base import DatasetInput, RunOptions, StageInputs


def run(spec: dict[str, Any]) -> None:
    """The stage of this name; ``collect``, which makes no model, among them."""
    inputs = StageInputs(
        parents=tuple(Path(parent) for parent in spec["parents"]),
        tokenizer=Path(spec["tokenizer"]),
        datasets=tuple(
            DatasetInput(Path(d["folder"]), d["weight"], role=d["role"], name=d["name"])
            for d in spec["datasets"]
        ),
        work=Path(spec["work"]),
        out=Path(spec["out"]),
        run=RunOptions(**spec["run"]),
    )
    if spec["stage"] == "collect":
        collect.CHUNK = 8  # prompts, of the few that a test asks
        config = collect.CollectConfig.parse(spec["config"])
        collect.Collect().run(config, inputs, spec["seed"], model_name="policy", world_seed=1)
        return
    stage = stages.get(spec["stage"])
    stage.run(stage.Config.parse(spec["config"]), inputs, spec["seed"])


def main() -> None:
    given = Path(sys.argv[1]).read_text(encoding="utf-8") if len(sys.argv) > 1 else sys.stdin.read()
    run(json.loads(given))


if __name__ == "__main__":
    main()
