"""One step of a program: a small operation on numbers, words or texts, with its code, meaning and names.

A step is bound to its constant when it is drawn ("above 5"), and knows how it is written in Python, said in
English and Chinese, named in an identifier, and computed, so that documents, tests and traces all come from
one place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from bottega.data.school.draw import Draw

Shape = Literal["ints", "strs", "int", "str", "bool"]  # lists of ints, lists of strings, and scalars
Role = Literal["keep", "change", "arrange", "finish"]


@dataclass(frozen=True, slots=True)
class Step:
    """One primitive with its constant bound. ``code`` has ``@`` where its operand stands."""

    role: Role
    name: str  # without its constant: compositions are told apart by names
    code: str
    # keep: an adjective, or what follows the noun. change: an imperative with ``@``, its object. arrange:
    # likewise, ``@`` the items ("them"), ``#`` their bare noun (or nothing), ``~`` one. finish: a noun.
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


def keep(
    name: str, code: str, en: str, zh: str, slug: str, result: Shape, run: Callable[[Any], bool]
) -> Step:
    """A filter; ``en`` is an adjective before the noun, or follows it when it starts with a space."""

    def kept(values: Sequence[Any]) -> list[Any]:
        return [value for value in values if run(value)]

    return Step("keep", name, code, en, zh, slug, result, kept, local="kept")


def change(
    name: str, code: str, en: str, zh: str, slug: str, result: Shape, run: Callable[[Any], Any], local: str
) -> Step:
    """A map; ``run`` is of one element, and of every element when the value is a list."""

    def changed(value: Any) -> Any:
        return [run(item) for item in value] if isinstance(value, list) else run(value)

    return Step("change", name, code, en, zh, slug, result, changed, code[-1] in ")]", local)


def arrange(
    name: str, code: str, en: str, zh: str, slug: str, noun: str, noun_zh: str, run: Callable[[Any], Any]
) -> Step:
    return Step("arrange", name, code, en, zh, slug, "ints", run, True, "ordered", noun, noun_zh)


def finish(
    name: str,
    code: str,
    noun: str,
    noun_zh: str,
    slug: str,
    result: Shape,
    run: Callable[[Any], Any],
    local: str = "result",
) -> Step:
    atomic = code.endswith(")") and " " not in code.split("(")[0]
    return Step("finish", name, code, noun, noun_zh, slug, result, run, atomic, local, noun, noun_zh)


def combine(name: str, code: str, en: str, zh: str, slug: str, run: Callable[[int, int], int]) -> Step:
    """The first step over two numbers: ``@`` and ``$`` stand for them."""
    return Step("change", name, code, en, zh, slug, "int", lambda pair: run(*pair), code.endswith(")"))


def ask(name: str, code: str, en: str, zh: str, slug: str, result: Shape, run: Callable[[Any], Any]) -> Step:
    """What is asked of a number or a text at the end; ``en`` follows "return"."""
    return Step("finish", name, code, en, zh, slug, result, run, code.endswith(")"))
