"""The records that every source yields and every stage reads. Frozen and small."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Role = Literal["system", "user", "assistant"]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a record came from."""

    source: str  # the source's URI, or the data set's name
    row: str = ""  # the row's id within the source, such as "wiki.jsonl.gz:17"
    licence: str = "unstated"
    subject: str = ""  # the person whose data it is, for withdrawal; "" where nobody's


@dataclass(frozen=True, slots=True)
class Message:
    """One turn. ``weight`` is its share in the training loss; None: 1 for an assistant, 0 for others."""

    role: Role
    content: str
    weight: float | None = None

    @property
    def loss_weight(self) -> float:
        """The weight with its default filled in."""
        if self.weight is not None:
            return self.weight
        return 1.0 if self.role == "assistant" else 0.0


@dataclass(frozen=True, slots=True)
class Document:
    """A text to continue: pretraining and code."""

    text: str
    origin: Origin = field(default_factory=lambda: Origin("memory"))


@dataclass(frozen=True, slots=True)
class Conversation:
    """Messages to imitate: instruction tuning."""

    messages: tuple[Message, ...]
    origin: Origin = field(default_factory=lambda: Origin("memory"))


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer to a prompt, with what is known of how it was made."""

    message: Message
    model: str | None = None
    sampling: dict[str, float] | None = None
    token_ids: tuple[int, ...] | None = None
    logprobs: tuple[float, ...] | None = None


@dataclass(frozen=True, slots=True)
class Ranking:
    """One labeler's order of the answers: tiers of answer indices, best first; a tier of several is a tie."""

    labeler: str
    tiers: tuple[tuple[int, ...], ...]
    all_bad: bool = False
    kind: Literal["human", "simulated", "model"] = "human"


@dataclass(frozen=True, slots=True)
class Comparison:
    """One prompt, K answers, one or more rankings of them."""

    messages: tuple[Message, ...]
    answers: tuple[Answer, ...]
    rankings: tuple[Ranking, ...]
    origin: Origin = field(default_factory=lambda: Origin("memory"))


@dataclass(frozen=True, slots=True)
class Rated:
    """One answer with one rating by one rater: a thumb (0 or 1) or a score."""

    messages: tuple[Message, ...]
    answer: Answer
    rating: float
    rater: str = ""
    origin: Origin = field(default_factory=lambda: Origin("memory"))


@dataclass(frozen=True, slots=True)
class Check:
    """How an answer to a prompt is verified.

    ``exact``: equal to one of ``accepted`` after whitespace and a final full stop are trimmed.
    ``final``: the last line, or what follows the last ``Answer:`` / ``答案：``, is exact.
    ``rules``: the answer keeps to each of ``accepted``, which are rules as ``data.rules`` writes them.
    ``refusal``: the answer declines; ``accepted`` is how it is best done.
    ``no-refusal``: it says something and does not decline.
    ``tests``: the answer's program passes the Python test source in ``tests`` (run only in the sandbox).
    """

    kind: Literal["exact", "final", "rules", "refusal", "no-refusal", "tests"]
    accepted: tuple[str, ...] = ()
    tests: str = ""


@dataclass(frozen=True, slots=True)
class Prompt:
    """A request whose answer can be checked."""

    messages: tuple[Message, ...]
    check: Check
    origin: Origin = field(default_factory=lambda: Origin("memory"))


@dataclass(frozen=True, slots=True)
class Labelled:
    """A text with categories that are true, false, or None: unknown, masked, never counted as false."""

    text: str
    categories: dict[str, bool | None]
    origin: Origin = field(default_factory=lambda: Origin("memory"))


Record = Document | Conversation | Comparison | Rated | Prompt | Labelled


def prompt_of(record: Record) -> tuple[Message, ...]:
    """The messages before the answer; none where a record asks nothing."""
    match record:
        case Prompt(messages) | Comparison(messages) | Rated(messages):
            return messages
        case Conversation(messages) if messages[-1].role == "assistant":
            return messages[:-1]
        case Conversation(messages) if messages[-1].role == "user":
            return messages
    return ()
