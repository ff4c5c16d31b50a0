from __future__ import annotations

import json
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Regex, models, pre_tokenizers, trainers
from tokenizers import Tokenizer as Backend

from bottega.data.bpe import learn_merges
from bottega.data.presplit import SPLIT_EXPRESSION, count_words
from bottega.data.tokenizer import byte_characters
from tests.data.corpus import sentences

IDENTITY = list(range(256))


def plain_merges(texts: list[str], vocab_size: int) -> list[tuple[int, int, int]]:
    """What `tokenizers`' own trainer learns."""
    backend = Backend(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLIT_EXPRESSION), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=2,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(texts, trainer)
    model = json.loads(backend.to_str())["model"]
    vocab = model["vocab"]
    return [(vocab[a], vocab[b], vocab[a + b]) for a, b in model["merges"]]


def our_merges(texts: list[str], vocab_size: int) -> list[tuple[int, int, int]]:
    characters = byte_characters()
    ranked = sorted(characters)
    return learn_merges(count_words(texts), vocab_size, byte_rank=[ranked.index(c) for c in characters])


def test_merges_are_those_of_the_tokenizers_library_on_prose_code_and_chinese() -> None:
    texts = sentences(300)
    ours = our_merges(texts, 700)
    assert len(ours) > 300
    assert ours == plain_merges(texts, 700)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.text("ab c²", max_size=30), max_size=12), st.integers(257, 300))
def test_merges_are_those_of_the_tokenizers_library_on_dense_repetition(
    texts: list[str], vocab_size: int
) -> None:
    assert our_merges(texts, vocab_size) == plain_merges(texts, vocab_size)


def test_a_run_of_one_letter_is_merged_left_to_right() -> None:
    merges = learn_merges({"aaaaaaa": 5}, 260, byte_rank=IDENTITY)
    # aaaaaaa -> (aa)(aa)(aa)a -> (aaaa)(aa)a: of the pairs that follow, the smaller comes first
    assert merges == [(97, 97, 256), (256, 256, 257), (256, 97, 258), (257, 258, 259)]


def test_pairs_that_occur_once_are_not_merged() -> None:
    assert learn_merges({"ab": 1, "cd": 2}, 300, byte_rank=IDENTITY) == [(99, 100, 256)]


def test_nothing_is_learned_from_nothing() -> None:
    assert learn_merges(Counter(), 300, byte_rank=IDENTITY) == []
