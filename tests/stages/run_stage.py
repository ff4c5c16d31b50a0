"""Run one stage in a process of its own, to be killed; its spec is JSON, in a file or on stdin."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from bottega import stages
from bottega.stages.base import DatasetInput, RunOptions, StageInputs


def main() -> None:
    given = Path(sys.argv[1]).read_text(encoding="utf-8") if len(sys.argv) > 1 else sys.stdin.read()
    spec = json.loads(given)
    stage = stages.get(spec["stage"])
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
    stage.run(stage.Config.parse(spec["config"]), inputs, spec["seed"])


if __name__ == "__main__":
    main()
