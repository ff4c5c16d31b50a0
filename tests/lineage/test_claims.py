"""The scores behind the claims: taken once, and by the clock in turns."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from recipes.tiny import TINY, tiny_options

from bottega.engine.local import LocalEngine
from bottega.evals import speed
from bottega.evals.claims import Verdict, parse_claims
from bottega.lineage import claims
from bottega.lineage.home import Home
from bottega.lineage.recipe import load, parse

FASTER = """
[verdict]
confidence = 0.95
world_seeds = 1
lowest = 0.0
highest = 1.0

[[claims]]
id = "faster"
model = "code-davinci"
against = "davinci"
says = "It is faster."
says_zh = "它更快。"
metric = "tokens-per-second"
cases = ["file:$DATA/problems.jsonl"]
n = 3
direction = "higher"
effect = "ratio"
minimum_effect = 1.3
above_floors = false
built = true
"""


@pytest.fixture
def problems(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for $DATA with three problems, asked for by the only claim."""
    for file in data.iterdir():
        (tmp_path / file.name).symlink_to(file)
    row = {"text": "Add one.", "test_list": ["assert f(1) == 2"]}
    (tmp_path / "problems.jsonl").write_text(f"{json.dumps(row)}\n" * 3)
    monkeypatch.setattr(claims, "load_claims", lambda name: parse_claims(FASTER))
    monkeypatch.setattr(speed, "NEW_TOKENS", 4)  # the models have room for 64
    return tmp_path


def judged(home: Home, data: Path) -> tuple[Verdict, list[claims.Taking]]:
    """The verdict, and the scores that were taken for it."""
    heard: list[claims.Taking] = []
    _, (verdict,) = claims.verdicts(
        load(TINY), home, tiny_options(data), [0], progress=lambda score: heard.append(score)
    )
    return verdict, heard


def test_a_dataset_that_does_not_stand_is_why_there_is_no_score(
    copied: Home, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = '\n[datasets.unread]\nsources = ["file:$DATA/prose.jsonl"]\ndedup = "none"\nheldout = 0.1\n'
    recipe = parse(TINY.read_text(encoding="utf-8") + table, "tiny.toml")
    text = FASTER.replace("tokens-per-second", "bits-per-byte").replace("file:$DATA/problems.jsonl", "unread")
    monkeypatch.setattr(claims, "load_claims", lambda name: parse_claims(text))
    _, (verdict,) = claims.verdicts(recipe, copied, tiny_options(data), [0])
    assert (verdict.status, verdict.reason.en) == (
        "not built",
        "code-davinci has no score bits-per-byte:unread: the dataset unread is not built",
    )


def test_two_models_answer_in_turns_where_the_clock_decides(
    copied: Home, problems: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    generate = LocalEngine.generate

    def heard(self: LocalEngine, requests: list) -> list:  # type: ignore[type-arg]
        asked.append(id(self))
        return generate(self, requests)

    monkeypatch.setattr(LocalEngine, "generate", heard)
    judged(copied, problems)
    one, other = asked[:2]
    assert one != other
    assert asked == [one, other] * 4  # first calls, then three problems


def test_the_speeds_of_two_models_are_kept_as_a_pair(copied: Home, problems: Path) -> None:
    first, scored = judged(copied, problems)
    assert [score.models for score in scored] == [("code-davinci", "davinci")]
    assert (first.n, first.claim.id) == (3, "faster")
    assert first.effect is not None
    assert judged(copied, problems) == (first, [])
    next((copied.root / "claims" / "davinci").rglob("*.json")).unlink()
    again, scored = judged(copied, problems)
    assert [score.models for score in scored] == [("code-davinci", "davinci")]
    assert again.effect != first.effect  # both were measured anew
