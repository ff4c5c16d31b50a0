"""What is true of words and places: short entries as an encyclopedia has them."""
# ruff: noqa: E501 (whole sentences; a Chinese character counts double)

from __future__ import annotations

from bottega.data.school.draw import Draw
from bottega.data.school.nouns import (
    CATEGORIES_ZH,
    CATEGORY_PHRASES,
    NAMED_CATEGORIES,
    SOUNDS,
    YOUNG,
    Noun,
    a,
)
from bottega.data.school.words import (
    ADJECTIVES,
    DAYS,
    LANDSCAPES,
    MONTHS,
    NATURAL_COLOURS,
    OPPOSITES,
    VERBS,
    WARES,
)


def place_entry(draw: Draw) -> str:
    """What a place is, where it lies, what it is known for, and who lives there."""
    place = draw.one(draw.world.places)
    person = draw.one(draw.world.people)
    other = draw.one([p for p in draw.world.places if p is not place])
    land, ware = LANDSCAPES[place.lies], WARES[place.known_for]
    if draw.language == "en":
        return " ".join(
            (
                draw.one((f"{place.en} is {a(place.kind_en)} {land.en}.", f"{a(place.kind_en).capitalize()} {land.en}: that is {place.en}.")),
                draw.one((f"It is known for its {ware.en}.", f"People come here to buy {ware.en}.", f"The {ware.en} of {place.en} are famous." if ware.en.endswith("s") else f"The {ware.en} of {place.en} is famous.")),
                draw.one((f"The road goes on to {other.en}.", f"From here you can walk to {other.en}.", f"The next {other.kind_en} is {other.en}.")),
                draw.one((f"{person.en} was born in {place.en}.", f"{person.en} comes from {place.en}.", f"{person.en} likes {place.en} very much.")),
            )
        )  # fmt: skip
    return "".join(
        (
            draw.one((f"{place.zh}{land.zh}。", f"{place.zh}是{land.zh[1:]}的一个地方。")),
            draw.one((f"那里的{ware.zh}很有名。", f"人们来这里买{ware.zh}。", f"{place.zh}的{ware.zh}最好。")),
            draw.one((f"从这里可以走到{other.zh}。", f"再往前走就是{other.zh}。")),
            draw.one((f"{person.zh}是在{place.zh}出生的。", f"{person.zh}从{place.zh}来。", f"{person.zh}很喜欢{place.zh}。")),
        )
    )  # fmt: skip


def noun_entry(draw: Draw) -> str:
    """What kind of thing a noun names, its young and voice, and what is bigger. Chinese adds the measure word."""
    noun = draw.one(NAMED_CATEGORIES)
    other = draw.one([n for n in NAMED_CATEGORIES if abs(n.size - noun.size) >= 2])
    sentences = _noun_en(draw, noun, other) if draw.language == "en" else _noun_zh(draw, noun, other)
    return (" " if draw.language == "en" else "").join(draw.some(sentences, draw.between(3, 4)))


def _noun_en(draw: Draw, noun: Noun, other: Noun) -> list[str]:
    big, small = (noun, other) if noun.size > other.size else (other, noun)
    A = capital(noun.a)
    sentences = [
        f"{A} is {CATEGORY_PHRASES[noun.category]}.",
        draw.one(
            (f"{capital(big.a)} is bigger than {small.a}.", f"{capital(small.a)} is smaller than {big.a}.")
        ),
        f"{A} and {other.a} are both {CATEGORY_PHRASES[noun.category].split(' ', 1)[1]}s."
        if noun.category == other.category
        and noun.category in ("animal", "fruit", "vegetable", "tool", "vehicle", "toy")
        else f"{A} is not {other.a}.",
        f"One {noun.en}, two {noun.plural}.",
    ]
    if noun.en in YOUNG:
        sentences.append(f"A young {noun.en} is called {a(YOUNG[noun.en][0])}.")
    if noun.en in SOUNDS:
        sentences.append(
            f"A {noun.en} says {SOUNDS[noun.en][0]}."
            if noun.a[1] == " "
            else f"{A} says {SOUNDS[noun.en][0]}."
        )
    return sentences


def _noun_zh(draw: Draw, noun: Noun, other: Noun) -> list[str]:
    big, small = (noun, other) if noun.size > other.size else (other, noun)
    sentences = [
        draw.one(
            (
                f"{noun.zh}是一种{CATEGORIES_ZH[noun.category]}。",
                f"{noun.zh}属于{CATEGORIES_ZH[noun.category]}。",
            )
        ),
        draw.one((f"{big.zh}比{small.zh}大。", f"{small.zh}比{big.zh}小。")),
        f"{noun.zh}和{other.zh}都是{CATEGORIES_ZH[noun.category]}。"
        if noun.category == other.category
        else f"{noun.zh}不是{other.zh}。",
        f"我们说一{noun.measure}{noun.zh}。",
    ]
    if noun.en in YOUNG:
        sentences.append(f"{noun.zh}的孩子叫{YOUNG[noun.en][1]}。")
    if noun.en in SOUNDS:
        sentences.append(f"{noun.zh}的叫声是{SOUNDS[noun.en][1]}。")
    return sentences


def capital(words: str) -> str:
    """With the first letter large."""
    return words[0].upper() + words[1:]


def word_sentences(draw: Draw) -> str:
    """A few sentences on opposites, forms, colours and the calendar."""
    en = draw.language == "en"
    sentences = []
    for _ in range(draw.between(3, 5)):
        kind = draw.below(6)
        if kind == 0:
            adjective = draw.one(ADJECTIVES)
            sentences.append(
                draw.one((f"The opposite of {adjective.en} is {adjective.opposite}.", f"What is not {adjective.en} is {adjective.opposite}.",
                          f"{adjective.en.capitalize()} and {adjective.opposite} are opposites."))
                if en else draw.one((f"{adjective.zh}的反义词是{adjective.opposite_zh}。", f"{adjective.zh}和{adjective.opposite_zh}意思相反。")))  # fmt: skip
        elif kind == 1:
            adjective = draw.one(ADJECTIVES)
            first, second = draw.some(draw.world.people, 2)
            sentences.append(
                f"{first.en}'s bag is {adjective.en}, but {second.en}'s bag is {adjective.comparative}."
                if en else f"{first.zh}的{adjective.zh}，{second.zh}的更{adjective.zh}。")  # fmt: skip
        elif kind == 2:
            verb = draw.one(VERBS)
            sentences.append(
                f"Today they {verb.en}; yesterday they {verb.past}."
                if en
                else f"今天他们{verb.zh}，昨天他们也{verb.zh}了。"
            )
        elif kind == 3:
            what, colour = draw.one(NATURAL_COLOURS)
            sentences.append(
                f"The colour of {what.en} is {colour.en}." if en else f"{what.zh}的颜色是{colour.zh}。"
            )
        elif kind == 4:
            cycle = draw.one((DAYS, MONTHS))
            i = draw.below(len(cycle))
            now, then = cycle[i], cycle[(i + 1) % len(cycle)]
            sentences.append(f"After {now.en} comes {then.en}." if en else f"{now.zh}的后面是{then.zh}。")
        else:
            left, right = draw.one(OPPOSITES)
            sentences.append(
                f"{left.en.capitalize()} is the opposite of {right.en}."
                if en
                else f"{left.zh}和{right.zh}相反。"
            )
    return (" " if en else "").join(sentences)
