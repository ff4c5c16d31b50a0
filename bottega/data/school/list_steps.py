"""How a list can be put in order or cut, and what it can come to."""

from __future__ import annotations

from bottega.data.school.draw import Draw
from bottega.data.school.steps import Maker, Step, arrange, finish


def _reverse(draw: Draw) -> Step:
    return arrange(
        "reverse",
        "@[::-1]",
        "reverse @",
        "把@倒序排列",
        "reverse",
        "@ in reverse order",
        "倒序排列的@",
        lambda v: v[::-1],
    )


def _ascend(draw: Draw) -> Step:
    return arrange(
        "ascend",
        "sorted(@)",
        "sort @",
        "把@从小到大排序",
        "sort",
        "@ in sorted order",
        "从小到大排列的@",
        sorted,
    )


def _descend(draw: Draw) -> Step:
    return arrange(
        "descend",
        "sorted(@, reverse=True)",
        "sort @ in descending order",
        "把@从大到小排序",
        "sort_descending",
        "@ in descending order",
        "从大到小排列的@",
        lambda v: sorted(v, reverse=True),
    )


def _first(draw: Draw) -> Step:
    k = draw.between(2, 3)
    return arrange(
        "first",
        f"@[:{k}]",
        f"take the first {k} #",
        f"取前{k}个#",
        f"first_{k}",
        f"first {k} @",
        f"前{k}个@",
        lambda v: v[:k],
    )


def _last(draw: Draw) -> Step:
    k = draw.between(2, 3)
    return arrange(
        "last",
        f"@[-{k}:]",
        f"take the last {k} #",
        f"取后{k}个#",
        f"last_{k}",
        f"last {k} @",
        f"后{k}个@",
        lambda v: v[-k:],
    )


def _skip(draw: Draw) -> Step:
    return arrange(
        "skip",
        "@[1:]",
        "leave out the first ~",
        "去掉第一个#",
        "skip_first",
        "@ except the first",
        "除第一个以外的@",
        lambda v: v[1:],
    )


def _alternate(draw: Draw) -> Step:
    return arrange(
        "alternate",
        "@[::2]",
        "take every second ~",
        "每隔一个取一个#",
        "every_second",
        "@ at even indexes",
        "偶数下标上的@",
        lambda v: v[::2],
    )


def _total(draw: Draw) -> Step:
    return finish("total", "sum(@)", "sum", "和", "total", "int", sum, "total")


def _count(draw: Draw) -> Step:
    return finish("count", "len(@)", "number", "个数", "count", "int", len, "count")


def _largest(draw: Draw) -> Step:
    return finish(
        "largest",
        "max(@, default=0)",
        "largest",
        "最大值",
        "largest",
        "int",
        lambda v: max(v, default=0),
        "largest",
    )


def _smallest(draw: Draw) -> Step:
    return finish(
        "smallest",
        "min(@, default=0)",
        "smallest",
        "最小值",
        "smallest",
        "int",
        lambda v: min(v, default=0),
        "smallest",
    )


def _has(draw: Draw) -> Step:
    k = draw.between(0, 12)
    return finish(
        "has", f"{k} in @", f"whether {k} is among", f"{k}", f"has_{k}", "bool", lambda v: k in v, "found"
    )


def _join(draw: Draw) -> Step:
    k = draw.one(("-", " ", ", ", ""))
    shown = {
        "-": ("dashes", "连字符"),
        " ": ("spaces", "空格"),
        ", ": ("commas", "逗号"),
        "": ("nothing", ""),
    }[k]
    en = f"joined with {shown[0]}" if k else "joined into one text"
    zh = f"用{shown[1]}连接" if k else "直接连接"
    return finish("join", f'"{k}".join(@)', en, zh, "join", "str", lambda v: k.join(v), "text")


def _longest(draw: Draw) -> Step:
    return finish(
        "longest",
        'max(@, key=len, default="")',
        "longest",
        "最长的一个",
        "longest",
        "str",
        lambda v: max(v, key=len, default=""),
        "longest",
    )


def _shortest(draw: Draw) -> Step:
    return finish(
        "shortest",
        'min(@, key=len, default="")',
        "shortest",
        "最短的一个",
        "shortest",
        "str",
        lambda v: min(v, key=len, default=""),
        "shortest",
    )


ARRANGE: tuple[Maker, ...] = (_reverse, _ascend, _descend, _first, _last, _skip, _alternate)
FINISH_NUMBERS: tuple[Maker, ...] = (_total, _count, _largest, _smallest, _has)
FINISH_WORDS: tuple[Maker, ...] = (_count, _join, _longest, _shortest)
