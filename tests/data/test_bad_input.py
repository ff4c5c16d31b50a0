"""What a user is told about input that is wrong. Run with ``-s`` to read the messages."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from pathlib import Path

import pytest

from bottega.errors import UserError
from tests.data.files import ALPACA, EVERYTHING, read, read_with_report, write_jsonl


def _message(uri: str | Path, **spec: object) -> str:
    with pytest.raises(UserError) as caught:
        read(uri, **spec)
    print(f"\n{caught.value}")
    return str(caught.value)


def test_a_truncated_gzip_is_an_error_that_says_how_far_it_could_be_read(tmp_path: Path) -> None:
    rows = [
        {"text": f"row {i} " + "".join(chr(97 + (i * j * 7919) % 26) for j in range(99))} for i in range(4000)
    ]
    whole = write_jsonl(tmp_path / "cut.jsonl.gz", rows)
    whole.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    message = _message(whole)
    assert "cut.jsonl.gz: truncated gzip: the file ends in the middle of its data, after " in message
    assert "the rows before the cut are not taken for the whole" in message
    told = int(message.split("after ")[1].split(" whole lines")[0])
    assert 1500 < told < 2500  # half of the file, to a line


def test_a_truncated_gzip_is_an_error_even_when_bad_rows_are_skipped(tmp_path: Path) -> None:
    whole = write_jsonl(tmp_path / "cut.jsonl.gz", ALPACA * 500)
    whole.write_bytes(whole.read_bytes()[:-9])
    with pytest.raises(UserError, match="truncated gzip"):
        read(whole, replace(EVERYTHING, skip_bad_rows=True))


def test_a_damaged_gzip_is_an_error(tmp_path: Path) -> None:
    data = bytearray(gzip.compress(json.dumps(ALPACA[0]).encode() * 50))
    data[-5] ^= 0xFF  # the length
    path = tmp_path / "damaged.jsonl.gz"
    path.write_bytes(data)
    assert "damaged gzip" in _message(path)


def test_a_wrong_encoding_names_line_byte_and_a_guess(tmp_path: Path) -> None:
    path = tmp_path / "gb.jsonl"
    first = json.dumps(ALPACA[0]).encode() + b"\n"
    bad = '{"instruction": "你好，写诗", "output": "春眠不觉晓，处处闻啼鸟。"}\n'.encode("gb18030")
    path.write_bytes(first + bad)
    offset = len(first) + len(b'{"instruction": "')
    message = _message(path)
    assert f"gb.jsonl, line 2: not UTF-8: byte 0xc4 at byte {offset} of the file" in message
    assert "it may be gb18030: convert the file (iconv -f gb18030 -t utf-8)" in message


def test_utf16_is_named(tmp_path: Path) -> None:
    path = tmp_path / "wide.jsonl"
    path.write_bytes(json.dumps(ALPACA[0]).encode("utf-16"))
    assert "wide.jsonl, line 1: a NUL byte at byte 3 of the file: the file is UTF-16" in _message(path)


@pytest.mark.parametrize("ending", ["jsonl", "json", "csv", "parquet", "txt"])
def test_an_empty_file_is_an_error(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"empty.{ending}"
    path.touch()
    assert f"empty.{ending}: the file is empty (0 bytes)" in _message(path)


def test_an_empty_gzip_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "empty.jsonl.gz"
    path.write_bytes(gzip.compress(b""))
    assert "the file is empty (gzip of 0 bytes)" in _message(path)


def test_mixed_shapes_name_the_line_where_the_shape_changed(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "mixed.jsonl", [*ALPACA, {"text": "a document"}])
    message = _message(path)
    assert message.startswith(
        "mixed.jsonl, line 3: the shape changes here, from alpaca (line 1 on) to document (text)"
    )
    assert len(read(path, mixed=True)) == 3


def test_a_missing_column_names_the_fields_found_the_nearest_shape_and_the_known(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "short.jsonl", [ALPACA[0], {"instruction": "Say hi.", "input": ""}])
    message = _message(path)
    assert "short.jsonl, line 2: the row fits no known shape; fields found: instruction, input" in message
    assert "nearest: alpaca (without `output`)" in message
    assert "shapes known: openai-dpo, " in message and message.endswith("document")


def test_a_missing_column_of_csv_names_its_line(tmp_path: Path) -> None:
    path = tmp_path / "short.csv"
    path.write_text('prompt,completion\n"a\nb",c\nonly\n', "utf-8")
    assert "short.csv, line 4: 1 columns, where the header has 2 (prompt, completion)" in _message(path)


def test_a_mapped_field_that_is_missing_is_named(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "rows.jsonl", [{"q": "?", "a": "!"}])
    message = _message(path, fields={"prompt": "question", "completion": "a"})
    assert (
        message
        == "rows.jsonl, line 1: the field `question`, mapped to `prompt`, is missing; fields found: q, a"
    )


def test_a_shape_asked_for_names_what_is_missing(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "rows.jsonl", ALPACA)
    message = _message(path, shape="dolly")
    assert "the shape dolly needs `instruction`, `response`; missing: `response`" in message
    assert "there is no row shape named 'alpacca'; did you mean alpaca?" in _message(path, shape="alpacca")


@pytest.mark.parametrize("name", ["long.jsonl", "long.json", "long.csv", "long.txt", "long.jsonl.gz"])
def test_a_row_of_ten_megabytes_is_refused_with_the_limit_unless_it_is_raised(
    tmp_path: Path, name: str
) -> None:
    path, text = tmp_path / name, "x" * 10 * 2**20
    if "json" in name:
        write_jsonl(path, [{"text": text}])
    else:
        path.write_text(f"text\n{text}\n", "utf-8")
    message = _message(path)
    assert "the limit is 8 MiB" in message
    assert "raise the source's max_row_mb" in message
    assert max(len(record.text) for record in read(path, max_row_mb=11)) >= 10 * 2**20  # type: ignore[union-attr]


def test_a_long_row_is_skipped_without_being_held(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "long.jsonl", [{"text": "a"}, {"text": "x" * 2**21}, {"text": "b"}])
    records, report = read_with_report(path, replace(EVERYTHING, skip_bad_rows=True), max_row_mb=1)
    assert [record.origin.row for record in records] == ["long.jsonl:1", "long.jsonl:3"]
    assert report.bad_rows == 1 and report.rows == 3
    assert str(report.bad[0]).startswith("long.jsonl, line 2: the row is 2.0 MiB, the limit is 1 MiB")


def test_invalid_json_names_line_and_column(tmp_path: Path) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text('{"text": "one"}\n{"text": "two",}\n', "utf-8")
    message = _message(path)
    assert message.startswith("bad.jsonl, line 2: invalid JSON: ")
    assert "column 1" in message


def test_invalid_json_in_an_array_names_line_and_column(tmp_path: Path) -> None:
    path = tmp_path / "bad.json"
    path.write_text('[\n  {"text": "one"},\n  {"text": two}\n]\n', "utf-8")
    assert "bad.json, line 3: invalid JSON: Expecting value at column 12" in _message(path)


def test_an_array_that_is_cut_short_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "cut.json"
    path.write_text('[{"text": "one"},\n{"text": "two"}', "utf-8")
    assert "cut.json, line 2: the JSON array is not closed: the file was cut short" in _message(path)


def test_a_row_that_is_no_object_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "list.jsonl"
    path.write_text('["a", "b"]\n', "utf-8")
    assert "list.jsonl, line 1: a row must be a JSON object with named fields; found a list" in _message(path)


def test_a_pattern_without_a_match_suggests_a_file(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "stories.jsonl.gz", ALPACA)
    assert f"file:{tmp_path}/storys.jsonl.gz: no file matches; did you mean stories.jsonl.gz?" in _message(
        tmp_path / "storys.jsonl.gz"
    )
    assert "no file matches" in _message(tmp_path / "*.parquet")
    assert "there is no folder" in _message(tmp_path / "nowhere" / "*.jsonl")
    assert "is a folder; name its files" in _message(tmp_path)


def test_an_unknown_scheme_suggests_the_nearest() -> None:
    assert "there is no source scheme 'fiel'; did you mean file:x.jsonl?" in _message("fiel:x.jsonl")
    assert "a source starts with its scheme; did you mean file:texts/x.jsonl?" in _message("texts/x.jsonl")
    assert "known: python:stdlib, python:packages" in _message("python:stdlibs")
    assert "cannot be read yet" in _message("app:feedback")


def test_nul_bytes_are_named_by_their_place(tmp_path: Path) -> None:
    path = tmp_path / "nul.txt"
    path.write_bytes(b"one line\nand \x00 another\n")
    assert "nul.txt, line 2: a NUL byte at byte 13 of the file" in _message(path)


def test_half_a_character_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "half.jsonl"
    path.write_text('{"text": "whole \\ud83d\\ude00"}\n{"text": "half \\ud83d"}\n', "utf-8")
    assert "half.jsonl, line 2: invalid text: half of a character" in _message(path)


def test_the_wrong_ending_is_named(tmp_path: Path) -> None:
    zipped = write_jsonl(tmp_path / "a.jsonl.gz", ALPACA).rename(tmp_path / "a.jsonl")
    assert "is gzip, though its name does not say so; rename it to a.jsonl.gz" in _message(zipped)
    plain = write_jsonl(tmp_path / "b.jsonl", ALPACA).rename(tmp_path / "b.jsonl.gz")
    assert "is not gzip, though its name ends in .gz" in _message(plain)
    (tmp_path / "c.docx").write_bytes(b"x")
    assert "c.docx: unknown kind of file; known: .jsonl" in _message(tmp_path / "c.docx")


def test_a_data_folder_that_is_not_set_is_an_error() -> None:
    assert "$DATA is not set; give the data folder with --data FOLDER" in _message("file:$DATA/x.jsonl")


def test_a_damaged_parquet_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "bad.parquet"
    path.write_bytes(b"PAR1" + b"\x07" * 100)
    assert "bad.parquet: unreadable Parquet after row 0" in _message(path)


def test_skipped_rows_are_counted_with_their_reasons(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "some.jsonl", [ALPACA[0], {"instruction": 7, "output": "x"}, [], ALPACA[1]])
    records, report = read_with_report(path, replace(EVERYTHING, skip_bad_rows=True))
    assert len(records) == 2 and report.rows == 4 and report.bad_rows == 2
    assert [str(bad) for bad in report.bad] == [
        "some.jsonl, line 2: `instruction` must be text; found a number",
        "some.jsonl, line 3: a row must be a JSON object with named fields; found a list",
    ]
