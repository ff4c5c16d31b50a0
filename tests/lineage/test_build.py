"""Building: only what is missing, resuming what was cut off; what failed does not spoil the rest."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from recipes.tiny import TINY, Heard, tiny_options

from bottega.errors import UserError
from bottega.lineage.build import build, verify
from bottega.lineage.card import read_card
from bottega.lineage.home import Home
from bottega.lineage.recipe import load, parse
from bottega.training import telemetry

HERE = Path(__file__).parents[1]


def weights(home: Home, name: str) -> str:
    (version,) = home.versions("model", name)
    return read_card(home.path("model", name, version)).files["model.safetensors"].sha256


def test_a_whole_family_stands_with_cards_and_pictures(family: Path) -> None:
    home = Home(family)
    assert home.names("model") == ["code-davinci", "davinci", "text-davinci", "text-davinci-scratch"]
    for name in home.names("model"):
        (version,) = home.versions("model", name)
        folder = home.path("model", name, version)
        card = verify(folder)
        assert card.version == version
        assert card.cost.tokens >= 8192
        assert card.command == "bottega build --all"
        assert {"README.md", "curves.png", "config.json", "tokenizer.json", "metrics.jsonl"} <= {
            file.name for file in folder.iterdir()
        }
    assert not list((family / "runs").iterdir())


def test_a_card_names_parents_licences_and_the_cost_of_all_ancestors(family: Path) -> None:
    home = Home(family)
    card = read_card(home.path("model", "code-davinci", home.versions("model", "code-davinci")[0]))
    parent = read_card(home.path("model", "davinci", home.versions("model", "davinci")[0]))
    assert [(p.name, p.fingerprint) for p in card.parents] == [("davinci", parent.fingerprint)]
    assert set(card.licences) == {"MIT", "CC0-1.0"}
    assert card.licences["CC0-1.0"] == parent.licences["CC0-1.0"]  # read twice, counted once
    assert card.family_cost["tokens"] == card.cost.tokens + parent.cost.tokens
    assert [(use.dataset, use.role) for use in card.data] == [("code", "main"), ("prose", "replay")]


def test_scores_stand_in_the_card_with_their_intervals(family: Path) -> None:
    home = Home(family)
    score = read_card(home.path("model", "davinci", home.versions("model", "davinci")[0])).score(
        "bits-per-byte:prose"
    )
    assert score is not None
    assert score.low < score.value < score.high
    assert score.n == 34
    assert score.unit == "bits/byte"


def test_a_second_build_makes_nothing(copied: Home, data: Path) -> None:
    heard = Heard()
    report = build(load(TINY), copied, tiny_options(data), heard, source=str(TINY))
    assert report.built == []
    assert len(report.found) == 8
    assert heard.of("begin") == heard.of("evaluating") == []


def test_a_run_that_outlived_its_model_is_cleared_away(copied: Home, data: Path) -> None:
    card = read_card(copied.path("model", "davinci", copied.versions("model", "davinci")[0]))
    (copied.run("davinci", card.fingerprint) / "work").mkdir(parents=True)
    build(load(TINY), copied, tiny_options(data), Heard(), models=["davinci"])
    assert not copied.run("davinci", card.fingerprint).exists()


def test_one_changed_line_rebuilds_what_depends_on_it_and_nothing_else(copied: Home, data: Path) -> None:
    text = TINY.read_text(encoding="utf-8").replace("from_scratch = true", "from_scratch = true\nlr = 0.002")
    heard = Heard()
    report = build(parse(text, "tiny.toml"), copied, tiny_options(data), heard)
    assert heard.of("begin") == ["model text-davinci-scratch"]
    assert [str(node) for node in report.built] == ["model text-davinci-scratch"]
    assert len(copied.versions("model", "text-davinci-scratch")) == 2


def test_a_changed_title_is_written_into_the_card_without_a_build(copied: Home, data: Path) -> None:
    text = TINY.read_text(encoding="utf-8").replace('en = "reads"', 'en = "reads a lot"')
    report = build(parse(text, "tiny.toml"), copied, tiny_options(data), Heard())
    assert report.built == []
    folder = copied.path("model", "davinci", copied.versions("model", "davinci")[0])
    assert read_card(folder).title.en == "reads a lot"
    assert "reads a lot" in (folder / "README.md").read_text(encoding="utf-8")


def test_an_evaluation_that_was_added_runs_without_a_build(copied: Home, data: Path) -> None:
    text = TINY.read_text(encoding="utf-8").replace(
        'text = ["bits-per-byte:prose"]', 'text = ["bits-per-byte:code", "bits-per-byte:prose"]'
    )
    heard = Heard()
    report = build(parse(text, "tiny.toml"), copied, tiny_options(data), heard, models=["davinci"])
    assert report.built == []
    assert heard.of("evaluating") == ["davinci bits-per-byte:code"]
    card = read_card(copied.path("model", "davinci", copied.versions("model", "davinci")[0]))
    assert list(card.scores) == ["bits-per-byte:code", "bits-per-byte:prose"]


def test_a_score_of_other_cases_than_the_recipe_asks_for_is_taken_again(copied: Home, data: Path) -> None:
    text = TINY.read_text(encoding="utf-8").replace("seed = 3", "seed = 3\neval_cases = 7")
    assert text != TINY.read_text(encoding="utf-8")
    heard = Heard()
    report = build(parse(text, "tiny.toml"), copied, tiny_options(data), heard, models=["davinci"])
    assert report.built == []
    assert heard.of("evaluating") == ["davinci bits-per-byte:prose"]
    again = Heard()
    build(parse(text, "tiny.toml"), copied, tiny_options(data), again, models=["davinci"])
    assert again.of("evaluating") == []


def test_a_deleted_model_is_built_again_to_the_same_weights(copied: Home, data: Path) -> None:
    before = weights(copied, "text-davinci")
    shutil.rmtree(copied.root / "models" / "text-davinci")
    report = build(load(TINY), copied, tiny_options(data), Heard())
    assert [str(node) for node in report.built] == ["model text-davinci"]
    assert weights(copied, "text-davinci") == before


def test_what_was_written_for_tensorboard_moves_in_with_the_model(
    copied: Home, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(telemetry, "TENSORBOARD_EVERY_S", 0.0)
    shutil.rmtree(copied.root / "models" / "text-davinci")
    build(load(TINY), copied, tiny_options(data), Heard())
    folder = copied.path("model", "text-davinci", copied.versions("model", "text-davinci")[0])
    assert list((folder / "tensorboard").glob("events.*"))


def test_a_model_whose_weights_were_changed_is_refused_with_the_remedy(copied: Home, data: Path) -> None:
    folder = copied.path("model", "davinci", copied.versions("model", "davinci")[0])
    file = folder / "model.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    heard = Heard()
    report = build(load(TINY), copied, tiny_options(data), heard)
    (error,) = report.failed.values()
    assert isinstance(error, UserError)
    assert str(error) == (
        f"{folder}: damaged model: the content of model.safetensors is not what was built.\n"
        f"Delete this folder (rm -r {folder}) and run `bottega build davinci` to make it again."
    )
    assert sorted(heard.of("skipped")) == [
        "model code-davinci",
        "model text-davinci",
        "model text-davinci-scratch",
    ]


@pytest.mark.parametrize("damage", ["truncated", "missing"])
def test_a_truncated_or_missing_file_is_named(copied: Home, damage: str) -> None:
    folder = copied.path("model", "davinci", copied.versions("model", "davinci")[0])
    file = folder / "model.safetensors"
    if damage == "missing":
        file.unlink()
        said = "model.safetensors is missing"
    else:
        file.write_bytes(file.read_bytes()[:100])
        said = "model.safetensors has 100 bytes, not"
    with pytest.raises(UserError, match=said):
        verify(folder)


def test_a_node_that_fails_takes_down_only_what_is_made_from_it(
    copied: Home, data: Path, tmp_path: Path
) -> None:
    partial = tmp_path / "partial"
    shutil.copytree(data, partial)
    (partial / "code.jsonl").write_text("not json\n", encoding="utf-8")
    shutil.rmtree(copied.root / "models" / "text-davinci-scratch")
    heard = Heard()
    report = build(load(TINY), copied, tiny_options(partial), heard)
    assert heard.of("failed") == ["dataset code"]
    assert heard.of("skipped") == ["model code-davinci"]
    assert heard.of("done") == ["model text-davinci-scratch"]
    assert [node.name for node in report.failed] == ["code"]


def test_a_name_that_the_recipe_lacks_suggests_the_nearest(copied: Home, data: Path) -> None:
    with pytest.raises(UserError, match="no model 'davinchi'; did you mean 'davinci'"):
        build(load(TINY), copied, tiny_options(data), Heard(), models=["davinchi"])


# A build in its own process that is killed, as by kill -9, as its fifth checkpoint gets its name.
KILLED = """
import os, signal, sys
from pathlib import Path
from recipes.tiny import TINY, Heard, tiny_options
from bottega.lineage.build import build
from bottega.lineage.home import Home
from bottega.lineage.recipe import load
import dataclasses

def hook(event, arguments, seen=[]):
    if event == "os.rename" and "checkpoints" in str(arguments[1]):
        seen.append(event)
        if len(seen) == 5:
            os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(hook)
options = dataclasses.replace(tiny_options(Path(sys.argv[2])), checkpoint_every_s=1e-9)
build(load(TINY), Home(Path(sys.argv[1])), options, Heard(), models=[sys.argv[3]])
"""


def child(script: str, *arguments: object) -> subprocess.Popen[str]:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(HERE), *sys.path]), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


@pytest.mark.parametrize("name", ["code-davinci", "text-davinci"])
def test_a_build_that_was_killed_resumes_to_the_same_weights(copied: Home, data: Path, name: str) -> None:
    before = weights(copied, name)
    shutil.rmtree(copied.root / "models" / name)
    killed = child(KILLED, copied.root, data, name)
    _, errors = killed.communicate()
    assert killed.returncode == -9, errors
    assert not copied.versions("model", name)
    (run,) = (copied.root / "runs").iterdir()
    assert list((run / "work" / "train" / "checkpoints").iterdir())
    heard = Heard()
    report = build(load(TINY), copied, tiny_options(data), heard)
    assert [str(node) for node in report.built] == [f"model {name}"]
    card = read_card(copied.path("model", name, copied.versions("model", name)[0]))
    assert card.report["resumed_from"] == 4
    assert weights(copied, name) == before
    assert not list((copied.root / "runs").iterdir())


def test_a_full_disk_stops_the_build_at_once(
    copied: Home, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(copied.root / "models")
    usage = shutil.disk_usage(copied.root)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=0))
    report = build(load(TINY), copied, tiny_options(data), Heard())
    assert [str(node) for node in report.failed] == ["model davinci"]
    assert "the disk has 0 MB left" in str(next(iter(report.failed.values())))
    assert not report.skipped and not report.built


TOGETHER = """
import sys
from pathlib import Path
from recipes.tiny import TINY, Heard, tiny_options
from bottega.lineage.build import build
from bottega.lineage.home import Home
from bottega.lineage.recipe import load

home, options = Home(Path(sys.argv[1])), tiny_options(Path(sys.argv[2]))
report = build(load(TINY), home, options, Heard(), models=["text-davinci"])
assert not report.failed, report.failed
print(len(report.built), len(report.found))
"""


def test_two_builds_at_once_make_every_node_once(copied: Home, data: Path) -> None:
    shutil.rmtree(copied.root / "models" / "text-davinci")
    shutil.rmtree(copied.root / "tokenizers")
    builders = [child(TOGETHER, copied.root, data) for _ in range(2)]
    outputs = [builder.communicate() for builder in builders]
    assert all(builder.returncode == 0 for builder in builders), outputs
    counts = [tuple(map(int, out.split())) for out, _ in outputs]
    assert sum(built for built, _ in counts) == 2
    assert all(built + found == 5 for built, found in counts)


def test_the_index_of_a_family_remembers_how_it_was_built(family: Path, data: Path) -> None:
    index = json.loads((family / "families" / "tiny.json").read_text(encoding="utf-8"))
    assert index["source"] == str(TINY)
    assert index["options"]["data"] == str(data)
    assert set(index["versions"]) == {
        "dataset prose", "dataset chats", "dataset code", "tokenizer tiny",
        "model davinci", "model code-davinci", "model text-davinci", "model text-davinci-scratch",
    }  # fmt: skip


def test_options_survive_being_remembered(data: Path) -> None:
    options = dataclasses.replace(tiny_options(data), include_nc=True, world_seed=4)
    recalled = type(options).recalled(options.remembered())
    assert recalled.remembered() == options.remembered()
