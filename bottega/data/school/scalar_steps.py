"""What can be asked of one number or one text, and how two numbers become one."""

from __future__ import annotations

from bottega.data.school.draw import Draw
from bottega.data.school.steps import Maker, Step, ask, combine
from bottega.data.school.word_steps import LETTERS


def _letters_of(draw: Draw) -> Step:
    k = draw.one(LETTERS)
    return ask(
        "occurrences",
        f'@.count("{k}")',
        f'how many times "{k}" occurs in @',
        f"@中“{k}”出现的次数",
        f"count_{k}",
        "int",
        lambda x: x.count(k),
    )


def _includes(draw: Draw) -> Step:
    k = draw.one(LETTERS)
    return ask(
        "includes",
        f'"{k}" in @',
        f'whether @ contains "{k}"',
        f"@是否含有“{k}”",
        f"has_{k}",
        "bool",
        lambda x: k in x,
    )


def _opens(draw: Draw) -> Step:
    k = draw.one("bcfmps")
    return ask(
        "opens",
        f'@.startswith("{k}")',
        f'whether @ starts with "{k}"',
        f"@是否以“{k}”开头",
        f"starts_with_{k}",
        "bool",
        lambda x: x.startswith(k),
    )


SCALAR_FINISH: dict[str, tuple[Maker, ...]] = {
    "str": (
        lambda draw: ask("size", "len(@)", "the length of @", "@的长度", "length", "int", len),
        _letters_of,
        _includes,
        _opens,
    ),
    "int": (
        lambda draw: ask(
            "is_even",
            "@ % 2 == 0",
            "whether @ is even",
            "@是否为偶数",
            "is_even",
            "bool",
            lambda x: x % 2 == 0,
        ),
        lambda draw: ask(
            "is_positive",
            "@ > 0",
            "whether @ is positive",
            "@是否为正数",
            "is_positive",
            "bool",
            lambda x: x > 0,
        ),
        lambda draw: ask("as_text", "str(@)", "@ as text", "@的文本形式", "as_text", "str", str),
    ),
}
COMBINE: tuple[Maker, ...] = (
    lambda draw: combine("add", "@ + $", "add @ and $", "把@和$相加", "add", lambda a, b: a + b),
    lambda draw: combine(
        "subtract", "@ - $", "subtract $ from @", "用@减去$", "subtract", lambda a, b: a - b
    ),
    lambda draw: combine(
        "multiply", "@ * $", "multiply @ by $", "把@和$相乘", "multiply", lambda a, b: a * b
    ),
    lambda draw: combine(
        "larger", "max(@, $)", "take the larger of @ and $", "取@和$中较大的一个", "larger", max
    ),
    lambda draw: combine(
        "smaller", "min(@, $)", "take the smaller of @ and $", "取@和$中较小的一个", "smaller", min
    ),
    lambda draw: combine(
        "gap",
        "abs(@ - $)",
        "take the difference between @ and $",
        "求@和$的差的绝对值",
        "gap",
        lambda a, b: abs(a - b),
    ),
)
