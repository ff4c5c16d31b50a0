"""The cast and the props of one story: every slot that a story of either language names."""

# ruff: noqa: E501, SIM905 (tables of words; a Chinese character counts double)
from __future__ import annotations

from bottega.data.school.draw import Draw
from bottega.data.school.facts import Slots, cast
from bottega.data.school.nouns import FRUITS, NUMBERS_EN, NUMBERS_ZH, PETS, PORTABLE, a, count_zh
from bottega.data.school.words import (
    COLOURS,
    DAYS,
    DRINKS,
    FEELINGS,
    FOODS,
    HOBBIES,
    HOUSE,
    JOBS,
    SIGHTS,
    Word,
)

_PARTS = (Word("morning", "早上"), Word("evening", "晚上"), Word("afternoon", "下午"))
_DISHES = (Word("soup", "汤"), Word("cake", "蛋糕"), Word("juice", "汁"), Word("salad", "沙拉"))
_STATES = (Word("soft", "软"), Word("cool", "凉"), Word("hot", "热"), Word("thick", "稠"))
_WEATHER = tuple(
    Word(*row.split("="))
    for row in "sunny=天气晴 rainy=下雨 windy=刮风 snowy=下雪 foggy=有雾 cold=很冷 hot=很热".split()
)
_BAD_WEATHER = tuple(word for word in _WEATHER if word.en != "sunny")
_WASHABLE = tuple(
    noun
    for noun in PORTABLE
    if noun.en
    in "cup bowl bottle jar sock shirt hat glove scarf bucket basket knife shoe skirt dress coat blanket".split()
)
_WITH_LEGS = tuple(noun for noun in PETS if noun.en != "fish")
_COOKED = tuple(word for word in FOODS if word.en not in ("cheese", "honey", "eggs", "fish"))
_DIRECTIONS = tuple(Word(*row.split("=")) for row in "north=北 south=南 east=东 west=西".split())


def scene(draw: Draw) -> Slots:
    """Slots for one story, in the language of the draw. What A does with things and rooms keeps to the split."""
    en = draw.language == "en"
    fresh = draw.fresh
    A, B, C = cast(draw, 3)
    thing = draw.paired(A.en, PORTABLE)
    thing2 = draw.paired(B.en, PORTABLE, (thing,))
    room, room2 = draw.some(HOUSE, 2)
    sight = draw.paired(A.en, SIGHTS)
    sight2 = draw.paired(A.en, SIGHTS, (sight,))
    col, col2 = draw.some(COLOURS, 2)
    i = draw.below(7)
    fruit, animal = draw.one(FRUITS), draw.one(_WITH_LEGS)
    n = draw.between(4, 12)
    k = draw.between(2, min(n - 2, 8))
    if k == n:
        k = 2
    job, food, drink, feeling = draw.one(JOBS), draw.one(_COOKED), draw.one(DRINKS), draw.one(FEELINGS)
    place, weather = draw.paired(A.en, draw.world.places), draw.one(_WEATHER)
    wash, bad = draw.one(_WASHABLE), draw.one(_BAD_WEATHER)
    part, dish, state, way = draw.one(_PARTS), draw.one(_DISHES), draw.one(_STATES), draw.one(_DIRECTIONS)
    day, day2, hobby = DAYS[i], DAYS[(i + draw.between(1, 6)) % 7], draw.one(HOBBIES)
    # Not every story names every pair drawn here: whoever tells one settles its split by the whole text.
    draw.fresh = fresh
    if en:
        return {
            "A": A.en, "B": B.en, "C": C.en,
            "he": "she" if A.female else "he", "He": "She" if A.female else "He",
            "him": "her" if A.female else "him",
            "his": "her" if A.female else "his", "His": "Her" if A.female else "His",
            "bhe": "she" if B.female else "he", "bhim": "her" if B.female else "him",
            "bhis": "her" if B.female else "his",
            "thing": thing.en, "a_thing": a(thing.en), "thing2": thing2.en, "a_thing2": a(thing2.en),
            "a_col_thing": a(f"{col.en} {thing.en}"),
            "wash": wash.en, "a_wash": a(wash.en), "bad": bad.en, "room": room.en, "room2": room2.en, "sight": sight.en, "sight2": sight2.en,
            "col": col.en, "Col": col.en.capitalize(), "col2": col2.en, "day": day.en, "day2": day2.en,
            "fruit": fruit.en, "fruits": fruit.plural, "animal": animal.en, "a_animal": a(animal.en),
            "n": NUMBERS_EN[n], "N": NUMBERS_EN[n].capitalize(), "k": NUMBERS_EN[k],
            "left": NUMBERS_EN[n - k], "total": NUMBERS_EN[n + k],
            "job": job.en, "a_job": a(job.en), "food": food.en, "drink": drink.en, "Drink": drink.en.capitalize(),
            "feeling": feeling.en, "place": place.en, "weather": weather.en, "part": part.en, "dish": dish.en,
            "adj": state.en, "dir": way.en, "hobby": hobby.en,
        }  # fmt: skip
    return {
        "A": A.zh, "B": B.zh, "C": C.zh,
        "he": "她" if A.female else "他", "bhe": "她" if B.female else "他",
        "thing": thing.zh, "m": thing.measure, "thing2": thing2.zh, "m2": thing2.measure,
        "wash": wash.zh, "bad": bad.zh, "room": room.zh, "room2": room2.zh, "sight": sight.zh, "sight2": sight2.zh,
        "col": col.zh, "col2": col2.zh, "day": day.zh, "day2": day2.zh,
        "fruit": fruit.zh, "mf": fruit.measure, "animal": animal.zh, "ma": animal.measure,
        "n": count_zh(n), "number": NUMBERS_ZH[n], "k": count_zh(k), "left": count_zh(n - k),
        "total": count_zh(n + k), "job": job.zh, "food": food.zh, "drink": drink.zh, "feeling": feeling.zh,
        "place": place.zh, "weather": weather.zh, "part": part.zh, "dish": dish.zh, "adj": state.zh,
        "dir": way.zh, "hobby": hobby.zh,
    }  # fmt: skip


def tell(draw: Draw, beats: tuple[tuple[str, ...], ...], slots: Slots, gap: str) -> str:
    """One sentence of each beat, joined by the gap of the language."""
    return gap.join(sentence.format_map(slots) for beat in beats if (sentence := draw.one(beat)))
