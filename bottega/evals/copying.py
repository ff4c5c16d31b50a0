"""Copying out of the context: random tokens, said a second time.

Nothing but the context can tell what comes next, so this is the plainest measure of the induction heads that
in-context learning rests on (Olsson et al., 2209.11895). A small model without them can neither continue a
list by its examples nor answer from a text, whatever its bits per byte.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from bottega.evals.score import Score, ratio_score

if TYPE_CHECKING:
    from bottega.data.tokenizer import Tokenizer
    from bottega.model.decoder import Decoder

STRETCH = 12  # tokens


@torch.inference_mode()
def copying(
    model: Decoder, tokenizer: Tokenizer, cases: int, *, name: str = "copying", seed: int = 0
) -> Score:
    """The share of tokens foretold in the second of two equal stretches, its first token left out.

    The stretches are random and the same for every model with this tokenizer; the floor is chance.
    """
    rng = np.random.default_rng(seed)
    text = tokenizer.text_ids()
    stretches = rng.choice(text, (cases, STRETCH))
    begin = np.full((cases, 1), tokenizer.require("eot"))
    device = next(model.parameters()).device
    tokens = torch.from_numpy(np.concatenate([begin, stretches, stretches], axis=1)).to(device)
    foretold = model.logits(model(tokens[:, :-1])[:, STRETCH + 1 :]).argmax(dim=-1)  # [cases, STRETCH - 1]
    right = (foretold == tokens[:, STRETCH + 2 :]).sum(dim=1).double().cpu().numpy()
    score = ratio_score(
        name,
        right.tolist(),
        [float(STRETCH - 1)] * cases,
        "accuracy",
        higher_is_better=True,
        seed=seed,
        template="{stretch}{stretch}",
        cases=f"{STRETCH}/{seed}/{tokenizer.digest}",
    )
    return score.with_context({"chance": 1 / len(text)}, ceiling=1.0)
