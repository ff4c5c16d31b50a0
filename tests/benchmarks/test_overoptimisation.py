"""Curves of over-optimisation share prompts and scores, and each point of one step's weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks import overoptimisation
from benchmarks.overoptimisation import Family, best_of_n, judged, ppo
from bottega.data.frozen import freeze_records
from bottega.data.records import Check, Message, Origin, Prompt
from bottega.data.tokenizer import Tokenizer
from bottega.model.config import preset
from bottega.model.decoder import Decoder
from bottega.model.hub import load_model, save_model
from bottega.model.init import initialise
from bottega.model.scorer import scorer_from
from bottega.stages.base import RunOptions

PLAIN = RunOptions(precision="float32", device="cpu", compile="off", threads=1, progress=False)
VOCABULARY = 268
SHAPE = {"hidden_size": 32, "intermediate_size": 64, "num_layers": 2, "num_heads": 2, "num_kv_heads": 2,
         "head_dim": 16, "max_positions": 256}  # fmt: skip


@pytest.fixture
def family(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Family:
    """Random weights, and questions that differ in length."""
    for name, value in (("SAMPLES", 1), ("SIZES", (1,)), ("ROOM", 6), ("LOOK_EVERY", 1)):
        monkeypatch.setattr(overoptimisation, name, value)
    asked = ["Is it so? " * (i % 3 + 1) + str(i) for i in range(24)]
    check = Check("exact", ("Yes.",))
    prompts = [Prompt((Message("user", text),), check, Origin("made")) for text in asked]
    freeze_records({"made": {"train": prompts[:16], "heldout": prompts[16:]}}, tmp_path / "prompts")
    tokenizer = Tokenizer.train(asked, VOCABULARY)
    model = initialise(Decoder(preset("13.8M", family="llama", vocab_size=VOCABULARY, **SHAPE)), 0)
    save_model(model, tmp_path / "policy", tokenizer)
    for seed, name in enumerate(("reward", "second")):
        save_model(scorer_from(model, seed), tmp_path / name, tokenizer)
    return Family(*(tmp_path / name for name in ("policy", "reward", "second", "prompts")))


def test_a_point_is_of_the_held_out_prompts_and_the_weights_after_a_step(
    family: Family, tmp_path: Path
) -> None:
    curve = ppo(family, tmp_path, steps=2, kl_coef=0.0, lr=3e-3, batch_prompts=8, run=PLAIN)
    assert len(curve.kl) == 3
    # Best of one is what PPO begins from: same prompts, same samples, same scores.
    begun = best_of_n(family)
    first = curve.kl.index(0.0)
    for name in ("kl", "reward", "second", "truth"):
        assert getattr(curve, name)[first] == pytest.approx(getattr(begun, name)[0], abs=1e-5)
    # The model is that of the last step: one of the points is what is found of it.
    ended = judged(family, load_model(tmp_path / "model").eval(), 1)
    rewards = np.array(curve.reward)
    last = int(np.abs(rewards - ended.reward.mean()).argmin())
    assert curve.reward[last] == pytest.approx(ended.reward.mean(), abs=1e-5)
    assert curve.second[last] == pytest.approx(ended.second.mean(), abs=1e-5)
    assert curve.truth[last] == pytest.approx(ended.truth.mean(), abs=1e-5)
    assert last != first and curve.kl[last] != 0.0
    assert curve.kl == sorted(curve.kl)
