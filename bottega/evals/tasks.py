"""Exact match over prompts whose answers can be checked, in completion or chat form."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from bottega.data.records import Prompt
from bottega.errors import UserError
from bottega.evals.checks import NOT_BUILT_TESTS, is_correct
from bottega.evals.score import Example, Score, missing_score, proportion_score

if TYPE_CHECKING:
    from bottega.data.tokenizer import Tokenizer
    from bottega.model.decoder import Decoder

Mode = Literal["completion", "chat", "plain"]
TEMPLATES: Mapping[Mode, str] = {
    "completion": "<|endoftext|>{text}; the answer runs to the end of the line",
    "chat": "the chat template; the answer is the assistant's turn",
    "plain": "<|endoftext|>{request}\\n for a model never taught to chat; the answer is the next line",
}


def exact_match(
    model: Decoder,
    tokenizer: Tokenizer,
    prompts: Sequence[Prompt],
    mode: Mode,
    *,
    name: str = "exact-match",
    shots: Sequence[str] = (),
    context: int | None = None,
    max_new_tokens: int = 48,
    batch_rows: int = 64,
    keep_examples: int = 8,
    seed: int = 0,
) -> Score:
    """The share of prompts answered right, decoded greedily, with Wilson's interval.

    ``mode`` says how a prompt is put: ``completion`` (its text as it stands), ``chat`` (the template),
    ``plain`` (the request as text and a new line: how a model that was never taught to chat is asked the
    same). ``shots`` holds one text of worked examples per prompt, put before it. A prompt that leaves no room
    for its answer in the context counts as wrong, and in ``details["too_long"]``.
    """
    from bottega.engine.plain import generate

    if any(prompt.check.kind == "tests" for prompt in prompts):
        return missing_score(name, NOT_BUILT_TESTS)
    if not prompts:
        raise UserError(f"{name}: there are no prompts to score")
    context = context or model.config.max_positions
    before = shots or [""] * len(prompts)
    rendered = [
        encode_prompt(tokenizer, prompt, mode, shot) for prompt, shot in zip(prompts, before, strict=True)
    ]
    fits = [i for i, ids in enumerate(rendered) if len(ids) + max_new_tokens <= context]
    answers = [""] * len(prompts)
    by_length = sorted(fits, key=lambda i: (len(rendered[i]), i))  # rows of like length share a batch
    produced = generate(
        model,
        [rendered[i] for i in by_length],
        max_new_tokens=max_new_tokens,
        stop_ids=stop_ids(tokenizer, mode),
        batch_rows=batch_rows,
    )
    for i, ids in zip(by_length, produced, strict=True):
        answers[i] = read_answer(tokenizer, ids, mode)
    correct = [is_correct(a, p.check) for a, p in zip(answers, prompts, strict=True)]
    return proportion_score(
        name,
        correct,
        seed=seed,
        template=TEMPLATES[mode],
        cases=cases_digest(prompts),
        details={"too_long": float(len(prompts) - len(fits))} if len(fits) < len(prompts) else {},
        examples=tuple(
            Example(request_text(prompts[i]), answers[i], prompts[i].check.accepted, correct[i])
            for i in range(min(keep_examples, len(prompts)))
        ),
    )


def encode_prompt(tokenizer: Tokenizer, prompt: Prompt, mode: Mode, before: str = "") -> list[int]:
    """The token ids that the model is to continue."""
    if mode == "chat":
        from bottega.data.chat import encode_chat

        return list(encode_chat(tokenizer, prompt.messages, add_generation_prompt=True).ids)
    text = request_text(prompt)
    if mode == "plain":
        text += "\n"
    return [tokenizer.require("eot"), *tokenizer.encode(before + text)]


def request_text(prompt: Prompt) -> str:
    """The messages as plain text: one message as it stands, several one below the other."""
    return "\n".join(message.content for message in prompt.messages)


def read_answer(tokenizer: Tokenizer, ids: Sequence[int], mode: Mode) -> str:
    """The answer in what the model produced: its turn or, outside chat, its first line."""
    text = tokenizer.decode(list(ids))
    if mode == "chat":
        return text
    lines = text.strip("\n").splitlines()
    return lines[0] if lines else ""


def stop_ids(tokenizer: Tokenizer, mode: Mode) -> set[int]:
    """The tokens that end an answer: the turn's end in chat, else the end of text or of the line.

    A token that holds more than a full stop before its line break ends nothing, for its text is part of the answer.
    """
    marks = {i for i in (tokenizer.eot, tokenizer.im_end) if i is not None}
    if mode != "completion":  # a plain answer may begin with a blank line
        return marks
    full_stops = (b"", b".", "。".encode())
    breaks = {
        i
        for i in range(tokenizer.vocab_size)
        if b"\n" in (text := tokenizer.token_bytes(i)) and text.partition(b"\n")[0].strip() in full_stops
    }
    return marks | breaks


def cases_digest(prompts: Sequence[Prompt]) -> str:
    """A digest of prompts and their accepted answers; equal for equal cases, however they are put."""
    digest = hashlib.sha256()
    for prompt in prompts:
        digest.update(repr((prompt.messages, prompt.check)).encode())
    return digest.hexdigest()[:16]
