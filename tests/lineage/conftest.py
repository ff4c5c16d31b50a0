"""A miniature world on disk, and a home of its own, for families that build in seconds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bottega.lineage.home import Home

TINY = Path(__file__).parents[1] / "recipes" / "tiny.toml"
COLOURS = ("red", "green", "blue", "white", "grey", "black")
THINGS = ("stone", "river", "house", "tree", "road", "boat", "bird", "hill")
ANIMALS = ("cat", "dog", "fox", "owl", "hen", "cow")


def write_data(folder: Path) -> None:
    """prose, code and chats: a few hundred short records each."""
    folder.mkdir(parents=True, exist_ok=True)
    pairs = [(colour, thing, animal) for colour in COLOURS for thing in THINGS for animal in ANIMALS]
    prose = [{"text": f"The {t} is {c}. The {a} sits by the {t}. 石头是{c}的。"} for c, t, a in pairs]
    code = [{"text": f"def {t}_{a}(x):\n    return '{c}' * x\n"} for c, t, a in pairs]
    chats = [
        {
            "messages": [
                {"role": "user", "content": f"What is the colour of the {t} of the {a}? It is {c}."},
                {"role": "assistant", "content": f"It is {c}."},
            ]
        }
        for c, t, a in pairs
    ]
    for name, rows in (("prose", prose), ("code", code), ("chats", chats)):
        lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (folder / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that $DATA stands for."""
    folder = tmp_path_factory.mktemp("data")
    write_data(folder)
    return folder


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """An empty home."""
    return Home(tmp_path / "home")
