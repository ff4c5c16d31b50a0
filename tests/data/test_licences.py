from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bottega.data.licences import classify, let_in, normalise
from bottega.data.sources import ReadOptions
from bottega.errors import UserError
from tests.data.files import EVERYTHING, read, read_with_report, write_jsonl


@pytest.mark.parametrize(
    ("name", "short", "kind"),
    [
        ("MIT", "MIT", "permissive"),
        ("MIT License", "MIT", "permissive"),
        ("mit", "MIT", "permissive"),
        ("MIT (GPT-4 output)", "MIT (GPT-4 output)", "permissive"),
        ("Apache License 2.0", "Apache-2.0", "permissive"),
        ("Apache Software License", "Apache-2.0", "permissive"),
        ("apache-2.0", "Apache-2.0", "permissive"),
        ("The Apache License, Version 2.0", "Apache-2.0", "permissive"),
        ("BSD 3-Clause License", "BSD-3-Clause", "permissive"),
        ("BSD-3-Clause", "BSD-3-Clause", "permissive"),
        ("Python Software Foundation License", "PSF-2.0", "permissive"),
        ("public domain (published 1928)", "Public domain (published 1928)", "permissive"),
        ("CC BY 4.0", "CC-BY-4.0", "permissive"),
        ("cc0-1.0", "CC0-1.0", "permissive"),
        ("cc-by-sa-4.0", "CC-BY-SA-4.0", "share-alike"),
        ("CC BY-SA", "CC-BY-SA", "share-alike"),
        ("Creative Commons Attribution (BY) SA 3.0", "CC-BY-SA-3.0", "share-alike"),
        ("GPL-3.0-or-later", "GPL", "share-alike"),
        ("GNU General Public License v3", "GPL", "share-alike"),
        ("Mozilla Public License 2.0 (MPL 2.0)", "MPL-2.0 (MPL 2.0)", "share-alike"),
        ("CC BY-NC 4.0", "CC-BY-NC-4.0", "nc"),
        ("cc-by-nc-sa-4.0", "CC-BY-NC-SA-4.0", "nc"),
        ("NC: research only", "NC: research only", "nc"),
        ("MIT (research only)", "MIT (research only)", "nc"),
        ("non-commercial (folder nc)", "non-commercial (folder nc)", "nc"),
        ("CC BY-ND 4.0", "CC-BY-ND-4.0", "unclear"),
        ("unclear: no explicit licence", "unclear: no explicit licence", "unclear"),
        ("unstated", "unstated", "unclear"),
        ("", "", "unclear"),
        ("Proprietary", "Proprietary", "unclear"),
        ("llama3.1", "llama3.1", "unclear"),
    ],
)  # fmt: skip
def test_licences_are_named_uniformly_and_classified(name: str, short: str, kind: str) -> None:
    assert normalise(name) == short
    assert classify(name) == classify(short) == kind


def test_an_expression_takes_the_best_of_or_and_the_worst_of_and() -> None:
    assert classify("GPL-3.0 OR MIT") == "permissive"
    assert classify("MIT AND CC-BY-SA-4.0") == "share-alike"
    assert classify("MIT AND something odd") == "unclear"
    assert classify("(Apache-2.0 OR BSD-3-Clause) AND GPL-3.0") == "share-alike"
    assert classify("MIT AND (MPL-2.0 OR something odd)") == "share-alike"
    assert classify("((something odd) OR (MIT AND ISC))") == "permissive"
    assert classify("Apache-2.0 AND Apache-2.0 WITH LLVM-exception AND BSD-3-Clause") == "permissive"


@given(st.text(max_size=30))
def test_no_unknown_name_is_ever_let_in_unasked(name: str) -> None:
    if classify(name) in ("nc", "unclear"):
        assert not let_in(name)
    assert let_in(name, include_nc=True, include_unclear=True)
    assert normalise(normalise(name)) == normalise(name)


ROWS = [
    {"text": f"row {name}", "licence": name}
    for name in ("MIT", "CC BY-NC 4.0", "CC BY-NC 4.0", "who knows", "CC BY-SA 4.0")
]


def test_rows_that_may_not_be_used_stay_out_and_are_counted_by_name(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "x.jsonl", ROWS)
    records, report = read_with_report(path, ReadOptions())
    assert [record.origin.licence for record in records] == ["MIT", "CC-BY-SA-4.0"]
    assert report.left_out == {"CC-BY-NC-4.0": 2, "who knows": 1}
    assert report.licences == {"MIT": 1, "CC-BY-SA-4.0": 1}
    assert len(read_with_report(path, ReadOptions(include_nc=True))[0]) == 4
    assert len(read_with_report(path, ReadOptions(include_unclear=True))[0]) == 3


def test_the_source_overrides_what_rows_say(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "x.jsonl", ROWS)
    assert {record.origin.licence for record in read(path, ReadOptions(), licence="mit license")} == {"MIT"}


def test_american_spelling_counts(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "x.jsonl", [{"text": "a", "license": "apache-2.0"}])
    assert read(path, ReadOptions())[0].origin.licence == "Apache-2.0"


def test_a_folder_named_nc_makes_rows_non_commercial_where_nothing_is_stated(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "nc" / "x.jsonl", [{"text": "a"}, {"text": "b", "licence": "MIT"}])
    records, report = read_with_report(path, ReadOptions())
    assert [record.text for record in records] == ["b"]  # type: ignore[union-attr]
    assert report.left_out == {"non-commercial (folder nc)": 1}


def test_a_source_with_nothing_left_says_which_flag_lets_it_in(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "x.jsonl", [{"text": "a"}, {"text": "b"}])
    with pytest.raises(UserError) as caught:
        read(path, ReadOptions())
    assert str(caught.value) == (
        f"file:{path}: every row was left out for its licence (unstated: 2); "
        'state it in the source (licence = "MIT", say), or use --include-unclear'
    )
    assert len(read(path, replace(EVERYTHING, include_nc=False))) == 2
