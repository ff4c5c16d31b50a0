"""Comparisons written by the school: answers of graded quality, ranked by its labelers.

Their forms are drawn apart from whether they are right, so that neither length nor politeness tells.
"""

from __future__ import annotations

from dataclasses import dataclass

from bottega.data.records import Answer, Check, Comparison, Message, Origin, Prompt
from bottega.data.school.draw import Draw, fresh_item
from bottega.data.school.instructions import asked_for_ranking, distinct_many
from bottega.data.school.judging import labelers, quality
from bottega.data.school.prose import LICENCE
from bottega.data.school.registry import Language, Part, register_part
from bottega.data.school.world import Split, World

ANSWERS = 4
LABELERS = 2  # to each comparison
WRITTEN = "school"  # as the model of an answer that no model gave

_POLITE = {
    "en": ("Of course! {}", "I am happy to help: {}", "{} You are welcome!"),
    "zh": ("当然！{}", "很乐意回答：{}", "{} 不客气！"),
}
_WORDY = {
    "en": ("Here is what you asked for: {}", "The answer to that is this: {}", "Let me see. It is {}"),
    "zh": ("这就是你要的：{}", "这个问题的回答是：{}", "让我看看，是{}"),
}


def damaged(draw: Draw, text: str) -> str:
    """Nearly right: a word left out, doubled or put elsewhere; of a single word, its first letters."""
    chinese = draw.language == "zh"
    words = list(text) if chinese else text.split(" ")
    if len(words) < 2:
        return text[: max(1, len(text) // 2)]
    i, kind = draw.below(len(words)), draw.below(3)
    word = words.pop(i)
    if kind == 1:
        words[i:i] = [word, word]
    elif kind == 2:
        words.insert(draw.below(len(words) + 1), word)
    return ("" if chinese else " ").join(words)


@dataclass(frozen=True, slots=True)
class _Written:
    text: str
    correct: bool  # whatever polite or wordy form it has
    ended: bool


def _answers(draw: Draw, accepted: tuple[str, ...]) -> list[_Written]:
    """Some right, some damaged, some to another question, each in a form of its own; none like another."""
    found: dict[str, _Written] = {}
    while len(found) < ANSWERS:
        kind = draw.below(10)
        text = draw.one(accepted)
        if kind >= 7:
            text = asked_for_ranking(draw)[1].answer
        elif kind >= 4:
            text = damaged(draw, text)
        correct, ended, form = text in accepted, not draw.chance(0.06), draw.below(8)
        if form == 0:
            text = draw.one(_POLITE[draw.language]).format(text)
        elif form == 1:
            text = draw.one(_WORDY[draw.language]).format(text)
        if not ended:
            text, correct = text[: max(1, len(text) * 2 // 3)], False
        found.setdefault(text, _Written(text, correct, ended))
    return list(found.values())


def _comparison(draw: Draw) -> tuple[Prompt, list[_Written]]:
    asked, made = asked_for_ranking(draw)
    fresh = draw.fresh
    answers = _answers(draw, made.accepted)
    draw.fresh = fresh  # an answer to another question may be held out: that makes no held-out request
    return Prompt((Message("user", asked),), Check("exact", made.accepted)), answers


def _register(language: Language) -> None:
    name = f"comparisons-{language}"
    spoken = "English" if language == "en" else "Chinese"

    def item(world: World, split: Split, index: int) -> Comparison:
        key = f"{name}/{split}/{index}"
        prompt, answers = fresh_item(_comparison, world, name, split, index, language)
        texts = [one.text for one in answers]
        true = [quality(prompt, one.text, correct=one.correct, ended=one.ended) for one in answers]
        pool = labelers(world.seed, "training")
        chosen = Draw(world, f"{name}/labelers", split, index).some(pool, LABELERS)
        return Comparison(
            prompt.messages,
            tuple(Answer(Message("assistant", text), WRITTEN) for text in texts),
            tuple(labeler.rank(key, texts, true) for labeler in chosen),
            Origin(f"school:{name}", str(index), LICENCE),
        )

    described = f"answers of graded quality and their rankings, {spoken}"
    register_part(Part(name, "comparisons", described, item, lambda world: distinct_many(language, world)))


_register("en")
_register("zh")
