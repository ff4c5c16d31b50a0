"""What a model says to a few fixed prompts, for its card."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bottega.lineage.card import Sample

LONGEST_ANSWER = 96


def sample(folder: Path, prompts: Sequence[str], *, chat: bool, device: str = "auto") -> tuple[Sample, ...]:
    """Greedy answers to the prompts, by the chat template or as continuations."""
    if not prompts:
        return ()
    from bottega.data.chat import encode_chat
    from bottega.data.records import Message
    from bottega.engine.plain import generate
    from bottega.lineage.loading import load

    model, tokenizer = load(folder, device)
    if chat:
        rows = [
            list(encode_chat(tokenizer, (Message("user", prompt),), add_generation_prompt=True).ids)
            for prompt in prompts
        ]
        stop = {tokenizer.im_end, tokenizer.eot}
    else:
        rows = [[tokenizer.eot, *tokenizer.encode(prompt)] for prompt in prompts]
        stop = {tokenizer.eot}
    longest = max(1, min(LONGEST_ANSWER, model.config.max_positions - max(map(len, rows))))
    answers = generate(model, rows, max_new_tokens=longest, stop_ids=stop)
    said = (tokenizer.decode([token for token in answer if token not in stop]) for answer in answers)
    return tuple(Sample(prompt=prompt, answer=answer) for prompt, answer in zip(prompts, said, strict=True))
