"""Collecting: answers that nobody ranks yet, and a run that is stopped between two chunks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bottega.data.frozen import FrozenDataset
from bottega.data.records import Comparison
from bottega.stages import collect
from bottega.stages.collect import Collect, CollectConfig

from .workshop import Workshop

SMALL: dict[str, Any] = {
    "prompts": 24,
    "heldout_prompts": 4,
    "answers": 2,
    "context": 64,
    "max_new_tokens": 8,
    "labelers": "none",
}


def run(workshop: Workshop, policy: Path, where: Path) -> FrozenDataset:
    inputs = workshop.inputs(where, workshop.dataset("talks"), parent=policy)
    Collect().run(CollectConfig.parse(SMALL), inputs, 3, model_name="policy", world_seed=1)
    return FrozenDataset(inputs.out)


def test_answers_may_be_collected_for_people_to_rank(
    workshop: Workshop, policy: Path, tmp_path: Path
) -> None:
    found = [r for r in run(workshop, policy, tmp_path).records("train") if isinstance(r, Comparison)]
    assert len(found) == 24
    assert all(not one.rankings and len(one.answers) == 2 for one in found)


@pytest.mark.parametrize("after", [1, 2])
def test_a_run_stopped_between_chunks_collects_what_one_that_was_not_does(
    after: int, workshop: Workshop, policy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CORRECTNESS 31."""
    monkeypatch.setattr(collect, "CHUNK", 8)
    whole = run(workshop, policy, tmp_path / "whole").digest
    sample, calls = collect._sample, []

    def stopped(*given: Any) -> Any:
        calls.append(given)
        if len(calls) > after:
            raise KeyboardInterrupt
        return sample(*given)

    monkeypatch.setattr(collect, "_sample", stopped)
    with pytest.raises(KeyboardInterrupt):
        run(workshop, policy, tmp_path / "torn")
    assert not (tmp_path / "torn" / "model").exists()
    monkeypatch.setattr(collect, "_sample", lambda *given: calls.append(given) or sample(*given))
    calls.clear()
    assert run(workshop, policy, tmp_path / "torn").digest == whole
    assert len(calls) == 4 - after, "what was answered is not answered again"
