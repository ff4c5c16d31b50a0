from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bottega.data.fim import Cut, document_rng, fill_in_the_middle
from bottega.data.tokenizer import Tokenizer
from bottega.errors import UserError
from tests.data.corpus import sentences


def reassemble(tokenizer: Tokenizer, ids: list[int]) -> str:
    """The document of a rearranged one, read by the paper's two formats."""
    prefix, middle, suffix = tokenizer.fim_prefix, tokenizer.fim_middle, tokenizer.fim_suffix
    marks = [i for i in ids if i in (prefix, middle, suffix)]
    assert marks == [prefix, suffix, middle]
    start, second, third = (ids.index(mark) for mark in marks)
    before = ids[start + 1 : second]  # PSM's prefix; nothing in SPM, whose prefix precedes the middle
    after_suffix, after_middle = ids[second + 1 : third], ids[third + 1 :]
    return "".join(map(tokenizer.decode, (before, after_middle, after_suffix)))


@settings(max_examples=200, deadline=None)
@given(
    text=st.text() | st.sampled_from(sentences(40)),
    seed=st.integers(0, 99),
    index=st.integers(0, 99),
    spm_rate=st.sampled_from([0.0, 0.5, 1.0]),
    cut=st.sampled_from(["characters", "tokens"]),
)
def test_the_pieces_reassemble_to_the_document(
    tokenizer: Tokenizer, text: str, seed: int, index: int, spm_rate: float, cut: Cut
) -> None:
    ids = [tokenizer.require("eot"), *tokenizer.encode(text)]
    rng = document_rng(seed, index)
    moved = fill_in_the_middle(ids, rng, tokenizer, 1.0, spm_rate=spm_rate, cut=cut)
    assert moved[0] == tokenizer.eot
    if cut == "characters":
        assert reassemble(tokenizer, moved) == text
    else:  # pieces may begin and end within a character
        assert sorted(moved) == sorted([*ids, 4, 5, 6])
        assert len(moved) == len(ids) + 3


@settings(max_examples=200, deadline=None)
@given(
    text=st.text(st.sampled_from("ab \n"), min_size=1) | st.sampled_from(sentences(40)),
    seed=st.integers(0, 99),
    spm_rate=st.sampled_from([0.0, 1.0]),
)
def test_a_line_that_is_taken_out_is_whole_and_not_blank(
    tokenizer: Tokenizer, text: str, seed: int, spm_rate: float
) -> None:
    ids = tokenizer.encode(text)
    rng = document_rng(seed, 0)
    moved = fill_in_the_middle(ids, rng, tokenizer, 1.0, spm_rate=spm_rate, line_rate=1.0)
    assert reassemble(tokenizer, moved) == text
    if spm_rate == 0.0 and text.strip():
        middle = tokenizer.decode(moved[moved.index(tokenizer.fim_middle) + 1 :])
        assert middle in text.split("\n") and middle.strip()


def test_every_line_is_taken_out_some_time_and_the_other_middles_are_cut_anywhere(
    tokenizer: Tokenizer,
) -> None:
    ids = tokenizer.encode("one\n\ntwo\nthree")

    def middles(line_rate: float) -> list[str]:
        found = []
        for index in range(400):
            moved = fill_in_the_middle(
                ids, document_rng(0, index), tokenizer, 1.0, spm_rate=0.0, line_rate=line_rate
            )
            found.append(tokenizer.decode(moved[moved.index(tokenizer.fim_middle) + 1 :]))
        return found

    lines = {"one", "two", "three"}
    assert set(middles(1.0)) == lines
    whole = sum(middle in lines for middle in middles(0.5))
    assert 170 < whole < 260  # half of them, and the few that the two cuts make by chance


def test_psm_and_spm_are_the_paper_s_formats(tokenizer: Tokenizer) -> None:
    ids = tokenizer.encode("the river walks to the old town")
    psm = fill_in_the_middle(ids, document_rng(0, 3), tokenizer, 1.0, spm_rate=0.0, cut="tokens")
    spm = fill_in_the_middle(ids, document_rng(0, 3), tokenizer, 1.0, spm_rate=1.0, cut="tokens")
    suffix_at, middle_at = psm.index(6), psm.index(5)
    prefix, suffix, middle = psm[1:suffix_at], psm[suffix_at + 1 : middle_at], psm[middle_at + 1 :]
    assert prefix + middle + suffix == ids
    assert spm == [4, 6, *suffix, 5, *prefix, *middle]


def test_what_is_rearranged_depends_on_the_seed_and_the_document_alone(tokenizer: Tokenizer) -> None:
    ids = tokenizer.encode("a lamp keeper sells bread every morning")

    def run(seed: int) -> list[list[int]]:
        return [fill_in_the_middle(ids, document_rng(seed, i), tokenizer, 0.5) for i in range(20)]

    assert run(1) == run(1)
    assert run(1) != run(2)


def test_the_rate_is_the_share_of_documents_rearranged(tokenizer: Tokenizer) -> None:
    ids = tokenizer.encode("a lamp keeper sells bread every morning")
    moved = [fill_in_the_middle(ids, document_rng(7, i), tokenizer, 0.3) != ids for i in range(2000)]
    assert abs(sum(moved) / 2000 - 0.3) < 0.03  # three standard deviations
    assert fill_in_the_middle(ids, document_rng(0, 0), tokenizer, 0.0) == ids


def test_a_rate_that_is_no_probability_is_refused(tokenizer: Tokenizer) -> None:
    with pytest.raises(UserError, match=r"between 0 and 1, not 50, 0\.5 and 0\.0"):
        fill_in_the_middle([1], document_rng(0, 0), tokenizer, 50)
