"""Tokens a second, one request at a time: what somebody waits for who talks to the model."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from bottega.data.records import Prompt
from bottega.errors import UserError
from bottega.evals.prompting import TEMPLATES, Mode, encode_prompt
from bottega.evals.score import Score, ratio_score
from bottega.evals.tasks import cases_digest

if TYPE_CHECKING:
    from bottega.data.tokenizer import Tokenizer
    from bottega.model.decoder import Decoder

NEW_TOKENS = 64  # of every answer, whatever the model says


def tokens_per_second(
    model: Decoder,
    tokenizer: Tokenizer,
    prompts: Sequence[Prompt],
    mode: Mode,
    *,
    name: str = "tokens-per-second",
    context: int | None = None,
    seed: int = 0,
) -> Score:
    """Tokens generated in a second of waiting, reading the prompt included; a bootstrap over prompts.

    Every answer has ``NEW_TOKENS`` tokens, no mark ends it, and each prompt is answered alone. Prompts that
    leave no room are left out. Raises ``UserError`` where none is left.
    """
    from bottega.engine.local import LocalEngine
    from bottega.engine.requests import Request

    context = context or model.config.max_positions
    rendered = [encode_prompt(tokenizer, prompt, mode) for prompt in prompts]
    requests = [
        Request(ids, NEW_TOKENS, detokenise=False) for ids in rendered if len(ids) + NEW_TOKENS <= context
    ]
    if not requests:
        raise UserError(f"{name}: no prompt leaves room for {NEW_TOKENS} tokens in a context of {context}")
    seconds = []
    with LocalEngine(model, slots=1, max_tokens=context) as engine:
        engine.generate(requests[:2])  # first calls allocate
        for request in requests:
            engine.weights_changed()  # nothing of an earlier prompt is taken over
            began = time.perf_counter()
            engine.generate([request])
            seconds.append(time.perf_counter() - began)
    return ratio_score(
        name,
        [float(NEW_TOKENS)] * len(seconds),
        seconds,
        "tokens/s",
        higher_is_better=True,
        seed=seed,
        template=TEMPLATES[mode],
        cases=cases_digest(prompts),
    )
