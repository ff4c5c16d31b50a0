"""The verbs that read the hub, by the official clients, from a hub on the loopback."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bottega.cli.main import USER_ERROR
from bottega.lineage.card import read_card
from bottega.lineage.home import Home
from bottega.lineage.names import find_model
from tests.data.files import write_jsonl
from tests.hub_server import COMMIT, hub

FLAGS = ["--threads", "1", "--compile", "off", "--precision", "float32", "--device", "cpu", "--jobs", "1"]
CARD = """---
license: mit
configs:
- config_name: chats
  data_files: [{split: train, path: "chats/*.jsonl"}]
---
"""


def verb(address: str, home: Home, *words: str) -> subprocess.CompletedProcess[str]:
    """A verb in a process of its own, whose clients know no other hub."""
    there = {"HF_ENDPOINT": address, "HF_HOME": str(home.root / "hub"), "BOTTEGA_HOME": str(home.root)}
    return subprocess.run(
        [sys.executable, "-m", "bottega", *words],
        env=os.environ | there | {"COLUMNS": "120"},
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_a_family_is_made_of_a_model_and_a_data_set_of_the_hub(
    copied: Home, data: Path, tmp_path: Path
) -> None:
    shutil.copytree(find_model(copied, "davinci"), tmp_path / "models" / "owner" / "base")
    folder = tmp_path / "datasets" / "owner" / "talks"
    shutil.copytree(data, folder / "chats", ignore=lambda _, names: set(names) - {"chats.jsonl"})
    (folder / "README.md").write_text(CARD, encoding="utf-8")
    with hub(tmp_path) as address:
        seen = verb(address, copied, "data", "inspect", "hf:owner/talks/chats:train")
        assert f"hf:owner/talks/chats:train at {COMMIT}" in seen.stdout
        assert "MIT (permissive)" in seen.stdout
        taken = verb(address, copied, "import", "owner/base", "--as", "foreign")
        assert taken.returncode == 0, taken.stderr
        snippet = taken.stdout.partition("\n\n")[2]
        recipe = tmp_path / "mine.toml"
        recipe.write_text(
            '[recipe]\nname = "mine"\n'
            '[datasets.talks]\nsources = ["hf:owner/talks/chats:train"]\n'
            f"{snippet}\n"
            '[models.tuned]\nstage = "sft"\nparent = "foreign"\ndata = ["talks"]\n'
            "budget_tokens = 2048\ncontext = 64\nbatch_tokens = 512\n",
            encoding="utf-8",
        )
        built = verb(address, copied, "build", "--all", "--recipe", str(recipe), *FLAGS)
        assert built.returncode == 0, built.stderr
    card = read_card(find_model(copied, "tuned"))
    assert [parent.name for parent in card.parents] == ["foreign"]
    assert set(card.licences) == {"MIT"}
    assert [used.commits for used in card.data] == [{"hf:owner/talks/chats:train": COMMIT}]
    told = (find_model(copied, "tuned") / "README.md").read_text(encoding="utf-8")
    assert f"hf:owner/talks/chats:train at `{COMMIT}`" in told


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("data", "inspect", "hf:owner/none:train"), "there is no public data set owner/none"),
        (("data", "inspect", f"hf:owner/talks@{'f' * 40}:train"), "has no revision " + "f" * 40),
        (
            ("import", "owner/none", "--as", "x"),
            "owner/none: neither a folder here nor to be had from the hub",
        ),
        (("import", "owner/pickled", "--as", "x"), "the hub has no safetensors for it"),
    ],
)
def test_what_the_hub_does_not_have_is_said(words: tuple[str, ...], message: str, tmp_path: Path) -> None:
    write_jsonl(tmp_path / "datasets" / "owner" / "talks" / "train.jsonl", [{"text": "One."}])
    pickled = tmp_path / "models" / "owner" / "pickled"
    pickled.mkdir(parents=True)
    (pickled / "config.json").write_text("{}", encoding="utf-8")
    (pickled / "pytorch_model.bin").write_bytes(b"\x80\x04cos\nsystem\n")
    home = Home(tmp_path / "home")
    with hub(tmp_path) as address:
        done = verb(address, home, *words)
    assert done.returncode == USER_ERROR
    assert message in " ".join(done.stderr.split())
    assert not list((home.root / "models").glob("*"))
