"""Pages of an exercise book with the answers: reading, lists and words, for every model's pretraining.

What a page practises is the single step: to find, to copy, to put in order. Requests in the chat's form and steps
that follow one another occur in no page; they are what later stages teach.
"""
# ruff: noqa: E501 (tables of wordings; a Chinese character counts double)

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

from bottega.data.records import Document, Origin
from bottega.data.school.draw import Draw, fresh_item
from bottega.data.school.exercise import name_in
from bottega.data.school.exercises import WORD_ROWS, exercise
from bottega.data.school.facts import KINDS, Fact, Named, cast, draw_fact
from bottega.data.school.instructions import distinct_few
from bottega.data.school.list_exercises import MARK, list_again
from bottega.data.school.nouns import NOUNS, a
from bottega.data.school.passages import ask_and_answer, capital, gap, other_people, state
from bottega.data.school.prose import LICENCE
from bottega.data.school.registry import Language, Part, register_part
from bottega.data.school.words import ADJECTIVES, COLOURS, JOBS
from bottega.data.school.world import Split, World

# {x} and {w} the exercise's words. The data stands above, the answer follows.
LIST_LABELS: dict[Language, dict[str, tuple[str, ...]]] = {
    "en": {
        "first": ("First: ", "The first is ", "It begins with "),
        "last": ("Last: ", "The last is ", "It ends with "),
        "reverse": ("Backwards: ", "In reverse: ", "From the end to the beginning: "),
        "swap": ("First and last swapped: ", "With the ends swapped: "),
        "drop-first": ("All but the first: ", "After the first: "),
        "drop-last": ("All but the last: ", "Before the last: "),
        "keep-two": ("The first two: ", "The beginning: "),
        "add": ("With {w} added: ", "{w} added: "),
        "replace": ("With {w} for {x}: ", "{w} replaces {x}: "),
        "without": ("With no {x}: ", "No {x}: "),
        "animals": ("The animals: ", "Animals among them: "),
        "twice": ("Each one twice: ", "Doubled: "),
        "alphabet": ("Alphabetical: ", "By the alphabet: "),
        "capitals": ("In capitals: ", "Capital letters: "),
        "dashes": ("With dashes: ", "Dashes between: "),
        "slashes": ("With slashes: ", "Slashes between: "),
        "plus": ("With plus signs: ", "Plus signs between: "),
        "json": ("JSON: ", "As JSON: "),
        "lines": ("Line by line:\n", "One below the other:\n"),
        "numbered": ("Numbered:\n", "With numbers:\n"),
        "and": ("As a phrase: ", "In a sentence: "),
        "brackets": ("In brackets: ", "With brackets: "),
        "count": ("How many: ", "The number of them: "),
        "sort": ("In order: ", "From small to large: "),
        "largest": ("The largest: ", "The greatest: "),
    },
    "zh": {
        "first": ("第一个：", "第一个是", "开头是"),
        "last": ("最后一个：", "最后一个是", "末尾是"),
        "reverse": ("倒过来：", "从后往前：", "反过来是"),
        "swap": ("首尾互换：", "两头换一换："),
        "drop-first": ("除了第一个：", "第一个之后："),
        "drop-last": ("除了最后一个：", "最后一个之前："),
        "keep-two": ("前两个：", "开头两个："),
        "add": ("加上{w}：", "再加{w}："),
        "replace": ("{x}换成{w}：", "用{w}换{x}："),
        "without": ("没有{x}：", "不算{x}："),
        "animals": ("动物：", "其中的动物："),
        "twice": ("每个两遍：", "每个重复一次："),
        "dashes": ("用横线：", "中间加横线："),
        "slashes": ("用斜线：", "中间加斜线："),
        "plus": ("用加号：", "中间加加号："),
        "json": ("JSON：", "写成JSON："),
        "lines": ("一行一个：\n", "逐行写：\n"),
        "numbered": ("编号：\n", "加上编号：\n"),
        "and": ("写成短语：", "连成一句："),
        "brackets": ("加方括号：", "用方括号："),
        "count": ("个数：", "一共："),
        "sort": ("从小到大：", "按大小："),
        "largest": ("最大的：", "最大的是"),
    },
}
_WORDS: dict[Language, dict[str, tuple[str, ...]]] = {
    "en": {
        "opposite": ("The opposite of {x} is {y}.", "{x} is the opposite of {y}.", "not {x} but {y}"),
        "plural": ("One {x}, two {y}.", "The plural of {x} is {y}."),
        "past": ("Today they {x}, yesterday they {y}.", "The past of {x} is {y}."),
        "comparative": ("{x}, {y}", "First {x}, then {y}."),
        "category": ("{a_x} is a kind of {y}.", "{x}: {y}", "What is {a_x}? It is a kind of {y}."),
        "translate": ("{x} is {y} in Chinese.", "In Chinese, {x} is {y}.", "{x}: {y}"),
        "young": ("A young {x} is a {y}.",),
        "sound": ("{a_x} says {y}.",),
        "next-day": ("After {x} comes {y}.",),
    },
    "zh": {
        "opposite": ("“{x}”的反面是“{y}”。", "不是{x}，而是{y}。", "“{x}”和“{y}”相反。"),
        "measure": ("{x}：一{y}",),
        "one-of": ("{x}：{y}",),
        "very": ("{x}，{y}",),
        "category": ("{x}是一种{y}。", "{x}：{y}"),
        "translate": ("{x}的英文是{y}。", "{x}用英文说是{y}。", "{x}：{y}"),
        "young": ("{x}的孩子是{y}。",),
        "sound": ("{x}的叫声是{y}。",),
        "next-day": ("{x}之后是{y}。",),
    },
}
_MARKS = re.compile(r"[,;] |[、，]| ")  # what ``show`` puts between items
_COPY_MARKS: dict[Language, tuple[str, ...]] = {
    "en": (" ", ", ", ", ", "; ", "-", "/", "+"),
    "zh": ("、", "、", "，", " ", "-", "/", "+"),
}
_COPIED: tuple[Named, ...] = (*NOUNS, *COLOURS, *JOBS, *ADJECTIVES)
_MORE = ("first", "last", "reverse", "drop-first", "drop-last", "keep-two", "count")  # of any list
_OFTEN = ("opposite", "translate", "category")


def _reading(draw: Draw) -> str:
    """A short text with questions, and with sentences that are true of it or not."""
    language = draw.language
    people = cast(draw, draw.between(1, 3))
    taken: list[object] = list(people)
    kinds = draw.some(KINDS, 2)
    facts = [draw_fact(draw, draw.one(kinds), person, taken) for person in people]
    lines = [gap(language).join(state(draw, fact) for fact in facts)]
    for fact in draw.some(facts, draw.between(1, 3)):
        lines.append(_judged(draw, fact, facts) if draw.chance(0.4) else ask_and_answer(draw, fact))
    return "\n".join(lines)


def _judged(draw: Draw, fact: Fact, facts: list[Fact]) -> str:
    """A fact in other words, or said of somebody else: true, false, or not told."""
    zh = draw.language == "zh"
    told = other_people(fact, facts)
    way = draw.below(4)
    if way == 0:
        named = [person for f in facts for person in (f.who, f.other)]
        fact = replace(fact, who=draw.one([p for p in draw.world.people if p not in named]))
        verdict = "没有说。" if zh else "Not told."
    elif way == 1 and told:
        fact = replace(fact, who=draw.one(told))
        verdict = "不对。" if zh else "False."
    else:
        verdict = "对。" if zh else "True."
    return f"{state(draw, fact)}{gap(draw.language)}{verdict}"


def _list(draw: Draw) -> str:
    """A few words or numbers, and what becomes of them."""
    language = draw.language
    wordings = LIST_LABELS[language]
    task = draw.one(tuple(wordings))
    made = exercise(draw, task, language)
    lines = [made.data]
    lines.append(draw.one(wordings[task]).format_map(made.steps[0][1]) + made.answer)
    items = _MARKS.split(made.data)
    if len(items) > 2:
        mark = MARK[language]
        for name in draw.some([name for name in _MORE if name != task], draw.between(1, 3)):
            lines.append(draw.one(wordings[name]) + list_again(mark.join(items), name, language))
    return "\n".join(lines)


def _words(draw: Draw) -> str:
    """What a few words mean, alike in kind."""
    language = draw.language
    rows = WORD_ROWS[language]
    task = draw.one(_OFTEN if draw.chance(0.6) else tuple(rows))
    form = draw.one(_WORDS[language][task])
    lines = []
    for x, y in draw.some(rows[task], draw.between(3, 6)):
        lines.append(capital(form.format(x=x, y=y, a_x=a(x) if language == "en" else x)))
    return ("\n" if draw.chance(0.6) else gap(language)).join(lines)


def _copied(draw: Draw) -> str:
    """A row of words, names or numbers, written again below, sometimes with other marks between them."""
    language = draw.language
    n = draw.between(4, 14)
    kind = draw.below(3)
    if kind == 0:
        row = [name_in(word, language) for word in draw.some(_COPIED, n)]
    elif kind == 1:
        row = [name_in(person, language) for person in draw.some(draw.world.people, n)]
    else:
        row = [str(draw.below(100)) for _ in range(n)]
    marks = _COPY_MARKS[language]
    mark = draw.one(marks)
    again = [draw.one(marks) if draw.chance(0.3) else mark for _ in range(draw.between(1, 2))]
    return "\n".join(between.join(row) for between in (mark, *again))


_EXERCISES: tuple[Callable[[Draw], str], ...] = (
    *(_reading,) * 7,
    *(_list,) * 7,
    *(_words,) * 3,
    *(_copied,) * 4,
)


def _page(draw: Draw) -> str:
    """Exercises of one kind or several, as many as fit a page."""
    kind = draw.one(_EXERCISES)
    mixed = draw.chance(0.4)
    pieces = [kind(draw)]
    for _ in range(draw.between(1, 5)):
        pieces.append((draw.one(_EXERCISES) if mixed else kind)(draw))
    return "\n\n".join(pieces)


def _register(language: Language) -> None:
    name = f"schoolbook-{language}"

    def item(world: World, split: Split, index: int) -> Document:
        text = fresh_item(_page, world, name, split, index, language)
        return Document(text, Origin(f"school:{name}", str(index), LICENCE))

    spoken = "English" if language == "en" else "Chinese"
    register_part(
        Part(
            name,
            "documents",
            f"pages of an exercise book with the answers: reading, lists, words; {spoken}",
            item,
            lambda world: distinct_few(language, world),
        )
    )


_register("en")
_register("zh")
