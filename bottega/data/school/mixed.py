"""Both languages in one text: translations in sentences and lists, the same fact told twice, and the world's own tongue."""
# ruff: noqa: E501 (whole sentences; a Chinese character counts double)

from __future__ import annotations

from math import perm

from bottega.data.records import Document, Origin
from bottega.data.school.draw import Draw, fresh_item
from bottega.data.school.facts import KINDS, draw_fact, slots_en, slots_zh
from bottega.data.school.facts_en import SAY as SAY_EN
from bottega.data.school.facts_zh import SAY as SAY_ZH
from bottega.data.school.nouns import NOUNS, a
from bottega.data.school.passages import capital
from bottega.data.school.prose import LICENCE
from bottega.data.school.registry import Part, register_part
from bottega.data.school.words import ADJECTIVES, COLOURS, DAYS, JOBS, ROOMS, VERBS, Word
from bottega.data.school.world import Split, World

_WORDS: tuple[Word, ...] = (
    *(Word(n.en, n.zh) for n in NOUNS),
    *(Word(w.en, w.zh) for w in ADJECTIVES),
    *(Word(v.en, v.zh) for v in VERBS),
    *COLOURS,
    *JOBS,
    *ROOMS,
    *DAYS,
)


def _neighbours(draw: Draw, n: int) -> list[Word]:
    """n words, each beside a word that it may stand beside in this split."""
    words = [draw.one(_WORDS)]
    while len(words) < n:
        words.append(draw.paired(f"mixed {words[-1].en}", _WORDS, words))
    return words


def _sentences(draw: Draw) -> str:
    found = []
    for word in _neighbours(draw, draw.between(2, 4)):
        found.append(
            draw.one(
                (
                    f'The Chinese word for "{word.en}" is "{word.zh}".',
                    f'In Chinese, "{word.en}" is "{word.zh}".',
                    f'"{word.zh}" means "{word.en}" in English.',
                    f"“{word.zh}”的英文是{word.en}。",
                    f"英文的{word.en}就是“{word.zh}”。",
                )
            )
        )
    return " ".join(found)


def _list(draw: Draw) -> str:
    mark = draw.one((" - ", ": ", " = "))
    rows = [(word.en, word.zh) for word in _neighbours(draw, draw.between(4, 8))]
    if draw.chance(0.5):
        rows = [(zh, en) for en, zh in rows]
    return "\n".join(f"{x}{mark}{y}" for x, y in rows)


def _same_fact(draw: Draw) -> str:
    """One or two facts, told in one language and then in the other."""
    person = draw.one(draw.world.people)
    taken: list[object] = [person]
    kinds = draw.some(KINDS, draw.between(1, 2))
    facts = [draw_fact(draw, kind, person, taken) for kind in kinds]
    en = " ".join(capital(draw.one(SAY_EN[f.kind]).format_map(slots_en(f))) for f in facts)
    zh = "".join(draw.one(SAY_ZH[f.kind]).format_map(slots_zh(f)) for f in facts)
    if draw.chance(0.5):
        return f"{person.en} is called {person.zh} in Chinese. {en}\n{zh}"
    return f"{person.zh}的英文名字是{person.en}。{zh}\n{en}"


def _mixed_sentence(draw: Draw) -> str:
    """A sentence of one language with a word of the other in it, and what the word means."""
    person = draw.one(draw.world.people)
    noun = draw.paired(person.en, NOUNS)
    word = draw.one(COLOURS)
    return draw.one(
        (
            f"{person.en} has a {word.en} {noun.zh}. {noun.zh} means {noun.en}, so {person.en} has {a(f'{word.en} {noun.en}')}.",
            f"{person.zh}有一{noun.measure}{word.zh}的{noun.en}。{noun.en}就是{noun.zh}。",
            f"{person.zh}问：“{noun.en}是什么？”“是{noun.zh}。”{draw.one(draw.world.people).zh}说。",
            f'"What is {noun.zh}?" asked {person.en}. "It is {noun.a}," said {draw.one(draw.world.people).en}.',
        )
    )


def _tongue(draw: Draw) -> str:
    """Words of the tongue that only this world speaks."""
    name_en, name_zh = draw.world.tongue_name
    n = len(draw.world.tongue)
    first = draw.below(n)
    chosen = [first]
    while len(chosen) < draw.between(2, 5):
        noun = draw.paired(f"tongue {NOUNS[chosen[-1]].en}", NOUNS[:n])
        i = NOUNS.index(noun)
        if i in chosen:
            break
        chosen.append(i)
    rows = []
    for i in chosen:
        noun, word = NOUNS[i], draw.world.tongue[i]
        rows.append(
            draw.one(
                (
                    f"In {name_en}, {noun.en} is {word}.",
                    f"The {name_en} word for {noun.en} is {word}.",
                    f"{capital(word)} means {noun.en} in {name_en}.",
                    f"用{name_zh}说，{noun.zh}是{word}。",
                    f"{name_zh}里的{word}就是{noun.zh}。",
                )
            )
        )
    return " ".join(rows)


_DECK = (
    _sentences,
    _sentences,
    _list,
    _list,
    _same_fact,
    _same_fact,
    _same_fact,
    _mixed_sentence,
    _mixed_sentence,
    _tongue,
)


def _text(draw: Draw) -> str:
    return draw.one(_DECK)(draw)


def _item(world: World, split: Split, index: int) -> Document:
    return Document(
        fresh_item(_text, world, "mixed", split, index), Origin("school:mixed", str(index), LICENCE)
    )


def _distinct(world: World) -> int:
    """At least: ordered choices of four to eight words in a list, and the facts told twice."""
    return sum(perm(len(_WORDS), k) for k in range(4, 9)) + len(world.people) * len(NOUNS) * len(COLOURS)


register_part(
    Part("mixed", "documents", "both languages in one text: translations, facts told twice", _item, _distinct)
)
