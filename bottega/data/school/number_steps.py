"""What can be kept of a list of numbers, and how a number can be changed."""

from __future__ import annotations

from bottega.data.school.draw import Draw
from bottega.data.school.steps import Maker, Step, change, keep


def _even(draw: Draw) -> Step:
    return keep("even", "@ % 2 == 0", "even", "偶数", "even", "ints", lambda x: x % 2 == 0)


def _odd(draw: Draw) -> Step:
    return keep("odd", "@ % 2 == 1", "odd", "奇数", "odd", "ints", lambda x: x % 2 == 1)


def _positive(draw: Draw) -> Step:
    return keep("positive", "@ > 0", "positive", "正数", "positive", "ints", lambda x: x > 0)


def _negative(draw: Draw) -> Step:
    return keep("negative", "@ < 0", "negative", "负数", "negative", "ints", lambda x: x < 0)


def _above(draw: Draw) -> Step:
    k = draw.between(2, 15)
    return keep(
        "above", f"@ > {k}", f" greater than {k}", f"大于{k}的", f"above_{k}", "ints", lambda x: x > k
    )


def _below(draw: Draw) -> Step:
    k = draw.between(4, 15)
    return keep("below", f"@ < {k}", f" less than {k}", f"小于{k}的", f"below_{k}", "ints", lambda x: x < k)


def _multiple(draw: Draw) -> Step:
    k = draw.between(3, 5)
    return keep(
        "multiple",
        f"@ % {k} == 0",
        f" divisible by {k}",
        f"能被{k}整除的",
        f"multiples_of_{k}",
        "ints",
        lambda x: x % k == 0,
    )


def _differs(draw: Draw) -> Step:
    k = draw.between(0, 9)
    return keep(
        "differs", f"@ != {k}", f" other than {k}", f"不等于{k}的", f"not_{k}", "ints", lambda x: x != k
    )


def _double(draw: Draw) -> Step:
    return change("double", "@ * 2", "double @", "把@翻倍", "double", "ints", lambda x: x * 2, "doubled")


def _times(draw: Draw) -> Step:
    k = draw.between(3, 5)
    return change(
        "times",
        f"@ * {k}",
        f"multiply @ by {k}",
        f"把@乘以{k}",
        f"times_{k}",
        "ints",
        lambda x: x * k,
        "scaled",
    )


def _plus(draw: Draw) -> Step:
    k = draw.between(1, 9)
    return change(
        "plus", f"@ + {k}", f"add {k} to @", f"给@加{k}", f"add_{k}", "ints", lambda x: x + k, "raised"
    )


def _minus(draw: Draw) -> Step:
    k = draw.between(1, 9)
    return change(
        "minus",
        f"@ - {k}",
        f"subtract {k} from @",
        f"从@中减去{k}",
        f"subtract_{k}",
        "ints",
        lambda x: x - k,
        "lowered",
    )


def _square(draw: Draw) -> Step:
    return change("square", "@ * @", "square @", "求@的平方", "square", "ints", lambda x: x * x, "squares")


def _negate(draw: Draw) -> Step:
    return change("negate", "-@", "negate @", "取@的相反数", "negate", "ints", lambda x: -x, "negated")


def _half(draw: Draw) -> Step:
    return change(
        "half",
        "@ // 2",
        "take half of @ rounded down",
        "把@除以2并向下取整",
        "halve",
        "ints",
        lambda x: x // 2,
        "halves",
    )


def _remainder(draw: Draw) -> Step:
    k = draw.between(3, 10)
    return change(
        "remainder",
        f"@ % {k}",
        f"take the remainder of @ divided by {k}",
        f"求@除以{k}的余数",
        f"mod_{k}",
        "ints",
        lambda x: x % k,
        "remainders",
    )


def _absolute(draw: Draw) -> Step:
    return change(
        "absolute", "abs(@)", "take the absolute value of @", "取@的绝对值", "absolute", "ints", abs, "sizes"
    )


def _cap(draw: Draw) -> Step:
    k = draw.between(6, 15)
    return change(
        "cap",
        f"min(@, {k})",
        f"limit @ to at most {k}",
        f"把@限制为不超过{k}",
        f"cap_{k}",
        "ints",
        lambda x: min(x, k),
        "capped",
    )


KEEP_NUMBERS: tuple[Maker, ...] = (_even, _odd, _positive, _negative, _above, _below, _multiple, _differs)
CHANGE_NUMBERS: tuple[Maker, ...] = (
    _double,
    _times,
    _plus,
    _minus,
    _square,
    _negate,
    _half,
    _remainder,
    _absolute,
    _cap,
)
