"""Reward models: read at the last real token, a standard classifier outside, bitwise in and out."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch

from bottega.data.tokenizer import Tokenizer
from bottega.errors import UserError
from bottega.model.config import Family, ModelConfig
from bottega.model.decoder import Decoder
from bottega.model.hub import is_scorer, load_model, load_scorer, save_model
from bottega.model.init import initialise
from bottega.model.scorer import Scorer, scorer_from


def decoder(family: Family = "qwen3", hidden: int = 32) -> Decoder:
    config = ModelConfig(
        300, hidden, 48, num_layers=2, num_heads=4, num_kv_heads=2, head_dim=8, family=family
    )
    return initialise(Decoder(config), seed=2)


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.train(["the cat sat on the mat, then it sat. 猫坐在垫子上。"] * 50, vocab_size=290)


def test_the_head_is_drawn_as_the_paper_says_and_has_no_bias() -> None:
    """CORRECTNESS 12."""
    config = ModelConfig(64, 4096, 32, num_layers=1, num_heads=1, num_kv_heads=1, head_dim=8)
    scorer = scorer_from(initialise(Decoder(config), seed=0), seed=1)
    assert scorer.score.bias is None
    assert scorer.score.weight.std().item() == pytest.approx(1 / math.sqrt(4097), rel=0.05)
    assert abs(scorer.score.weight.mean().item()) < 3 / math.sqrt(4097) / math.sqrt(4096)


def test_a_scorer_has_its_own_copy_of_the_trunk() -> None:
    model = decoder()
    before = model.model.embed_tokens.weight.clone()
    scorer = scorer_from(model, seed=1)
    with torch.no_grad():
        scorer.model.embed_tokens.weight.add_(1)
    assert torch.equal(model.model.embed_tokens.weight, before)
    hidden = torch.randn(3, 32)
    assert torch.equal(scorer_from(model, seed=1).scores(hidden), scorer.scores(hidden))


def test_a_scorer_made_of_a_scorer_keeps_head_and_shift() -> None:
    """CORRECTNESS 26: a value network made so begins with the reward model's numbers."""
    reward_model = scorer_from(decoder(), seed=1)
    reward_model.shift = 0.75
    value_network = scorer_from(reward_model, seed=99)
    tokens = torch.randint(0, 300, (2, 9))
    assert torch.equal(
        value_network.rewards(value_network(tokens)), reward_model.rewards(reward_model(tokens))
    )


@pytest.mark.parametrize("family", ["llama", "qwen2", "qwen3"])
@pytest.mark.parametrize("side", ["right", "left"])
def test_raw_scores_are_those_of_transformers_whatever_the_padding(
    family: Family, side: str, tmp_path: Path, tokenizer: Tokenizer
) -> None:
    """CORRECTNESS 11."""
    transformers = pytest.importorskip("transformers")
    scorer = scorer_from(decoder(family), seed=3)
    scorer.shift = 1.5
    folder = save_model(scorer, tmp_path / "reward-model", tokenizer)
    theirs = transformers.AutoModelForSequenceClassification.from_pretrained(folder)
    rows = [[5, 7, 11, 13, 17], [19, 23, 29], [31] * 9]
    pad = tokenizer.require("pad")
    width = max(map(len, rows))
    padded = [r + [pad] * (width - len(r)) if side == "right" else [pad] * (width - len(r)) + r for r in rows]
    tokens = torch.tensor(padded)
    with torch.no_grad():
        got = theirs(input_ids=tokens, attention_mask=(tokens != pad).long()).logits[:, 0]
        own = torch.stack([scorer.scores(scorer(torch.tensor([row]))[0, -1]) for row in rows])
    torch.testing.assert_close(got, own, atol=1e-4, rtol=0)
    raw = json.loads((folder / "config.json").read_text())
    assert raw["architectures"] == [f"{family.capitalize()}ForSequenceClassification"]
    assert raw["reward_shift"] == 1.5
    assert theirs.config.num_labels == 1


@pytest.mark.parametrize("family", ["llama", "qwen2", "qwen3"])
def test_saving_then_loading_is_bitwise_and_leaves_the_offset_out(
    family: Family, tmp_path: Path, tokenizer: Tokenizer
) -> None:
    scorer = scorer_from(decoder(family), seed=3, offset=True)
    scorer.shift = -0.25
    folder = save_model(scorer, tmp_path / "reward-model", tokenizer)
    again = load_scorer(folder)
    state = {n: p for n, p in scorer.named_parameters() if n != "offset.weight"}
    assert dict(again.named_parameters()).keys() == state.keys()
    assert all(torch.equal(p, state[n]) for n, p in again.named_parameters())
    assert again.shift == -0.25
    assert is_scorer(folder)


def test_a_reward_model_is_not_taken_for_a_language_model_nor_the_other_way(tmp_path: Path) -> None:
    reward_model = save_model(scorer_from(decoder(), seed=1), tmp_path / "reward-model")
    model = save_model(decoder(), tmp_path / "model")
    with pytest.raises(UserError, match="a language model is wanted here, and this is a reward model"):
        load_model(reward_model)
    with pytest.raises(UserError, match="a reward model is wanted here, and this is a language model"):
        load_scorer(model)
    assert not is_scorer(model)


def test_flops_are_a_decoders_without_its_vocabulary() -> None:
    model = decoder()
    scorer = Scorer(model.config)
    assert model.flops_per_token(64) - scorer.flops_per_token(64) == 6 * 300 * 32
    assert scorer.num_parameters() == model.num_parameters() + 32
