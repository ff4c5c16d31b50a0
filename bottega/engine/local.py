"""Our own engine: a scheduler over one model on one device, behind a queue that any thread may use."""

from __future__ import annotations

import atexit
import threading
from collections.abc import Iterator, Sequence
from queue import SimpleQueue

import torch

from bottega.data.tokenizer import Tokenizer
from bottega.engine.requests import (
    Capabilities,
    Completion,
    EngineBusyError,
    Event,
    Finished,
    Request,
    gather,
)
from bottega.engine.scheduler import Scheduler, Ticket
from bottega.errors import UserError
from bottega.model.decoder import Decoder

PREFILL_TOKENS = 256  # of prompts, read between two tokens of those who are being answered


class LocalStream:
    """The events of one request; leaving a ``with`` block cancels what is not finished."""

    def __init__(self, ticket: Ticket, events: SimpleQueue[Event | BaseException]) -> None:
        self._ticket, self._events = ticket, events
        self._open = ticket.request.n

    def __iter__(self) -> Iterator[Event]:
        while self._open:
            event = self._events.get()
            if isinstance(event, BaseException):
                self._open = 0
                raise event
            self._open -= isinstance(event, Finished)
            yield event

    def cancel(self) -> None:
        """End what is not finished yet, from any thread."""
        self._ticket.cancel()

    def __enter__(self) -> LocalStream:
        return self

    def __exit__(self, *_: object) -> None:
        self.cancel()


class LocalEngine:
    """Continuous batching over one model.

    The model is used as it is, in its own precision and on its own device: its weights may be changed in
    place between two calls, and :meth:`weights_changed` has to say so. Use as a context manager, or
    :meth:`close` it.
    """

    def __init__(
        self,
        model: Decoder,
        tokenizer: Tokenizer | None = None,
        *,
        slots: int = 32,
        max_tokens: int | None = None,
        max_queue: int = 1024,
        compiled: bool = False,
        batch_invariant: bool = False,
    ) -> None:
        """``slots``: sequences decoded at once; ``max_tokens``: of prompt and answer together, the model's
        positions by default; ``max_queue``: requests that may wait for a slot; ``compiled``: steps of
        decoding run compiled on a CPU in float32, which takes some 20 s at first; ``batch_invariant``: on a
        GPU too no token depends on what else is being answered, at the price of always decoding every slot.
        """
        if slots < 1:
            raise UserError(f"slots must be at least 1, not {slots}.")
        limit = model.config.max_positions
        self._scheduler = Scheduler(
            model,
            tokenizer,
            slots=slots,
            max_tokens=min(max_tokens or limit, limit),
            compiled=compiled,
            batch_invariant=batch_invariant,
        )
        self._batch_invariant = batch_invariant
        self._slots, self._max_queue = slots, max_queue
        self._driver = threading.RLock()  # held by whoever takes a step
        self._wake = threading.Event()
        self._closed = False
        self._thread: threading.Thread | None = None

    @property
    def capabilities(self) -> Capabilities:
        """What this engine can do."""
        weight = self._scheduler.model.output_weight
        return Capabilities(
            name="local",
            max_tokens=self._scheduler.max_tokens,
            slots=self._slots,
            prefix_reuse=True,
            exact_logprobs=True,
            neighbours_change_nothing=weight.device.type == "cpu" or self._batch_invariant,
            page_tokens=self._scheduler.max_tokens,
        )

    @property
    def weight_version(self) -> int:
        """How often the weights have changed."""
        return self._scheduler.version

    def submit(self, request: Request) -> LocalStream:
        """Queue a request; a thread of the engine serves it. Raises ``UserError`` for one that cannot be
        served, ``EngineBusyError`` for a full queue."""
        self._check_open()
        if self._scheduler.queued >= self._max_queue:
            raise EngineBusyError(f"{self._max_queue:,} requests are waiting already; ask again later.")
        events: SimpleQueue[Event | BaseException] = SimpleQueue()
        ticket = self._scheduler.add(request, events.put)
        if self._thread is None:
            # A thread that is in the middle of a step as Python ends takes the process down.
            atexit.register(self.close)
            self._thread = threading.Thread(target=self._serve, name="bottega-engine", daemon=True)
            self._thread.start()
        self._wake.set()
        return LocalStream(ticket, events)

    def generate(self, requests: Sequence[Request]) -> list[list[Completion]]:
        """Serve all requests to their ends; the choices of each, in the order of ``requests``.

        The caller's thread does the work. Neighbours in length are read together, which leaves little filler.
        """
        self._check_open()
        events: list[list[Event | BaseException]] = [[] for _ in requests]
        with self._driver:
            order = sorted(range(len(requests)), key=lambda i: len(requests[i].tokens))
            try:
                for i in order:
                    self._scheduler.add(requests[i], events[i].append)
                while self._scheduler.busy:
                    self._scheduler.step()
            except BaseException as error:
                self._scheduler.abort(error)
                raise
        return [gather(_good(found), request.n) for found, request in zip(events, requests, strict=True)]

    def weights_changed(self) -> None:
        """The model's weights have been changed in place: later tokens carry a new version, and nothing that
        was computed before is taken over."""
        with self._driver:
            self._scheduler.forget()

    @torch.no_grad()
    def load_weights(self, source: Decoder) -> None:
        """Cast the weights of ``source``, a model of the same shape, into this engine's own, in place."""
        with self._driver:
            mine, theirs = (dict(m.named_parameters()) for m in (self._scheduler.model, source))
            if mine.keys() != theirs.keys() or any(mine[n].shape != theirs[n].shape for n in mine):
                raise UserError("the weights are those of a model of another shape.")
            for name, parameter in mine.items():
                if parameter is not theirs[name]:
                    parameter.copy_(theirs[name])
            self._scheduler.forget()

    def close(self) -> None:
        """Cancel what is running and end the thread."""
        atexit.unregister(self.close)
        self._closed = True
        self._wake.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()
        with self._driver:
            if self._scheduler.busy:
                self._scheduler.abort(UserError("the engine was closed."))

    def __enter__(self) -> LocalEngine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _check_open(self) -> None:
        if self._closed:
            raise UserError("the engine was closed.")

    def _serve(self) -> None:
        """Take steps while there is work; wait while there is none."""
        while not self._closed:
            self._wake.wait()
            self._wake.clear()
            while self._scheduler.busy and not self._closed:
                with self._driver:
                    try:
                        self._scheduler.step(PREFILL_TOKENS)
                    except Exception as error:  # told to whoever waits; what comes next is served
                        self._scheduler.abort(error)


def _good(events: list[Event | BaseException]) -> Iterator[Event]:
    for event in events:
        if isinstance(event, BaseException):
            raise event
        yield event
