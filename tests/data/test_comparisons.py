"""Comparisons as tokens and rows: every prompt once, every answer whole, what is left out counted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bottega.data.chat import encode_chat
from bottega.data.comparisons import (
    Judged,
    JudgedCounts,
    encode_answer,
    encode_judged,
    merged,
    ordered_pairs,
)
from bottega.data.judged import LONGEST_WHOLE, ComparisonPlan, row_and_strip, row_length
from bottega.data.records import Answer, Comparison, Message, Origin, Ranking, Rated
from bottega.data.tokenizer import Tokenizer
from bottega.errors import UserError

ASKED = (Message("user", "say the cat"),)
FIRST = Ranking("ann", ((0,), (1,)))


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.train(["the cat sat on the mat, then it sat. 猫坐在垫子上。"] * 50, vocab_size=290)


def said(*texts: str) -> tuple[Answer, ...]:
    return tuple(Answer(Message("assistant", text)) for text in texts)


def encoded(
    tokenizer: Tokenizer, *records: Comparison | Rated, context: int = 64
) -> tuple[list[Judged], JudgedCounts]:
    counts = JudgedCounts()
    return list(encode_judged(tokenizer, records, context, counts)), counts


def test_prompt_and_answer_are_the_conversation_up_to_the_end_of_the_turn(tokenizer: Tokenizer) -> None:
    (one,), _ = encoded(tokenizer, Comparison(ASKED, said("the cat", "the mat"), (FIRST,)))
    whole = encode_chat(tokenizer, (*ASKED, Message("assistant", "the cat"))).ids
    ids = [*one.prompt.tolist(), *one.answers[0].tolist()]
    assert ids == whole[: len(ids)]
    assert ids[-1] == tokenizer.im_end
    assert tokenizer.decode(ids[:-1]).endswith("the cat")


def test_an_answer_that_was_sampled_keeps_the_tokens_that_were_drawn(tokenizer: Tokenizer) -> None:
    letters = [i for letter in "the c" for i in tokenizer.encode(letter)]
    assert letters != tokenizer.encode("the c")
    cut = Answer(Message("assistant", "the c"), token_ids=tuple(letters))
    assert encode_answer(tokenizer, ASKED, cut) == letters
    ended = replace(cut, token_ids=(*letters, tokenizer.require("im_end")))
    assert encode_answer(tokenizer, ASKED, ended) == list(ended.token_ids or ())


def test_tokens_that_were_drawn_under_another_tokenizer_are_not_read_as_this_ones(
    tokenizer: Tokenizer,
) -> None:
    other = Tokenizer.train(["on the mat there was a cat, and it was on the mat."] * 50, vocab_size=280)
    drawn = tuple(other.encode("the cat sat"))
    assert tokenizer.decode(drawn) != "the cat sat"
    text = Answer(Message("assistant", "the cat sat"))
    assert encode_answer(tokenizer, ASKED, replace(text, token_ids=drawn)) == encode_answer(
        tokenizer, ASKED, text
    )


def test_an_end_that_this_tokenizer_does_not_have_is_not_read_as_its_own(tokenizer: Tokenizer) -> None:
    """An id that no token has decodes to nothing, as an end does."""
    empty = Answer(Message("assistant", ""), token_ids=(151645,))
    assert encode_answer(tokenizer, ASKED, empty) == [tokenizer.im_end]


def test_records_keep_their_order_ratings_between_comparisons_too() -> None:
    some: list[Comparison | Rated] = [
        Rated(ASKED, said("a")[0], 1.0),
        Comparison(ASKED, said("a", "b"), (FIRST,)),
        Rated(ASKED, said("b")[0], 0.0),
        Comparison(ASKED, said("b", "a"), (FIRST,)),
        Rated(ASKED, said("a")[0], 1.0),
    ]
    assert [type(one).__name__[0] for one in merged(some)] == ["R", "C", "R", "R"]


@given(
    st.lists(
        st.tuples(st.sampled_from("pq"), st.permutations(["a", "b", "c"]), st.permutations(range(3))),
        max_size=12,
    )
)
def test_rows_of_several_labelers_are_one_comparison_of_which_nothing_is_lost(
    rows: list[tuple[str, list[str], list[int]]],
) -> None:
    comparisons = [
        Comparison((Message("user", prompt),), said(*texts), (Ranking(f"l{n}", tuple((i,) for i in order)),))
        for n, (prompt, texts, order) in enumerate(rows)
    ]
    found = merged(comparisons)
    assert len(found) == len({prompt for prompt, _, _ in rows})

    def spoken(some: list[Comparison]) -> set[tuple[str, str, tuple[str, ...]]]:
        return {
            (one.messages[0].content, r.labeler, tuple(one.answers[i].message.content for (i,) in r.tiers))
            for one in some
            for r in one.rankings
        }

    assert spoken(found) == spoken(comparisons)


def test_other_answers_to_the_same_prompt_stay_apart() -> None:
    some = [
        Comparison(ASKED, said(*texts), (FIRST,))
        for texts in (("a", "b"), ("a", "c"), ("a", "a"), ("a", "a"))
    ]
    assert merged(some) == some


def test_an_answer_that_would_merge_with_its_header_is_encoded_alone(tokenizer: Tokenizer) -> None:
    answer = Answer(Message("assistant", "\n\n\nthe cat"))
    ids = encode_answer(tokenizer, ASKED, answer)
    assert tokenizer.decode(ids[:-1]) == "\n\n\nthe cat"
    assert ids[-1] == tokenizer.im_end


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (Comparison(ASKED, said("the cat"), (Ranking("ann", ((0,),)),)), "a single answer"),
        (Comparison(ASKED, said("the cat", "a mat"), (Ranking("ann", ((0, 1),)),)), "all answers tied"),
        (Comparison(ASKED, said("the cat", "the cat"), (FIRST,)), "identical answers"),
        (Comparison(ASKED, said("the cat", "a mat"), ()), "no ranking"),
        (Comparison(ASKED, said("the cat " * 40, "a mat"), (FIRST,)), "longer than the context of 64"),
    ],
)
def test_what_cannot_be_learned_from_is_left_out_and_counted(
    record: Comparison, reason: str, tokenizer: Tokenizer
) -> None:
    fine = Comparison(ASKED, said("the cat", "a mat"), (FIRST,))
    judged, counts = encoded(tokenizer, record, fine)
    assert len(judged) == 1
    assert counts.skipped == {reason: 1}
    assert counts.comparisons == 1


def test_an_empty_answer_is_an_answer_and_a_labeler_may_be_unknown(tokenizer: Tokenizer) -> None:
    judged, counts = encoded(tokenizer, Comparison(ASKED, said("the cat", ""), (Ranking("", ((0,), (1,))),)))
    assert judged[0].answers[1].tolist() == [tokenizer.im_end]
    assert counts.empty_answers == 1
    assert counts.unnamed_labelers == 1
    assert counts.labelers == {"unknown": 1}


def test_wins_are_all_untied_pairs_of_all_labelers_and_sum_to_one(tokenizer: Tokenizer) -> None:
    record = Comparison(
        ASKED,
        said("the cat", "the mat", "a cat"),
        (Ranking("ann", ((0,), (1, 2))), Ranking("bob", ((1,), (0,)))),
    )
    (one,), counts = encoded(tokenizer, record)
    assert one.wins.tolist() == pytest.approx(np.array([[0, 1, 1], [1, 0, 0], [0, 0, 0]]) / 3)
    assert (counts.pairs, counts.tied_pairs) == (3, 1)


@pytest.mark.parametrize("answers", [2, 4, 9])
def test_a_pick_of_the_best_is_as_many_pairs_as_there_are_others_and_tells_nothing_of_these(
    tokenizer: Tokenizer, answers: int
) -> None:
    """Nobody says which of those that were not picked is better: they are tied."""
    pick = Ranking("a", ((1,), tuple(i for i in range(answers) if i != 1)))
    (one,), _ = encoded(tokenizer, Comparison(ASKED, said(*"abcdefghi"[:answers]), (pick,)))
    others = [i for i in range(answers) if i != 1]
    assert one.wins[1, others] == pytest.approx(1 / len(others))
    assert one.wins[others].sum() == 0 and one.wins[1, 1] == 0


def test_a_labelers_word_weighs_what_it_is_said_to_weigh(tokenizer: Tokenizer) -> None:
    record = Comparison(ASKED, said("the cat", "the mat"), (FIRST, Ranking("bob", ((1,), (0,)))))
    counts = JudgedCounts()
    (one,) = encode_judged(tokenizer, [record], 64, counts, reliability={"bob": 0.25})
    assert one.wins.tolist() == [[0, pytest.approx(0.8)], [pytest.approx(0.2), 0]]


def test_a_rating_beyond_a_thumb_is_refused_with_the_record_and_the_remedy(tokenizer: Tokenizer) -> None:
    rated = Rated(ASKED, said("the cat")[0], 4.0, "ann", Origin("file:thumbs.jsonl", "7"))
    with pytest.raises(UserError, match=r"thumbs.jsonl 7: the rating is 4.0.*divide by the highest"):
        encoded(tokenizer, rated)


@given(st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=3), min_size=1, max_size=4))
def test_ordered_pairs_are_those_of_a_plain_loop(sizes: list[list[int]]) -> None:
    numbers = iter(range(100))
    tiers = tuple(tuple(next(numbers) for _ in tier) for tier in sizes)
    place = {answer: i for i, tier in enumerate(tiers) for answer in tier}
    plain = {(a, b) for a in place for b in place if place[a] < place[b]}
    found = ordered_pairs(Ranking("ann", tiers))
    assert set(found) == plain
    assert len(found) == len(plain)


_LENGTHS = st.lists(
    st.tuples(st.integers(1, 20), st.lists(st.integers(0, 25), min_size=1, max_size=5)),
    min_size=1,
    max_size=30,
)


@settings(max_examples=100, deadline=None)
@given(_LENGTHS, st.sampled_from([1, 256, 1024]), st.integers(0, 3), st.sampled_from([0, 48, 64]))
def test_every_comparison_is_read_once_an_epoch_whole_and_by_its_own_positions(
    lengths: list[tuple[int, list[int]]], batch_tokens: int, seed: int, strip: int
) -> None:
    draw = np.random.default_rng(seed)
    judged = [
        Judged(
            draw.integers(1, 99, prompt).astype(np.int32),
            tuple(draw.integers(1, 99, n).astype(np.int32) for n in answers),
            np.eye(len(answers), dtype=np.float32),
            np.full(len(answers), np.nan, np.float32),
        )
        for prompt, answers in lengths
    ]
    context = strip * 5 or None  # each of at most five answers has a strip where it needs one
    plan = ComparisonPlan(judged, batch_tokens, seed, epochs=2.0, context=context, strip=strip or None)
    strip = plan.strip
    seen: list[int] = []
    for step in range(plan.steps):
        batch = plan.batch(step)
        extra = batch.extra
        assert batch.tokens.shape == extra["answer"].shape == (plan.tokens_per_step // strip, strip)
        for row, a in zip(*np.nonzero(extra["ends"] >= 0), strict=True):
            ends = extra["ends"][row, a], extra["prompt_ends"][row, a]
            item = extra["item"][row, a]
            b = row * (plan.context // strip) + ends[0] // strip
            assert ends[0] // strip == ends[1] // strip
            end, start = ends[0] % strip, ends[1] % strip
            one = judged[item]
            inside = (batch.segments[b] == batch.segments[b, end]) & (np.arange(strip) <= end)
            inside &= (extra["branches"][b] == 0) | (extra["branches"][b] == extra["branches"][b, end])
            nth = int(extra["branches"][b, end]) - 1
            assert batch.tokens[b][inside].tolist() == [*one.prompt.tolist(), *one.answers[nth].tolist()]
            assert batch.positions[b][inside].tolist() == list(range(int(inside.sum())))
            assert batch.targets[b, start:end].tolist() == one.answers[nth].tolist()
            assert (extra["answer"][b] == a + 1).sum() == len(one.answers[nth])
            seen.append(int(item))
    assert sorted(seen) == sorted(i for i, one in enumerate(judged) for _ in range(2 * len(one.answers)))


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(1, 300), st.lists(st.integers(0, 400), min_size=2, max_size=9)),
        min_size=1,
        max_size=12,
    )
)
def test_long_rows_are_read_in_strips_where_that_costs_less(lengths: list[tuple[int, list[int]]]) -> None:
    judged = [Judged.unranked([1] * prompt, [[1] * n for n in answers]) for prompt, answers in lengths]
    row, strip = row_and_strip(judged)
    plan = ComparisonPlan(judged, 1, 0)
    assert (plan.context, plan.strip) == (row, strip)
    assert strip >= max(one.longest for one in judged)
    assert not row % strip
    if max(one.size for one in judged) <= LONGEST_WHOLE:
        assert row == strip == row_length(max(one.size for one in judged))
    else:
        whole = row_length(max(one.size for one in judged))
        in_one = ComparisonPlan(judged, 1, 0, context=whole)
        cost, cost_in_one = (p.num_rows * p.context * (1 + p.strip / 1024) for p in (plan, in_one))
        assert cost <= cost_in_one


def test_strips_of_many_comparisons_are_as_full_as_those_of_few() -> None:
    """Once the largest came first of all, and the room they left was forgotten when small ones came."""
    draw = np.random.default_rng(0)
    judged = [
        Judged.unranked([1] * 50, [[1] * int(n) for n in draw.integers(20, 400, 6)]) for _ in range(3000)
    ]
    few, many = (ComparisonPlan(some, 8192, 0) for some in (judged[:64], judged))
    assert many.strip < many.context
    assert many.fill > 0.85
    assert many.fill > few.fill - 0.02


def test_answers_that_no_row_holds_in_one_piece_are_read_in_strips() -> None:
    judged = [Judged.unranked([1] * 100, [[1] * 1100] * 9)]
    assert judged[0].size > 8192
    assert ComparisonPlan(judged, 8192, 0).batch(0).tokens.shape == (9, 2048)


def test_rows_have_few_lengths_and_what_fits_none_is_refused() -> None:
    assert [row_length(n) for n in (1, 128, 129, 5000)] == [128, 128, 256, 8192]
    with pytest.raises(UserError, match=r"takes 9,000 tokens, and a row has 8,192 at most"):
        row_length(9000)
