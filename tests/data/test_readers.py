from __future__ import annotations

import csv
import gzip
import io
import json
import tracemalloc
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bottega.data.lines import raise_bad_row
from bottega.data.readers import Reading, read_rows

READING = Reading(raise_bad_row, 8 * 2**20, 4000)
NAMES = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=8)
VALUES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)
ROWS = st.lists(
    st.dictionaries(NAMES, VALUES | st.integers() | st.none(), max_size=4), min_size=1, max_size=8
)


def rows_of(name: str, data: bytes, reading: Reading = READING) -> list[tuple[int, dict[str, Any]]]:
    with TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(data)
        return [(row.line, row.fields) for row in read_rows(path, name, reading)]


@given(ROWS, st.booleans(), st.booleans())
def test_json_lines_round_trip_plain_and_gzip(
    rows: list[dict[str, Any]], zipped: bool, ascii_only: bool
) -> None:
    data = "".join(json.dumps(row, ensure_ascii=ascii_only) + "\n" for row in rows).encode()
    name, data = ("x.jsonl.gz", gzip.compress(data)) if zipped else ("x.jsonl", data)
    assert rows_of(name, data) == list(enumerate(rows, 1))


@given(ROWS, st.sampled_from([None, 1, 2]))
def test_json_arrays_round_trip_with_their_lines(rows: list[dict[str, Any]], indent: int | None) -> None:
    text = json.dumps(rows, indent=indent)
    read = rows_of("x.json", text.encode())
    assert [fields for _, fields in read] == rows
    starts = [
        number for number, line in enumerate(text.split("\n"), 1) if line[: 1 + (indent or 0)].strip() == "{"
    ]
    empty = any(not row for row in rows)  # an empty object is one line, "{}"
    assert indent is None or empty or [line for line, _ in read] == starts


def test_json_arrays_larger_than_a_block_are_read_value_by_value() -> None:
    rows = [{"text": f"{i} " + 'é\\"{}[],\n' * (i % 700)} for i in range(2500)]  # 8 MB
    assert [fields for _, fields in rows_of("x.json", json.dumps(rows, ensure_ascii=False).encode())] == rows


def test_objects_one_after_the_other_in_a_json_file_are_rows() -> None:
    assert rows_of("x.json", b'{"a": 1}\n{"a": 2}\n') == [(1, {"a": 1}), (2, {"a": 2})]


CELLS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"), max_size=20)


@given(st.lists(NAMES, min_size=2, max_size=4, unique=True), st.data(), st.booleans())
def test_csv_round_trips_quotes_commas_and_line_breaks(
    header: list[str], data: st.DataObject, zipped: bool
) -> None:
    rows = data.draw(st.lists(st.tuples(*(CELLS for _ in header)), max_size=6))
    text = io.StringIO(newline="")
    writer = csv.writer(text, quoting=csv.QUOTE_ALL)
    writer.writerows([header, *rows])
    content = text.getvalue().encode()
    name, content = ("x.csv.gz", gzip.compress(content)) if zipped else ("x.csv", content)
    assert [fields for _, fields in rows_of(name, content)] == [
        dict(zip(header, row, strict=True)) for row in rows
    ]


def test_a_row_of_csv_is_numbered_by_the_line_where_it_starts() -> None:
    assert rows_of("x.csv", b'a,b\n"1\n1",2\n3,4\n') == [
        (2, {"a": "1\n1", "b": "2"}),
        (4, {"a": "3", "b": "4"}),
    ]


def test_parquet_is_read_in_batches(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = tmp_path / "x.parquet"
    rows = [{"messages": [{"role": "user", "content": str(i)}], "n": i} for i in range(1000)]
    pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=300)
    assert [(row.line, row.fields) for row in read_rows(path, "x.parquet", READING)] == list(
        enumerate(rows, 1)
    )


def test_plain_text_is_gathered_by_paragraphs() -> None:
    text = "one\none\n\n\n\ntwo\n\n" + "three " * 5 + "\n\nfour\n"
    read = rows_of("x.txt", text.encode(), Reading(raise_bad_row, 1000, 12))
    assert read == [
        (1, {"text": "one\none\n\ntwo\n"}),
        (8, {"text": "three three three three three\n"}),
        (10, {"text": "four\n"}),
    ]


def test_lines_without_blank_ones_are_cut_at_twice_the_length() -> None:
    read = rows_of("x.txt", b"0123456789\n" * 9, Reading(raise_bad_row, 1000, 20))
    assert [(line, fields["text"].count("\n")) for line, fields in read] == [(1, 4), (5, 4), (9, 1)]


@settings(max_examples=50)
@given(st.lists(st.text("ab \n", max_size=30), max_size=20), st.integers(1, 50))
def test_plain_text_loses_no_word(blocks: list[str], length: int) -> None:
    text = "x" + "\n".join(blocks)
    read = rows_of("x.txt", text.encode(), Reading(raise_bad_row, 1000, length))
    assert "".join(fields["text"] for _, fields in read).split() == text.split()


@pytest.mark.parametrize("ending", ["jsonl.gz", "json", "csv", "parquet", "txt"])
def test_a_large_file_is_never_held_in_memory(tmp_path: Path, ending: str) -> None:
    path, rows = tmp_path / f"large.{ending}", 24_000
    line = "the quick brown fox jumps over the lazy dog again and again " * 16  # 24 MB in all
    if ending == "parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        with pq.ParquetWriter(path, pa.schema([("text", pa.string())])) as writer:
            for _ in range(40):
                writer.write_batch(pa.record_batch([pa.array([line] * (rows // 40))], names=["text"]))
    else:
        with gzip.open(path, "wt") if ending.endswith("gz") else path.open("w") as file:
            file.write({"json": "[", "csv": "text\n"}.get(ending, ""))
            for number in range(rows):
                row = json.dumps({"text": line})
                file.write(
                    {"txt": f"{line}\n\n", "csv": f"{line}\n", "json": f"{',' * (number > 0)}{row}"}.get(
                        ending, f"{row}\n"
                    )
                )
            file.write("]" if ending == "json" else "")
    tracemalloc.start()
    try:
        read = sum(len(str(row.fields["text"])) for row in read_rows(path, path.name, READING))
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert read >= rows * (len(line) - 1)
    assert peak_bytes < 12 * 2**20
