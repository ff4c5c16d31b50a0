from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bottega.data.encoded import Encoded
from bottega.data.packing import DocumentPlan, InTurnPlan
from bottega.data.primer import LONGEST, SHORTEST, RepeatedTokens
from bottega.data.shards import TokenShards, write_shards

EOT, VOCABULARY = 0, 300
TEXT = np.arange(8, VOCABULARY)


@settings(max_examples=60, deadline=None)
@given(context=st.integers(8, 300), seed=st.integers(0, 9), number=st.integers(0, 10**6))
def test_every_stretch_stands_twice_and_is_a_document_of_its_own(
    context: int, seed: int, number: int
) -> None:
    batch = RepeatedTokens(TEXT, EOT, context, seed).rows(np.array([number]))
    tokens, segments, positions = batch.tokens[0], batch.segments[0], batch.positions[0]
    assert (batch.targets[0, :-1] == tokens[1:]).all() and (batch.weights == 1).all()
    starts = np.flatnonzero(positions == 0)
    assert (tokens[starts] == EOT).all() and (np.delete(tokens, starts) >= 8).all()
    assert (segments == np.searchsorted(starts, np.arange(context), side="right")).all()
    for start, end in zip(starts, [*starts[1:], None], strict=True):
        document = tokens[start:end].tolist()
        assert positions[start:end].tolist() == list(range(len(document)))
        if end is not None:  # the last one is cut off by the end of the row
            half, odd = divmod(len(document) - 1, 2)
            assert not odd and SHORTEST <= half <= LONGEST
            assert document[1 : half + 1] == document[half + 1 :]


def test_a_row_depends_on_the_seed_and_its_number_alone() -> None:
    stream = RepeatedTokens(TEXT, EOT, 64, 3)
    together, alone = stream.rows(np.arange(5)), stream.rows(np.array([4]))
    assert (together.tokens[4] == alone.tokens[0]).all()
    assert (together.tokens[4] != together.tokens[3]).any()
    assert (RepeatedTokens(TEXT, EOT, 64, 4).rows(np.array([4])).tokens != alone.tokens).any()


@pytest.fixture
def documents(tmp_path: Path) -> DocumentPlan:
    rng = np.random.default_rng(0)
    encoded = [Encoded([EOT, *rng.integers(8, 99, 20).tolist()], None, 20) for _ in range(40)]
    write_shards(iter(encoded), tmp_path / "shards", vocab_size=VOCABULARY, name="words")
    return DocumentPlan([(TokenShards(tmp_path / "shards"), 1.0)], 32, 4, 7)


def test_the_primer_comes_first_and_then_the_documents_from_their_beginning(documents: DocumentPlan) -> None:
    primer = RepeatedTokens(TEXT, EOT, 32, 7)
    plan = InTurnPlan(primer, 3, documents)
    for step in range(3):
        rows = primer.rows(np.arange(4 * step, 4 * step + 4))
        assert (plan.batch(step).tokens == rows.tokens).all()
        assert plan.provenance(step) == ["primer: random tokens, every stretch twice"] * 4
    for step in range(3, 9):
        assert (plan.batch(step).tokens == documents.batch(step - 3).tokens).all()
        assert plan.provenance(step) == documents.provenance(step - 3)
    assert plan.epochs(2) == {"words": 0.0}
    assert plan.epochs(9) == documents.epochs(6)


def test_ranks_and_micro_batches_share_a_step_of_the_primer_too(documents: DocumentPlan) -> None:
    plan = InTurnPlan(RepeatedTokens(TEXT, EOT, 32, 7), 2, documents)
    for step in (1, 2):
        parts = [plan.batch(step, rank, 2, micro, 2).tokens for rank in (0, 1) for micro in (0, 1)]
        assert (np.concatenate(parts) == plan.batch(step).tokens).all()
