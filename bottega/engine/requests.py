"""What an engine is asked and what it answers: requests, the events of a stream, finished completions."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeAlias

from bottega.errors import UserError

FinishReason = Literal["stop", "length", "cancelled", "deadline"]
MAX_TOP_LOGPROBS = 20


class EngineBusyError(UserError):
    """The engine's queue is full: ask again later."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are drawn. The transformations apply in the order of the fields.

    Penalties and biases change the logits, the temperature divides them, and of what results only the tokens
    that pass ``top_k``, ``top_p`` and ``min_p`` are drawn from.
    """

    repetition_penalty: float = 1.0  # divides positive logits of seen tokens, multiplies negative ones
    frequency_penalty: float = 0.0  # subtracted once for each time the answer has said a token
    presence_penalty: float = 0.0  # subtracted once from every token that the answer has said
    logit_bias: Mapping[int, float] = field(default_factory=dict)  # added to the logits of these tokens
    temperature: float = 1.0  # 0 takes the likeliest token
    top_k: int = 0  # keep the likeliest k; 0 keeps all
    top_p: float = 1.0  # keep the likeliest that reach this mass together (1904.09751)
    min_p: float = 0.0  # keep those at least this likely, relative to the likeliest (2407.01082)
    seed: int = 0  # of this request's draws

    def __post_init__(self) -> None:
        checks = (
            ("temperature", 0.0 <= self.temperature < math.inf, "at least 0"),
            ("top_k", self.top_k >= 0, "at least 0"),
            ("top_p", 0.0 <= self.top_p <= 1.0, "between 0 and 1"),
            ("min_p", 0.0 <= self.min_p <= 1.0, "between 0 and 1"),
            ("repetition_penalty", 0.0 < self.repetition_penalty < math.inf, "above 0"),
            ("frequency_penalty", math.isfinite(self.frequency_penalty), "a finite number"),
            ("presence_penalty", math.isfinite(self.presence_penalty), "a finite number"),
        )
        for name, fine, wanted in checks:
            if not fine:
                raise UserError(f"{name} must be {wanted}, not {getattr(self, name)}.")
        for token, bias in self.logit_bias.items():
            if math.isnan(bias):
                raise UserError(f"logit_bias of token {token} must be a number, not {bias}.")

    @property
    def penalises(self) -> bool:
        """Whether what was said before changes the logits."""
        return bool(self.repetition_penalty != 1.0 or self.frequency_penalty or self.presence_penalty)

    @property
    def truncates(self) -> bool:
        """Whether some tokens are never drawn, whatever their probability."""
        return self.temperature > 0 and (self.top_k > 0 or self.top_p < 1.0 or self.min_p > 0.0)


GREEDY = Sampling(temperature=0.0)


@dataclass(frozen=True, slots=True)
class Request:
    """One prompt to continue, ``n`` times."""

    tokens: Sequence[int]
    max_new_tokens: int
    sampling: Sampling = GREEDY
    n: int = 1
    stop_ids: frozenset[int] = frozenset()  # end the answer; they are no part of its text
    stop: tuple[str, ...] = ()  # strings that end the answer; cut off before they are shown
    logprobs: bool = False  # report each token's log-probability, under what it was drawn from
    top_logprobs: int = 0  # and those of so many of the likeliest tokens
    detokenise: bool = True  # give text too; without it there are no stop strings
    timeout_s: float | None = None  # from submission to the last token

    def __post_init__(self) -> None:
        if not self.tokens:
            raise UserError("the prompt is empty; a base model's prompt begins with <|endoftext|>.")
        if self.max_new_tokens < 1:
            raise UserError(f"max_new_tokens must be at least 1, not {self.max_new_tokens}.")
        if self.n < 1:
            raise UserError(f"n must be at least 1, not {self.n}.")
        if not 0 <= self.top_logprobs <= MAX_TOP_LOGPROBS:
            raise UserError(f"top_logprobs must be 0 to {MAX_TOP_LOGPROBS}, not {self.top_logprobs}.")
        if self.stop and not self.detokenise:
            raise UserError("stop strings need detokenise = True.")


@dataclass(frozen=True, slots=True)
class Token:
    """One token of one choice, as soon as it is drawn."""

    choice: int
    id: int
    text: str  # what may be shown now, often empty; never half a character
    logprob: float  # NaN where it was not asked for
    top: tuple[tuple[int, float], ...]  # the likeliest tokens and their log-probabilities
    version: int  # of the weights that drew it


@dataclass(frozen=True, slots=True)
class Finished:
    """The end of one choice."""

    choice: int
    reason: FinishReason
    text: str = ""  # what was held back and may be shown after all
    stop_id: int | None = None  # the token that ended it, where one did
    stop_logprob: float = math.nan  # of that token
    stop_version: int = 0  # the weights that drew it
    cached_tokens: int = 0  # of the prompt, that were not computed again


Event: TypeAlias = Token | Finished


@dataclass(frozen=True, slots=True)
class Completion:
    """One finished choice."""

    tokens: tuple[int, ...]  # without the stop token that ended it
    text: str
    reason: FinishReason
    logprobs: tuple[float, ...] = ()  # of the tokens, and of the stop token after them where one ended it
    top: tuple[tuple[tuple[int, float], ...], ...] = ()
    versions: tuple[int, ...] = ()  # of the weights, as many as ``logprobs`` would have
    stop_id: int | None = None
    cached_tokens: int = 0


class Stream(Protocol):
    """The events of one request, as they come."""

    def __iter__(self) -> Iterator[Event]:
        """Every choice's tokens, interleaved, each choice ended by one ``Finished``."""

    def cancel(self) -> None:
        """End what is not finished yet, from any thread; its slots are free after the step under way."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an engine can do, so that a caller asks for nothing that it cannot."""

    name: str
    max_tokens: int  # of prompt and answer together
    slots: int  # sequences decoded at once
    prefix_reuse: bool
    exact_logprobs: bool  # of the distribution that was drawn from, truncation included
    neighbours_change_nothing: bool  # the same seed gives the same tokens, whoever shares the batch
    page_tokens: int  # tokens of a cache page; the whole capacity where slots are contiguous


class Engine(Protocol):
    """Batched generation. ``LocalEngine`` is ours; another may stand behind the same methods."""

    @property
    def capabilities(self) -> Capabilities:
        """What this engine can do."""

    def submit(self, request: Request) -> Stream:
        """Queue a request. Raises ``UserError`` for one that cannot be served, ``EngineBusyError`` for a full
        queue."""

    def generate(self, requests: Sequence[Request]) -> list[list[Completion]]:
        """Serve all requests to their ends; the choices of each, in the order of ``requests``."""

    def close(self) -> None:
        """Cancel what is running and free the memory."""


def gather(events: Iterator[Event], n: int) -> list[Completion]:
    """The ``n`` choices of a request whose events have all come."""
    tokens: list[list[Token]] = [[] for _ in range(n)]
    ends: dict[int, Finished] = {}
    for event in events:
        if isinstance(event, Token):
            tokens[event.choice].append(event)
        else:
            ends[event.choice] = event
    return [_completion(tokens[choice], ends[choice]) for choice in range(n)]


def _completion(tokens: list[Token], end: Finished) -> Completion:
    logprobs = [token.logprob for token in tokens]
    versions = [token.version for token in tokens]
    if end.stop_id is not None:
        logprobs.append(end.stop_logprob)
        versions.append(end.stop_version)
    return Completion(
        tokens=tuple(token.id for token in tokens),
        text="".join(token.text for token in tokens) + end.text,
        reason=end.reason,
        logprobs=tuple(logprobs),
        top=tuple(token.top for token in tokens),
        versions=tuple(versions),
        stop_id=end.stop_id,
        cached_tokens=end.cached_tokens,
    )
