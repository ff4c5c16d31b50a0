"""What a reward model reads of a prompt, on which side that is, and by whom its accuracy is measured."""

from __future__ import annotations

import math
import re
from pathlib import Path
from statistics import fmean, pstdev
from typing import Any

import pytest
import torch

from bottega import stages
from bottega.data.comparisons import JudgedCounts, encode_judged, ordered_pairs
from bottega.data.frozen import FrozenDataset, freeze_records
from bottega.data.records import Answer, Comparison, Message, Origin, Ranking
from bottega.data.tokenizer import Tokenizer
from bottega.evals.registry import score_judge
from bottega.evals.scoring import score_answers
from bottega.evals.subject import EvalOptions
from bottega.model.hub import load_scorer
from bottega.model.scorer import Scorer
from bottega.stages import reward
from bottega.stages.base import DatasetInput
from bottega.stages.reward import PreferenceData
from bottega.training import reward as training
from bottega.training.objective import LossParts, TensorBatch

from .workshop import ANIMALS, PLACES, Workshop, rankings

SMALL = {"context": 96, "batch_tokens": 512, "epochs": 1.0}


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[PreferenceData]:
    """What the stages that run meanwhile read."""
    found: list[PreferenceData] = []
    real = reward.read_judged

    def read_judged(*given: Any, **more: Any) -> PreferenceData:
        found.append(real(*given, **more))
        return found[-1]

    monkeypatch.setattr(reward, "read_judged", read_judged)
    return found


def test_a_prompt_is_read_once_with_all_its_answers_and_each_of_them_once(
    workshop: Workshop,
    base_model: Path,
    tmp_path: Path,
    read: list[PreferenceData],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """CORRECTNESS 13: one pass over a batch, of as many positions as the prompt's and the answers' tokens."""
    passes: list[int] = []  # positions that were given to the network, filler left out
    steps: list[int] = []
    real = training.reward_modelling

    def reward_modelling(scorer: Scorer, batch: TensorBatch) -> LossParts:
        before = len(passes)
        hook = scorer.register_forward_pre_hook(lambda _, args: passes.append(int((args[2] > 0).sum())))
        parts = real(scorer, batch)
        hook.remove()
        assert len(passes) == before + 1, "one pass"
        if torch.is_grad_enabled():
            steps.append(passes[-1])
        return parts

    monkeypatch.setattr(training, "reward_modelling", reward_modelling)
    stage = stages.get("reward")
    inputs = workshop.inputs(tmp_path, workshop.dataset("rankings"), parent=base_model)
    stage.run(stage.Config.parse(SMALL), inputs, 0)
    records = FrozenDataset(workshop.root / "datasets" / "rankings").manifest.records("train")
    assert [len(one.answers) for one in read[0].train] == [3] * records
    # The last token of a prompt begins each answer, or its first token would be predicted within the prompt.
    expected = sum(
        len(one.prompt) - 1 + sum(1 + len(answer) for answer in one.answers) for one in read[0].train
    )
    assert sum(steps) == expected
    of_pairs = sum(2 * len(one.answers) * len(one.prompt) for one in read[0].train)
    assert expected < 0.6 * of_pairs, "what pairs read one by one would take is another number"


def test_whatever_is_said_of_a_prompt_is_on_one_side_of_the_split(
    workshop: Workshop, base_model: Path, tmp_path: Path, read: list[PreferenceData]
) -> None:
    """CORRECTNESS 13: with other answers, by another labeler, in other letters and spacing."""
    rows = []
    for i, row in enumerate(rankings()):
        kept = row["answers"]
        for k, prompt in enumerate((row["prompt"], row["prompt"].upper(), row["prompt"].replace(" ", "  "))):
            answers = [f"{text} {k}" for text in (kept if k else kept[:2])]
            more = {
                "answers": answers,
                "ranks": row["ranks"][: len(answers)],
                "labeler": f"labeler {i % 2 + k}",
            }
            rows.append(row | more | {"prompt": prompt})
    stage = stages.get("reward")
    inputs = workshop.inputs(tmp_path, workshop.dataset("said-thrice", rows), parent=base_model)
    stage.run(stage.Config.parse(SMALL), inputs, 0)
    tokenizer = Tokenizer.load(base_model)

    def numbers(judged: list[Any]) -> list[str]:
        found = [re.search(r"number +(\d+)", tokenizer.decode(one.prompt.tolist()).lower()) for one in judged]
        return [match[1] for match in found if match]

    train, heldout = numbers(read[0].train), numbers(read[0].heldout)
    assert len(train) + len(heldout) == len(rows) and len(heldout) > 3
    assert not set(train) & set(heldout)
    assert all(side.count(number) == 3 for side in (train, heldout) for number in side)


@pytest.fixture
def judged_by_strangers(tmp_path: Path) -> tuple[Path, list[Comparison]]:
    """Rankings: ann and bob gave those to learn from; zoe, held out alone, mostly says the contrary."""
    every = []
    for i, (animal, place) in enumerate((a, p) for a in ANIMALS for p in PLACES):
        asked = f"Where did the {animal} number {i} sit? It sat on the {place}."
        answers = [
            Answer(Message("assistant", f"{word}.")) for word in (f"On the {place}", f"On the {animal}", "No")
        ]
        tiers = ((0,), (1,), (2,))
        said = [Ranking(("ann", "bob")[i % 2], tiers)]
        if i >= 48:  # nobody says always the same, or there were no error to speak of
            said = [Ranking("ann", tiers[::-1] if i % 16 == 2 else tiers)] if i % 4 else []
            said += [Ranking("zoe", tiers if i % 16 == 5 else tiers[::-1])] if i % 3 else []
        every.append(
            Comparison((Message("user", asked),), tuple(answers), tuple(said), Origin("made", str(i), "MIT"))
        )
    folder = tmp_path / "strangers"
    freeze_records({"made": {"train": every[:48], "heldout": every[48:]}}, folder)
    return folder, every[48:]


def test_accuracy_on_labelers_not_seen_in_training_is_of_what_they_said_alone(
    judged_by_strangers: tuple[Path, list[Comparison]], workshop: Workshop, base_model: Path, tmp_path: Path
) -> None:
    """CORRECTNESS 14: with its standard error, beside that on labelers who were learned from."""
    folder, heldout = judged_by_strangers
    stage = stages.get("reward")
    inputs = workshop.inputs(tmp_path, DatasetInput(folder, name="said"), parent=base_model)
    stage.run(stage.Config.parse(SMALL | {"epochs": 12.0, "lr": 0.01, "muon_lr": 0.01}), inputs, 0)
    scorer, tokenizer = load_scorer(inputs.out), Tokenizer.load(inputs.out)
    options = EvalOptions(datasets={"said": folder}, context=96)

    def by_hand(known: bool) -> list[float]:
        found = []
        for one in heldout:
            rankings = [r for r in one.rankings if (r.labeler != "zoe") == known]
            if not rankings:
                continue
            (encoded,) = encode_judged(
                tokenizer, [Comparison(one.messages, one.answers, tuple(rankings))], 96, JudgedCounts()
            )
            (rewards,) = score_answers(scorer, [encoded])
            pairs = [pair for ranking in rankings for pair in ordered_pairs(ranking)]
            found.append(fmean(float(rewards[i] > rewards[j]) for i, j in pairs))
        return found

    for what, known in (("heldout", True), ("unseen-labelers", False)):
        score = score_judge(f"pair-accuracy:said-{what}", scorer, tokenizer, options)
        shares = by_hand(known)
        assert 3 < len(shares) < len(heldout) and score.n == len(shares)
        assert score.value == pytest.approx(fmean(shares))
        error = pstdev(shares) / math.sqrt(len(shares))
        assert score.details["standard_error"] == pytest.approx(error) and error > 0
        assert score.value > 0.8 if known else score.value < 0.2
