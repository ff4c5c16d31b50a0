"""Reward models: what is preferred scores higher, on prompts never seen; bad data and bad rates are said."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bottega import stages
from bottega.data.comparisons import Judged, JudgedCounts, encode_judged
from bottega.data.frozen import FrozenDataset, Part, freeze
from bottega.data.records import Answer, Comparison, Conversation, Message, Ranking, Rated
from bottega.data.sources import ReadOptions, SourceSpec
from bottega.data.tokenizer import Tokenizer
from bottega.errors import UserError
from bottega.evals.scoring import score_answers
from bottega.model.hub import load_scorer
from bottega.stages.base import DatasetInput
from bottega.stages.policy_knobs import PolicyConfig
from bottega.stages.prompts import read_prompts
from bottega.stages.reward import RewardConfig, read_judged

from .workshop import Workshop, rankings

SMALL = {"context": 64, "batch_tokens": 512, "epochs": 12.0, "muon_lr": 0.01, "lr": 0.01}


def scored(model: Path, workshop: Workshop, split: Part) -> list[tuple[Judged, NDArray[np.float32]]]:
    """The comparisons of one side of the rankings with the model's rewards."""
    records = FrozenDataset(workshop.root / "datasets" / "rankings").records(split)
    comparisons = (r for r in records if isinstance(r, Comparison))
    judged = list(encode_judged(Tokenizer.load(model), comparisons, 64, JudgedCounts()))
    assert judged
    return list(zip(judged, score_answers(load_scorer(model), judged), strict=True))


def test_it_agrees_with_rankings_of_prompts_it_never_saw(
    workshop: Workshop, base_model: Path, tmp_path: Path
) -> None:
    stage = stages.get("reward")
    inputs = workshop.inputs(tmp_path, workshop.dataset("rankings"), parent=base_model)
    result = stage.run(stage.Config.parse(SMALL), inputs, 0)
    right = [
        (one.wins * (scores[:, None] > scores[None])).sum()
        for one, scores in scored(inputs.out, workshop, "heldout")
    ]
    assert np.mean(right) > 0.9
    assert result.report["comparisons"] + result.report["heldout"] == len(rankings())
    assert set(result.report["labelers"]) == {"ann", "bob"}
    assert result.data[0].records == result.report["comparisons"]
    row = json.loads(result.curves.read_text().splitlines()[-1])
    assert {"loss", "accuracy", "margin", "grad_norm"} <= row.keys()


def test_scores_of_the_answers_it_learned_from_have_mean_zero_and_the_shift_is_kept(
    workshop: Workshop, base_model: Path, tmp_path: Path
) -> None:
    """CORRECTNESS 12."""
    stage = stages.get("reward")
    inputs = workshop.inputs(tmp_path, workshop.dataset("rankings"), parent=base_model)
    result = stage.run(stage.Config.parse(SMALL | {"epochs": 2.0}), inputs, 0)
    scorer = load_scorer(inputs.out)
    config = json.loads((inputs.out / "config.json").read_text())
    assert scorer.shift == result.report["shift"] == config["reward_shift"]
    scores = [scores for _, scores in scored(inputs.out, workshop, "train")]
    assert np.concatenate(scores).mean() == pytest.approx(0, abs=1e-4)


def test_demonstrations_are_the_reference_where_there_are_any(
    workshop: Workshop, base_model: Path, tmp_path: Path
) -> None:
    stage = stages.get("reward")
    data = (workshop.dataset("rankings"), workshop.dataset("talks"))
    inputs = workshop.inputs(tmp_path, *data, parent=base_model)
    result = stage.run(stage.Config.parse(SMALL | {"epochs": 1.0}), inputs, 0)
    assert [use.records for use in result.data] == [result.report["comparisons"], 0]
    talks = FrozenDataset(workshop.root / "datasets" / "talks").records("train")
    shown = []
    for talk in talks:
        assert isinstance(talk, Conversation)
        shown.append(Rated(talk.messages[:-1], Answer(talk.messages[-1]), 1.0))
    judged = list(encode_judged(Tokenizer.load(inputs.out), shown, 64, JudgedCounts()))
    scores = np.concatenate(score_answers(load_scorer(inputs.out), judged))
    assert scores.mean() == pytest.approx(0, abs=1e-4)


def test_thumbs_alone_teach_it_too(workshop: Workshop, base_model: Path, tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = []
    for row in rankings():
        rows += [
            {"prompt": row["prompt"], "completion": answer, "label": rank == 0, "license": "Apache-2.0"}
            for answer, rank in zip(row["answers"], row["ranks"], strict=True)
        ]
    stage = stages.get("reward")
    inputs = workshop.inputs(tmp_path, workshop.dataset("thumbs", rows), parent=base_model)
    result = stage.run(stage.Config.parse(SMALL), inputs, 0)
    assert result.report["ratings"] > 100
    first = [
        scores.argmax() == one.wins.sum(1).argmax() for one, scores in scored(inputs.out, workshop, "heldout")
    ]
    assert np.mean(first) > 0.9  # of the others it was not told which is worse


def test_a_rate_far_too_high_ends_with_a_message_and_the_best_weights(
    workshop: Workshop, base_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stage = stages.get("reward")
    inputs = workshop.inputs(tmp_path, workshop.dataset("rankings"), parent=base_model)
    inputs = replace(inputs, run=replace(inputs.run, progress=True))
    wild = SMALL | {"optimizer": "adamw", "lr": 3.0, "clip_norm": 1e9, "warmup_fraction": 0.5}
    result = stage.run(stage.Config.parse(wild), inputs, 0)
    said = " ".join(capsys.readouterr().err.split())
    assert "the held-out loss was lowest at step" in said
    assert "lower learning rate" in said
    best = result.report["best_step"]
    curve = [json.loads(line) for line in result.curves.read_text().splitlines()]
    evaluated = {row["step"]: row["heldout_loss"] for row in curve if "heldout_loss" in row}
    assert evaluated[best] == min(evaluated.values()) == result.metrics["heldout_loss"]
    assert all(np.isfinite(p.detach().numpy()).all() for p in load_scorer(inputs.out).parameters())


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"prompt": "Who?", "answers": ["a", "b"], "ranks": [0, 0]}] * 1, "all answers tied"),
        ([{"prompt": "Who?", "answers": ["a", "a"], "ranks": [0, 1]}] * 1, "identical answers"),
    ],
)
def test_nothing_to_learn_from_is_said_with_what_was_left_out(
    rows: list[dict[str, Any]], message: str, workshop: Workshop, base_model: Path, tmp_path: Path
) -> None:
    many = [row | {"prompt": f"Who sat there, number {i}?"} for i in range(20) for row in rows]
    stage = stages.get("reward")
    data = workshop.dataset(f"useless-{message[:3]}", many)
    with pytest.raises(UserError, match=f"there is nothing to learn from .*{message}"):
        stage.run(stage.Config.parse(SMALL), workshop.inputs(tmp_path, data, parent=base_model), 0)


def test_a_tokenizer_that_is_not_the_parents_is_refused(
    workshop: Workshop, base_model: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    Tokenizer.train(["another text altogether, with other words in it"] * 30, 285).save(other)
    stage = stages.get("reward")
    inputs = workshop.inputs(tmp_path, workshop.dataset("rankings"), parent=base_model)
    with pytest.raises(UserError, match="is not that of the parent"):
        stage.run(stage.Config.parse(SMALL), replace(inputs, tokenizer=other), 0)


def test_strangers_have_no_say_in_which_weights_are_kept() -> None:
    """CORRECTNESS 14: who ranks nothing in training is kept for measuring alone."""
    from bottega.stages.reward import _by_known

    answers = (Answer(Message("assistant", "a")), Answer(Message("assistant", "b")))
    ann, zoe = Ranking("ann", ((0,), (1,))), Ranking("zoe", ((1,), (0,)))
    asked = (Message("user", "which?"),)
    both, stranger = Comparison(asked, answers, (ann, zoe)), Comparison(asked, answers, (zoe,))
    kept = _by_known([both, stranger], frozenset({"ann"}))
    assert [one.rankings for one in kept if isinstance(one, Comparison)] == [(ann,)]
    assert _by_known([stranger], frozenset({"ann"})) == [stranger]  # nobody else is there to ask


def test_labelers_who_judged_the_same_answers_in_rows_of_their_own_are_weighed_by_their_agreement(
    workshop: Workshop, base_model: Path, tmp_path: Path
) -> None:
    """CORRECTNESS 13: a prompt weighs the same however many rows it has."""
    draw = random.Random(0)
    rows = []
    for row in rankings():
        for labeler in ("ann", "bob", "guess"):
            ranks = draw.sample(row["ranks"], 3) if labeler == "guess" else row["ranks"]
            rows.append(row | {"labeler": labeler, "ranks": ranks})
    stage = stages.get("reward")
    inputs = workshop.inputs(tmp_path, workshop.dataset("rows-of-labelers", rows), parent=base_model)
    config = SMALL | {"epochs": 1.0, "labeler_weights": "reliability"}
    report = stage.run(stage.Config.parse(config), inputs, 0).report
    assert report["comparisons"] + report["heldout"] == len(rankings())
    assert report["reliability"]["guess"] < 0.5 < report["reliability"]["ann"]
    assert not any("no two labelers" in note["en"] for note in report["notes"])
    alone = workshop.inputs(tmp_path / "alone", workshop.dataset("rankings"), parent=base_model)
    notes = stage.run(stage.Config.parse(config), alone, 0).report["notes"]
    assert any("no two labelers ranked the same answers" in note["en"] for note in notes)


def test_a_prompt_that_one_dataset_trains_on_is_not_held_out_of_another(
    workshop: Workshop, base_model: Path, tmp_path: Path
) -> None:
    file = workshop.root / "rankings.jsonl"
    other = workshop.root / "datasets" / "more-held-out"
    freeze([SourceSpec(uri=f"file:{file}")], other, ReadOptions(heldout_fraction=0.6, include_unclear=True))
    stage = stages.get("reward")
    first, more = workshop.dataset("rankings"), DatasetInput(other, name="more-held-out")
    inputs = workshop.inputs(tmp_path, first, more, parent=base_model)
    report = stage.run(stage.Config.parse(SMALL | {"epochs": 1.0}), inputs, 0).report
    held = [FrozenDataset(entry.folder).manifest.records("heldout") for entry in (first, more)]
    assert held[1] > held[0] > 0
    assert report["heldout"] == 2 * held[0]
    assert report["heldout_but_trained_on"] == held[1] - held[0]


def test_a_source_that_stands_twice_with_other_rows_is_read_once_each(
    workshop: Workshop, base_model: Path, tmp_path: Path
) -> None:
    uri = f"file:{workshop.root / 'rankings.jsonl'}"
    workshop.dataset("rankings")
    specs = [SourceSpec(uri=uri, only={"labeler": [labeler]}) for labeler in ("ann", "bob")]
    folder = tmp_path / "twice"
    freeze(specs, folder, ReadOptions(heldout_fraction=0.1, include_unclear=True))
    whole = FrozenDataset(folder).manifest
    inputs = workshop.inputs(tmp_path, DatasetInput(folder, name="twice"), parent=base_model)
    tokenizer = Tokenizer.load(base_model)
    data = read_judged(inputs, tokenizer, RewardConfig.parse({"context": 64}))
    assert len(data.train) == whole.records("train") and len(data.heldout) == whole.records("heldout")
    assert data.counts.labelers["ann"] + data.counts.labelers["bob"] == len(data.train)
    asked = read_prompts(inputs, tokenizer, PolicyConfig.parse({"context": 64, "max_new_tokens": 8}))
    assert len(asked.train) == len(data.train)
    wrong = replace(inputs, datasets=(DatasetInput(folder, sources=("file:none",), name="twice"),))
    with pytest.raises(UserError, match="dataset twice has no source 'file:none'"):
        read_judged(wrong, tokenizer, RewardConfig.parse({"context": 64}))


def test_looks_are_at_some_of_what_is_held_out_where_that_is_much(
    workshop: Workshop, base_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bottega.stages import reward

    inputs = workshop.inputs(tmp_path, workshop.dataset("rankings"), parent=base_model)
    tokenizer, config = Tokenizer.load(base_model), reward.RewardConfig.parse({"context": 64})
    data = reward.read_judged(inputs, tokenizer, config)
    assert len(data.heldout) > 3
    monkeypatch.setattr(reward, "LOOKED_AT", 3)
    _, heldout = data.plans(config, tokenizer, 0)
    assert heldout is not None and len(heldout.judged) == 3


def test_a_weight_is_refused_where_every_record_counts_the_same(
    workshop: Workshop, base_model: Path, tmp_path: Path
) -> None:
    stage = stages.get("reward")
    inputs = workshop.inputs(tmp_path, workshop.dataset("rankings", weight=2.0), parent=base_model)
    with pytest.raises(UserError, match=r"has weight 2.0: here all records are read equally often"):
        stage.run(stage.Config.parse(SMALL), inputs, 0)
