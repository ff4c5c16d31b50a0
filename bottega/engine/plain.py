"""Plain cached decoding: a batch of fixed width whose ended rows are refilled from the queue.

In float32 a matrix product of another height may round otherwise, and one rounding can turn a token. So a
batch always has ``batch_rows`` rows, idle ones among them, and prompts are always read in blocks of one
shape: what a row gets does not depend on who stands beside it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from bottega.engine.sampling import choose, request_seeds, uniforms
from bottega.errors import UserError
from bottega.model.cache import KVCache
from bottega.model.decoder import Decoder

PREFILL_TOKENS = 16  # of each row in one prefill pass
EXTENT_STEP = 64  # attention reads the cache in steps of so many slots


def generate(
    model: Decoder,
    prompts: Sequence[Sequence[int]],
    *,
    max_new_tokens: int,
    stop_ids: Collection[int],
    temperature: float = 0.0,
    top_p: float = 1.0,
    seed: int | Sequence[int] = 0,
    batch_rows: int = 64,
) -> list[list[int]]:
    """Continue each prompt; the new ids without the stop that ended them, in the order of ``prompts``.

    ``temperature`` 0 takes the likeliest token. ``seed`` is one number, from which each request gets its own
    (:func:`request_seeds`), or one number per request; the same seed gives the same tokens, alone or in
    company, at one ``batch_rows``. A row also ends at the model's ``max_positions``. Raises ``UserError`` for
    an empty prompt or one that leaves no position free.
    """
    seeds = request_seeds(seed, len(prompts)) if isinstance(seed, int) else list(seed)
    slots = _Slots(model, prompts, max_new_tokens, stop_ids, temperature, top_p, seeds, batch_rows)
    answers: list[list[int]] = [[] for _ in prompts]
    # Neighbours in length are read together, which leaves little filler.
    queue = deque(sorted(range(len(prompts)), key=lambda request: len(prompts[request])))
    while queue or slots.busy:
        slots.admit(queue)
        for request, answer in slots.pick():
            answers[request] = answer
        slots.advance()
    return answers


def stream(
    model: Decoder,
    prompt: Sequence[int],
    *,
    max_new_tokens: int,
    stop_ids: Collection[int],
    temperature: float = 0.0,
    top_p: float = 1.0,
    seed: int = 0,
) -> Iterator[int]:
    """Continue one prompt, each id as soon as it is known; the stop that ends it is not among them."""
    slots = _Slots(model, [prompt], max_new_tokens, stop_ids, temperature, top_p, [seed], batch_rows=1)
    slots.admit(deque([0]))
    given = 0
    while slots.busy:
        ended = slots.pick()
        so_far = ended[0][1] if ended else slots.answer(0)
        yield from so_far[given:]
        given = len(so_far)
        slots.advance()


class _Slots:
    """Rows of a cache, each idle or at work on one request."""

    def __init__(
        self,
        model: Decoder,
        prompts: Sequence[Sequence[int]],
        max_new_tokens: int,
        stop_ids: Collection[int],
        temperature: float,
        top_p: float,
        seeds: Sequence[int],
        batch_rows: int,
    ) -> None:
        _check(model, prompts, max_new_tokens)
        weight, limit = model.output_weight, model.config.max_positions
        device = weight.device
        self._model, self._prompts, self._seeds = model, prompts, seeds
        self._max_new, self._temperature, self._top_p = max_new_tokens, temperature, top_p
        longest = max(map(len, prompts), default=1)
        capacity = _round_up(min(longest + max_new_tokens, limit) + PREFILL_TOKENS, EXTENT_STEP)
        self._cache = KVCache(model.config, batch_rows, capacity, dtype=weight.dtype, device=device)
        self._is_stop = torch.zeros(model.config.vocab_size, dtype=torch.bool, device=device)
        self._is_stop[list(stop_ids)] = True
        self._rows = torch.arange(batch_rows, device=device)
        self._request = [-1] * batch_rows  # -1: idle
        self._token = torch.zeros(batch_rows, dtype=torch.long, device=device)  # the last one chosen
        self._live = torch.zeros(batch_rows, dtype=torch.bool, device=device)
        self._length = torch.ones(batch_rows, dtype=torch.long, device=device)  # of the prompt
        self._count = torch.zeros(batch_rows, dtype=torch.long, device=device)  # of the answer so far
        self._room = torch.zeros(batch_rows, dtype=torch.long, device=device)  # for the answer
        self._answer = torch.zeros(batch_rows, max_new_tokens, dtype=torch.long, device=device)
        self._uniform = torch.zeros(batch_rows, max_new_tokens, dtype=torch.float64, device=device)
        # Of each row's last token: what the next one is chosen by.
        self._hidden = torch.zeros(batch_rows, model.config.hidden_size, dtype=weight.dtype, device=device)

    @property
    def busy(self) -> bool:
        """Whether some row is at work."""
        return any(request >= 0 for request in self._request)

    def answer(self, row: int) -> list[int]:
        """What a row has said so far."""
        tokens: list[int] = self._answer[row, : int(self._count[row])].tolist()
        return tokens

    @torch.inference_mode()
    def admit(self, queue: deque[int]) -> None:
        """Move requests from the queue into idle rows, a quarter of the batch at a time, and read their
        prompts."""
        block = max(1, len(self._request) // 4)
        while queue:
            idle = [row for row, request in enumerate(self._request) if request < 0]
            if len(idle) < block:
                return
            rows = idle[:block]
            requests = [queue.popleft() for _ in range(min(block, len(queue)))]
            prompts = [self._prompts[request] for request in requests]
            # A block is always whole: rows without a request read a filler and stay idle.
            self._prefill(
                torch.tensor(rows, device=self._rows.device), prompts + [[0]] * (block - len(prompts))
            )
            for row, request in zip(rows, requests, strict=False):
                self._request[row] = request
                self._live[row] = True
                self._count[row] = 0
                self._length[row] = len(self._prompts[request])
                self._uniform[row] = torch.from_numpy(uniforms(self._seeds[request], self._max_new))
                room = self._model.config.max_positions - len(self._prompts[request])
                self._room[row] = min(self._max_new, room)

    def _prefill(self, rows: Tensor, prompts: Sequence[Sequence[int]]) -> None:
        """Read prompts into the cache's rows and keep the hidden state of each one's last token.

        Prompts are filled up on the right: a filler's slot lies beyond its row's end, where nobody looks
        before the row itself has written there.
        """
        width = _round_up(max(map(len, prompts)), PREFILL_TOKENS)
        padded = np.zeros((len(prompts), width), dtype=np.int64)
        for row, prompt in enumerate(prompts):
            padded[row, : len(prompt)] = prompt
        tokens = torch.from_numpy(padded).to(rows.device)
        positions = torch.arange(width, device=rows.device).expand_as(tokens)
        last = torch.tensor([len(prompt) - 1 for prompt in prompts], device=rows.device)
        cache = self._cache.select(rows)
        for start in range(0, width, PREFILL_TOKENS):
            stop = start + PREFILL_TOKENS
            cache.extent = stop
            hidden = self._model(tokens[:, start:stop], positions[:, start:stop], cache=cache)
            here = ((last >= start) & (last < stop)).nonzero()[:, 0]
            self._hidden[rows[here]] = hidden[here, last[here] - start]

    @torch.inference_mode()
    def pick(self) -> list[tuple[int, list[int]]]:
        """Choose every row's next token; the requests that ended with it, and their answers."""
        here = (self._rows, self._count.clamp(max=self._max_new - 1))
        tokens = choose(self._model.logits(self._hidden), self._uniform[here], self._temperature, self._top_p)
        stopped = self._is_stop[tokens]
        self._answer[here] = self._token = tokens
        self._count += self._live & ~stopped
        ended = self._live & (stopped | (self._count >= self._room))
        finished = []
        for row in ended.nonzero()[:, 0].tolist():
            finished.append((self._request[row], self.answer(row)))
            self._request[row] = -1
        self._live &= ~ended
        return finished

    @torch.inference_mode()
    def advance(self) -> None:
        """Read the tokens that were chosen, so that the next can be."""
        if not self.busy:
            return
        positions = torch.where(self._live, self._length + self._count - 1, 0)
        self._cache.extent = _round_up(int(positions.max()) + 1, EXTENT_STEP)
        self._hidden = self._model(self._token[:, None], positions[:, None], cache=self._cache)[:, 0]


def _check(model: Decoder, prompts: Sequence[Sequence[int]], max_new_tokens: int) -> None:
    if max_new_tokens < 1:
        raise UserError(f"max_new_tokens must be at least 1, not {max_new_tokens}.")
    limit = model.config.max_positions
    for number, prompt in enumerate(prompts):
        if not prompt:
            raise UserError(f"prompt {number} is empty; a base model's prompt begins with <|endoftext|>.")
        if len(prompt) >= limit:
            raise UserError(
                f"prompt {number} has {len(prompt):,} tokens and the model {limit:,} positions; shorten it."
            )


def _round_up(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple
