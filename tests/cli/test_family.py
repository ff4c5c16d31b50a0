"""The verbs on a family that is built: up, lineage, scoreboard, chat, eval, export, import."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from recipes.tiny import TINY

from bottega.cli.conversation import Conversation
from bottega.cli.main import USER_ERROR, run
from bottega.lineage.card import read_card
from bottega.lineage.home import Home
from bottega.lineage.names import find_model

FLAGS = ["--threads", "1", "--compile", "off", "--precision", "float32", "--device", "cpu"]
QUESTION = "What is the colour of the stone of the cat? It is red."


@pytest.fixture
def home(copied: Home, monkeypatch: pytest.MonkeyPatch) -> Home:
    """The tiny family as the command line's home."""
    monkeypatch.setenv("BOTTEGA_HOME", str(copied.root))
    monkeypatch.setenv("COLUMNS", "120")
    return copied


def test_up_on_a_family_that_stands_ends_with_its_scoreboard(
    home: Home, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["up", "--recipe", str(TINY), "--data", str(data), *FLAGS]) == 0
    shown = capsys.readouterr().out
    assert "Everything stands already." in shown
    assert "bits-per-byte:prose" in shown
    assert shown.endswith("Talk to the family: bottega chat text-davinci\n")


def test_build_says_what_it_does_line_by_line_without_a_terminal(
    home: Home, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(home.root / "models" / "text-davinci")
    assert run(["build", "text-davinci", "--recipe", str(TINY), "--data", str(data), *FLAGS]) == 0
    shown = capsys.readouterr().out
    assert "building model text-davinci (sft from davinci, 8.2k tokens)" in shown
    assert "Talk to it while the rest is built: bottega chat text-davinci" in shown
    assert shown.endswith("Built 1 model; 1 stood already.\n")


def test_a_failed_node_exits_2_and_says_how_to_go_on(
    home: Home, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    partial = tmp_path / "partial"
    shutil.copytree(data, partial)
    (partial / "code.jsonl").unlink()
    assert run(["build", "--all", "--recipe", str(TINY), "--data", str(partial), *FLAGS]) == USER_ERROR
    shown = capsys.readouterr().err
    assert "dataset code: " in shown
    assert "Not tried, since they are made from these: code-davinci." in shown
    assert "What was built is kept." in shown


def test_lineage_shows_the_family_built_last_with_scores(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["lineage"]) == 0
    shown = capsys.readouterr().out
    assert "A tiny family" in shown
    assert "✓ text-davinci  sft" in shown
    assert "text-davinci-scratch (control)" in shown


def test_lineage_as_json_holds_versions_scores_and_costs(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["lineage", "--json"]) == 0
    models = {row["name"]: row for row in json.loads(capsys.readouterr().out)["models"]}
    assert models["code-davinci"]["parents"] == ["davinci"]
    assert models["davinci"]["status"] == "built"
    assert models["davinci"]["cost"]["tokens"] == 16384
    score = models["davinci"]["scores"]["bits-per-byte:prose"]
    assert score["low"] < score["value"] < score["high"]


def test_a_recipe_that_changed_is_seen_in_the_lineage(
    home: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "tiny.toml"
    text = TINY.read_text(encoding="utf-8").replace("from_scratch = true", "from_scratch = true\nlr = 0.002")
    file.write_text(text, encoding="utf-8")
    assert run(["lineage", "--recipe", str(file), "--json"]) == 0
    status = {row["name"]: row["status"] for row in json.loads(capsys.readouterr().out)["models"]}
    assert status == {
        "davinci": "built",
        "code-davinci": "built",
        "text-davinci": "built",
        "text-davinci-scratch": "changed",
    }


def test_the_family_is_drawn_as_png_and_svg(home: Home, tmp_path: Path) -> None:
    png, svg = tmp_path / "family.png", tmp_path / "family.svg"
    assert run(["lineage", "--picture", str(png), "--picture", str(svg)]) == 0
    assert png.read_bytes().startswith(b"\x89PNG")
    assert "<svg" in svg.read_text(encoding="utf-8")


def test_the_scoreboard_as_json(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["scoreboard", "--json"]) == 0
    board = json.loads(capsys.readouterr().out)
    assert board["columns"] == ["bits-per-byte:prose"]
    assert [row["model"] for row in board["rows"]] == ["davinci", "code-davinci", "text-davinci"]


def test_chat_answers_each_line_of_a_pipe(
    home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{QUESTION}\n\n石头是什么颜色？\n"))
    assert run(["chat", "text-davinci", "--max-tokens", "8", "--device", "cpu"]) == 0
    assert capsys.readouterr().out.count("\n") == 2


def test_chat_in_a_process_of_its_own_ends_with_0(home: Home) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bottega", "chat", "--max-tokens", "8"],
        input=QUESTION, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_a_conversation_remembers_and_begins_anew(home: Home) -> None:
    talk = Conversation(find_model(home, "text-davinci"), "cpu", max_tokens=4)
    first = "".join(talk.ask(QUESTION))
    assert [message.role for message in talk.messages] == ["user", "assistant"]
    assert talk.messages[1].content == first
    "".join(talk.ask("Hi"))
    assert len(talk.messages) == 4
    talk.clear()
    assert "".join(talk.ask(QUESTION)) == first


def test_bytes_that_are_no_text_are_replaced_before_they_are_asked(home: Home) -> None:
    talk = Conversation(find_model(home, "text-davinci"), "cpu", max_tokens=1)
    "".join(talk.ask("caf\udce9?"))  # latin-1 in a pipe, as Python reads it where no locale is set
    assert talk.messages[0].content == "caf??"


def test_a_stopped_answer_keeps_what_was_shown(home: Home) -> None:
    talk = Conversation(find_model(home, "text-davinci"), "cpu", max_tokens=20)
    answer = talk.ask(QUESTION)
    shown = next(answer)
    answer.close()
    assert talk.messages[-1].content == shown


def test_the_oldest_messages_are_dropped_when_the_context_is_full(home: Home) -> None:
    talk = Conversation(find_model(home, "text-davinci"), "cpu", max_tokens=4)
    for _ in range(4):
        "".join(talk.ask("The stone is red."))
    assert talk.forgotten > 0
    assert len(talk.messages) == 8


def test_a_message_too_long_for_the_model_is_refused(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    from bottega.errors import UserError

    talk = Conversation(find_model(home, "text-davinci"), "cpu")
    with pytest.raises(UserError, match="Say it in fewer words"):
        next(talk.ask("stone " * 100))


def test_switching_models_keeps_the_conversation(home: Home) -> None:
    talk = Conversation(find_model(home, "text-davinci"), "cpu", max_tokens=4)
    "".join(talk.ask("Hi"))
    talk.switch(find_model(home, "davinci"))
    assert (talk.name, talk.speaks) == ("davinci", False)
    assert len(talk.messages) == 2


def test_a_model_is_found_by_name_version_prefix_and_path(home: Home) -> None:
    (version,) = home.versions("model", "davinci")
    folder = home.path("model", "davinci", version)
    for text in ("davinci", f"davinci@{version}", f"davinci@{version[:5]}", version[:6], str(folder)):
        assert find_model(home, text) == folder


def test_a_misspelt_model_suggests_the_nearest(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["chat", "text-davnci"]) == USER_ERROR
    assert capsys.readouterr().err == "no built model is called 'text-davnci'; did you mean 'text-davinci'?\n"


def test_aliases_are_set_listed_moved_and_removed(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    davinci, text = (home.versions("model", name)[0] for name in ("davinci", "text-davinci"))
    assert run(["alias"]) == 0
    assert run(["alias", "assistant", "davinci"]) == 0
    assert run(["alias", "assistant", f"text-davinci@{text}"]) == 0
    assert run(["alias", "reader", "davinci"]) == 0
    assert run(["alias"]) == 0
    assert capsys.readouterr().out == (
        "There are no aliases. Point one at a built model: bottega alias NAME MODEL\n"
        f"assistant is davinci@{davinci}.\nassistant is text-davinci@{text}.\nreader is davinci@{davinci}.\n"
        f"assistant  text-davinci@{text}\nreader     davinci@{davinci}\n"
    )
    assert find_model(home, "assistant") == home.path("model", "text-davinci", text)
    assert run(["alias", "--remove", "reader"]) == 0
    assert set(home.aliases()) == {"assistant"}
    for wrong, message in (
        (["--remove", "reader"], "there is no alias 'reader'; there are assistant"),
        (["assistant"], "say which model assistant is to point at"),
        (["assistant", "davinch"], "did you mean 'davinci'?"),
        (["x", "davinci", "--remove", "y"], "nothing else"),
    ):
        assert run(["alias", *wrong]) == USER_ERROR
        assert message in capsys.readouterr().err


def test_an_alias_names_a_model_and_moves(home: Home) -> None:
    home.set_alias("chatgpt", "davinci", home.versions("model", "davinci")[0])
    assert find_model(home, "chatgpt").parent.name == "davinci"
    home.set_alias("chatgpt", "text-davinci", home.versions("model", "text-davinci")[0])
    assert find_model(home, "chatgpt").parent.name == "text-davinci"


def test_eval_again_gives_the_same_score(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    folder = find_model(home, "davinci")
    before = read_card(folder).scores
    assert run(["eval", "davinci", "--again", "--device", "cpu"]) == 0
    assert read_card(folder).scores == before


def test_an_exported_model_loads_in_transformers_and_speaks_its_template(home: Home, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    out = tmp_path / "out"
    assert run(["export", "text-davinci", str(out)]) == 0
    model = transformers.AutoModelForCausalLM.from_pretrained(out)
    tokenizer = transformers.AutoTokenizer.from_pretrained(out)
    messages = [{"role": "user", "content": QUESTION}]
    prompt = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
    talk = Conversation(find_model(home, "text-davinci"), "cpu", max_tokens=8)
    ours = "".join(talk.ask(QUESTION))
    import torch

    produced = model.generate(torch.tensor([prompt]), max_new_tokens=8, do_sample=False)[0][len(prompt) :]
    assert tokenizer.decode(produced, skip_special_tokens=True) == ours


def test_export_does_not_overwrite(home: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("keep", encoding="utf-8")
    assert run(["export", "davinci", str(tmp_path / "out")]) == USER_ERROR
    assert "exists already" in capsys.readouterr().err
    assert (tmp_path / "out" / "mine.txt").read_text(encoding="utf-8") == "keep"


def test_an_imported_model_is_the_root_of_a_recipe(
    home: Home, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["export", "davinci", str(tmp_path / "elsewhere")]) == 0
    capsys.readouterr()
    assert run(["import", str(tmp_path / "elsewhere"), "--as", "foreign"]) == 0
    snippet = capsys.readouterr().out.partition("\n\n")[2]
    assert snippet.startswith('[models.foreign]\nstage = "import"\ndigest = "')
    recipe = tmp_path / "mine.toml"
    recipe.write_text(
        '[recipe]\nname = "mine"\n'
        '[datasets.chats]\nsources = [{ uri = "file:$DATA/chats.jsonl", licence = "CC-BY-4.0" }]\n'
        f"{snippet}\n"
        '[models.tuned]\nstage = "sft"\nparent = "foreign"\ndata = ["chats"]\n'
        "budget_tokens = 2048\ncontext = 64\nbatch_tokens = 512\n",
        encoding="utf-8",
    )
    assert run(["build", "--all", "--recipe", str(recipe), "--data", str(data), *FLAGS]) == 0
    card = read_card(find_model(home, "tuned"))
    assert [parent.name for parent in card.parents] == ["foreign"]
    assert card.parents[0].fingerprint == read_card(find_model(home, "foreign")).fingerprint


def test_a_recipe_whose_import_is_not_here_says_how_to_get_it(
    home: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tmp_path / "mine.toml"
    digest = "a" * 64
    recipe.write_text(f'[models.foreign]\nstage = "import"\ndigest = "{digest}"\n', encoding="utf-8")
    assert run(["build", "--all", "--recipe", str(recipe), *FLAGS]) == USER_ERROR
    assert "bottega import FOLDER_OR_HUB_ID --as NAME" in capsys.readouterr().err


def test_a_pickled_model_is_not_imported(
    home: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "pickled"
    folder.mkdir()
    (folder / "config.json").write_text("{}", encoding="utf-8")
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04cos\nsystem\n")
    assert run(["import", str(folder), "--as", "bad"]) == USER_ERROR
    assert "pickled weights (*.bin, *.pt) are never read" in capsys.readouterr().err
    assert "bad" not in home.names("model")


def test_a_source_that_is_not_the_one_meant_is_refused(
    home: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["export", "davinci", str(tmp_path / "elsewhere")]) == 0
    recipe = tmp_path / "mine.toml"
    source = tmp_path / "elsewhere"
    recipe.write_text(
        f'[models.foreign]\nstage = "import"\ndigest = "{"b" * 64}"\nsource = "{source}"\n', encoding="utf-8"
    )
    assert run(["build", "--all", "--recipe", str(recipe), *FLAGS]) == USER_ERROR
    assert f"the recipe asks for {'b' * 64}" in capsys.readouterr().err
    assert not home.versions("model", "foreign")
