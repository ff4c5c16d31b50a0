"""A small world made from a seed: who lives in it, where, and the words of its own tongue."""

# ruff: noqa: E501, SIM905 (lists of syllables; a Chinese character counts double)
from __future__ import annotations

import random
from dataclasses import dataclass
from hashlib import blake2b
from typing import Literal

Split = Literal["train", "heldout"]
Language = Literal["en", "zh"]

HELDOUT_ONE_IN = 8  # the share of keys (pairs of words, lists) that training never shows

_EN_STARTS = "Mi To Ka Le No Sa Ru Be Da El Fi Jo Lu Ma Ne Pa Ri Ta Vi An Or Is Co Hu Ke Li Mo Ni Ra So Ti Wi Ya Ze Al Ar".split()
_EN_FEMALE_ENDS = "ra la na ria lia nna sa ssa tta via mi nel".split()
_EN_MALE_ENDS = "lo ro no rin len mas dor vin bert nik ras lan".split()
_EN_NAMES_TO_AVOID = frozenset(
    "Soras Anna Lira Sara Arras Tina Paras Lessa Arno Orla Nora Sola Nona Mami Ratta Massa Rassa Hula Kano Rano Panel Moria Titan Nelas".split()
)
_ZH_SURNAMES = "李王张刘陈杨赵黄周吴林何高马方白"
_ZH_FEMALE = "小雨 小花 小月 美云 春花 小青 玉兰 小红 明月 美玉 雪梅 小兰 春梅 小雪 青云 秋月".split()
_ZH_MALE = "小明 大山 文海 小龙 天明 大海 小石 文林 小江 志高 小东 春生 海生 天山 大川 志文".split()
_EN_PLACE_STARTS = "Stone Alder Willow Maple Silver Fox Raven Amber Moss Clear Oak Thorn Ash Elm Swan Briar Cold Long Marl Wind".split()
_EN_PLACE_ENDS = "wick ford by field bridge dale mouth port stead bury mere ton well combe".split()
_ZH_PLACE_STARTS = "柳河 青石 白云 东湖 南山 金沙 桃花 月牙 西江 红叶 竹林 北海 龙门 双桥 清水 长风 松林 梅花 黄土 古井".split()
_PLACE_KINDS = (("town", "镇"), ("village", "村"), ("city", "城"), ("harbour", "港"))
_TONGUE_STARTS = "za ve ki mo lu ta pe shi ro na gu fe di ko bu wa".split()
_TONGUE_ENDS = "lek mur tin vash dol rup sen kit bra nu zim pon gal fi tor wen".split()


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody, under an English and a Chinese name."""

    en: str
    zh: str
    female: bool


@dataclass(frozen=True, slots=True)
class Place:
    """A town, village, city or harbour with what is lastingly true of it in this world."""

    en: str
    zh: str
    kind_en: str
    kind_zh: str
    known_for: int  # index into the lexicon's goods
    lies: int  # index into the lexicon's landscapes


class World:
    """Names and lasting facts of one seed. Equal seeds make equal worlds in every process."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        rng = random.Random(f"world/{seed}")
        self.people: tuple[Person, ...] = _people(rng, 72)
        self.places: tuple[Place, ...] = _places(rng, 24)
        self.tongue_name: tuple[str, str] = _tongue_name(rng)
        self.tongue: tuple[str, ...] = _tongue(rng, 96)  # its i-th word means the lexicon's i-th plain noun
        self._salt = f"{seed}|"
        self._pair_sides: dict[tuple[str, str], bool] = {}

    def is_heldout(self, *key: str) -> bool:
        """Whether a key belongs to the held-out split, for ever: one in ``HELDOUT_ONE_IN`` does."""
        digest = blake2b((self._salt + "|".join(key)).encode(), digest_size=2).digest()
        return int.from_bytes(digest, "little") % HELDOUT_ONE_IN == 0

    def is_heldout_pair(self, first: str, second: str) -> bool:
        """``is_heldout`` of two words of the closed vocabulary, remembered: they are asked for all the time."""
        side = self._pair_sides.get((first, second))
        if side is None:
            side = self._pair_sides[first, second] = self.is_heldout(first, second)
        return side

    def __repr__(self) -> str:
        return f"World({self.seed})"


def _clumsy(name: str) -> bool:
    """Whether a doubled consonant stands behind another one ("Artta"), or repeats its own ("Titta")."""
    for i in range(1, len(name) - 1):
        if name[i] == name[i + 1] and (name[i - 1] not in "aeiou" or name[i] == name[0].lower()):
            return True
    return False


def _people(rng: random.Random, n: int) -> tuple[Person, ...]:
    people: list[Person] = []
    en_seen, zh_seen = set(_EN_NAMES_TO_AVOID), set[str]()
    while len(people) < n:
        female = len(people) % 2 == 0
        en = rng.choice(_EN_STARTS) + rng.choice(_EN_FEMALE_ENDS if female else _EN_MALE_ENDS)
        zh = rng.choice(_ZH_SURNAMES) + rng.choice(_ZH_FEMALE if female else _ZH_MALE)
        if en in en_seen or zh in zh_seen or _clumsy(en):
            continue
        en_seen.add(en)
        zh_seen.add(zh)
        people.append(Person(en, zh, female))
    rng.shuffle(people)
    return tuple(people)


def _places(rng: random.Random, n: int) -> tuple[Place, ...]:
    places: list[Place] = []
    en_seen, zh_seen = set[str](), set[str]()
    while len(places) < n:
        kind_en, kind_zh = rng.choice(_PLACE_KINDS)
        en = rng.choice(_EN_PLACE_STARTS) + rng.choice(_EN_PLACE_ENDS)
        zh = rng.choice(_ZH_PLACE_STARTS) + kind_zh
        if en in en_seen or zh in zh_seen:
            continue
        en_seen.add(en)
        zh_seen.add(zh)
        places.append(Place(en, zh, kind_en, kind_zh, rng.randrange(8), rng.randrange(6)))
    return tuple(places)


def _tongue_name(rng: random.Random) -> tuple[str, str]:
    start = rng.choice(_TONGUE_STARTS).capitalize() + rng.choice(("rel", "lum", "vor", "dan", "mer"))
    return start + "ish", rng.choice("云石海山星月风雪") + rng.choice("国岛谷") + "话"


def _tongue(rng: random.Random, n: int) -> tuple[str, ...]:
    words = [start + end for start in _TONGUE_STARTS for end in _TONGUE_ENDS]
    return tuple(rng.sample(words, n))
