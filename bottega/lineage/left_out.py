"""What of a model's data was left out, and why: in words, for its card and for the build."""

from __future__ import annotations

from dataclasses import dataclass, field

from bottega.lineage.card import Card, Data

MUCH = 0.05  # of a dataset's records: more than that is said while the family is built
_KINDS = {  # of records that a stage has no use for
    "document": "documents",
    "conversation": "conversations",
    "comparison": "comparisons",
    "rated": "ratings",
    "prompt": "prompts",
    "labelled": "labelled texts",
}
_OVERLONG = {
    "dropped": "longer than the context",
    "too_short": "too short to learn from",
    "without_loss": "nothing to learn within the context",
}
_CHANGED = {"truncated": "cut off at the context", "split": "cut into pieces of the context"}


@dataclass(frozen=True)
class LeftOut:
    """The account of one dataset."""

    dataset: str
    records: int  # that were there
    reasons: dict[str, int]  # reason -> records left out
    changed: dict[str, int] = field(default_factory=dict)  # what was done to them -> records

    @property
    def count(self) -> int:
        """Records left out."""
        return sum(self.reasons.values())

    @property
    def is_much(self) -> bool:
        """Whether a user should hear of it without looking for it."""
        return self.count > MUCH * self.records

    def __str__(self) -> str:
        several = len(self.reasons) > 1
        why = ", ".join(f"{reason} ({n:,})" if several else reason for reason, n in self.reasons.items())
        return f"{self.count:,} of {self.records:,} records of {self.dataset} were left out: {why}"


def left_out(card: Card) -> list[LeftOut]:
    """One for each dataset of which something was left out, or not taken as it was."""
    found = (_of(data, card.stage) for data in card.data)
    return [one for one in found if one.reasons or one.changed]


def _of(data: Data, stage: str) -> LeftOut:
    # A reward model does not learn from conversations, but it puts their mean score at 0.
    skipped = {k: n for k, n in data.skipped.items() if (stage, k) != ("reward", "conversation")}
    reasons = {
        f"{_KINDS[reason]}, which this stage does not learn from" if reason in _KINDS else reason: n
        for reason, n in skipped.items()
    }
    for action, reason in _OVERLONG.items():
        if action == "without_loss" and "split" in data.overlong:
            continue  # counted in pieces
        if n := data.overlong.get(action, 0):
            reasons[reason] = n
    changed = {what: n for action, what in _CHANGED.items() if (n := data.overlong.get(action, 0))}
    return LeftOut(data.dataset, data.records + sum(skipped.values()), reasons, changed)
