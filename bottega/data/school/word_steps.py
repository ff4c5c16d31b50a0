"""What can be kept of a list of words, and how a word or a text can be changed."""

from __future__ import annotations

from bottega.data.school.draw import Draw
from bottega.data.school.steps import Maker, Step, change, keep

LETTERS = "aeiorst"


def _longer(draw: Draw) -> Step:
    k = draw.between(2, 5)
    return keep(
        "longer",
        f"len(@) > {k}",
        f" longer than {k} letters",
        f"长于{k}个字母的",
        f"longer_than_{k}",
        "strs",
        lambda x: len(x) > k,
    )


def _shorter(draw: Draw) -> Step:
    k = draw.between(4, 6)
    return keep(
        "shorter",
        f"len(@) < {k}",
        f" shorter than {k} letters",
        f"短于{k}个字母的",
        f"shorter_than_{k}",
        "strs",
        lambda x: len(x) < k,
    )


def _starts(draw: Draw) -> Step:
    k = draw.one("bcfmps")
    return keep(
        "starts",
        f'@.startswith("{k}")',
        f' starting with "{k}"',
        f"以“{k}”开头的",
        f"starting_with_{k}",
        "strs",
        lambda x: x.startswith(k),
    )


def _ends(draw: Draw) -> Step:
    k = draw.one("detrnky")
    return keep(
        "ends",
        f'@.endswith("{k}")',
        f' ending with "{k}"',
        f"以“{k}”结尾的",
        f"ending_with_{k}",
        "strs",
        lambda x: x.endswith(k),
    )


def _contains(draw: Draw) -> Step:
    k = draw.one(LETTERS)
    return keep(
        "contains",
        f'"{k}" in @',
        f' that contain "{k}"',
        f"含有“{k}”的",
        f"with_{k}",
        "strs",
        lambda x: k in x,
    )


def _upper(draw: Draw) -> Step:
    return change(
        "upper", "@.upper()", "put @ in upper case", "把@变成大写", "upper", "strs", str.upper, "loud"
    )


def _capital(draw: Draw) -> Step:
    return change(
        "capital",
        "@.capitalize()",
        "capitalize @",
        "把@的首字母大写",
        "capitalize",
        "strs",
        str.capitalize,
        "titles",
    )


def _backwards(draw: Draw) -> Step:
    return change(
        "backwards",
        "@[::-1]",
        "spell @ backwards",
        "把@倒着写",
        "backwards",
        "strs",
        lambda x: x[::-1],
        "mirrored",
    )


def _initial(draw: Draw) -> Step:
    return change(
        "initial",
        "@[:1]",
        "take the first letter of @",
        "取@的第一个字母",
        "initial",
        "strs",
        lambda x: x[:1],
        "initials",
    )


def _head(draw: Draw) -> Step:
    k = draw.between(2, 3)
    return change(
        "head",
        f"@[:{k}]",
        f"take the first {k} letters of @",
        f"取@的前{k}个字母",
        f"first_{k}_letters",
        "strs",
        lambda x: x[:k],
        "heads",
    )


def _tail(draw: Draw) -> Step:
    k = draw.between(2, 3)
    return change(
        "tail",
        f"@[-{k}:]",
        f"take the last {k} letters of @",
        f"取@的后{k}个字母",
        f"last_{k}_letters",
        "strs",
        lambda x: x[-k:],
        "tails",
    )


def _mark(draw: Draw) -> Step:
    k = draw.one("!?.s")
    return change(
        "mark",
        f'@ + "{k}"',
        f'add "{k}" to the end of @',
        f"在@末尾加上“{k}”",
        "mark",
        "strs",
        lambda x: x + k,
        "marked",
    )


def _twice(draw: Draw) -> Step:
    k = draw.between(2, 3)
    return change(
        "twice",
        f"@ * {k}",
        f"repeat @ {k} times",
        f"把@重复{k}次",
        f"repeat_{k}_times",
        "strs",
        lambda x: x * k,
        "repeated",
    )


def _swap(draw: Draw) -> Step:
    a, b = draw.some(LETTERS, 2)
    return change(
        "swap",
        f'@.replace("{a}", "{b}")',
        f'replace "{a}" with "{b}" in @',
        f"把@里的“{a}”换成“{b}”",
        f"replace_{a}_with_{b}",
        "strs",
        lambda x: x.replace(a, b),
        "replaced",
    )


def _length(draw: Draw) -> Step:
    return change("length", "len(@)", "take the length of @", "求@的长度", "length", "ints", len, "lengths")


KEEP_WORDS: tuple[Maker, ...] = (_longer, _shorter, _starts, _ends, _contains)
CHANGE_WORDS: tuple[Maker, ...] = (
    _upper,
    _capital,
    _backwards,
    _initial,
    _head,
    _tail,
    _mark,
    _twice,
    _swap,
    _length,
)
