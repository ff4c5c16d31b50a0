from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
from pydantic import ValidationError

from bottega.data.records import Document, Origin, Record
from bottega.data.sources import (
    ReadOptions,
    ReadReport,
    SourceSpec,
    has_own_splits,
    open_source,
    register_scheme,
)
from bottega.errors import UserError
from tests.data.files import ALPACA, EVERYTHING, documents, read, read_with_report, write_jsonl


def texts(records: list[Record]) -> list[str]:
    return [record.text for record in records if isinstance(record, Document)]


def test_files_are_read_in_the_order_of_their_names_and_rows_know_their_place(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "b.jsonl.gz", documents(["b1", "b2"]))
    write_jsonl(tmp_path / "a" / "x.jsonl", documents(["a1"]))
    records = read(f"file:{tmp_path}/**/*.jsonl*")
    assert texts(records) == ["a1", "b1", "b2"]
    assert [record.origin.row for record in records] == ["a/x.jsonl:1", "b.jsonl.gz:1", "b.jsonl.gz:2"]
    assert records[0].origin == Origin(f"file:{tmp_path}/**/*.jsonl*", "a/x.jsonl:1", "MIT")


def test_the_data_folder_stands_for_a_variable(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "x.jsonl", documents(["one"]))
    records = read("file:$DATA/x.jsonl", replace(EVERYTHING, data=tmp_path))
    assert texts(records) == ["one"] and records[0].origin.source == "file:$DATA/x.jsonl"


def test_the_two_splits_are_all_of_it(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "x.jsonl", documents([f"text {i}" for i in range(500)]))
    train, heldout, every = (
        texts(read(path, replace(EVERYTHING, split=split, heldout_fraction=0.2)))  # type: ignore[arg-type]
        for split in ("train", "heldout", "all")
    )
    assert sorted(train + heldout) == sorted(every) and len(every) == 500
    assert 60 < len(heldout) < 140


def test_shuffling_is_fixed_by_the_seed_and_loses_nothing(tmp_path: Path) -> None:
    ordered = [f"text {i:03d}" for i in range(300)]
    path = write_jsonl(tmp_path / "x.jsonl", documents(ordered))
    once, again, other = (texts(read(path, replace(EVERYTHING, seed=s), shuffle=50)) for s in (1, 1, 2))
    assert once == again != other
    assert sorted(once) == ordered != once
    assert sorted(texts(read(path, EVERYTHING, shuffle=1000))) == ordered


def test_a_shuffled_cap_takes_from_all_that_is_held(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "x.jsonl", documents([f"{i}" for i in range(1000)]))
    taken = [int(text) for text in texts(read(path, EVERYTHING, shuffle=1000, records=50))]
    assert len(taken) == 50 and max(taken) > 800
    assert texts(read(path, EVERYTHING, records=2)) == ["0", "1"]


def test_a_source_is_streamed(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "x.jsonl", [*ALPACA, {"odd": 1}])
    stream = open_source(SourceSpec(uri=f"file:{path}"), EVERYTHING)
    assert len(list(islice(stream, 2))) == 2  # before the row that is wrong
    with pytest.raises(UserError, match="line 3"):
        next(stream)


def test_every_fault_that_needs_no_reading_is_raised_at_once(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no file matches"):
        open_source(SourceSpec(uri=f"file:{tmp_path}/*.jsonl"), EVERYTHING)
    with pytest.raises(UserError, match="did you mean alpaca"):
        open_source(SourceSpec(uri=f"file:{tmp_path}/*.jsonl", shape="alpaka"), EVERYTHING)


def test_the_report_counts_rows_shapes_and_records(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "x.jsonl", ALPACA)
    records, report = read_with_report(path, EVERYTHING)
    assert len(records) == report.rows == report.records == 2
    assert report.shapes == {"alpaca": 2} and report.bad_rows == 0


def test_fields_are_mapped_by_the_source(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "x.jsonl", [{"title": "T", "text": "body", "licence": "MIT"}])
    assert texts(read(path, fields={"text": "{title}\n\n{text}"})) == ["T\n\nbody"]


def test_rows_are_picked_by_their_fields_and_the_others_counted(tmp_path: Path) -> None:
    rows = [
        {"text": "one", "meta": {"lang": "zh-Hans", "year": 2020}},
        {"text": "two", "meta": {"lang": "zh-Hant", "year": 2021}},
        {"text": "three", "meta": {"lang": "en", "year": 2020}},
        {"text": "four", "meta": {"lang": "fr", "year": 2020}},
    ]
    path = write_jsonl(tmp_path / "x.jsonl", rows)
    only = {"meta.lang": ["zh*", "en"]}
    assert texts(read(path, only=only)) == ["one", "two", "three"]
    assert texts(read(path, only=only, without={"meta.year": ["2021"]})) == ["one", "three"]
    assert texts(read(path, without={"meta.lang": ["zh-Han?"]})) == ["three", "four"]
    assert texts(read(path, only=only | {"meta.year": ["2021"]}, fields={"text": "text"})) == ["two"]
    _, report = read_with_report(path, EVERYTHING, only=only)
    assert (report.rows, report.records, report.filtered) == (4, 3, 1)


def test_a_filter_that_leaves_nothing_or_cannot_work_is_an_error(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "x.jsonl", [{"text": "one", "lang": "en"}, {"text": "two"}])
    with pytest.raises(UserError, match=r"line 2: the field `lang`, named by `without`, is missing; .* text"):
        read(path, without={"lang": ["zh"]})
    with pytest.raises(UserError, match=r"left out all 2 rows; what does `text` hold\?"):
        read(path, only={"text": ["three"]})
    with pytest.raises(UserError, match="school:prose-en: `only` and `without` look at the fields of rows"):
        read("school:prose-en", only={"text": ["*"]}, records=1)


def test_a_registered_scheme_is_opened_with_the_options() -> None:
    def countdown(uri: str, options: ReadOptions) -> Iterator[Record]:
        for number in range(3):
            yield Document(f"{uri} {options.world_seed} {number}", Origin(uri, str(number), "MIT"))

    register_scheme("countdown", countdown)
    report = ReadReport()
    spec = SourceSpec(uri="countdown:x", records=2)
    assert texts(list(open_source(spec, ReadOptions(world_seed=7), report))) == [
        "countdown:x 7 0",
        "countdown:x 7 1",
    ]
    assert report.rows == 2 and not has_own_splits(spec)


def test_the_school_is_a_source_with_splits_of_its_own() -> None:
    spec = SourceSpec(uri="school:prose-en", records=5)
    assert has_own_splits(spec)
    train, heldout = (
        texts(list(open_source(spec, ReadOptions(split=split)))) for split in ("train", "heldout")
    )
    assert len(train) == len(heldout) == 5 and not set(train) & set(heldout)


def test_a_specification_refuses_what_it_does_not_know() -> None:
    for wrong in ({"wieght": 2}, {"weight": 0}, {"records": 0}, {"shuffle": -1}):
        with pytest.raises(ValidationError):
            SourceSpec.model_validate({"uri": "file:x"} | wrong)
