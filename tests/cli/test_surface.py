"""The command line's surface: verbs, help, exit codes, and what a user reads when something is wrong."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bottega.cli import build, show
from bottega.cli.interrupted import Interrupted
from bottega.cli.main import BUG, INTERRUPTED, USER_ERROR, app, run
from bottega.evals.score import proportion_score
from bottega.evals.scoreboard import Row, Scoreboard
from bottega.lineage.home import Family, Home

VERBS = (
    "up",
    "build",
    "lineage",
    "scoreboard",
    "recipes",
    "chat",
    "eval",
    "score",
    "claims",
    "alias",
    "import",
    "export",
    "doctor",
    "data",
)


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BOTTEGA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "100")


def test_the_verbs_are_these_and_no_others() -> None:
    registered = {c.name or c.callback.__name__ for c in app.registered_commands if c.callback}
    assert registered | {group.name for group in app.registered_groups} == set(VERBS)


@pytest.mark.parametrize("verb", [*VERBS, "data inspect"])
def test_every_verb_has_help_with_an_example(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*verb.split(), "--help"]) == 0
    shown = capsys.readouterr().out
    assert "Usage:" in shown
    if verb != "data":
        assert f"bottega {verb}" in shown


def test_help_imports_nothing_heavy() -> None:
    script = (
        "import sys, bottega.cli.main\n"
        "heavy = {'torch', 'numpy', 'datasets', 'matplotlib', 'tokenizers', 'pydantic'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out.startswith("bottega ")


def test_a_misspelt_verb_exits_2_and_suggests_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bild"]) == USER_ERROR
    assert "build" in capsys.readouterr().err


def test_a_users_error_is_one_or_two_lines_without_a_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["build"]) == USER_ERROR
    shown = capsys.readouterr()
    assert shown.err == "name the models to build, or say --all for the whole recipe.\n"
    assert shown.out == ""


def test_names_and_all_contradict_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["build", "davinci", "--all"]) == USER_ERROR
    assert "leave out" in capsys.readouterr().err


def test_debug_shows_the_traceback_before_or_after_the_verb(capsys: pytest.CaptureFixture[str]) -> None:
    for line in (["--debug", "build"], ["build", "--debug"]):
        assert run(line) == USER_ERROR
        assert "Traceback" in capsys.readouterr().err


def test_a_fault_of_ours_exits_1_and_says_how_to_get_the_traceback(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: object) -> None:
        raise ValueError("a fault of ours")

    monkeypatch.setattr(show, "chosen_family", broken)
    assert run(["lineage"]) == BUG
    shown = capsys.readouterr().err
    assert "unexpected ValueError" in shown
    assert "--debug" in shown
    assert "Traceback" not in shown


def test_an_interrupted_build_exits_130_and_says_how_to_resume(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise Interrupted("Interrupted at model davinci. The same command goes on from here.")

    monkeypatch.setattr(build, "_raise_family", interrupted)
    assert run(["build", "--all"]) == INTERRUPTED
    assert "The same command goes on from here" in capsys.readouterr().err


def test_ctrl_c_anywhere_exits_130(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(show, "chosen_family", interrupted)
    assert run(["lineage"]) == INTERRUPTED
    assert "Interrupted." in capsys.readouterr().err


def test_an_unknown_model_in_an_empty_home_says_how_to_begin(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["chat", "davinci"]) == USER_ERROR
    assert capsys.readouterr().err == (
        "no model is built yet, so there is no 'davinci'. "
        "Start with `bottega up`, or `bottega build davinci`.\n"
    )


def test_chat_without_a_name_in_an_empty_home_says_how_to_begin(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["chat"]) == USER_ERROR
    assert "bottega up" in capsys.readouterr().err


def test_a_broken_recipe_is_named_with_file_line_and_key(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("[recipe]\nnme = 'x'\n", encoding="utf-8")
    assert run(["recipes", str(file)]) == USER_ERROR
    assert capsys.readouterr().err.startswith(f"{file}:2: recipe.nme: unknown key; did you mean 'name'?")


def test_the_shipped_recipes_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["recipes"]) == 0
    assert "school" in capsys.readouterr().out


def test_the_lineage_of_a_recipe_can_be_seen_before_anything_is_built(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["lineage", "--recipe", "school"]) == 0
    shown = capsys.readouterr().out
    assert "text-davinci-002" in shown
    assert "waiting" in shown


def test_an_import_is_not_taken_for_the_family_built_last(capsys: pytest.CaptureFixture[str]) -> None:
    Home().record(Family("imports", "imports"), "model guest", "0123456789ab")
    assert run(["lineage"]) == 0
    assert "text-davinci-002" in capsys.readouterr().out


def test_the_scoreboard_of_an_empty_home_says_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["scoreboard"]) == USER_ERROR
    assert "bottega up" in capsys.readouterr().err


def test_doctor_names_device_precision_and_home(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["doctor", "--device", "cpu", "--precision", "float32"]) == 0
    shown = capsys.readouterr().out
    assert "float32: float32 was asked for" in shown
    assert "nothing yet: bottega up" in shown


def test_data_inspect_reads_a_plain_path_and_says_what_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text('{"text": "one"}\nnot json\n', encoding="utf-8")
    assert run(["data", "inspect", str(file)]) == 0
    shown = capsys.readouterr().out
    assert "1 of 2 rows (50.0%) cannot be used" in shown
    assert "rows.jsonl, line 2: invalid JSON" in shown


def test_data_inspect_takes_the_fields_that_a_recipe_would(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "pages.jsonl"
    file.write_text('{"name": "Bread", "body": {"en": "It rises."}, "license": "MIT"}\n')
    assert run(["data", "inspect", str(file), "--field", "text={name}: {body.en}"]) == 0
    assert "Bread: It rises." in capsys.readouterr().out
    assert run(["data", "inspect", str(file), "--field", "text=nothing"]) == 0
    assert "`nothing`, mapped to `text`, is missing" in capsys.readouterr().out
    assert run(["data", "inspect", str(file), "--field", "text"]) == USER_ERROR
    told = " ".join(capsys.readouterr().err.replace("│", " ").split())
    assert "is not NAME=FIELD, such as prompt=question or 'text={title}: {body}'" in told


def test_data_inspect_picks_the_rows_that_a_recipe_would(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "pages.jsonl"
    rows = [{"text": name, "kind": name[:4], "license": "MIT"} for name in ("news one", "news two", "poem")]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert run(["data", "inspect", str(file), "--only", "kind=news", "--without", "text=*two"]) == 0
    shown = capsys.readouterr().out
    assert "2 rows, by `only` and `without`" in shown
    assert "Document 1 (100%)" in shown
    assert run(["data", "inspect", str(file), "--only", "kind"]) == USER_ERROR
    assert "is not FIELD=PATTERN, such as language=zh" in capsys.readouterr().err


def test_data_inspect_of_nothing_is_a_users_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["data", "inspect", "file:/nowhere/*.jsonl"]) == USER_ERROR
    assert run(["data", "inspect", "scool:prose-en"]) == USER_ERROR
    assert "did you mean school:prose-en" in capsys.readouterr().err


def test_a_wide_scoreboard_is_parted_and_loses_no_column(capsys: pytest.CaptureFixture[str]) -> None:
    names = [f"task:something-long-{n:02d}" for n in range(20)]
    scores = {name: proportion_score(name, [True, False] * 20, seed=0) for name in names}
    show._print_board(Scoreboard((Row("one", scores), Row("two", scores)), "A board"))
    shown = capsys.readouterr().out
    assert [name for name in names if name.removeprefix("task:") not in shown] == []
    assert max(map(len, shown.splitlines())) <= 132
