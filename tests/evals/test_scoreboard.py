from __future__ import annotations

import json
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from bottega.evals.score import Score, missing_score, proportion_score
from bottega.evals.scoreboard import Row, Scoreboard, short_name


def right(name: str, hits: int) -> Score:
    return proportion_score(name, [i < hits for i in range(100)], seed=0).with_context({"majority": 0.2}, 1.0)


def bits(value: float) -> Score:
    return Score("bits-per-byte:prose", value, value - 0.1, value + 0.1, 50, "bits/byte", False, 0)


@pytest.fixture
def board() -> Scoreboard:
    return Scoreboard(
        (
            Row("davinci", {"bits-per-byte:prose": bits(1.5), "task:sums": right("task:sums", 40)}),
            Row("twin", {"bits-per-byte:prose": bits(0.5), "task:sums": right("task:sums", 90)}, "control"),
            Row("code", {"bits-per-byte:prose": bits(1.25), "task:sums": right("task:sums", 35)}),
            Row(
                "late",
                {
                    "task:sums": right("task:sums", 40),
                    "task:programs": missing_score("task:programs", "no sandbox"),
                },
            ),
        ),
        "the family",
    )


def printed(board: Scoreboard, width: int) -> str:
    console = Console(width=width, file=StringIO(), color_system=None)
    console.print(board)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def test_columns_are_the_evaluations_in_the_order_they_appear(board: Scoreboard) -> None:
    assert board.columns == ("bits-per-byte:prose", "task:sums", "task:programs")


def test_the_best_is_the_highest_or_the_lowest_and_never_a_control(board: Scoreboard) -> None:
    assert board.best("bits-per-byte:prose") == {"code"}
    assert board.best("task:sums") == {"davinci", "late"}
    assert board.best("task:programs") == frozenset()


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("task:icl-en-8", "icl-en-8"),
        ("bits-per-byte:prose", "bits-per-byte:prose"),
        ("choices:file:$DATA/eval/hellaswag-dev.jsonl.gz", "choices:hellaswag-dev"),
        ("shots-8:commands/file:nl2bash.jsonl", "shots-8:commands/nl2bash"),
        ("exact:file:$DATA/chats/*.jsonl", "exact:file:$DATA/chats/*.jsonl"),
    ],
)
def test_a_column_bears_the_name_of_its_file(name: str, short: str) -> None:
    assert short_name(name) == short


def test_a_part_of_the_table_shows_the_models_that_have_a_score_in_it(board: Scoreboard) -> None:
    console = Console(width=80, file=StringIO(), color_system=None)
    console.print(board.table(["task:programs"]))
    assert isinstance(console.file, StringIO)
    shown = console.file.getvalue()
    assert "late" in shown and "n/a" in shown and "davinci" not in shown


def test_equal_models_have_no_best() -> None:
    rows = tuple(Row(name, {"task:sums": right("task:sums", 40)}) for name in ("a", "b"))
    assert Scoreboard(rows).best("task:sums") == frozenset()


def test_the_table_shows_values_intervals_floors_ceiling_and_what_is_missing(board: Scoreboard) -> None:
    text = printed(board, 120)
    for shown in (
        "40.0*",
        "30.9–49.8",
        "1.250*",
        "floor: majority",
        "20.0",
        "ceiling",
        "100.0",
        "control",
        "n/a: no sandbox",
    ):
        assert shown in text
    assert "90.0*" not in text


def test_a_narrow_terminal_gets_the_columns_below_each_other_and_loses_none(board: Scoreboard) -> None:
    wide, narrow = printed(board, 120), printed(board, 50)
    assert wide.count("davinci") == 1 < narrow.count("davinci")
    assert max(map(len, narrow.splitlines())) <= 50
    assert narrow.count("the family") == 1
    for column in ("bits-per-byte:prose", "sums", "programs"):
        assert column in narrow


@pytest.mark.parametrize(("suffix", "magic"), [("png", b"\x89PNG"), ("svg", b"<?xml")])
def test_the_picture_is_written(board: Scoreboard, suffix: str, magic: bytes, tmp_path: Path) -> None:
    board.draw(tmp_path / f"new/board.{suffix}")
    assert (tmp_path / f"new/board.{suffix}").read_bytes().startswith(magic)


def test_a_board_of_nothing_built_is_still_drawn(tmp_path: Path) -> None:
    Scoreboard((Row("a", {"task:programs": missing_score("task:programs", "no sandbox")}),)).draw(
        tmp_path / "b.png"
    )
    assert (tmp_path / "b.png").exists()


def test_json_has_every_score_and_no_cases(board: Scoreboard) -> None:
    read = json.loads(json.dumps(board.to_json()))
    assert [row["model"] for row in read["rows"]] == ["davinci", "twin", "code", "late"]
    sums = read["rows"][0]["scores"]["task:sums"]
    assert (sums["value"], sums["n"], sums["floors"]) == (0.4, 100, {"majority": 0.2})
    assert "outcomes" not in sums
    assert read["rows"][3]["scores"]["task:programs"]["value"] is None
