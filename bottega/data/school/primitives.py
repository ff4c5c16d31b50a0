"""The words of the program grammar: small steps over numbers, words and texts, each with its code, its meaning and its names.

A step is bound to its constant when it is drawn ("above 5"), and knows how it is written in Python, said in English and
Chinese, named in an identifier, and computed, so that documents, tests and traces all come from one place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from bottega.data.school.draw import Draw

Shape = Literal["ints", "strs", "int", "str", "bool"]  # lists of ints, lists of strings, and scalars
Role = Literal["keep", "change", "arrange", "finish"]
LETTERS = "aeiorst"


@dataclass(frozen=True, slots=True)
class Step:
    """One primitive with its constant bound. ``code`` has ``@`` where its operand stands."""

    role: Role
    name: str  # without its constant: compositions are told apart by names
    code: str
    # keep: an adjective, or what follows the noun. change: an imperative, ``@`` its object. arrange: likewise, ``@`` the
    # items ("them"), ``#`` their bare noun (or nothing), ``~`` one of them. finish: a noun phrase's head.
    en: str
    zh: str
    slug: str  # in a function's name
    result: Shape  # the shape of the whole value after this step
    run: Callable[[Any], Any]
    atomic: bool = False  # the code binds tighter than any operator
    local: str = "result"  # a variable's name for its value
    noun: str = ""  # finish: the noun phrase; arrange: the noun phrase with ``@`` for what is arranged
    noun_zh: str = ""

    def of(self, operand: str) -> str:
        """The step's code over an operand, which the caller has wrapped where it must be."""
        return self.code.replace("@", operand)


Maker = Callable[[Draw], Step]


def _keep(name: str, code: str, en: str, zh: str, slug: str, result: Shape, run: Callable[[Any], bool]) -> Step:
    """A filter; ``en`` is an adjective before the noun, or follows it when it starts with a space."""

    def kept(values: Sequence[Any]) -> list[Any]:
        return [value for value in values if run(value)]

    return Step("keep", name, code, en, zh, slug, result, kept, local="kept")


def _change(
    name: str, code: str, en: str, zh: str, slug: str, result: Shape, run: Callable[[Any], Any], local: str
) -> Step:
    """A map; ``run`` is of one element, and of every element when the value is a list."""

    def changed(value: Any) -> Any:
        return [run(item) for item in value] if isinstance(value, list) else run(value)

    return Step("change", name, code, en, zh, slug, result, changed, code[-1] in ")]", local)


def _arrange(name: str, code: str, en: str, zh: str, slug: str, noun: str, noun_zh: str, run: Callable[[Any], Any]) -> Step:
    return Step("arrange", name, code, en, zh, slug, "ints", run, True, "ordered", noun, noun_zh)


def _finish(
    name: str, code: str, noun: str, noun_zh: str, slug: str, result: Shape, run: Callable[[Any], Any], local: str = "result"
) -> Step:
    atomic = code.endswith(")") and " " not in code.split("(")[0]
    return Step("finish", name, code, noun, noun_zh, slug, result, run, atomic, local, noun, noun_zh)


# --- filters over lists of ints -------------------------------------------------------------------------------------


def _even(draw: Draw) -> Step:
    return _keep("even", "@ % 2 == 0", "even", "偶数", "even", "ints", lambda x: x % 2 == 0)


def _odd(draw: Draw) -> Step:
    return _keep("odd", "@ % 2 == 1", "odd", "奇数", "odd", "ints", lambda x: x % 2 == 1)


def _positive(draw: Draw) -> Step:
    return _keep("positive", "@ > 0", "positive", "正数", "positive", "ints", lambda x: x > 0)


def _negative(draw: Draw) -> Step:
    return _keep("negative", "@ < 0", "negative", "负数", "negative", "ints", lambda x: x < 0)


def _above(draw: Draw) -> Step:
    k = draw.between(2, 15)
    return _keep("above", f"@ > {k}", f" greater than {k}", f"大于{k}的", f"above_{k}", "ints", lambda x: x > k)


def _below(draw: Draw) -> Step:
    k = draw.between(4, 15)
    return _keep("below", f"@ < {k}", f" less than {k}", f"小于{k}的", f"below_{k}", "ints", lambda x: x < k)


def _multiple(draw: Draw) -> Step:
    k = draw.between(3, 5)
    return _keep(
        "multiple", f"@ % {k} == 0", f" divisible by {k}", f"能被{k}整除的", f"multiples_of_{k}", "ints",
        lambda x: x % k == 0,
    )  # fmt: skip


def _differs(draw: Draw) -> Step:
    k = draw.between(0, 9)
    return _keep("differs", f"@ != {k}", f" other than {k}", f"不等于{k}的", f"not_{k}", "ints", lambda x: x != k)


# --- maps over ints -------------------------------------------------------------------------------------------------


def _double(draw: Draw) -> Step:
    return _change("double", "@ * 2", "double @", "把@翻倍", "double", "ints", lambda x: x * 2, "doubled")


def _times(draw: Draw) -> Step:
    k = draw.between(3, 5)
    return _change(
        "times", f"@ * {k}", f"multiply @ by {k}", f"把@乘以{k}", f"times_{k}", "ints", lambda x: x * k, "scaled"
    )


def _plus(draw: Draw) -> Step:
    k = draw.between(1, 9)
    return _change("plus", f"@ + {k}", f"add {k} to @", f"给@加{k}", f"add_{k}", "ints", lambda x: x + k, "raised")


def _minus(draw: Draw) -> Step:
    k = draw.between(1, 9)
    return _change(
        "minus", f"@ - {k}", f"subtract {k} from @", f"从@中减去{k}", f"subtract_{k}", "ints", lambda x: x - k, "lowered"
    )


def _square(draw: Draw) -> Step:
    return _change("square", "@ * @", "square @", "求@的平方", "square", "ints", lambda x: x * x, "squares")


def _negate(draw: Draw) -> Step:
    return _change("negate", "-@", "negate @", "取@的相反数", "negate", "ints", lambda x: -x, "negated")


def _half(draw: Draw) -> Step:
    return _change(
        "half", "@ // 2", "take half of @ rounded down", "把@除以2并向下取整", "halve", "ints", lambda x: x // 2, "halves"
    )


def _remainder(draw: Draw) -> Step:
    k = draw.between(3, 10)
    return _change(
        "remainder", f"@ % {k}", f"take the remainder of @ divided by {k}", f"求@除以{k}的余数", f"mod_{k}", "ints",
        lambda x: x % k, "remainders",
    )  # fmt: skip


def _absolute(draw: Draw) -> Step:
    return _change("absolute", "abs(@)", "take the absolute value of @", "取@的绝对值", "absolute", "ints", abs, "sizes")


def _cap(draw: Draw) -> Step:
    k = draw.between(6, 15)
    return _change(
        "cap", f"min(@, {k})", f"limit @ to at most {k}", f"把@限制为不超过{k}", f"cap_{k}", "ints",
        lambda x: min(x, k), "capped",
    )  # fmt: skip


# --- filters and maps over words ------------------------------------------------------------------------------------


def _longer(draw: Draw) -> Step:
    k = draw.between(2, 5)
    return _keep(
        "longer", f"len(@) > {k}", f" longer than {k} letters", f"长于{k}个字母的", f"longer_than_{k}", "strs",
        lambda x: len(x) > k,
    )  # fmt: skip


def _shorter(draw: Draw) -> Step:
    k = draw.between(4, 6)
    return _keep(
        "shorter", f"len(@) < {k}", f" shorter than {k} letters", f"短于{k}个字母的", f"shorter_than_{k}", "strs",
        lambda x: len(x) < k,
    )  # fmt: skip


def _starts(draw: Draw) -> Step:
    k = draw.one("bcfmps")
    return _keep(
        "starts", f'@.startswith("{k}")', f' starting with "{k}"', f"以“{k}”开头的", f"starting_with_{k}", "strs",
        lambda x: x.startswith(k),
    )  # fmt: skip


def _ends(draw: Draw) -> Step:
    k = draw.one("detrnky")
    return _keep(
        "ends", f'@.endswith("{k}")', f' ending with "{k}"', f"以“{k}”结尾的", f"ending_with_{k}", "strs",
        lambda x: x.endswith(k),
    )  # fmt: skip


def _contains(draw: Draw) -> Step:
    k = draw.one(LETTERS)
    return _keep(
        "contains", f'"{k}" in @', f' that contain "{k}"', f"含有“{k}”的", f"with_{k}", "strs", lambda x: k in x
    )


def _upper(draw: Draw) -> Step:
    return _change("upper", "@.upper()", "put @ in upper case", "把@变成大写", "upper", "strs", str.upper, "loud")


def _capital(draw: Draw) -> Step:
    return _change(
        "capital", "@.capitalize()", "capitalize @", "把@的首字母大写", "capitalize", "strs", str.capitalize, "titles"
    )


def _backwards(draw: Draw) -> Step:
    return _change(
        "backwards", "@[::-1]", "spell @ backwards", "把@倒着写", "backwards", "strs", lambda x: x[::-1], "mirrored"
    )


def _initial(draw: Draw) -> Step:
    return _change(
        "initial", "@[:1]", "take the first letter of @", "取@的第一个字母", "initial", "strs", lambda x: x[:1],
        "initials",
    )  # fmt: skip


def _head(draw: Draw) -> Step:
    k = draw.between(2, 3)
    return _change(
        "head", f"@[:{k}]", f"take the first {k} letters of @", f"取@的前{k}个字母", f"first_{k}_letters", "strs",
        lambda x: x[:k], "heads",
    )  # fmt: skip


def _tail(draw: Draw) -> Step:
    k = draw.between(2, 3)
    return _change(
        "tail", f"@[-{k}:]", f"take the last {k} letters of @", f"取@的后{k}个字母", f"last_{k}_letters", "strs",
        lambda x: x[-k:], "tails",
    )  # fmt: skip


def _mark(draw: Draw) -> Step:
    k = draw.one("!?.s")
    return _change(
        "mark", f'@ + "{k}"', f'add "{k}" to the end of @', f"在@末尾加上“{k}”", "mark", "strs", lambda x: x + k,
        "marked",
    )  # fmt: skip


def _twice(draw: Draw) -> Step:
    k = draw.between(2, 3)
    return _change(
        "twice", f"@ * {k}", f"repeat @ {k} times", f"把@重复{k}次", f"repeat_{k}_times", "strs", lambda x: x * k,
        "repeated",
    )  # fmt: skip


def _swap(draw: Draw) -> Step:
    a, b = draw.some(LETTERS, 2)
    return _change(
        "swap", f'@.replace("{a}", "{b}")', f'replace "{a}" with "{b}" in @', f"把@里的“{a}”换成“{b}”",
        f"replace_{a}_with_{b}", "strs", lambda x: x.replace(a, b), "replaced",
    )  # fmt: skip


def _length(draw: Draw) -> Step:
    return _change("length", "len(@)", "take the length of @", "求@的长度", "length", "ints", len, "lengths")


# --- the order and the ends of lists --------------------------------------------------------------------------------


def _reverse(draw: Draw) -> Step:
    return _arrange(
        "reverse", "@[::-1]", "reverse @", "把@倒序排列", "reverse", "@ in reverse order", "倒序排列的@",
        lambda v: v[::-1],
    )  # fmt: skip


def _ascend(draw: Draw) -> Step:
    return _arrange("ascend", "sorted(@)", "sort @", "把@从小到大排序", "sort", "@ in sorted order", "从小到大排列的@", sorted)


def _descend(draw: Draw) -> Step:
    return _arrange(
        "descend", "sorted(@, reverse=True)", "sort @ in descending order", "把@从大到小排序", "sort_descending",
        "@ in descending order", "从大到小排列的@", lambda v: sorted(v, reverse=True),
    )  # fmt: skip


def _first(draw: Draw) -> Step:
    k = draw.between(2, 3)
    return _arrange(
        "first", f"@[:{k}]", f"take the first {k} #", f"取前{k}个#", f"first_{k}", f"first {k} @", f"前{k}个@", lambda v: v[:k]
    )


def _last(draw: Draw) -> Step:
    k = draw.between(2, 3)
    return _arrange(
        "last", f"@[-{k}:]", f"take the last {k} #", f"取后{k}个#", f"last_{k}", f"last {k} @", f"后{k}个@", lambda v: v[-k:]
    )


def _skip(draw: Draw) -> Step:
    return _arrange(
        "skip", "@[1:]", "leave out the first ~", "去掉第一个#", "skip_first", "@ except the first", "除第一个以外的@",
        lambda v: v[1:],
    )  # fmt: skip


def _alternate(draw: Draw) -> Step:
    return _arrange(
        "alternate", "@[::2]", "take every second ~", "每隔一个取一个#", "every_second",
        "@ at even indexes", "偶数下标上的@", lambda v: v[::2],
    )  # fmt: skip


# --- what a list comes to -------------------------------------------------------------------------------------------


def _total(draw: Draw) -> Step:
    return _finish("total", "sum(@)", "sum", "和", "total", "int", sum, "total")


def _count(draw: Draw) -> Step:
    return _finish("count", "len(@)", "number", "个数", "count", "int", len, "count")


def _largest(draw: Draw) -> Step:
    return _finish(
        "largest", "max(@, default=0)", "largest", "最大值", "largest", "int", lambda v: max(v, default=0), "largest"
    )


def _smallest(draw: Draw) -> Step:
    return _finish(
        "smallest", "min(@, default=0)", "smallest", "最小值", "smallest", "int", lambda v: min(v, default=0), "smallest"
    )


def _has(draw: Draw) -> Step:
    k = draw.between(0, 12)
    return _finish("has", f"{k} in @", f"whether {k} is among", f"{k}", f"has_{k}", "bool", lambda v: k in v, "found")


def _join(draw: Draw) -> Step:
    k = draw.one(("-", " ", ", ", ""))
    shown = {"-": ("dashes", "连字符"), " ": ("spaces", "空格"), ", ": ("commas", "逗号"), "": ("nothing", "")}[k]
    en = f"joined with {shown[0]}" if k else "joined into one text"
    zh = f"用{shown[1]}连接" if k else "直接连接"
    return _finish("join", f'"{k}".join(@)', en, zh, "join", "str", lambda v: k.join(v), "text")


def _longest(draw: Draw) -> Step:
    return _finish(
        "longest", 'max(@, key=len, default="")', "longest", "最长的一个", "longest", "str",
        lambda v: max(v, key=len, default=""), "longest",
    )  # fmt: skip


def _shortest(draw: Draw) -> Step:
    return _finish(
        "shortest", 'min(@, key=len, default="")', "shortest", "最短的一个", "shortest", "str",
        lambda v: min(v, key=len, default=""), "shortest",
    )  # fmt: skip


KEEP: dict[str, tuple[Maker, ...]] = {
    "ints": (_even, _odd, _positive, _negative, _above, _below, _multiple, _differs),
    "strs": (_longer, _shorter, _starts, _ends, _contains),
}
CHANGE: dict[str, tuple[Maker, ...]] = {
    "ints": (_double, _times, _plus, _minus, _square, _negate, _half, _remainder, _absolute, _cap),
    "strs": (_upper, _capital, _backwards, _initial, _head, _tail, _mark, _twice, _swap, _length),
}
ARRANGE: tuple[Maker, ...] = (_reverse, _ascend, _descend, _first, _last, _skip, _alternate)
FINISH: dict[str, tuple[Maker, ...]] = {
    "ints": (_total, _count, _largest, _smallest, _has),
    "strs": (_count, _join, _longest, _shortest),
}
ORDERLESS = frozenset({"total", "count", "largest", "smallest", "has", "ascend", "descend"})
REORDERS = frozenset({"reverse", "ascend", "descend"})


# --- numbers and texts by themselves ----------------------------------------------------------------------------------


def _combine(name: str, code: str, en: str, zh: str, slug: str, run: Callable[[int, int], int]) -> Step:
    """The first step over two numbers: ``@`` and ``$`` stand for them."""
    return Step("change", name, code, en, zh, slug, "int", lambda pair: run(*pair), code.endswith(")"))


def _ask(name: str, code: str, en: str, zh: str, slug: str, result: Shape, run: Callable[[Any], Any]) -> Step:
    """What is asked of a number or a text at the end; ``en`` follows "return"."""
    return Step("finish", name, code, en, zh, slug, result, run, code.endswith(")"))


def _letters_of(draw: Draw) -> Step:
    k = draw.one(LETTERS)
    return _ask(
        "occurrences", f'@.count("{k}")', f'how many times "{k}" occurs in @', f"@中“{k}”出现的次数", f"count_{k}", "int",
        lambda x: x.count(k),
    )  # fmt: skip


def _includes(draw: Draw) -> Step:
    k = draw.one(LETTERS)
    return _ask("includes", f'"{k}" in @', f'whether @ contains "{k}"', f"@是否含有“{k}”", f"has_{k}", "bool", lambda x: k in x)


def _opens(draw: Draw) -> Step:
    k = draw.one("bcfmps")
    return _ask(
        "opens", f'@.startswith("{k}")', f'whether @ starts with "{k}"', f"@是否以“{k}”开头", f"starts_with_{k}", "bool",
        lambda x: x.startswith(k),
    )  # fmt: skip


SCALAR_FINISH: dict[str, tuple[Maker, ...]] = {
    "str": (
        lambda draw: _ask("size", "len(@)", "the length of @", "@的长度", "length", "int", len),
        _letters_of,
        _includes,
        _opens,
    ),
    "int": (
        lambda draw: _ask("is_even", "@ % 2 == 0", "whether @ is even", "@是否为偶数", "is_even", "bool", lambda x: x % 2 == 0),
        lambda draw: _ask("is_positive", "@ > 0", "whether @ is positive", "@是否为正数", "is_positive", "bool", lambda x: x > 0),
        lambda draw: _ask("as_text", "str(@)", "@ as text", "@的文本形式", "as_text", "str", str),
    ),
}
COMBINE: tuple[Maker, ...] = (
    lambda draw: _combine("add", "@ + $", "add @ and $", "把@和$相加", "add", lambda a, b: a + b),
    lambda draw: _combine("subtract", "@ - $", "subtract $ from @", "用@减去$", "subtract", lambda a, b: a - b),
    lambda draw: _combine("multiply", "@ * $", "multiply @ by $", "把@和$相乘", "multiply", lambda a, b: a * b),
    lambda draw: _combine("larger", "max(@, $)", "take the larger of @ and $", "取@和$中较大的一个", "larger", max),
    lambda draw: _combine("smaller", "min(@, $)", "take the smaller of @ and $", "取@和$中较小的一个", "smaller", min),
    lambda draw: _combine(
        "gap", "abs(@ - $)", "take the difference between @ and $", "求@和$的差的绝对值", "gap", lambda a, b: abs(a - b)
    ),
)
