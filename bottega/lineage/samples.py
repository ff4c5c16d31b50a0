"""What a model says to a few fixed prompts, for its card."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bottega.lineage.card import Sample

LONGEST_ANSWER = 96


def sample(folder: Path, prompts: Sequence[str], *, chat: bool, device: str = "auto") -> tuple[Sample, ...]:
    """Greedy answers, by the chat template or as continuations; prompts too long for it are left out."""
    if not prompts:
        return ()
    from bottega.data.chat import encode_chat
    from bottega.data.records import Message
    from bottega.engine.local import LocalEngine
    from bottega.engine.requests import Request
    from bottega.lineage.loading import beginning, load, stop_ids

    model, tokenizer = load(folder, device)
    limit = model.config.max_positions - LONGEST_ANSWER
    if chat:
        rows = {
            prompt: list(encode_chat(tokenizer, (Message("user", prompt),), add_generation_prompt=True).ids)
            for prompt in prompts
        }
    else:
        rows = {prompt: beginning(tokenizer, prompt) for prompt in prompts}
    short = {
        prompt: ids for prompt, ids in rows.items() if len(ids) <= max(limit, model.config.max_positions // 2)
    }
    if not short:
        return ()
    room = model.config.max_positions - max(map(len, short.values()))
    ends = frozenset(stop_ids(tokenizer, speaks=chat))
    requests = [Request(ids, min(LONGEST_ANSWER, room), stop_ids=ends) for ids in short.values()]
    with LocalEngine(model, tokenizer, slots=len(requests)) as engine:
        said = [completion.text for (completion,) in engine.generate(requests)]
    return tuple(Sample(prompt=prompt, answer=answer) for prompt, answer in zip(short, said, strict=True))
