"""Very simple arithmetic in prose: single sums alone and in one-step stories, for every model's pretraining.

It makes digits, single sums and their surface (``12 - 5 = 7``) known to the prose control as well as to the
code models. No sum here uses another's result: chains of sums are shown by code alone, and asked for by the
reasoning tasks.
"""

from __future__ import annotations

from collections.abc import Callable

from bottega.data.records import Document, Origin
from bottega.data.school.draw import Draw
from bottega.data.school.nouns import NUMBERS_EN, NUMBERS_ZH
from bottega.data.school.passages import gap
from bottega.data.school.registry import Language, Part, register_part
from bottega.data.school.story_sums import COUNTED, HOLDERS, counted, deeds
from bottega.data.school.sums import LIMIT, Move, chains_in, draw_move
from bottega.data.school.world import Split, World

LICENCE = "Apache-2.0"


def _story(draw: Draw, language: Language) -> str:
    """Somebody has some things and does one thing; how many there are now, mostly with the sum."""
    person, other = draw.some(draw.world.people, 2)
    thing = draw.paired(person.en, COUNTED)  # the split of a document lies in who has what
    move = draw_move(draw, draw.between(2, 40))
    (done,) = deeds(draw, (move,), thing, (other,), language)
    left = counted(move.after, thing, language)
    form = draw.below(4)
    if language == "zh":
        pronoun = "她" if person.female else "他"
        told = f"{person.zh}有{counted(move.before, thing, 'zh')}，{done}。"
        endings = (
            f"{move}，所以{pronoun}现在有{left}。",
            f"现在{pronoun}有{left}。",
            f"{person.zh}现在有多少{thing.measure}{thing.zh}？{move}，所以有{left}。",
            f"因为{move}，{pronoun}现在有{left}。",
        )
        return told + endings[form]
    pronoun = "she" if person.female else "he"
    told = f"{person.en} has {counted(move.before, thing, 'en')} and {done}. "
    endings = (
        f"{move}, so {pronoun} has {left} now.",
        f"Now {pronoun} has {left}.",
        f"How many {thing.plural} does {person.en} have now? {move}, so {pronoun} has {left}.",
        f"Since {move}, {pronoun} now has {left}.",
    )
    return told + endings[form]


def _sums(draw: Draw, language: Language) -> str:
    """A few sums that have nothing to do with one another."""
    moves = [draw_move(draw, draw.between(0, 45)) for _ in range(draw.between(2, 4))]
    if language == "zh":
        return "，".join(map(str, moves)) + "。"
    return ". ".join(map(str, moves)) + "."


def _drill(draw: Draw, language: Language) -> str:
    """A column of sums, sometimes all from one number."""
    fixed = draw.between(1, LIMIT) if draw.chance(0.2) else None
    moves = [
        draw_move(draw, draw.below(LIMIT + 1) if fixed is None else fixed) for _ in range(draw.between(5, 12))
    ]
    return "\n".join(map(str, moves))


def _said(draw: Draw, language: Language) -> str:
    """A sum in words: "5 more than 12 is 17"."""
    move = draw_move(draw, draw.between(1, 40))
    k, n, result = move.by, move.before, move.after
    if language == "zh":
        forms = {
            "+": (f"{n}加{k}等于{result}。", f"比{n}多{k}的数是{result}。"),
            "-": (f"{n}减{k}等于{result}。", f"比{n}少{k}的数是{result}。"),
            "*": (f"{n}乘以{k}等于{result}。", f"{n}的{k}倍是{result}。"),
        }
    else:
        forms = {
            "+": (f"{n} plus {k} is {result}.", f"{k} more than {n} is {result}."),
            "-": (f"{n} minus {k} is {result}.", f"{k} less than {n} is {result}."),
            "*": (f"{n} times {k} is {result}.", f"{k} times as many as {n} is {result}."),
        }
    return draw.one(forms[move.sign])


def _boxes(draw: Draw, language: Language) -> str:
    """So many boxes with so many things in each."""
    move = Move(draw.between(2, 8), "*", draw.between(2, 7))
    person = draw.one(draw.world.people)
    thing, box = draw.paired(person.en, COUNTED), draw.one(HOLDERS)
    if language == "zh":
        return (
            f"{person.zh}有{move.before}{box.measure}{box.zh}，每{box.measure}{box.zh}里有{move.by}{thing.measure}{thing.zh}。"
            f"{move}，一共有{counted(move.after, thing, 'zh')}。"
        )
    return (
        f"{person.en} has {move.before} {box.plural} with {move.by} {thing.plural} in each. "
        f"{move}, so there are {move.after} {thing.plural} in all."
    )


def _compared(draw: Draw, language: Language) -> str:
    """Which of two numbers is more, or a number's neighbours, or its name."""
    n = draw.between(2, LIMIT)
    m = n + draw.one((-1, 1)) * draw.between(1, n - 1)
    form = draw.below(3)
    if form == 0:
        if language == "zh":
            return f"{n}比{m}{'大' if n > m else '小'}。"
        return f"{n} is {'more' if n > m else 'less'} than {m}."
    if form == 1:
        counting = [str(k) for k in range(n, n + draw.between(3, 6))]
        return "，".join(counting) + "。" if language == "zh" else ", ".join(counting) + "."
    small = draw.between(2, 20)
    if language == "zh":
        return f"{NUMBERS_ZH[small]}写作{small}。"
    return f"{NUMBERS_EN[small].capitalize()} is written {small}."


_FORMS = (_story, _story, _story, _drill, _drill, _drill, _sums, _said, _said, _boxes, _compared)
_LONG = {"en": 420, "zh": 220}  # characters, after which nothing is added; some 170 tokens


def _item(name: str, language: Language) -> Callable[[World, Split, int], Document]:
    def item(world: World, split: Split, index: int) -> Document:
        draw = Draw(world, name, split, index, language)
        lines = draw.chance(0.5)
        while True:
            pieces = [_story(draw, language)]
            for _ in range(draw.between(1, 9)):
                if sum(map(len, pieces)) < _LONG[language]:
                    pieces.append(draw.one(_FORMS)(draw, language))
            columns = lines or any("\n" in piece for piece in pieces)
            text = ("\n" if columns else gap(language)).join(draw.shuffled(pieces))
            if not chains_in(text):  # two sums side by side may happen to make one
                break
        return Document(text, Origin(f"school:{name}", str(index), LICENCE))

    return item


def distinct_one_step_stories(world: World) -> int:
    """One-step stories alone: people by things by moves, of which there are at least 15 from every count."""
    return len(world.people) * len(COUNTED) * 39 * 15


_LANGUAGES: tuple[tuple[Language, str], ...] = (("en", "English"), ("zh", "Chinese"))
for _language, _what in _LANGUAGES:
    register_part(
        Part(
            f"arithmetic-prose-{_language}",
            "documents",
            f"single sums and one-step stories in {_what}; no chain of sums",
            _item(f"arithmetic-prose-{_language}", _language),
            distinct_one_step_stories,
        )
    )
