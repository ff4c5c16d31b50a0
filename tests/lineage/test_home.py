"""Locks, aliases, atomic files, and the index of families."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bottega.errors import UserError
from bottega.lineage.home import Family, Home, read_json, write_json


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


HOLDER = """
import sys
from pathlib import Path
from bottega.lineage.home import Home

with Home(Path(sys.argv[1])).lock("thing"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_lock_names_its_holder_and_falls_when_the_holder_is_killed(home: Home) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(home.root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    heard: list[str] = []

    def waiting(text: str) -> None:
        heard.append(text)
        holder.kill()  # from here on nobody will ever unlock it by hand

    with home.lock("thing", waiting):
        assert heard == [f"thing is being built by process {holder.pid}; waiting for it."]
    holder.wait()


def test_a_free_lock_is_taken_without_a_word(home: Home) -> None:
    with home.lock("thing", pytest.fail):
        pass
    with home.lock("thing", pytest.fail):
        pass


def test_a_file_is_replaced_whole_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "value.json"
    write_json(file, {"a": 1})
    write_json(file, {"b": "二"})
    assert read_json(file) == {"b": "二"}
    assert [entry.name for entry in file.parent.iterdir()] == ["value.json"]


def test_a_file_that_cannot_be_replaced_leaves_nothing_beside_it(tmp_path: Path) -> None:
    (tmp_path / "value.json" / "full").mkdir(parents=True)  # a folder stands where the file should
    with pytest.raises(OSError):
        write_json(tmp_path / "value.json", {"a": 1})
    assert [entry.name for entry in tmp_path.iterdir()] == ["value.json"]


def test_a_damaged_file_is_named_with_the_remedy(tmp_path: Path) -> None:
    file = tmp_path / "tiny.json"
    file.write_text('{"half": ', encoding="utf-8")
    with pytest.raises(UserError, match=r"tiny\.json: damaged .* Delete it"):
        read_json(file)


def test_a_home_that_cannot_be_made_is_a_users_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(UserError, match="Set BOTTEGA_HOME"), Home(tmp_path / "file" / "home").lock("x"):
        pass


def test_the_home_is_named_by_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BOTTEGA_HOME", str(tmp_path / "here"))
    assert Home().root == tmp_path / "here"
    monkeypatch.setenv("BOTTEGA_HOME", "")
    assert Home().root == Path("~/.bottega").expanduser()


def test_recording_one_node_keeps_the_others(home: Home) -> None:
    family = Family("tiny", "tiny.toml", {"world_seed": None})
    home.record(family, "model a", "1" * 64)
    home.record(family, "model b", "2" * 64)
    home.record(family, "model a", "3" * 64)
    found = home.family("tiny")
    assert found is not None
    assert found.versions == {"model a": "3" * 12, "model b": "2" * 12}


def test_the_family_built_last_comes_first(home: Home) -> None:
    for name in ("one", "two", "one"):
        home.record(Family(name, name), "model a", "1" * 64)
    assert [family.recipe for family in home.families()] == ["one", "two"]


def test_an_alias_cannot_point_at_nothing(home: Home) -> None:
    with pytest.raises(UserError, match="no such version is built"):
        home.set_alias("chatgpt", "davinci", "0" * 12)
    assert home.aliases() == {}


def test_unfinished_folders_are_no_versions(home: Home) -> None:
    home.path("dataset", "prose", "a" * 64).mkdir(parents=True)
    (home.root / "datasets" / "prose" / ".bbbb.partial-1").mkdir()
    assert home.versions("dataset", "prose") == ["a" * 12]
