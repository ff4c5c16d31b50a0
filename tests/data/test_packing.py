from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from statistics import median

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bottega.data.batches import Batch, BatchPlan
from bottega.data.bestfit import pack_best_fit
from bottega.data.encoded import Encoded
from bottega.data.mixture import PERIOD_MAX, Mixture
from bottega.data.packing import ConversationPlan, DocumentPlan, MixedPlan, RowPlan
from bottega.data.shards import TokenShards, write_shards
from bottega.errors import UserError

FIELDS = ("tokens", "targets", "weights", "segments", "positions")
LENGTHS = st.lists(st.integers(1, 40), min_size=1, max_size=12)
property_test = settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
Make = Callable[..., TokenShards]


@pytest.fixture
def make(fresh: Callable[[], Path]) -> Make:
    """Shards of these lengths in which every token is its own place, so that none can be mistaken."""

    def build(lengths: list[int], *, name: str = "s", first: int = 0, weights: bool = False) -> TokenShards:
        examples, at = [], first
        for length in lengths:
            ids = list(range(at, at + length))
            examples.append(Encoded(ids, [float(i % 2) for i in ids] if weights else None))
            at += length
        return write_shards(examples, fresh(), vocab_size=1 << 20, name=name)

    return build


def same(a: Batch, b: Batch) -> bool:
    return all(np.array_equal(getattr(a, f), getattr(b, f)) for f in FIELDS)


def joined(batches: list[Batch]) -> Batch:
    return Batch(*(np.concatenate([getattr(b, f) for b in batches]) for f in FIELDS))


def plans(make: Make, seed: int = 3) -> list[RowPlan]:
    """One of each kind, of 12 rows of 16."""
    rng = np.random.default_rng(0)
    code = make(rng.integers(1, 60, 40).tolist(), name="code")
    prose = make(rng.integers(1, 60, 30).tolist(), name="prose", first=10_000)
    chat = make(rng.integers(2, 17, 50).tolist(), name="chat", first=20_000, weights=True)
    documents = DocumentPlan([(code, 0.7), (prose, 0.3)], 16, 12, seed)
    conversations = ConversationPlan([(chat, 1.0)], 16, 12, seed)
    return [documents, conversations, MixedPlan([(documents, 2), (conversations, 1)], 12)]


# Documents


@property_test
@given(lengths=LENGTHS, context=st.integers(1, 50), rows=st.integers(1, 4), seed=st.integers(0, 99))
def test_correctness_3_every_token_is_a_target_once_in_an_epoch(
    make: Make, lengths: list[int], context: int, rows: int, seed: int
) -> None:
    shards = make(lengths)
    plan = DocumentPlan([(shards, 1.0)], context, rows, seed)
    total, epochs = shards.num_tokens, 3
    steps = -(-epochs * total // (context * rows)) + 1
    targets = Counter(np.concatenate([plan.batch(s).targets.ravel() for s in range(steps)]).tolist())
    # The windows of three epochs have been read whole, and at most a part of the next ones.
    assert min(targets[token] for token in range(total)) >= epochs - 1
    whole = -(-epochs * total // context)  # windows that start within the three epochs
    read = plan.rows(np.arange(whole))
    counts = Counter(read.targets.ravel().tolist())
    surplus = whole * context - epochs * total  # of the last window, which has run on into the fourth epoch
    assert 0 <= surplus < context
    assert sum(counts.values()) == whole * context
    assert all(epochs - 1 <= counts[token] for token in range(total))
    over = sum(max(counts[token] - epochs, 0) for token in range(total))
    assert (
        over <= surplus + 1
    )  # the first EOT of all is no target; in its stead the window holds one token more


@property_test
@given(lengths=LENGTHS, context=st.integers(1, 50), seed=st.integers(0, 99))
def test_windows_join_to_the_stream_without_a_gap(
    make: Make, lengths: list[int], context: int, seed: int
) -> None:
    shards = make(lengths)
    windows = -(-2 * shards.num_tokens // context)
    batch = DocumentPlan([(shards, 1.0)], context, 1, seed).rows(np.arange(windows))
    # In whatever order they are read, each window's last target is the first input of exactly its successor.
    firsts = Counter(batch.tokens[:, 0].tolist())
    lasts = Counter(batch.targets[:, -1].tolist())
    assert sum((firsts - lasts).values()) <= 1
    assert np.array_equal(batch.tokens[:, 1:], batch.targets[:, :-1])


@property_test
@given(lengths=LENGTHS, context=st.integers(2, 50), seed=st.integers(0, 99))
def test_segments_and_positions_restart_at_each_document_and_row(
    make: Make, lengths: list[int], context: int, seed: int
) -> None:
    shards = make(lengths)
    batch = DocumentPlan([(shards, 1.0)], context, 3, seed).batch(1)
    document = np.searchsorted(shards.offsets, batch.tokens, side="right")
    begins = np.ones(batch.tokens.shape, bool)
    follows = batch.tokens[:, 1:] == batch.tokens[:, :-1] + 1
    begins[:, 1:] = ~(follows & (document[:, 1:] == document[:, :-1]))
    assert np.array_equal(begins, batch.positions == 0)
    assert np.array_equal(batch.segments, np.cumsum(begins, axis=1))
    steps = np.diff(batch.positions, axis=1)
    assert np.array_equal(steps == 1, ~begins[:, 1:])


def test_every_epoch_has_a_new_order_that_covers_all(make: Make) -> None:
    shards = make([8] * 30)
    plan = DocumentPlan([(shards, 1.0)], 8, 1, 0)
    epochs = [plan.rows(np.arange(30) + 30 * e).tokens for e in range(3)]
    for rows in epochs:
        assert sorted(rows[:, 0].tolist()) == list(range(0, 240, 8))
    orders = [tuple(rows[:, 0].tolist()) for rows in epochs]
    assert len(set(orders)) == 3
    assert orders[0] != tuple(range(0, 240, 8))


def test_the_windows_of_one_long_document_do_not_fill_a_batch(make: Make) -> None:
    plan = DocumentPlan([(make([1600, *[16] * 100]), 1.0)], 16, 8, 0)
    from_the_book = [(plan.batch(step).tokens[:, 0] < 1600).sum() for step in range(25)]
    assert sum(from_the_book) == pytest.approx(100, abs=5)
    assert max(from_the_book) < 8


def test_weights_of_documents_go_with_their_targets(make: Make) -> None:
    batch = DocumentPlan([(make([7, 9, 30], weights=True), 1.0)], 16, 4, 0).batch(0)
    assert np.array_equal(batch.weights, (batch.targets % 2).astype(np.float32))
    assert set(DocumentPlan([(make([7, 9]), 1.0)], 16, 4, 0).batch(0).weights.ravel()) == {1.0}


def test_a_source_smaller_than_a_row_is_repeated(make: Make) -> None:
    batch = DocumentPlan([(make([3]), 1.0)], 8, 1, 0).batch(0)
    assert batch.tokens.tolist() == [[0, 1, 2, 0, 1, 2, 0, 1]]
    assert batch.targets.tolist() == [[1, 2, 0, 1, 2, 0, 1, 2]]
    assert batch.segments.tolist() == [[1, 1, 1, 2, 2, 2, 3, 3]]
    assert batch.positions.tolist() == [[0, 1, 2, 0, 1, 2, 0, 1]]


def test_a_budget_tells_its_epochs(make: Make) -> None:
    small, large = make([100], name="small"), make([1000], name="large")
    plan = DocumentPlan([(small, 0.25), (large, 0.75)], 10, 4, 0)
    assert plan.epochs(50) == {"small": 5.0, "large": 1.5}
    assert plan.tokens_per_step == 40


# Conversations


@property_test
@given(
    lengths=st.lists(st.integers(1, 60), min_size=1, max_size=20).filter(
        lambda x: any(2 <= n <= 9 for n in x)
    ),
    context=st.integers(8, 30),
    seed=st.integers(0, 99),
    overlong=st.sampled_from(["drop", "truncate", "split"]),
)
def test_correctness_3_examples_are_whole_or_cut_by_the_named_policy_and_counted(
    make: Make, lengths: list[int], context: int, seed: int, overlong: str
) -> None:
    shards = make(lengths, weights=True)
    plan = ConversationPlan([(shards, 1.0)], context, 1, seed, overlong)
    report = plan.report[0]
    batch = plan.rows(np.arange(report.rows))
    real = batch.segments > 0
    assert np.array_equal(batch.targets[real], batch.tokens[real] + 1)  # no target is another example's
    assert np.array_equal(batch.weights, np.where(real, batch.targets % 2, 0))

    expected: list[int] = []
    for first, length in zip(shards.offsets.tolist(), lengths, strict=False):
        kept = length if length <= context + 1 or overlong == "split" else context + 1
        kept = 0 if length > context + 1 and overlong == "drop" else kept
        expected += range(first + 1, first + kept)
    assert sorted(batch.targets[real].tolist()) == expected
    long = sum(n > context + 1 for n in lengths)
    assert [report.dropped, report.truncated, report.split] == [
        long * (overlong == policy) for policy in ("drop", "truncate", "split")
    ]
    assert report.packed_targets == len(expected)
    assert report.lost_targets == sum(n - 1 for n in lengths) - len(expected)
    assert report.too_short == lengths.count(1)
    assert report.examples == len(lengths)
    assert report.fill == pytest.approx(real.mean())
    # Segments count up from 1 along a row, positions from 0 in each, padding is at the end.
    for segments, positions in zip(batch.segments, batch.positions, strict=True):
        live = segments[segments > 0]
        assert np.array_equal(segments[: len(live)], live)
        assert np.array_equal(np.diff(live, prepend=0), positions[: len(live)] == 0)


def test_padding_is_the_given_token_with_no_weight_and_no_segment(make: Make) -> None:
    batch = ConversationPlan([(make([4]), 1.0)], 6, 1, 0, pad=9).batch(0)
    assert batch.tokens.tolist() == [[0, 1, 2, 9, 9, 9]]
    assert batch.targets.tolist() == [[1, 2, 3, 9, 9, 9]]
    assert batch.weights.tolist() == [[1, 1, 1, 0, 0, 0]]
    assert batch.segments.tolist() == [[1, 1, 1, 0, 0, 0]]


def test_rows_without_loss_are_legal_and_counted(fresh: Callable[[], Path]) -> None:
    shards = write_shards([Encoded([1, 2, 3], [0.0] * 3), Encoded([4, 5])], fresh(), vocab_size=9)
    plan = ConversationPlan([(shards, 1.0)], 2, 2, 0)
    assert plan.report[0].without_loss == 1
    assert sorted(plan.batch(0).weights.sum(axis=1).tolist()) == [0.0, 1.0]


@property_test
@given(sizes=st.lists(st.integers(1, 20), min_size=1, max_size=60), seed=st.integers(0, 9))
def test_best_fit_rows_hold_every_piece_once_and_none_overflows(sizes: list[int], seed: int) -> None:
    order = np.random.default_rng(seed).permutation(len(sizes))
    pieces, ends = pack_best_fit(np.array(sizes), 20, order)
    assert sorted(pieces.tolist()) == list(range(len(sizes)))
    loads = [sum(sizes[p] for p in pieces[a:b]) for a, b in pairwise(ends)]
    assert all(0 < load <= 20 for load in loads)
    # Best-fit decreasing needs at most 11/9 of the best number of rows, plus one.
    assert len(loads) <= 11 / 9 * -(-sum(sizes) // 20) + 1 + sum(s > 10 for s in sizes)


def test_conversations_come_in_a_new_order_each_epoch(make: Make) -> None:
    plan = ConversationPlan([(make([9] * 20), 1.0)], 8, 1, 0)
    orders = [tuple(plan.rows(np.arange(20) + 20 * e).tokens[:, 0].tolist()) for e in range(3)]
    assert len(set(orders)) == 3
    assert {tuple(sorted(order)) for order in orders} == {tuple(range(0, 180, 9))}
    assert plan.epochs(40) == {"s": 2.0}


# Order, mixture and slices, for every kind of plan


def test_correctness_5_a_batch_is_a_function_of_seed_and_step_alone(make: Make) -> None:
    for plan, again, other in zip(plans(make), plans(make), plans(make, seed=4), strict=True):
        assert isinstance(plan, BatchPlan)
        expected = [plan.batch(step) for step in range(40)]
        for step in (39, 0, 17, 17, 3):  # a resumed run asks for a step it never led up to
            assert same(again.batch(step), expected[step])
        assert not same(other.batch(0), expected[0])


@pytest.mark.parametrize(("world", "micros"), [(1, 1), (2, 1), (1, 3), (2, 3), (12, 1), (3, 4)])
def test_correctness_5_ranks_and_micro_batches_are_disjoint_and_join_to_the_full_batch(
    make: Make, world: int, micros: int
) -> None:
    for plan in plans(make):
        parts = [plan.batch(5, r, world, m, micros) for r in range(world) for m in range(micros)]
        assert {part.tokens.shape for part in parts} == {(12 // world // micros, 16)}
        assert same(joined(parts), plan.batch(5))


@settings(max_examples=25, deadline=None)
@given(weights=st.lists(st.integers(0, 9) | st.floats(0.01, 5), min_size=1, max_size=5).filter(any))
def test_correctness_5_after_any_number_of_rows_each_source_has_its_share_within_one_row(
    weights: list[float],
) -> None:
    mixture = Mixture(weights)
    rows = np.arange(2000)
    source, nth = mixture.locate(rows)
    shares = np.array(weights) / sum(weights)
    taken = np.cumsum(source[:, None] == np.arange(len(weights)), axis=0)
    rounding = (rows + 1)[:, None] / PERIOD_MAX  # of shares that need more than the longest period
    assert (np.abs(taken - shares * (rows + 1)[:, None]) < 1 + rounding + 1e-9).all()
    assert np.array_equal(nth, taken[rows, source] - 1)
    for n in (0, 1, 777, 2000):
        assert mixture.counts(n).tolist() == np.bincount(source[:n], minlength=len(weights)).tolist()


@pytest.mark.parametrize("weights", [[], [0.0], [1.0, -1.0], [float("nan")], [float("inf"), 1.0]])
def test_weights_that_make_no_mixture_are_refused(weights: list[float]) -> None:
    with pytest.raises(UserError, match="mixture weights"):
        Mixture(weights)


def test_mixed_plans_read_each_part_as_it_would_be_read_alone(make: Make) -> None:
    documents, conversations, mixed = plans(make)
    rows = mixed.rows(np.arange(30))
    is_chat = rows.tokens[:, 0] >= 20_000
    assert is_chat.sum() == 10
    assert np.array_equal(rows.tokens[is_chat], conversations.rows(np.arange(10)).tokens)
    assert np.array_equal(rows.tokens[~is_chat], documents.rows(np.arange(20)).tokens)
    assert set(mixed.epochs(10)) == {"code", "prose", "chat"}


def test_provenance_names_the_source_and_documents_of_each_row(make: Make) -> None:
    for plan in plans(make):
        batch, names = plan.batch(7), plan.provenance(7)
        assert len(names) == 12
        for row, text in enumerate(names):
            source, _, listed = text.partition(": ")
            first = {"code": 0, "prose": 10_000, "chat": 20_000}[source]
            shards = next(s for p in plans(make)[:2] for s in sources(p) if s.name == source)
            live = batch.tokens[row][batch.segments[row] > 0] - first
            held = np.searchsorted(shards.offsets, live, side="right") - 1
            assert list(map(int, listed.split(", "))) == [
                int(held[0]),
                *held[1:][np.diff(held) != 0].tolist(),
            ]


def sources(plan: RowPlan) -> list[TokenShards]:
    return [stream._shards for stream in plan._streams]  # type: ignore[attr-defined]


# What is refused


def test_an_uneven_split_is_refused(make: Make) -> None:
    with pytest.raises(
        UserError, match=r"12 rows of .* cannot be split over 5 processes.*set batch_tokens to"
    ):
        plans(make)[0].batch(0, 0, 5)


def test_plans_of_different_context_do_not_mix(make: Make) -> None:
    shards = make([9] * 5)
    parts: list[tuple[RowPlan, float]] = [(DocumentPlan([(shards, 1.0)], c, 1, 0), 1.0) for c in (8, 16)]
    with pytest.raises(UserError, match=r"one context, these have \[8, 16\]"):
        MixedPlan(parts, 4)


def test_a_source_of_which_nothing_fits_is_refused(make: Make) -> None:
    with pytest.raises(UserError, match="none of its 2 examples fits a context of 4"):
        ConversationPlan([(make([9, 9]), 1.0)], 4, 1, 0)
    with pytest.raises(UserError, match="overlong = 'cut' is not known; choose one of drop, truncate, split"):
        ConversationPlan([(make([3]), 1.0)], 4, 1, 0, "cut")  # type: ignore[arg-type]


def test_a_shape_of_nothing_is_refused(make: Make) -> None:
    with pytest.raises(UserError, match="context 0 and batch_rows 1: both must be at least 1"):
        DocumentPlan([(make([3]), 1.0)], 0, 1, 0)


# Speed


def test_a_batch_costs_milliseconds(make: Make) -> None:
    lengths = np.random.default_rng(0).integers(20, 400, 3000).tolist()
    shards = make(lengths)
    pairs = [
        (DocumentPlan([(shards, 1.0)], 512, 16, 0), 1e-3),
        (ConversationPlan([(shards, 1.0)], 512, 16, 0), 3e-3),
    ]
    for plan, limit_s in pairs:
        plan.batch(0)
        spent = []
        for step in range(1, 40):
            began = time.thread_time()  # of this thread alone: the machine may be busy
            plan.batch(step)
            spent.append(time.thread_time() - began)
        assert median(spent) < limit_s
