"""The rows a stage trains on: documents as windows and conversations whole, mixed by weight."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from bottega.errors import UserError
from bottega.stages.base import DataUse
from bottega.stages.knobs import MixtureConfig, TrainingConfig
from bottega.stages.prepare import Prepared, Shards

if TYPE_CHECKING:
    from bottega.data.packing import PackingReport, RowPlan
    from bottega.data.primer import RepeatedTokens
    from bottega.data.shards import TokenShards
    from bottega.data.tokenizer import Tokenizer


@dataclass(frozen=True)
class Mixture:
    """A plan for the loop, with the account that the card wants of it."""

    rows: RowPlan
    use: tuple[DataUse, ...]
    packing: tuple[PackingReport, ...]  # of the conversations

    def report(self, steps: int) -> dict[str, Any]:
        """How often each source was passed over, how full the rows were, and what the context cost."""
        report: dict[str, Any] = {"epochs": self.rows.epochs(steps)}
        if self.packing:
            positions = sum(p.packed_targets / p.fill for p in self.packing)
            report["fill"] = sum(p.packed_targets for p in self.packing) / positions
            report["lost_targets"] = sum(p.lost_targets for p in self.packing)
        return report


def mix(data: Prepared, config: MixtureConfig, tokenizer: Tokenizer, seed: int) -> Mixture:
    """Mix all that was prepared by its weights, in the order that is asked for.

    Raises:
        UserError: no conversation has a token left that the loss counts, or an order is asked for where all
            data is of one kind.
    """
    from bottega.data.packing import ConversationPlan, DocumentPlan

    context, rows = config.context, config.batch_rows
    plans: list[tuple[RowPlan, float]] = []
    if data.documents:
        plans.append((DocumentPlan(_weighted(data.documents), context, rows, seed), _weight(data.documents)))
    packing: tuple[PackingReport, ...] = ()
    if data.conversations:
        sources = _weighted(data.conversations)
        pad = tokenizer.require("eot") if tokenizer.pad is None else tokenizer.pad
        talk = ConversationPlan(sources, context, rows, seed, config.overlong, pad)
        packing = tuple(talk.report)
        _check_something_counts(packing, context, config.overlong)
        plans.append((talk, _weight(data.conversations)))
    plan = with_primer(_in_order(plans, config), config, tokenizer, seed)
    return Mixture(plan, _with_overlong(data, packing), packing)


def _in_order(plans: list[tuple[RowPlan, float]], config: MixtureConfig) -> RowPlan:
    """Documents and conversations row by row, or one after the other, each for its share of the steps."""
    from bottega.data.packing import InTurnPlan, MixedPlan

    if len(plans) == 1:
        if config.order != "mixed":
            raise UserError(
                f"order = {config.order} needs documents and conversations, and the data is all of one kind; "
                "leave `order` out"
            )
        return plans[0][0]
    if config.order == "mixed":
        return MixedPlan(plans, config.batch_rows)
    (first, weight), (then, other) = plans if config.order == "documents-first" else reversed(plans)
    share = weight / (weight + other) * (1 - config.primer_share)
    return InTurnPlan(first, config.steps_for(share), then)


def with_primer(plan: RowPlan, config: TrainingConfig, tokenizer: Tokenizer, seed: int) -> RowPlan:
    """The plan with the share of rows of the primer that is asked for."""
    from bottega.data.packing import RowPlan, RowStream

    if not (share := config.primer_share):
        return plan
    streams: list[tuple[RowStream, float]] = [(plan, 1 - share), (primer(tokenizer, config, seed), share)]
    return RowPlan(streams, config.context, config.batch_rows)


def primer(tokenizer: Tokenizer, config: TrainingConfig, seed: int) -> RepeatedTokens:
    """Rows of random tokens of this tokenizer, every stretch twice."""
    from bottega.data.primer import RepeatedTokens

    return RepeatedTokens(tokenizer.text_ids(), tokenizer.require("eot"), config.context, seed)


def _weighted(parts: tuple[Shards, ...]) -> list[tuple[TokenShards, float]]:
    return [(part.shards, part.weight) for part in parts]


def _weight(parts: tuple[Shards, ...]) -> float:
    return sum(part.weight for part in parts)


def _check_something_counts(packing: tuple[PackingReport, ...], context: int, overlong: str) -> None:
    whole = sum(p.examples - p.too_short - p.dropped for p in packing)
    if not any(p.split for p in packing) and sum(p.without_loss for p in packing) >= whole:
        raise UserError(
            f"of {whole} conversations not one has an assistant's token within a context of {context} "
            f"(overlong = {overlong}); nothing to learn: raise the context or choose overlong = split"
        )


def _with_overlong(data: Prepared, packing: tuple[PackingReport, ...]) -> tuple[DataUse, ...]:
    """The uses, with what the overlong policy did to the conversations of each."""
    counts: dict[str, dict[str, int]] = {}
    for part, report in zip(data.conversations, packing, strict=True):
        mine = counts.setdefault(part.dataset, {})
        for action in ("dropped", "truncated", "split", "too_short", "without_loss"):
            if number := getattr(report, action):
                mine[action] = mine.get(action, 0) + number
    return tuple(replace(use, overlong=counts.get(use.dataset, {})) for use in data.use)
