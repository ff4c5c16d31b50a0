"""Tokens a second, one request at a time: what somebody waits for who talks to the model."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Runner:
    """A model and what it has to answer: the same prompts for all that run together, each put as it knows."""

    model: Decoder
    tokenizer: Tokenizer
    prompts: Sequence[Prompt]
    mode: Mode


def tokens_per_second(
    runners: Sequence[Runner],
    *,
    name: str = "tokens-per-second",
    context: int | None = None,
    seed: int = 0,
) -> list[Score]:
    """Tokens generated in a second of waiting, reading the prompt included; a bootstrap over prompts.

    Every answer has ``NEW_TOKENS`` tokens, no mark ends it, and each prompt is answered alone. Several models
    answer each prompt in turns, so that a machine that slows down or speeds up does so for all of them.
    Prompts that leave no room in one of them are left out. Raises ``UserError`` where none is left.
    """
    from bottega.engine.local import LocalEngine
    from bottega.engine.requests import Request

    contexts = [context or runner.model.config.max_positions for runner in runners]
    rendered = zip(
        *([encode_prompt(r.tokenizer, prompt, r.mode) for prompt in r.prompts] for r in runners), strict=True
    )
    rows = [
        [Request(ids, NEW_TOKENS, detokenise=False) for ids in row]
        for row in rendered
        if all(len(ids) + NEW_TOKENS <= room for ids, room in zip(row, contexts, strict=True))
    ]
    if not rows:
        raise UserError(
            f"{name}: no prompt leaves room for {NEW_TOKENS} tokens in a context of {min(contexts)}"
        )
    seconds: list[list[float]] = [[] for _ in runners]
    with ExitStack() as stack:
        engines = [
            stack.enter_context(LocalEngine(runner.model, slots=1, max_tokens=room))
            for runner, room in zip(runners, contexts, strict=True)
        ]
        for engine, requests in zip(engines, zip(*rows[:2], strict=True), strict=True):
            engine.generate(requests)  # first calls allocate
        for row in rows:
            for engine, request, spent in zip(engines, row, seconds, strict=True):
                engine.weights_changed()  # nothing of an earlier prompt is taken over
                began = time.perf_counter()
                engine.generate([request])
                spent.append(time.perf_counter() - began)
    return [
        ratio_score(
            name,
            [float(NEW_TOKENS)] * len(spent),
            spent,
            "tokens/s",
            higher_is_better=True,
            seed=seed,
            template=TEMPLATES[runner.mode],
            cases=cases_digest(runner.prompts),
        )
        for runner, spent in zip(runners, seconds, strict=True)
    ]
