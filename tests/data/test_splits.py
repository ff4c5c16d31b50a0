from __future__ import annotations

import unicodedata
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from hypothesis import example, given
from hypothesis import strategies as st

from bottega.data.records import (
    Answer,
    Check,
    Comparison,
    Conversation,
    Document,
    Message,
    Prompt,
    Ranking,
    Rated,
)
from bottega.data.splits import content_key, evenly, is_heldout, key_is_heldout, normalised, widely
from tests.data.files import EVERYTHING, documents, read, write_jsonl

TRICKY = st.text(
    st.characters(exclude_categories=["Cs"])
    | st.sampled_from("aé\u0301\u0300，。e\u3099かハ가一·—ﬁ①ǅẞİ\u2028")
)


@given(TRICKY)
@example("e\u0301")
@example("ＡＢＣ，ａｂｃ")
def test_normalising_equals_the_plain_definition(text: str) -> None:
    plain = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    assert normalised(text).decode() == "".join(plain.split())


@given(
    st.text("abz09éü文字模型", max_size=20),
    st.lists(st.sampled_from(" \t\n\r\u3000\u00a0\u2029"), min_size=1),
)
def test_case_and_whitespace_do_not_move_a_text(text: str, spaces: list[str]) -> None:
    spaced = "".join(f"{spaces[i % len(spaces)]}{char}" for i, char in enumerate(text))
    assert content_key(Document(spaced.upper())) == content_key(Document(text))


def test_width_and_ligatures_do_not_move_a_text() -> None:
    assert content_key(Document("ＧＰＴ 模型：ﬁne")) == content_key(Document("gpt模型:fine"))
    assert content_key(Document("a cat")) != content_key(Document("a cart"))


@given(st.binary(min_size=16, max_size=16), st.floats(0, 1), st.floats(0, 1))
def test_a_larger_fraction_holds_out_all_that_a_smaller_one_does(key: bytes, a: float, b: float) -> None:
    small, large = sorted((a, b))
    assert key_is_heldout(key, large) or not key_is_heldout(key, small)
    assert key_is_heldout(key, 1.0) and not key_is_heldout(key, 0.0)


def test_the_held_out_share_is_the_fraction() -> None:
    held = sum(is_heldout(Document(f"document number {i}"), 0.1) for i in range(20_000))
    assert 1850 < held < 2150  # 3.5 standard deviations


def test_one_prompt_is_on_one_side_whatever_is_answered_judged_or_checked() -> None:
    asked = (Message("user", "What is a fox?"),)
    said = Message("assistant", "An animal.")
    answer = Answer(said)
    records = [
        Conversation((*asked, said)),
        Conversation(
            (
                Message("system", "Be kind."),
                Message("user", "what is a FOX ?"),
                Message("assistant", "A dog."),
            )
        ),
        Conversation(
            (*asked, Message("assistant", "Red."), Message("user", "More."), Message("assistant", "No."))
        ),
        Comparison(asked, (answer, answer), (Ranking("a", ((0, 1),)),)),
        Rated(asked, answer, 1.0),
        Prompt(asked, Check("exact", ("x",))),
    ]
    assert len({content_key(record) for record in records}) == 1
    assert content_key(Conversation((Message("user", "What is an ox?"), answer.message))) != content_key(
        records[0]
    )


def test_no_content_is_on_both_sides_whatever_file_spacing_or_order_it_has(tmp_path: Path) -> None:
    texts = [f"Text number {i}: {'wörter 文字 ' * (i % 5)}" for i in range(2000)]
    write_jsonl(tmp_path / "a.jsonl.gz", documents(texts + texts[:500]))
    write_jsonl(
        tmp_path / "b.jsonl", documents([text.upper().replace(" ", " \n ") for text in reversed(texts)])
    )
    sides = []
    for split in ("train", "heldout"):
        found = read(f"file:{tmp_path}/*.jsonl*", replace(EVERYTHING, split=split, heldout_fraction=0.2))  # type: ignore[arg-type]
        sides.append({"".join(record.text.casefold().split()) for record in found})  # type: ignore[union-attr]
    train, heldout = sides
    assert not train & heldout
    assert len(train | heldout) == 2000 and 300 < len(heldout) < 500


@given(st.lists(st.integers(), max_size=40), st.integers(1, 50))
def test_evenly_keeps_the_order_and_reaches_over_all(items: list[int], count: int) -> None:
    found = evenly(items, count)
    assert len(found) == min(count, len(items))
    places = list(range(len(items)))
    chosen = evenly(places, count)
    assert chosen == sorted(set(chosen))
    assert found == [items[i] for i in chosen]
    if count < len(items):
        gaps = {b - a for a, b in pairwise(chosen)}
        assert not gaps or max(gaps) - min(gaps) <= 1


@given(st.lists(st.integers(0, 8), max_size=40), st.integers(0, 50))
def test_widely_takes_every_key_before_any_twice(keys: list[int], count: int) -> None:
    items = list(enumerate(keys))
    chosen = widely(items, count, lambda item: item[1])
    assert len(chosen) == min(count, len(items))
    assert chosen == sorted(set(chosen))
    taken, there = Counter(key for _, key in chosen), Counter(keys)
    for one in there:  # a key is taken less often than another only where it has no more
        assert all(taken[one] >= min(there[one], often - 1) for often in taken.values())
    if len(there) == len(items):
        assert chosen == evenly(items, count)
