from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from bottega.data.primer import RepeatedTokens
from bottega.data.tokenizer import Tokenizer
from bottega.evals.copying import STRETCH, copying
from bottega.evals.names import expand
from bottega.evals.registry import score
from bottega.evals.subject import EvalOptions, Subject
from bottega.model.config import ModelConfig
from bottega.model.decoder import Decoder
from bottega.model.init import initialise
from bottega.training.optim import Muon


@pytest.fixture(scope="module")
def primed(tokenizer: Tokenizer) -> Decoder:
    """A small model that has read nothing but the primer."""
    torch.manual_seed(0)
    shape = ModelConfig(tokenizer.vocab_size, 64, 128, 2, 2, 2, 32, 128)
    model = initialise(Decoder(shape), seed=0)
    primer = RepeatedTokens(tokenizer.text_ids(), tokenizer.require("eot"), 64, seed=0)
    matrices = [p for name, p in model.named_parameters() if p.ndim == 2 and "embed" not in name]
    others = [p for name, p in model.named_parameters() if p.ndim != 2 or "embed" in name]
    optimizers = [Muon(matrices, dtype=torch.float32, lr=0.02), torch.optim.AdamW(others, lr=6e-3)]
    for step in range(220):
        batch = primer.rows(np.arange(step * 16, step * 16 + 16))
        tokens, targets = torch.from_numpy(batch.tokens), torch.from_numpy(batch.targets)
        hidden = model(tokens, torch.from_numpy(batch.positions), torch.from_numpy(batch.segments))
        loss = F.cross_entropy(model.logits(hidden).flatten(0, 1), targets.flatten())
        for optimizer in optimizers:
            optimizer.zero_grad()
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()
    return model.eval()


def test_the_primer_teaches_to_copy_and_the_score_says_so(
    primed: Decoder, model: Decoder, tokenizer: Tokenizer
) -> None:
    taught, untaught = copying(primed, tokenizer, 50), copying(model, tokenizer, 50)
    assert taught.low > 0.9
    assert untaught.high < 0.1
    assert taught.floors == {"chance": pytest.approx(1 / len(tokenizer.text_ids()))}
    assert taught.cases == untaught.cases and taught.n == 50
    assert taught.sizes == (float(STRETCH - 1),) * 50


def test_it_is_an_evaluation_without_data(primed: Decoder, tokenizer: Tokenizer) -> None:
    assert expand(["copying"]) == ["copying"]
    found = score("copying", Subject(primed, tokenizer, chat=False), EvalOptions(cases=20))
    assert (found.name, found.n, found.unit) == ("copying", 20, "accuracy")


def test_text_is_made_of_all_tokens_but_the_control_tokens(tokenizer: Tokenizer) -> None:
    ids = set(tokenizer.text_ids().tolist())
    assert ids.isdisjoint(tokenizer.control.values())
    assert len(ids) + len(tokenizer.control) == tokenizer.vocab_size
