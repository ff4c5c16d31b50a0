"""``bottega score``: every answer of a file, the classifier's own numbers on request, bad files said."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from bottega.cli.main import USER_ERROR, run
from bottega.data.chat import encode_chat
from bottega.data.records import Message
from bottega.data.tokenizer import Tokenizer
from bottega.model.config import ModelConfig
from bottega.model.decoder import Decoder
from bottega.model.hub import save_model
from bottega.model.init import initialise
from bottega.model.scorer import scorer_from

TEXTS = ["the cat sat on the mat, then it sat. 猫坐在垫子上。"] * 50


@pytest.fixture(scope="module")
def reward_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = ModelConfig(290, 32, 48, num_layers=2, num_heads=4, num_kv_heads=2, head_dim=8, max_positions=64)
    scorer = scorer_from(initialise(Decoder(config), seed=2), seed=1)
    scorer.shift = 0.5
    folder = tmp_path_factory.mktemp("judge") / "reward-model"
    return save_model(scorer, folder, Tokenizer.train(TEXTS, vocab_size=290))


def rows(file: Path, *content: object) -> Path:
    file.write_text("".join(json.dumps(row) + "\n" for row in content), encoding="utf-8")
    return file


def test_every_answer_of_every_shape_gets_its_score(
    reward_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = {"role": "user", "content": "the cat?"}
    file = rows(
        tmp_path / "answers.jsonl",
        {"prompt": "the cat?", "answers": ["on the mat", "then it sat", "猫"], "ranks": [0, 1, 2]},
        {"messages": [asked, {"role": "assistant", "content": "on the mat"}]},
    )
    assert run(["score", str(reward_model), str(file)]) == 0
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert len(first["scores"]) == 3 and len(second["scores"]) == 1
    assert second["scores"][0] == pytest.approx(first["scores"][0], abs=1e-5)

    out = tmp_path / "scored.jsonl"
    assert run(["score", str(reward_model), str(file), "--raw", "--out", str(out)]) == 0
    raw = json.loads(out.read_text().splitlines()[0])["scores"]
    assert raw == pytest.approx([score + 0.5 for score in first["scores"]], abs=1e-5)


def test_raw_scores_are_those_that_transformers_gives(
    reward_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    transformers = pytest.importorskip("transformers")
    file = rows(tmp_path / "pairs.jsonl", {"prompt": "the cat?", "completion": "on the mat", "label": True})
    assert run(["score", str(reward_model), str(file), "--raw"]) == 0
    (score,) = json.loads(capsys.readouterr().out)["scores"]
    talk = (Message("user", "the cat?"), Message("assistant", "on the mat"))
    tokenizer = Tokenizer.load(reward_model)
    ids = encode_chat(tokenizer, talk).ids
    ids = ids[: len(ids) - ids[::-1].index(tokenizer.require("im_end"))]
    theirs = transformers.AutoModelForSequenceClassification.from_pretrained(reward_model)
    with torch.no_grad():
        assert theirs(input_ids=torch.tensor([ids])).logits.item() == pytest.approx(score, abs=1e-4)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"text": "no answer at all"}, "a document has no answer to score"),
        ({"prompt": "the cat?", "completion": "the mat " * 60, "label": 1}, "longer than the 64 tokens"),
    ],
)
def test_what_cannot_be_scored_is_named_with_its_row(
    row: dict[str, object],
    message: str,
    reward_model: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = rows(tmp_path / "bad.jsonl", row)
    assert run(["score", str(reward_model), str(file), "--out", str(tmp_path / "out.jsonl")]) == USER_ERROR
    said = " ".join(capsys.readouterr().err.split())
    assert message in said and "bad.jsonl" in said
    assert not (tmp_path / "out.jsonl").exists()


def test_a_language_model_scores_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = ModelConfig(290, 32, 48, num_layers=1, num_heads=4, num_kv_heads=2, head_dim=8)
    folder = save_model(
        initialise(Decoder(config), seed=2), tmp_path / "model", Tokenizer.train(TEXTS, vocab_size=290)
    )
    assert run(["score", str(folder), str(tmp_path / "any.jsonl")]) == USER_ERROR
    assert "is no reward model" in capsys.readouterr().err
