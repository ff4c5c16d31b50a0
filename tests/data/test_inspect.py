from __future__ import annotations

import io
from pathlib import Path

from rich.console import Console

from bottega.data.inspect import Inspection, LicenceShare, Quantiles, inspect, render
from bottega.data.sources import ReadOptions, SourceSpec
from tests.data.files import ALPACA, documents, write_jsonl


def look(path: Path, **options: object) -> Inspection:
    return inspect(SourceSpec(uri=f"file:{path}"), ReadOptions(), **options)  # type: ignore[arg-type]


def shown(inspection: Inspection) -> str:
    out = io.StringIO()
    Console(file=out, width=100, force_terminal=False).print(render(inspection))
    print(out.getvalue())
    return out.getvalue()


def test_it_counts_measures_and_samples(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "x.jsonl", [*documents(["abcd", "ABCD", "我们在学习中文。"])])
    found = look(path, count_tokens=len)
    assert (found.rows, found.records, found.kinds, found.shapes) == (3, 3, {"Document": 3}, {"document": 3})
    assert found.languages == {"en": 2, "zh": 1} and found.duplicates == 1
    assert found.characters == Quantiles(4, 4, 4, 8, 8, 16) and found.tokens == found.characters
    assert found.bytes == Quantiles(4, 4, 4, 24, 24, 32) and found.messages is None
    assert found.licences == [LicenceShare("MIT", "permissive", 3)]
    assert found.sample == "abcd" and found.complete and found.bad_rows == 0
    assert "1 of 3 records (33%) repeat an earlier one" in shown(found)


def test_what_is_wrong_is_listed_with_its_place_and_reading_goes_on(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "x.jsonl", [ALPACA[0], *[{"odd": 1}] * 12, ALPACA[1], {"text": "x"}])
    found = look(path)
    assert found.records == 2 and found.bad_rows == 13 and len(found.bad) == 10
    assert found.bad[0].startswith("x.jsonl, line 2: the row fits no known shape; fields found: odd")
    text = " ".join(shown(found).split())
    assert "13 of 15 rows (86.7%) cannot be used" in text and "and 3 more bad rows" in text


def test_a_file_that_breaks_off_is_a_problem_beside_what_came_before(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "x.jsonl.gz", documents([f"{i} {hash(str(i))}" for i in range(9000)]))
    path.write_bytes(path.read_bytes()[:-2000])
    found = look(path)
    assert found.records > 1000 and "truncated gzip" in found.problems[0]


def test_licences_that_stay_out_say_how_they_get_in(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "x.jsonl", [{"text": "a"}, {"text": "b", "licence": "CC BY-NC 4.0"}])
    found = look(path)
    assert found.problems == [
        "1 rows stay out of training (CC-BY-NC-4.0): use --include-nc",
        "1 rows stay out of training (unstated): use --include-unclear or state the licence in the source",
    ]


def test_the_datas_own_markup_and_control_codes_do_not_act(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "x.jsonl", documents(["[red]not markup[/red] \x1b[31m"]))
    assert r"[red]not markup[/red] \x1b[31m" in shown(look(path))


def test_a_limit_bounds_what_is_read(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "x.jsonl", documents([str(i) for i in range(100)]))
    found = look(path, limit=10)
    assert found.records == 10 and not found.complete


def test_conversations_and_comparisons_are_sampled_turn_by_turn(tmp_path: Path) -> None:
    assert look(write_jsonl(tmp_path / "x.jsonl", ALPACA)).sample == "user: Name a fruit.\nassistant: Pear."
    path = write_jsonl(tmp_path / "y.jsonl", [{"prompt": "A?", "chosen": "x", "rejected": "y"}])
    assert look(path).sample == "user: A?\nanswer 0: x\nanswer 1: y\nranking by unknown: 0 > 1"


def test_an_endless_source_is_looked_at_for_a_while() -> None:
    found = inspect(SourceSpec(uri="school:prose-en"))
    assert found.records == 2000 and not found.complete
