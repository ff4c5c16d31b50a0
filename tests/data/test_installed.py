from __future__ import annotations

import ast
from importlib import metadata
from itertools import islice
from pathlib import Path

import pytest

from bottega.data.installed import package_licence
from bottega.data.records import Document
from bottega.data.sources import ReadOptions, ReadReport, SourceSpec, open_source


def test_the_standard_library_gives_sources_and_documentation_under_its_licence() -> None:
    found = {
        record.origin.row: record
        for record in islice(open_source(SourceSpec(uri="python:stdlib"), ReadOptions()), 250)
    }
    source, documentation = found["bisect.py"], found["bisect.py#documentation"]
    assert isinstance(source, Document) and isinstance(documentation, Document)
    assert "def bisect_right(" in source.text and ast.parse(source.text)
    assert documentation.text.startswith("bisect\n\nBisection algorithms.")
    assert (
        "bisect.insort_right(a, x, lo=0, hi=None, *, key=None)\n\nInsert item x in list a"
        in documentation.text
    )
    assert {record.origin.licence for record in found.values()} == {"PSF-2.0"}
    assert not any("/test" in row or "site-packages" in row for row in found)


def test_the_order_is_the_same_every_time() -> None:
    once, again = (
        [
            record.origin.row
            for record in islice(open_source(SourceSpec(uri="python:stdlib"), ReadOptions()), 20)
        ]
        for _ in range(2)
    )
    assert once == again


def test_packages_are_taken_for_their_stated_licence_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def install(name: str, head: str, files: dict[str, str]) -> None:
        info = tmp_path / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{head}\n", "utf-8"
        )
        for path, text in files.items():
            (tmp_path / path).parent.mkdir(exist_ok=True, parents=True)
            (tmp_path / path).write_text(text, "utf-8")
        (info / "RECORD").write_text("".join(f"{path},,\n" for path in files), "utf-8")

    install("Free", "License-Expression: MIT", {"free/a.py": "x = 1\n", "free/_vendor/b.py": "y = 2\n"})
    install("copyleft", "License: GPLv3", {"copyleft/a.py": "x = 3\n", "copyleft/b.py": "x = 4\n"})
    install("silent", "", {"silent/a.py": "x = 5\n"})
    install(
        "bsd",
        "License: BSD-3-Clause\nClassifier: License :: OSI Approved :: BSD License",
        {"bsd.py": "z = 6\n"},
    )
    found = list(metadata.distributions(path=[str(tmp_path)]))
    monkeypatch.setattr(metadata, "distributions", lambda: iter(found))
    report = ReadReport()
    records = list(open_source(SourceSpec(uri="python:packages"), ReadOptions(), report))
    assert [
        (one.text, one.origin.row, one.origin.licence) for one in records if isinstance(one, Document)
    ] == [
        ("z = 6\n", "bsd/bsd.py", "BSD-3-Clause"),
        ("x = 1\n", "free/free/a.py", "MIT"),
    ]
    assert report.left_out == {"GPL": 2, "unstated": 1}


def test_the_licences_of_real_packages_are_understood() -> None:
    known = {
        name: package_licence(metadata.distribution(name))
        for name in ("numpy", "pydantic", "rich", "hypothesis")
    }
    assert known["pydantic"] == known["rich"] == "MIT"
    assert known["hypothesis"] == "MPL-2.0"
    assert known["numpy"].startswith("BSD")
