"""Comparisons and ratings as tokens: a prompt once, its answers as branches of it, and who beat whom."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from bottega.data.chat import encode_chat
from bottega.data.records import Answer, Comparison, Message, Ranking, Rated
from bottega.data.tokenizer import Tokenizer
from bottega.errors import UserError

J = TypeVar("J", bound=Comparison | Rated)
UNKNOWN = "unknown"  # the labeler of a ranking that names none


@dataclass(frozen=True, slots=True)
class Judged:
    """One prompt with its answers as tokens, and what was said of them.

    ``answers`` end with the token that ends the turn, where they ended. ``wins[i, j]`` is the weight with
    which answer i was preferred to j, over all labelers; it sums to 1, or to 0 where there are ratings alone.
    ``ratings[i]`` is from 0 (bad) to 1 (good), NaN where nobody rated.
    """

    prompt: NDArray[np.int32]
    answers: tuple[NDArray[np.int32], ...]
    wins: NDArray[np.float32]
    ratings: NDArray[np.float32]
    name: str = ""  # of the record, for messages

    @classmethod
    def unranked(cls, prompt: Sequence[int], answers: Sequence[Sequence[int]]) -> Judged:
        """Answers of which nothing was said, to be scored."""
        K = len(answers)
        tokens = tuple(np.array(answer, np.int32) for answer in answers)
        nothing = np.zeros((K, K), np.float32), np.full(K, np.nan, np.float32)
        return cls(np.array(prompt, np.int32), tokens, *nothing)

    @property
    def longest(self) -> int:
        """Tokens of the prompt with its longest answer."""
        return len(self.prompt) + max(map(len, self.answers))

    @property
    def size(self) -> int:
        """Positions in a row: the prompt but for its last token, which begins every answer."""
        return self.size_with(range(len(self.answers)))

    def size_with(self, answers: Sequence[int]) -> int:
        """The same with some of the answers, by their numbers."""
        return len(self.prompt) - 1 + sum(1 + len(self.answers[k]) for k in answers)


@dataclass
class JudgedCounts:
    """What was met while encoding, so that nothing is left out unsaid."""

    comparisons: int = 0
    ratings: int = 0
    pairs: int = 0  # that are not tied, by labelers
    tied_pairs: int = 0
    empty_answers: int = 0  # taken as they are: an answer of nothing but its end
    unnamed_labelers: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    labelers: Counter[str] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)  # by the model that gave them


def encode_judged(
    tokenizer: Tokenizer,
    records: Iterable[Comparison | Rated],
    context: int,
    counts: JudgedCounts,
    *,
    reliability: Mapping[str, float] | None = None,
) -> Iterator[Judged]:
    """Records as tokens; what cannot be learned from is counted in ``counts.skipped`` and left out.

    That is a comparison of one answer, one in which all answers are tied or the same, and one whose prompt
    with its longest answer exceeds ``context``. ``reliability``: what a labeler's word weighs, 1 by default.
    """
    for record in records:
        answers = record.answers if isinstance(record, Comparison) else (record.answer,)
        wins, ratings = np.zeros((len(answers),) * 2, np.float32), np.full(len(answers), np.nan, np.float32)
        if isinstance(record, Comparison):
            if reason := unusable(record):
                counts.skipped[reason] += 1
                continue
            wins = _wins(record, reliability or {})
            if not wins.sum():
                counts.skipped["no labeler's word counts"] += 1
                continue
        else:
            ratings[0] = _rating(record)
        prompt = encode_chat(tokenizer, record.messages, add_generation_prompt=True).ids
        tokens = tuple(np.array(encode_answer(tokenizer, record.messages, a), np.int32) for a in answers)
        name = f"{record.origin.source} {record.origin.row}".strip()
        judged = Judged(np.array(prompt, np.int32), tokens, wins, ratings, name)
        if judged.longest > context:
            counts.skipped[f"longer than the context of {context}"] += 1
            continue
        _count(record, tokens, counts)
        yield judged


def encode_answer(tokenizer: Tokenizer, messages: tuple[Message, ...], answer: Answer) -> list[int]:
    """The tokens of an answer with those that end its turn, as they follow the prompt of ``encode_chat``.

    An answer that a model gave has the tokens that were drawn, where this tokenizer reads the same text in
    them; one cut off has no end.
    """
    drawn = answer.token_ids
    # A tokenizer takes no notice of ids that it does not have: of an empty answer's end, say.
    own = drawn is not None and all(0 <= i < tokenizer.vocab_size for i in drawn)
    if drawn is not None and own and tokenizer.decode(drawn) == answer.message.content:
        return list(drawn)
    prompt = encode_chat(tokenizer, messages, add_generation_prompt=True).ids
    whole = encode_chat(tokenizer, (*messages, answer.message))
    ids, weights = whole.ids, whole.weights or []
    if ids[: len(prompt)] == prompt:
        while len(ids) > len(prompt) and not weights[len(ids) - 1]:  # what stands between turns
            ids = ids[:-1]
        return list(ids[len(prompt) :])
    # Its first characters have merged with the header's, which no policy's tokens can do.
    return [*tokenizer.encode(answer.message.content), tokenizer.require("im_end")]


def merged(records: Iterable[J]) -> list[J]:
    """The records, comparisons of the same answers to the same prompt as one, with the rankings of all.

    Files often have a row for each labeler. As rows of their own such a prompt would weigh by its labelers,
    and nobody would be seen to have judged what another did.
    """
    found: dict[Hashable, J] = {}
    for number, one in enumerate(records):
        texts = [answer.message.content for answer in one.answers] if isinstance(one, Comparison) else []
        distinct = len(set(texts)) == len(texts) > 0
        key = (one.messages, tuple(sorted(texts))) if distinct else number
        first = found.get(key)
        if not isinstance(one, Comparison) or not isinstance(first, Comparison):
            found[key] = one
            continue
        place = {answer.message.content: i for i, answer in enumerate(first.answers)}
        rankings = tuple(
            replace(ranking, tiers=tuple(tuple(place[texts[i]] for i in tier) for tier in ranking.tiers))
            for ranking in one.rankings
        )
        found[key] = replace(first, rankings=first.rankings + rankings)
    return list(found.values())


def unusable(record: Comparison) -> str:
    """Why nothing can be learned from a comparison; "" where something can."""
    if len(record.answers) < 2:
        return "a single answer"
    if not record.rankings:
        return "no ranking"
    if len({answer.message.content for answer in record.answers}) == 1:
        return "identical answers"
    if all(len(ranking.tiers) < 2 for ranking in record.rankings):
        return "all answers tied"
    return ""


def ordered_pairs(ranking: Ranking) -> list[tuple[int, int]]:
    """(better, worse) for every pair of answers that the ranking does not tie."""
    pairs = []
    for place, tier in enumerate(ranking.tiers):
        worse = [j for later in ranking.tiers[place + 1 :] for j in later]
        pairs += [(i, j) for i in tier for j in worse]
    return pairs


def _wins(record: Comparison, reliability: Mapping[str, float]) -> NDArray[np.float32]:
    """Every untied pair of every labeler, weighted by the labeler and divided by the sum over all."""
    wins = np.zeros((len(record.answers),) * 2, np.float64)
    for ranking in record.rankings:
        for better, worse in ordered_pairs(ranking):
            wins[better, worse] += reliability.get(ranking.labeler or UNKNOWN, 1.0)
    total = wins.sum()
    return (wins / total if total else wins).astype(np.float32)


def _rating(record: Rated) -> float:
    if not 0 <= record.rating <= 1:
        raise UserError(
            f"{record.origin.source} {record.origin.row}: the rating is {record.rating}; a reward model "
            "learns from thumbs, 0 (bad) to 1 (good): divide by the highest mark."
        )
    return record.rating


def _count(record: Comparison | Rated, answers: tuple[NDArray[np.int32], ...], counts: JudgedCounts) -> None:
    given = record.answers if isinstance(record, Comparison) else (record.answer,)
    counts.empty_answers += sum(not answer.message.content.strip() for answer in given)
    for answer in given:
        counts.answers[answer.model or UNKNOWN] += 1
    if isinstance(record, Rated):
        counts.ratings += 1
        counts.labelers[record.rater or UNKNOWN] += 1
        counts.unnamed_labelers += not record.rater
        return
    counts.comparisons += 1
    for ranking in record.rankings:
        ranked = sum(map(len, ranking.tiers))
        untied = len(ordered_pairs(ranking))
        counts.pairs += untied
        counts.tied_pairs += ranked * (ranked - 1) // 2 - untied
        counts.labelers[ranking.labeler or UNKNOWN] += 1
        counts.unnamed_labelers += ranking.labeler in ("", UNKNOWN)
