"""The same request badly put: typos, no punctuation, fragments, fillers, mixed languages, pinyin, wrong characters."""

# ruff: noqa: E501 (tables of words; a Chinese character counts double)
from __future__ import annotations

import re
from collections.abc import Callable

from bottega.data.school.draw import Draw

_FILLERS_BEFORE_EN = ("um ", "hey ", "ok so ", "hi, ", "well ", "er, ", "so ", "yo ", "hmm ")
_FILLERS_AFTER_EN = (" thx", " pls", " ok?", " thanks", " asap", " please??", " cheers")
_DROPPED_EN = re.compile(
    r"\b(?:the|of|a|an|please|can you|could you|i want you to|i would like you to|your task is to)\b ?", re.I
)
_SHORT_EN = {
    "you": "u",
    "please": "pls",
    "are": "r",
    "and": "n",
    "with": "w/",
    "what": "wat",
    "to": "2",
    "for": "4",
}
_MIXED_EN = {
    "list": "列表", "words": "词", "word": "词", "first": "第一个", "last": "最后一个", "question": "问题", "answer": "回答",
    "text": "短文", "opposite": "反义词", "please": "请", "write": "写", "count": "数", "numbers": "数", "name": "说出",
    "translate": "翻译", "category": "类别", "where": "哪里", "who": "谁", "what": "什么",
}  # fmt: skip

_FILLERS_BEFORE_ZH = ("嗯，", "那个，", "就是，", "呃", "喂，", "那什么，", "哎，", "你好啊")
_FILLERS_AFTER_ZH = ("谢啦", "哈", "好吗", "快点", "啊", "拜托了")
_DROPPED_ZH = re.compile("请|你能|帮我|麻烦你|我想|任务：|问题：|一下|这些|现在")
_WRONG_ZH = {
    "请": "清", "把": "吧", "的": "得", "在": "再", "词": "次", "是": "事", "里": "理", "写": "些", "个": "各", "哪": "那",
    "答": "达", "顺": "瞬", "第": "弟", "后": "候", "数": "树", "列": "烈", "出": "初", "么": "麽", "怎": "咋", "类": "累",
    "英": "应", "反": "返", "谁": "睡", "问": "门", "住": "注", "做": "坐", "给": "个", "到": "道", "有": "友",
}  # fmt: skip
_PINYIN = {
    "反义词": "fanyici", "最后": "zuihou", "第一": "diyi", "什么": "shenme", "怎么": "zenme", "列表": "liebiao", "问题": "wenti",
    "回答": "huida", "短文": "duanwen", "英文": "yingwen", "翻译": "fanyi", "颜色": "yanse", "哪里": "nali", "喜欢": "xihuan",
    "顺序": "shunxu", "一共": "yigong", "请": "qing", "把": "ba", "写": "xie", "说": "shuo", "谁": "shui", "一个": "yige",
    "类": "lei", "这些词": "zhexie ci", "工作": "gongzuo", "下面": "xiamian",
}  # fmt: skip
_MIXED_ZH = {
    "列表": "list", "第一个": "first", "最后一个": "last", "问题": "question", "回答": "answer", "短文": "text", "请": "please",
    "反义词": "opposite", "翻译": "translate", "英文": "English", "写": "write", "什么": "what", "谁": "who", "哪里": "where",
    "词": "word", "颜色": "colour", "类": "kind",
}  # fmt: skip


def clumsy(draw: Draw, request: str, keep: str) -> str:
    """The request badly put in two or three ways. Words of ``keep`` (the data, names) are never misspelt."""
    for spoil in draw.some(_WAYS[draw.language], draw.between(2, 3)):
        request = spoil(draw, request, keep)
    return request.strip()


def _typos(draw: Draw, request: str, keep: str) -> str:
    words = request.split(" ")
    spots = [
        i
        for i, w in enumerate(words)
        if len(w) > 3 and w.isascii() and w.isalpha() and w.islower() and w not in keep
    ]
    for i in draw.some(spots, draw.between(1, 2)):
        words[i] = _typo(draw, words[i])
    return " ".join(words)


def _typo(draw: Draw, word: str) -> str:
    at = draw.between(1, len(word) - 2)
    way = draw.below(3)
    if way == 0:
        return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    if way == 1:
        return word[:at] + word[at + 1 :]
    return word[:at] + word[at] + word[at:]


def _lower(draw: Draw, request: str, keep: str) -> str:
    return " ".join(word if word.strip(".,?!'s") in keep else word.lower() for word in request.split(" "))


def _unpunctuated(draw: Draw, request: str, keep: str) -> str:
    return re.sub(r"[.,?!;:，。？！；：“”、]", "", request)


def _fragment_en(draw: Draw, request: str, keep: str) -> str:
    return _DROPPED_EN.sub("", request) or request


def _fragment_zh(draw: Draw, request: str, keep: str) -> str:
    return _DROPPED_ZH.sub("", request) or request


def _fillers_en(draw: Draw, request: str, keep: str) -> str:
    if draw.chance(0.5):
        return draw.one(_FILLERS_BEFORE_EN) + request
    return request.rstrip(".") + draw.one(_FILLERS_AFTER_EN)


def _fillers_zh(draw: Draw, request: str, keep: str) -> str:
    if draw.chance(0.5):
        return draw.one(_FILLERS_BEFORE_ZH) + request
    return request.rstrip("。") + draw.one(_FILLERS_AFTER_ZH)


def _swap_words(table: dict[str, str], most: int) -> Callable[[Draw, str, str], str]:
    def spoil(draw: Draw, request: str, keep: str) -> str:
        words = request.split(" ")
        spots = [i for i, word in enumerate(words) if word.strip(".,?!:") in table and word not in keep]
        for i in draw.some(spots, most):
            bare = words[i].strip(".,?!:")
            words[i] = words[i].replace(bare, table[bare])
        return " ".join(words)

    return spoil


def _swap_characters(table: dict[str, str], most: int) -> Callable[[Draw, str, str], str]:
    def spoil(draw: Draw, request: str, keep: str) -> str:
        spots = [word for word in table if word in request and word not in keep]
        for word in draw.some(spots, most):
            request = request.replace(word, table[word], 1)
        return request

    return spoil


_Spoiler = Callable[[Draw, str, str], str]
_WAYS: dict[str, tuple[_Spoiler, ...]] = {
    "en": (
        _typos,
        _lower,
        _unpunctuated,
        _fragment_en,
        _fillers_en,
        _swap_words(_SHORT_EN, 2),
        _swap_words(_MIXED_EN, 1),
    ),
    "zh": (
        _unpunctuated,
        _fragment_zh,
        _fillers_zh,
        _swap_characters(_WRONG_ZH, 2),
        _swap_characters(_PINYIN, 2),
        _swap_characters(_MIXED_ZH, 1),
    ),
}
