"""Exact match: the share of prompts whose checked answer the model gives, decoded greedily."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from bottega.data.records import Prompt
from bottega.errors import UserError
from bottega.evals.checks import is_correct
from bottega.evals.prompting import (
    TEMPLATES,
    Mode,
    encode_prompt,
    read_answer,
    request_text,
    stop_ids,
    stop_strings,
)
from bottega.evals.score import Example, Score, missing_score, proportion_score

if TYPE_CHECKING:
    from bottega.data.tokenizer import Tokenizer
    from bottega.engine.requests import Sampling
    from bottega.model.decoder import Decoder

STEPS_TOKENS = 96  # room for an answer that ends in its result
REFUSAL_TOKENS = 48  # enough to see whether an answer declines
RULED_TOKENS = 1280  # room for one that keeps to rules, as IFEval gives it
BATCH_ROWS = 64  # at most
SPARE_TOKENS = 4  # beyond the longest accepted answer: whoever needs more is wrong already


def exact_match(
    model: Decoder,
    tokenizer: Tokenizer,
    prompts: Sequence[Prompt],
    mode: Mode,
    *,
    name: str = "exact-match",
    stop: str = "\n",
    context: int | None = None,
    max_new_tokens: int | None = None,
    keep_examples: int = 8,
    seed: int = 0,
) -> Score:
    """The share of prompts answered right, with Wilson's interval. Programs are scored by ``pass_at_k``.

    ``mode`` says how a prompt is put (``prompting.TEMPLATES``) and ``stop`` what ends an answer outside chat.
    ``max_new_tokens`` defaults to what the longest accepted answer needs; a long prompt leaves as many as the
    context still holds. One that fills it counts as wrong, and in ``details["too_long"]``.
    """
    if not prompts:
        raise UserError(f"{name}: there are no prompts to score")
    context = context or model.config.max_positions
    room = max_new_tokens or min(room_needed(tokenizer, prompts, mode), context // 2)
    said = said_to(model, tokenizer, prompts, mode, room, context, stop=stop_strings(mode, stop))
    if not said:
        return missing_score(name, f"every prompt fills the context of {context} tokens")
    answers = [read_answer(said[i][0], mode, stop) if i in said else "" for i in range(len(prompts))]
    correct = [is_correct(a, p.check) for a, p in zip(answers, prompts, strict=True)]
    return proportion_score(
        name,
        correct,
        seed=seed,
        template=TEMPLATES[mode],
        cases=cases_digest(prompts),
        details=too_long(prompts, said),
        examples=tuple(
            Example(request_text(prompts[i]), answers[i], prompts[i].check.accepted, correct[i])
            for i in range(min(keep_examples, len(prompts)))
        ),
    )


def said_to(
    model: Decoder,
    tokenizer: Tokenizer,
    prompts: Sequence[Prompt],
    mode: Mode,
    room: int,
    context: int,
    *,
    stop: tuple[str, ...],
    samplings: Sequence[Sampling] | None = None,
    tries: int = 1,
) -> dict[int, list[str]]:
    """What the model says to each prompt that does not fill the context, by the prompt's place.

    ``room``: tokens of an answer at most, where the context holds as many. ``samplings``: one for each
    prompt; greedy where left out.
    """
    from bottega.engine.local import LocalEngine
    from bottega.engine.requests import GREEDY, Request

    rendered = [encode_prompt(tokenizer, prompt, mode) for prompt in prompts]
    fits = [i for i, ids in enumerate(rendered) if len(ids) < context]
    if not fits:
        return {}
    ends = stop_ids(tokenizer)
    requests = []
    for i in fits:
        left = min(room, context - len(rendered[i]))
        drawn = samplings[i] if samplings else GREEDY
        requests.append(Request(rendered[i], left, drawn, n=tries, stop_ids=ends, stop=stop))
    slots = even_batches(len(fits) * tries)
    with LocalEngine(model, tokenizer, slots=slots, max_tokens=context) as engine:
        produced = engine.generate(requests)
    return {i: [one.text for one in found] for i, found in zip(fits, produced, strict=True)}


def too_long(prompts: Sequence[Prompt], said: Mapping[int, object]) -> dict[str, float]:
    """How many prompts left no room, for a score's details; nothing where all did."""
    left_out = len(prompts) - len(said)
    return {"too_long": float(left_out)} if left_out else {}


def even_batches(prompts: int) -> int:
    """Rows of a batch such that all batches are full but for a few rows: decoding pays for idle rows too."""
    return -(-prompts // -(-prompts // BATCH_ROWS))


def room_needed(tokenizer: Tokenizer, prompts: Sequence[Prompt], mode: Mode) -> int:
    """How many tokens an answer may take."""
    kinds = {prompt.check.kind for prompt in prompts}
    if "rules" in kinds:
        return RULED_TOKENS
    if "final" in kinds:
        return STEPS_TOKENS
    if kinds & {"refusal", "no-refusal"}:
        return REFUSAL_TOKENS
    accepted = [text for prompt in prompts for text in prompt.check.accepted]
    # A continuation begins with a space more often than the accepted answer does, and may end in a full stop.
    return max((len(ids) for ids in tokenizer.encode_batch(accepted)), default=0) + SPARE_TOKENS


def cases_digest(prompts: Sequence[Prompt]) -> str:
    """A digest of what is asked, in two parts: the accepted answers, and the prompts.

    Equal for equal cases, however they are put. The first part alone is equal where the same question is
    asked in other words, as with more or fewer examples before it.
    """
    checks, texts = hashlib.sha256(), hashlib.sha256()
    for prompt in prompts:
        checks.update(repr((prompt.origin.row, prompt.check)).encode())
        texts.update(repr(prompt.messages).encode())
    return f"{checks.hexdigest()[:16]}-{texts.hexdigest()[:16]}"
