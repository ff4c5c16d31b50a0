"""Fill-in-the-middle: a document's middle moved to its end, so that a left-to-right model learns to infill.

Bavarian et al., "Efficient Training of Language Models to Fill in the Middle" (2207.14255). With P, M and S
the document's prefix, middle and suffix, each encoded alone, a document becomes one of

- PSM: ``<|fim_prefix|> P <|fim_suffix|> S <|fim_middle|> M``
- SPM: ``<|fim_prefix|> <|fim_suffix|> S <|fim_middle|> P M`` (the paper's variant 2, with PSM's tokens)

and ends, like any other document, with the EOT that begins the next one: so it is said that the middle has
met the suffix. Cutting between characters (the paper's choice) also cuts within tokens, as editors do.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from bottega.data.tokenizer import Tokenizer
from bottega.errors import UserError

Cut = Literal["characters", "tokens", "line"]


def document_rng(seed: int, index: int) -> np.random.Generator:
    """The random numbers of one document: a function of the seed and the document's index alone."""
    return np.random.default_rng((seed, index))


def fill_in_the_middle(
    ids: Sequence[int],
    rng: np.random.Generator,
    tokenizer: Tokenizer,
    rate: float,
    *,
    spm_rate: float = 0.5,
    line_rate: float = 0.0,
    cut: Cut = "characters",
) -> list[int]:
    """With probability ``rate``, the document rearranged for infilling; else as it was.

    ``ids`` may begin with EOT, which stays in front. ``spm_rate`` is the share of SPM in what is rearranged,
    ``line_rate`` the share whose middle is one whole line; the others are cut anywhere.
    Raises ``UserError`` where the tokenizer lacks the three tokens or a rate is no probability.
    """
    if not all(0 <= share <= 1 for share in (rate, spm_rate, line_rate)):
        raise UserError(
            f"fill-in-the-middle rates are between 0 and 1, not {rate}, {spm_rate} and {line_rate}"
        )
    prefix_id, middle_id, suffix_id = (
        tokenizer.require(f"fim_{part}") for part in ("prefix", "middle", "suffix")
    )
    # Drawn first, and always: whether a document is rearranged does not depend on how it is cut.
    chosen, spm = rng.random(2) < (rate, spm_rate)
    if not chosen:
        return list(ids)
    begins = int(bool(ids) and ids[0] == tokenizer.eot)
    if line_rate and rng.random() < line_rate:
        cut = "line"
    prefix, middle, suffix = _cut(ids[begins:], rng, tokenizer, cut)
    front = list(ids[:begins])
    if spm:
        return [*front, prefix_id, suffix_id, *suffix, middle_id, *prefix, *middle]
    return [*front, prefix_id, *prefix, suffix_id, *suffix, middle_id, *middle]


def _cut(
    ids: Sequence[int], rng: np.random.Generator, tokenizer: Tokenizer, cut: Cut
) -> tuple[Sequence[int], Sequence[int], Sequence[int]]:
    """Prefix, middle and suffix: two cuts, each anywhere with equal probability, or one line taken out."""
    if cut == "tokens":
        first, last = np.sort(rng.integers(0, len(ids) + 1, 2)).tolist()
        return ids[:first], ids[first:last], ids[last:]
    text = tokenizer.decode(ids)
    if cut == "line":
        first, last = _one_line(text, rng)
    else:
        first, last = np.sort(rng.integers(0, len(text) + 1, 2)).tolist()
    prefix, middle, suffix = tokenizer.encode_batch([text[:first], text[first:last], text[last:]])
    return prefix, middle, suffix


def _one_line(text: str, rng: np.random.Generator) -> tuple[int, int]:
    """Where one line that is not blank begins and ends, its newline left out; each with equal probability."""
    spans, start = [], 0
    for line in text.split("\n"):
        if line.strip():
            spans.append((start, start + len(line)))
        start += len(line) + 1
    return spans[int(rng.integers(len(spans)))] if spans else (0, len(text))
