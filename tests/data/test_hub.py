from __future__ import annotations

from pathlib import Path

import pytest

from bottega.data.hub import HubAddress, open_hub, parse_hub_uri
from bottega.data.records import Conversation, Message, Origin
from bottega.data.sources import ReadOptions, ReadReport, SourceSpec, open_source
from bottega.errors import UserError
from tests.data.files import ALPACA, write_jsonl

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("uri", "address"),
    [
        ("hf:owner/data:train", HubAddress("owner/data", "train")),
        ("hf:owner/data/en:test", HubAddress("owner/data", "test", config="en")),
        (f"hf:owner/data@{COMMIT}:train", HubAddress("owner/data", "train", revision=COMMIT)),
    ],
)
def test_hub_uris_are_taken_apart(uri: str, address: HubAddress) -> None:
    assert parse_hub_uri(uri) == address


@pytest.mark.parametrize("uri", ["hf:owner/data", "hf:data:train", "hf::train", "hf:a/b/c/d:train"])
def test_a_wrong_hub_uri_says_the_form(uri: str) -> None:
    with pytest.raises(UserError, match="hf:owner/dataset:split"):
        parse_hub_uri(uri)


def test_a_local_folder_in_the_hubs_layout_is_streamed(tmp_path: Path) -> None:
    folder = tmp_path / "snapshots" / COMMIT
    write_jsonl(folder / "data" / "train-00000-of-00001.jsonl", ALPACA)
    (folder / "README.md").write_text("---\nlanguage: en\nlicense: apache-2.0\n---\n# Data\n", "utf-8")
    report = ReadReport()
    uri = f"hf:{folder}:train"
    records = list(open_source(SourceSpec(uri=uri), ReadOptions(), report))
    assert records[1] == Conversation(
        (Message("user", "Add.\n\n2 and 3"), Message("assistant", "5")),
        Origin(uri, f"{COMMIT}:2", "Apache-2.0"),
    )
    assert report.pinned == {uri: COMMIT} and report.rows == len(records) == 2


def test_a_missing_folder_or_split_is_a_users_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no folder"):
        open_hub(f"hf:{tmp_path}/none:train")
    write_jsonl(tmp_path / "local" / "train.jsonl", ALPACA)
    with pytest.raises(UserError, match=r"hf:local:validation: cannot be read: .*validation"):
        list(open_hub(f"hf:{tmp_path}/local:validation").rows())
