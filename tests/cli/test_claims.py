"""``bottega claims`` on a family that is built: scores are taken once, and every claim gets its verdict."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bottega.cli.main import USER_ERROR, run
from bottega.lineage.home import Home


@pytest.fixture
def home(copied: Home, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("BOTTEGA_HOME", str(copied.root))
    monkeypatch.setenv("COLUMNS", "140")
    return copied


def claims(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, dict[str, object]]:
    assert run(["claims", "--json", "--threads", "1", "--device", "cpu", *arguments]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["world_seeds"] == [0]
    return {row["id"]: row for row in told["claims"]}


def test_a_claim_has_its_effect_interval_n_and_reason(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    (found,) = claims(capsys, "language-modelling").values()
    assert found["verdict"] == "not shown"  # a model of a few thousand tokens
    assert found["n"] == 800
    low, effect, high = (found[key] for key in ("low", "effect", "high"))
    assert 1.0 < low < effect < high  # type: ignore[operator]
    assert found["reason"]
    assert found["provisional"] == "1 of 3 worlds"


def test_scores_are_taken_once(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    first = claims(capsys, "language-modelling")
    kept = {file: file.stat().st_mtime_ns for file in (home.root / "claims").rglob("*.json")}
    assert len(kept) == 2  # English and Chinese
    assert claims(capsys, "language-modelling") == first
    assert {file: file.stat().st_mtime_ns for file in kept} == kept


def test_without_a_terminal_each_score_that_is_taken_is_a_line(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["claims", "language-modelling", "--threads", "1"]) == 0
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(",")[0] for line in lines] == ["[1/2", "[2/2"]
    assert lines[0].endswith(" s] bits-per-byte:prose-en of davinci")
    assert run(["claims", "language-modelling", "--threads", "1"]) == 0
    assert not capsys.readouterr().err


def test_claims_of_models_that_are_not_there_are_not_built(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    found = claims(capsys, "code", "finds-harm", "small-coder-is-fast")
    assert {row["verdict"] for row in found.values()} == {"not built"}
    assert found["code"]["reason"] == "there is no model code-davinci-001"


def test_where_nothing_is_built_there_is_no_empty_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BOTTEGA_HOME", str(tmp_path))
    assert run(["claims", "--recipe", "school"]) == 0
    shown = capsys.readouterr().out
    assert "verdict" not in shown
    assert shown.endswith("Build the family: bottega up --recipe school\n")


def test_the_table_says_it_in_english_or_chinese(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["claims", "language-modelling", "code", "--threads", "1"]) == 0
    shown = capsys.readouterr().out
    assert "It predicts held-out text better" in shown
    assert "0 of 1 claims are shown; 1 are not built." in shown
    assert run(["claims", "language-modelling", "--language", "zh", "--threads", "1"]) == 0
    assert "未证实" in capsys.readouterr().out


def test_a_claim_nobody_made_is_refused(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["claims", "langage-modelling"]) == USER_ERROR
    assert "did you mean 'language-modelling'?" in capsys.readouterr().err
