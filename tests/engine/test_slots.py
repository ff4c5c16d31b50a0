"""Which rows hold what of a prompt, against a plain loop over them."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from bottega.engine.slots import BLOCK_TOKENS, Slots
from bottega.model.config import ModelConfig

ROOM = 3 * BLOCK_TOKENS


def holds(held: list[int], whole: bool, prompt: list[int]) -> int:
    """What ``_shared`` says of one row, token by token."""
    same = 0
    while same < min(len(held), len(prompt)) and held[same] == prompt[same]:
        same += 1
    if same == len(prompt) == len(held) and whole:
        return same
    return min(same, len(prompt) - 1) // BLOCK_TOKENS * BLOCK_TOKENS


# A beginning that many have in common, and the few tokens in which they differ, or do not.
PROMPTS = st.builds(
    lambda common, own: [7] * common + own,
    st.sampled_from((0, 1, BLOCK_TOKENS - 1, BLOCK_TOKENS, 2 * BLOCK_TOKENS)),
    st.lists(st.sampled_from((0, 7)), min_size=1, max_size=3),
)


@given(st.lists(st.tuples(PROMPTS, st.booleans()), min_size=1, max_size=12), PROMPTS)
def test_every_row_is_told_what_it_holds_of_a_prompt(
    read: list[tuple[list[int], bool]], prompt: list[int]
) -> None:
    config = ModelConfig(16, 8, 8, num_layers=1, num_heads=1, num_kv_heads=1, head_dim=8)
    slots = Slots(config, 2, ROOM, dtype=torch.float32, device=torch.device("cpu"))
    held: list[tuple[list[int], bool]] = [([], False)] * 2
    for number, (tokens, whole) in enumerate(read):  # rows are read into again, by longer and shorter ones
        slots.read(number % 2, np.array(tokens), torch.zeros(8) if whole else None)
        held[number % 2] = (tokens, whole)
    expected = [holds(tokens, whole, prompt) for tokens, whole in held]
    assert slots._shared(np.array(prompt)).tolist() == expected
