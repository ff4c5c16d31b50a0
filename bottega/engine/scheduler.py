"""Continuous batching, one step at a time: requests enter free rows, read their prompts, and decode together.

Single-threaded but for :meth:`Scheduler.add` and :meth:`Ticket.cancel`, which any thread may call.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bottega.data.tokenizer import Tokenizer
from bottega.engine.devices import has_kernels, heights_round_apart, to_device
from bottega.engine.graphs import Decoding
from bottega.engine.requests import Event, Finished, FinishReason, Request, Token
from bottega.engine.sampling import BatchSampler, Drawn
from bottega.engine.slots import BLOCK_TOKENS, PAD_TOKENS, Slots
from bottega.engine.step import Step
from bottega.engine.text import TextStream
from bottega.errors import UserError
from bottega.model.decoder import Decoder

# Of prompts, read in one pass: on a CPU what lies between two products shall stay in its cache.
PASS_TOKENS = {"cpu": 512, "cuda": 4096}

Sink = Callable[[Event | BaseException], None]


@dataclass(slots=True, eq=False)
class Ticket:
    """A request on its way."""

    request: Request
    sink: Sink
    prompt: NDArray[np.int64]
    room: int  # for each answer
    deadline: float | None  # time.monotonic()
    waiting: deque[int] = field(default_factory=deque)  # choices that have no row yet
    cancelled: bool = False

    def cancel(self) -> None:
        """End what is not finished yet, at the next step."""
        self.cancelled = True


@dataclass(slots=True, eq=False)
class _Sequence:
    """One choice in its row."""

    ticket: Ticket
    choice: int
    row: int
    text: TextStream | None
    begun: bool = False  # reading its prompt
    cached: int = 0  # tokens of the prompt that were taken over
    read: int = 0  # tokens of the prompt in the cache
    drawn: int = 0  # tokens of the answer; the last may not be told yet
    ids: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Block:
    """A part of a prompt that is read in one pass."""

    sequence: _Sequence
    start: int
    stop: int

    @property
    def prompt(self) -> NDArray[np.int64]:
        return self.sequence.ticket.prompt


class Scheduler:
    """The requests of one model, in the rows of one cache."""

    def __init__(
        self,
        model: Decoder,
        tokenizer: Tokenizer | None,
        *,
        slots: int,
        max_tokens: int,
        compiled: bool = False,
        batch_invariant: bool = False,
    ) -> None:
        weight = model.output_weight
        self.model, self.tokenizer, self.max_tokens, self.version = model, tokenizer, max_tokens, 0
        self._step = Step(model, compiled=compiled)
        self._device = weight.device
        self._slots = Slots(model.config, slots, max_tokens, dtype=weight.dtype, device=weight.device)
        self._inbox: deque[Ticket] = deque()  # appended to by any thread, emptied by the one that takes steps
        self._queue: deque[Ticket] = deque()
        self._reading: deque[_Sequence] = deque()
        self._decoding: dict[int, _Sequence] = {}  # by row
        # Of each row's last token: what the next one is drawn by.
        self._hidden = torch.zeros(slots, model.config.hidden_size, dtype=weight.dtype, device=weight.device)
        on_gpu = weight.device.type == "cuda"
        self._pass_tokens = PASS_TOKENS.get(weight.device.type, PASS_TOKENS["cpu"])
        self._decoding_on_gpu: Decoding | None = None
        if has_kernels(weight) and self._step.is_plain:
            self._decoding_on_gpu = Decoding(self._step, self._slots.cache, self._hidden)
        # A GPU reads the tokens that were drawn while their requests are told of them.
        self._runs_ahead = on_gpu
        # A product of another height may round otherwise, and one rounding can turn a token.
        self._one_shape = batch_invariant if on_gpu else heights_round_apart(weight.dtype)
        self._sampler = BatchSampler(
            slots,
            model.config.vocab_size,
            weight.device,
            one_by_one=on_gpu and batch_invariant,
            likeliest=self._step.likeliest,
        )
        # Attention reads the cache in steps of so many slots; a longer product may round otherwise too.
        self._extent_step = 64 if self._one_shape else 32

    @property
    def busy(self) -> bool:
        """Whether some request is unfinished."""
        return bool(self._inbox or self._queue or self._reading or self._decoding)

    @property
    def queued(self) -> int:
        """Requests of which some choice has no row yet."""
        return len(self._inbox) + len(self._queue)

    def add(self, request: Request, sink: Sink) -> Ticket:
        """Queue a request; its events go to ``sink``. Raises ``UserError`` for one that cannot be served."""
        prompt = np.asarray(request.tokens, np.int64)
        vocab_size = self.model.config.vocab_size
        if len(prompt) >= self.max_tokens:
            raise UserError(
                f"the prompt has {len(prompt):,} tokens and prompt and answer together may have "
                f"{self.max_tokens:,}; shorten it."
            )
        if prompt.min() < 0 or prompt.max() >= vocab_size:
            raise UserError(f"the prompt has a token outside the vocabulary of {vocab_size:,}.")
        if any(not 0 <= token < vocab_size for token in request.sampling.logit_bias):
            raise UserError(f"logit_bias names a token outside the vocabulary of {vocab_size:,}.")
        if request.detokenise and self.tokenizer is None:
            raise UserError("this engine has no tokenizer: ask with detokenise = False.")
        deadline = None if request.timeout_s is None else time.monotonic() + request.timeout_s
        room = min(request.max_new_tokens, self.max_tokens - len(prompt))
        ticket = Ticket(request, sink, prompt, room, deadline, deque(range(request.n)))
        self._inbox.append(ticket)
        return ticket

    @torch.inference_mode()
    def step(self, prefill_tokens: int | None = None) -> None:
        """Admit, read up to ``prefill_tokens`` of prompts (None: all there are), draw one token per row."""
        while self._inbox:
            self._queue.append(self._inbox.popleft())
        self._drop_what_was_given_up()
        self._admit()
        self._read(prefill_tokens)
        if self._decoding:
            drawn = self._draw()
            if self._runs_ahead:
                self._advance(drawn.ids)
            self._tell(drawn)
            if not self._runs_ahead:
                self._advance(drawn.ids)

    def forget(self) -> None:
        """The weights have changed: nothing in the cache is taken over, and tokens carry a new version."""
        self.version += 1
        self._step.refresh()
        self._slots.forget()

    def abort(self, error: BaseException) -> None:
        """Tell every open request of an error, and stand empty."""
        tickets = {id(s.ticket): s.ticket for s in (*self._reading, *self._decoding.values())}
        tickets |= {id(ticket): ticket for ticket in (*self._queue, *self._inbox)}
        for sequence in (*self._reading, *self._decoding.values()):
            self._free(sequence.row)
        self._inbox.clear()
        self._queue.clear()
        self._reading.clear()
        self._decoding.clear()
        self._slots.forget()
        for ticket in tickets.values():
            ticket.sink(error)

    # ------------------------------------------------------------ admission

    def _drop_what_was_given_up(self) -> None:
        now = time.monotonic()

        def reason(ticket: Ticket) -> FinishReason | None:
            if ticket.cancelled:
                return "cancelled"
            late = ticket.deadline is not None and now >= ticket.deadline
            return "deadline" if late else None

        for ticket in list(self._queue):
            if why := reason(ticket):
                self._queue.remove(ticket)
                for choice in ticket.waiting:
                    ticket.sink(Finished(choice, why))
        for sequence in [*self._reading, *self._decoding.values()]:
            if why := reason(sequence.ticket):
                self._finish(sequence, why)

    def _admit(self) -> None:
        while self._queue and self._slots.idle:
            ticket = self._queue[0]
            choice = ticket.waiting.popleft()
            if not ticket.waiting:
                self._queue.popleft()
            row = self._slots.claim(ticket.prompt)
            request = ticket.request
            text = None
            if request.detokenise:
                assert self.tokenizer is not None
                text = TextStream(self.tokenizer, request.stop)
            reports = request.top_logprobs if request.logprobs or request.top_logprobs else -1
            self._sampler.begin(
                row, request.sampling, ticket.prompt, choice=choice, steps=ticket.room, report=reports
            )
            self._reading.append(_Sequence(ticket, choice, row, text))

    # ------------------------------------------------------------ reading prompts

    def _read(self, budget: int | None) -> None:
        """Read the prompts that wait, in their order, a block of each at a time."""
        while self._reading and (budget is None or budget > 0):
            blocks = self._next_blocks(
                self._pass_tokens if budget is None else min(budget, self._pass_tokens)
            )
            if not blocks:  # all that waited was taken over
                continue
            for block, hidden in zip(blocks, self._read_blocks(blocks), strict=True):
                sequence, stop = block.sequence, block.stop
                sequence.read = stop
                whole = stop == len(block.prompt)
                self._slots.read(sequence.row, block.prompt[:stop], hidden if whole else None)
                if whole:
                    self._begin_decoding(sequence, hidden)
                budget = None if budget is None else budget - (stop - block.start)

    def _next_blocks(self, most_tokens: int) -> list[_Block]:
        """The next block of the first prompt that waits and, of others in neighbouring rows, what fits.

        A prompt that goes on as one of these does waits: it can take over what is read now.
        """
        blocks: list[_Block] = []
        first, last, tokens = 0, -1, 0  # rows of the blocks, and their tokens together
        goes_on: dict[int, set[bytes]] = {}  # where the blocks stop -> the prompts up to there
        for sequence in list(self._reading):
            prompt, row = sequence.ticket.prompt, sequence.row
            if blocks and row not in (first - 1, last + 1):
                continue
            if any(prompt[:stop].tobytes() in known for stop, known in goes_on.items()):
                continue
            if not sequence.begun:  # only now: what it can take over may have been read a moment ago
                sequence.begun = True
                sequence.cached, hidden = self._slots.take_over(row, prompt)
                sequence.read = sequence.cached
                if hidden is not None:
                    self._begin_decoding(sequence, hidden)
                    continue
            block = _Block(sequence, sequence.read, min(sequence.read + BLOCK_TOKENS, len(prompt)))
            first, last = (min(first, row), max(last, row)) if blocks else (row, row)
            tokens += block.stop - block.start
            goes_on.setdefault(block.stop, set()).add(prompt[: block.stop].tobytes())
            blocks.append(block)
            if self._one_shape or tokens >= most_tokens:
                break
        return sorted(blocks, key=lambda block: block.sequence.row)

    def _begin_decoding(self, sequence: _Sequence, hidden: Tensor) -> None:
        """The prompt was read; ``hidden`` [D] is its last token's."""
        self._reading.remove(sequence)
        self._hidden[sequence.row] = hidden
        self._decoding[sequence.row] = sequence

    def _read_blocks(self, blocks: list[_Block]) -> Tensor:
        """Read blocks into the cache of neighbouring rows; the hidden states [B, D] of their last tokens.

        A block is filled up on the right: a filler's slot lies beyond the prompt's end, where nobody looks
        before the row itself has written there.
        """
        longest = max(block.stop - block.start for block in blocks)
        width = -(-longest // PAD_TOKENS) * PAD_TOKENS
        tokens = np.zeros((len(blocks), width), np.int64)
        for line, block in zip(tokens, blocks, strict=True):
            line[: block.stop - block.start] = block.prompt[block.start : block.stop]
        starts = to_device([block.start for block in blocks], self._device)
        positions = starts[:, None] + torch.arange(width, device=self._device)
        cache = self._slots.cache.narrow(blocks[0].sequence.row, len(blocks))
        cache.extent = max(block.start for block in blocks) + width
        hidden = self._step(torch.from_numpy(tokens).to(self._device), positions, cache)
        last = to_device([block.stop - block.start - 1 for block in blocks], self._device)
        return hidden[torch.arange(len(blocks), device=self._device), last]

    # ------------------------------------------------------------ decoding

    def _width(self) -> int:
        """How many of the first rows take part in a step."""
        if self._one_shape:
            return len(self._hidden)
        return min(len(self._hidden), 1 << max(self._decoding).bit_length())

    def _draw(self) -> Drawn:
        """Draw every row's next token."""
        width = self._width()
        steps = [0] * width
        for row, sequence in self._decoding.items():
            steps[row] = sequence.drawn
            sequence.drawn += 1
        if self._decoding_on_gpu is not None:
            logits = self._decoding_on_gpu.logits(width)
        else:
            logits = self._step.logits(self._hidden[:width])
        return self._sampler.draw(logits, steps, sorted(self._decoding))

    def _tell(self, drawn: Drawn) -> None:
        """Tell every request of its row's token."""
        tokens = drawn.tokens
        for row in sorted(self._decoding):
            self._say(self._decoding[row], tokens[row], drawn.logprobs[row], drawn.top[row])

    def _say(
        self, sequence: _Sequence, token: int, logprob: float, top: tuple[tuple[int, float], ...]
    ) -> None:
        ticket = sequence.ticket
        if token in ticket.request.stop_ids:
            self._finish(sequence, "stop", token, logprob)
            return
        sequence.ids.append(token)
        shown = "" if sequence.text is None else sequence.text.push(token)
        ticket.sink(Token(sequence.choice, token, shown, logprob, top, self.version))
        if sequence.text is not None and sequence.text.stopped:
            self._finish(sequence, "stop")
        elif len(sequence.ids) >= ticket.room:
            self._finish(sequence, "length")

    def _finish(
        self,
        sequence: _Sequence,
        reason: FinishReason,
        stop_id: int | None = None,
        stop_logprob: float = float("nan"),
    ) -> None:
        if self._decoding.get(sequence.row) is sequence:
            del self._decoding[sequence.row]
        else:
            self._reading.remove(sequence)
        self._free(sequence.row)
        rest = "" if sequence.text is None else sequence.text.finish()
        sequence.ticket.sink(
            Finished(sequence.choice, reason, rest, stop_id, stop_logprob, self.version, sequence.cached)
        )

    def _free(self, row: int) -> None:
        self._sampler.end(row)
        self._slots.release(row)

    def _advance(self, drawn: Tensor) -> None:
        """Read the tokens [B] that were drawn for the rows that want another one."""
        going_on = {row: s for row, s in self._decoding.items() if s.drawn < s.ticket.room}
        if not going_on:
            return
        width = self._width()
        places = [self._slots.scratch] * width
        for row, sequence in going_on.items():
            places[row] = len(sequence.ticket.prompt) + sequence.drawn - 1
        positions = to_device(places, self._device)
        if self._decoding_on_gpu is not None:
            self._decoding_on_gpu.advance(drawn[:width], positions)
            return
        longest = max(places[row] for row in going_on) + 1
        cache = self._slots.cache.narrow(0, width)
        cache.extent = min(-(-longest // self._extent_step) * self._extent_step, self._slots.scratch)
        hidden = self._step(drawn[:width, None], positions[:, None], cache)
        self._hidden[:width] = hidden[:, 0]
