"""Generating with the 13.8M shape, 64 + 128 tokens: the engine beside transformers' generate.

``python -m benchmarks.generate [--precision auto|float32|bfloat16] [--repeats 5]``

Both have the same weights and give the same number of tokens, greedily. ``generate-alone``: one prompt;
``generate-batch32``: thirty-two at once; ``-gqa``: three query heads to a key head. ``prefix-reuse``: time to
the first token of a prompt of 1,056 tokens whose first 1,024 the engine has read before, beside reading them
anew.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from benchmarks.contenders import SHAPE, peer_model
from benchmarks.measure import precision_and_repeats, ratio
from bottega.engine.local import LocalEngine
from bottega.engine.requests import Request
from bottega.model.decoder import Decoder
from bottega.model.hub import load_model

PROMPT, NEW, SHARED = 64, 128, 1024
POSITIONS = 2048  # room for the long prompts


def main() -> None:
    chosen, repeats = precision_and_repeats(__doc__)
    for suffix, kv_heads in (("", SHAPE["heads"]), ("-gqa", SHAPE["heads"] // 3)):
        with tempfile.TemporaryDirectory() as folder:
            peer = peer_model(POSITIONS, kv_heads=kv_heads, use_cache=True).to(chosen.dtype).eval()
            peer.save_pretrained(folder)
            model = load_model(Path(folder), dtype=chosen.dtype).eval()
        for rows in (1, 32) if not suffix else (32,):
            compare(f"generate-{'alone' if rows == 1 else 'batch32'}{suffix}", model, peer, rows, repeats)
        if not suffix:
            reuse(model, repeats)


def compare(name: str, model: Decoder, peer: Any, rows: int, repeats: int) -> None:
    """Tokens a second of both, in turns."""
    prompts = draw_prompts(rows)

    def theirs() -> None:
        with torch.inference_mode():
            peer.generate(
                prompts,
                attention_mask=torch.ones_like(prompts),
                max_new_tokens=NEW,
                min_new_tokens=NEW,
                do_sample=False,
                pad_token_id=0,
            )

    beside(name, model, prompts.tolist(), "transformers", theirs, repeats)


def draw_prompts(rows: int) -> torch.Tensor:
    """Random prompts [rows, PROMPT], the same every time."""
    generator = torch.Generator().manual_seed(0)
    return torch.randint(3, SHAPE["vocab_size"], (rows, PROMPT), generator=generator)


def beside(
    name: str, model: Decoder, prompts: list[list[int]], peer: str, theirs: Callable[[], object], repeats: int
) -> None:
    """Tokens a second of the engine and of a peer that answers the same prompts, in turns."""
    requests = [Request(prompt, NEW, detokenise=False) for prompt in prompts]
    with LocalEngine(model, slots=len(prompts), compiled=True) as engine:

        def ours() -> None:
            engine.weights_changed()  # nothing of the last round is taken over
            engine.generate(requests)

        mine, other = alternate(ours, theirs, repeats)
    tokens = len(prompts) * NEW
    print(f"{name}: ours {spread(mine, tokens)}, {peer} {spread(other, tokens)}")
    ratio(name, tokens / statistics.median(mine), tokens / statistics.median(other))


def reuse(model: Decoder, repeats: int) -> None:
    """Seconds to the first token, with and without what was read before."""
    generator = torch.Generator().manual_seed(1)
    shared = torch.randint(3, SHAPE["vocab_size"], (SHARED,), generator=generator).tolist()

    def first_token(engine: LocalEngine) -> None:
        tail = torch.randint(3, SHAPE["vocab_size"], (32,), generator=generator).tolist()
        engine.generate([Request(shared + tail, 1, detokenise=False)])

    with LocalEngine(model, slots=4) as engine:

        def anew() -> None:
            engine.weights_changed()
            first_token(engine)

        fresh, again = alternate(anew, lambda: first_token(engine), repeats)
    print(
        f"prefix-reuse: {1e3 * statistics.median(again):.1f} ms to the first token with {SHARED:,} shared "
        f"tokens, {1e3 * statistics.median(fresh):.1f} ms without"
    )
    ratio("prefix-reuse", 1 / statistics.median(again), 1 / statistics.median(fresh))


def alternate(
    one: Callable[[], object], other: Callable[[], object], repeats: int
) -> tuple[list[float], list[float]]:
    """Seconds of both, each measured ``repeats`` times in turns after one round that does not count."""
    found: tuple[list[float], list[float]] = ([], [])
    for repeat in range(repeats + 1):
        for seconds, work in zip(found, (one, other), strict=True):
            began = time.perf_counter()
            work()
            if repeat:
                seconds.append(time.perf_counter() - began)
    return found


def spread(seconds: list[float], tokens: int) -> str:
    """The median speed and its range."""
    speeds = sorted(tokens / s for s in seconds)
    return f"{statistics.median(speeds):,.0f} tokens/s ({speeds[0]:,.0f} to {speeds[-1]:,.0f})"


if __name__ == "__main__":
    main()
