"""What a fingerprint depends on, and what it does not."""

from __future__ import annotations

import dataclasses
import os
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from recipes.tiny import TINY, tiny_options

from bottega.lineage.fingerprint import canonical, dataset_identity, dataset_key, digest
from bottega.lineage.graph import Node
from bottega.lineage.home import Home
from bottega.lineage.recipe import DatasetSpec, parse
from bottega.lineage.resolve import Resolver

MODELS = ("davinci", "code-davinci", "text-davinci", "text-davinci-scratch")


def built(home: Home, data: Path, text: str, **options: object) -> dict[str, bool]:
    """For each model of a recipe, whether the version it asks for stands in the home."""
    chosen = dataclasses.replace(tiny_options(data), **options)  # type: ignore[arg-type]
    resolver = Resolver(parse(text, "tiny.toml"), home, chosen)
    return {name: resolver.standing(Node("model", name)).built for name in MODELS}


def stale(home: Home, data: Path, text: str, **options: object) -> set[str]:
    return {name for name, stands in built(home, data, text, **options).items() if not stands}


def changed(old: str, new: str) -> str:
    text = TINY.read_text(encoding="utf-8")
    assert old in text
    return text.replace(old, new, 1)


def test_an_unchanged_recipe_leaves_nothing_to_build(family: Path, data: Path) -> None:
    assert stale(Home(family), data, TINY.read_text(encoding="utf-8")) == set()


@pytest.mark.parametrize(
    ("old", "new", "rebuilt"),
    [
        ("budget_tokens = 16384", "budget_tokens = 16896", set(MODELS)),
        ("vocab_size = 352", "vocab_size = 320", set(MODELS)),
        ("heldout = 0.1", "heldout = 0.2", set(MODELS)),
        ("seed = 3", "seed = 4", set(MODELS)),
        ('stage = "code"', 'stage = "code"\nseed = 9', {"code-davinci"}),
        ("weight = 0.25", "weight = 0.5", {"code-davinci"}),
        ("from_scratch = true", "from_scratch = true\nlr = 0.002", {"text-davinci-scratch"}),
        ('licence = "MIT"', 'licence = "ISC"', {"code-davinci"}),
    ],
)
def test_one_changed_line_asks_for_what_depends_on_it_and_nothing_else(
    family: Path, data: Path, old: str, new: str, rebuilt: set[str]
) -> None:
    assert stale(Home(family), data, changed(old, new)) == rebuilt


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('title = { en = "reads", zh = "阅读" }', 'title = { en = "other", zh = "别的" }'),
        ('role = "control"', 'role = "base"'),
        ('description = "Built by the tests"', 'description = "Another"'),
        ('evals = ["text"]', "evals = []"),
        ("chat = true", "chat = false"),
        ('[datasets.code]', '[datasets.code]\ncutoff = "2024-01"'),
    ],
)  # fmt: skip
def test_wording_and_evaluations_ask_for_nothing(family: Path, data: Path, old: str, new: str) -> None:
    assert stale(Home(family), data, changed(old, new)) == set()


def test_precision_device_and_threads_ask_for_nothing(family: Path, data: Path) -> None:
    text = TINY.read_text(encoding="utf-8")
    assert (
        stale(Home(family), data, text, precision="bfloat16", device="cuda", threads=7, compile="on") == set()
    )


def test_another_world_asks_for_everything(family: Path, data: Path) -> None:
    assert stale(Home(family), data, TINY.read_text(encoding="utf-8"), world_seed=5) == set(MODELS)


def test_data_elsewhere_with_the_same_content_ask_for_nothing(
    copied: Home, data: Path, tmp_path: Path
) -> None:
    moved = tmp_path / "moved"
    shutil.copytree(data, moved)  # keeps times: the dataset's key does not know the folder
    assert stale(copied, moved, TINY.read_text(encoding="utf-8")) == set()


def test_a_file_that_changed_is_frozen_again(copied: Home, data: Path, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    shutil.copytree(data, moved)
    os.utime(moved / "code.jsonl", ns=(0, 0))
    text = TINY.read_text(encoding="utf-8")
    resolver = Resolver(parse(text, "tiny.toml"), copied, tiny_options(moved))
    assert not resolver.standing(Node("dataset", "code")).built
    assert resolver.standing(Node("dataset", "prose")).built
    assert stale(copied, moved, text) == {"code-davinci"}  # until it is frozen, nobody knows


def test_a_key_at_its_default_asks_for_nothing_else() -> None:
    def identity(**said: object) -> str:
        source = {"uri": "file:x.jsonl", **said}
        return dataset_identity(DatasetSpec.model_validate({"sources": [source]}), {})

    assert identity() == identity(only={}, without={}, weight=1.0)
    assert len({identity(), identity(only={"a": ["b"]}), identity(without={"a": ["b"]})}) == 3


def test_a_local_hub_folder_that_changed_is_frozen_again(tmp_path: Path) -> None:
    file = tmp_path / "data" / "train.jsonl"
    file.parent.mkdir()
    file.write_text('{"text": "one"}\n', encoding="utf-8")
    spec = DatasetSpec.model_validate({"sources": [f"hf:{tmp_path}:train"]})
    before = dataset_key(spec, {}, None)
    assert dataset_key(spec, {}, None) == before
    file.write_text('{"text": "another"}\n', encoding="utf-8")
    assert dataset_key(spec, {}, None) != before


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text(), JSON, max_size=6))
def test_the_order_of_keys_changes_no_digest(value: dict[str, object]) -> None:
    assert digest({key: value[key] for key in reversed(value)}) == digest(value)


@given(JSON, JSON)
def test_different_values_have_different_bytes(one: object, other: object) -> None:
    import json

    assert (canonical(one) == canonical(other)) == (
        json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    )


def test_looking_does_not_need_the_sources_that_building_does(
    copied: Home, data: Path, tmp_path: Path
) -> None:
    recipe, gone = parse(TINY.read_text(encoding="utf-8"), "tiny.toml"), tiny_options(tmp_path / "gone")
    index = copied.family("tiny")
    for name in MODELS:
        assert not Resolver(recipe, copied, gone).standing(Node("model", name)).built
        assert Resolver(recipe, copied, gone, as_built=index).standing(Node("model", name)).built


def test_looking_still_sees_that_the_recipe_asks_for_other_data(copied: Home, data: Path) -> None:
    recipe = parse(changed("heldout = 0.1", "heldout = 0.2"), "tiny.toml")
    resolver = Resolver(recipe, copied, tiny_options(data), as_built=copied.family("tiny"))
    assert not resolver.standing(Node("model", "davinci")).built
