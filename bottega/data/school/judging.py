"""How good an answer truly is, which no model is ever told, and labelers who see it through a haze."""

from __future__ import annotations

import math
import random
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from bottega.data.language import language
from bottega.data.records import Prompt, Ranking

Pool = Literal["training", "independent"]

MOST_OF_WRONG = 0.45  # what an answer that is nearly right comes to
BARE_REFUSAL = 0.7  # what a refusal comes to that gives neither the reason nor something else to do
NO_END, RAMBLING, REPEATING, OTHER_LANGUAGE = 0.2, 0.2, 0.1, 0.1  # what each takes off
TIE_WIDTH = 0.12  # answers seen this near to each other are not told apart
BAD = 0.3  # below it an answer is bad, whatever the others are

_WORD = re.compile(r"[a-z']+|\d+|[^\W\d_a-z]|[^\w\s]")
_POLITE = re.compile(
    r"please|thank|sorry|glad|happy to|welcome|of course|请|谢谢|抱歉|当然|乐意|不客气", re.IGNORECASE
)


def quality(prompt: Prompt, text: str, *, correct: bool, ended: bool = True) -> float:
    """From 0 to 1: 1 for an answer that passes the prompt's check, else :data:`MOST_OF_WRONG` times its
    nearness (the F1 of words, of characters in Chinese) to the nearest accepted answer; then off with what is
    wrong with its form. Where the right answer is to decline, one that does not is worth nothing, and one
    that does is worth more, the nearer it is to an accepted one, which says why and offers something else.

    That is no end, more than twice the words of the longest accepted answer, a phrase said three times, and
    another language than that of all accepted answers. Length and politeness do not count by themselves.
    ``correct`` comes from outside, for programs are judged by running them.
    """
    words = _words(text)
    if not words:
        return 0.0
    accepted = [answer for answer in prompt.check.accepted if answer.strip()] if _is_said(prompt) else []
    near = max((_f1(words, _words(answer)) for answer in accepted), default=0.0)
    found = 1.0 if correct else MOST_OF_WRONG * near
    if prompt.check.kind == "refusal":
        found = BARE_REFUSAL + (1 - BARE_REFUSAL) * near if correct else 0.0
    if not ended:
        found -= NO_END
    if accepted:
        room = 2 * max(len(_words(answer)) for answer in accepted) + 4
        found -= RAMBLING * min(1.0, max(0, len(words) - room) / room)
        tongues = {language(answer) for answer in accepted}
        if len(tongues) == 1 and language(text) not in tongues:
            found -= OTHER_LANGUAGE
    if _repeats(words):
        found -= REPEATING
    return min(max(found, 0.0), 1.0)


def _is_said(prompt: Prompt) -> bool:
    return prompt.check.kind in ("exact", "final", "refusal")


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())


def _f1(one: Sequence[str], other: Sequence[str]) -> float:
    common = sum((Counter(one) & Counter(other)).values())
    return 2 * common / (len(one) + len(other)) if common else 0.0


def _repeats(words: Sequence[str]) -> bool:
    triples = Counter(zip(words, words[1:], words[2:], strict=False))
    return max(triples.values(), default=0) >= 3


@dataclass(frozen=True, slots=True)
class Labeler:
    """One who ranks answers by their quality, a taste of their own, and noise."""

    name: str
    seed: int
    noise: float  # standard deviation of what is seen around what is
    tie_width: float  # what is seen this near to each other is a tie
    length_taste: float  # for each doubling of the words; a pool's sum to 0
    politeness_taste: float  # for polite words; a pool's sum to 0

    def rank(self, key: str, texts: Sequence[str], qualities: Sequence[float]) -> Ranking:
        """The ranking that this labeler gives the answers to the prompt called ``key``, always the same."""
        draw = random.Random(f"{self.seed}/{self.name}/{key}")
        typical = sum(len(_words(text)) for text in texts) / max(1, len(texts))
        seen: dict[str, float] = {}  # equal answers are seen alike
        for text, true in zip(texts, qualities, strict=True):
            doublings = math.log2((len(_words(text)) + 1) / (typical + 1))
            taste = self.length_taste * min(max(doublings, -2.0), 2.0)
            taste += self.politeness_taste * bool(_POLITE.search(text))
            haze = draw.gauss(0.0, self.noise)
            seen.setdefault(text, true + taste + haze)
        order = sorted(range(len(texts)), key=lambda i: -seen[texts[i]])
        tiers: list[list[int]] = []
        top = math.inf
        for i in order:
            if top - seen[texts[i]] > self.tie_width:
                tiers.append([])
                top = seen[texts[i]]
            tiers[-1].append(i)
        all_bad = all(value < BAD for value in seen.values())
        return Ranking(self.name, tuple(tuple(sorted(tier)) for tier in tiers), all_bad, "simulated")


# noise, length taste, politeness taste: of five, one is careless and one very careful. Strangers are others.
_KINDS: dict[Pool, tuple[tuple[float, float, float], ...]] = {
    "training": (
        (0.05, 0.00, 0.00),
        (0.10, 0.04, -0.04),
        (0.10, -0.04, 0.04),
        (0.15, 0.02, 0.02),
        (0.40, -0.02, -0.02),
    ),
    "independent": (
        (0.08, -0.03, 0.05),
        (0.08, 0.05, 0.00),
        (0.12, 0.00, -0.05),
        (0.20, -0.02, -0.03),
        (0.30, 0.00, 0.03),
    ),
}


def labelers(world_seed: int, pool: Pool) -> tuple[Labeler, ...]:
    """The labelers of a world: those whose rankings are trained on, or those who take no part in it."""
    called = "labeler" if pool == "training" else "stranger"
    return tuple(
        Labeler(f"{called}-{number}", world_seed, noise, TIE_WIDTH, length, politeness)
        for number, (noise, length, politeness) in enumerate(_KINDS[pool], start=1)
    )
