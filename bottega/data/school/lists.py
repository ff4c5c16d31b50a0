"""In-context lists: one latent task by several examples, so that only the examples say which task it is.

A pair of neighbours (task, word, next word) belongs to one split: training never shows the held-out
neighbours, and the last example before an evaluated query is always a held-out neighbour of it.
"""

from __future__ import annotations

from math import perm

from bottega.data.records import Check, Document, Message, Origin, Prompt
from bottega.data.school.draw import Draw, fresh_item
from bottega.data.school.latent import LATENT, Latent, Pair
from bottega.data.school.prose import LICENCE
from bottega.data.school.registry import EvalTask, Language, Part, register_part, register_task
from bottega.data.school.words import COLOURS
from bottega.data.school.world import Split, World

SHOTS = (0, 1, 2, 4, 8)
_MOST = 10  # examples in one document
# How often a task is shown, where not once: those that only the examples tell apart (the first or the last,
# one more or two more) teach to look at them all.
_OFTEN = {
    **dict.fromkeys(("add-one", "add-two", "add-ten", "double"), 3),
    **dict.fromkeys(("first-item", "middle-item", "last-item", "reversed"), 2),
    **dict.fromkeys(("next-number", "number-before", "opposite"), 2),
}

# (before the input, between input and output, after the output)
FORMATS: dict[Language, tuple[tuple[str, str, str], ...]] = {
    "en": (
        ("", " -> ", "\n"),
        ("", " => ", "\n"),
        ("", ": ", "\n"),
        ("", " = ", "\n"),
        ("Input: ", "\nOutput: ", "\n"),
        ("Q: ", "\nA: ", "\n"),
    ),
    "zh": (
        ("", " -> ", "\n"),
        ("", " => ", "\n"),
        ("", "：", "\n"),
        ("", " = ", "\n"),
        ("输入：", "\n输出：", "\n"),
        ("问：", "\n答：", "\n"),
    ),
}


_SHOWN: dict[Language, tuple[Latent, ...]] = {
    language: tuple(task for task in tasks for _ in range(_OFTEN.get(task.name, 1)))
    for language, tasks in LATENT.items()
}


def _next_pair(
    draw: Draw, task: Latent, before: str | None, used: set[str], *, any_side: bool = False
) -> Pair | None:
    """A pair with an input not used yet, whose neighbourhood with the one before is of the draw's split."""
    pairs = task.pairs(draw.world) if task.pairs is not None else ()
    for _ in range(60):
        pair = draw.one(pairs) if pairs else task.draw_pair(draw) if task.draw_pair else None
        if pair is None or pair[0] in used:
            continue
        if any_side or before is None or draw.on_side(task.name, before, pair[0]):
            return pair
    return None


def _examples(draw: Draw, task: Latent, n: int) -> list[Pair]:
    """Up to n examples. In training all neighbours are training's; a held-out list's last are held out."""
    examples: list[Pair] = []
    used: set[str] = set()
    while len(examples) < n:
        before = examples[-1][0] if examples else None
        pair = _next_pair(draw, task, before, used, any_side=draw.heldout and len(examples) < n - 1)
        if pair is None:
            break
        examples.append(pair)
        used.add(pair[0])
    return examples


def _render(examples: list[Pair], form: tuple[str, str, str]) -> str:
    before, middle, end = form
    return "".join(f"{before}{x}{middle}{y}{end}" for x, y in examples)


def _table(draw: Draw) -> str:
    """Made-up pairs, some of them shown twice: what only the text at hand can answer."""
    people = draw.some(draw.world.people, draw.between(3, 5))
    names = [p.en if draw.language == "en" else p.zh for p in people]
    rows = []
    for name, person in zip(names, people, strict=True):
        colour = draw.paired(person.en, COLOURS)
        rows.append((name, colour.en if draw.language == "en" else colour.zh))
    rows += draw.some(rows, draw.between(2, 4))
    return _render(rows, draw.one(FORMATS[draw.language])).rstrip("\n")


def list_text(draw: Draw) -> str:
    """One list of some task in some format."""
    if draw.chance(0.1):
        return _table(draw)
    task = draw.one(_SHOWN[draw.language])
    form = draw.one(FORMATS[draw.language])
    return _render(_examples(draw, task, draw.between(4, _MOST)), form).rstrip("\n")


def _distinct(language: Language, world: World) -> int:
    """Ordered choices of 4 to 10 different inputs, times formats. The made-up tables are not counted."""
    total = 0
    for task in LATENT[language]:
        inputs = task.count(world)
        total += sum(perm(inputs, k) for k in range(4, _MOST + 1))
    return total * len(FORMATS[language])


def _case(world: World, language: Language, index: int) -> tuple[list[Pair], Pair, tuple[str, str, str]]:
    """Eight examples, a query whose neighbourhood with the last of them is held out, and a format.

    The same for every number of shots, so that the numbers are compared on the same queries.
    """

    def make(draw: Draw) -> tuple[list[Pair], Pair, tuple[str, str, str]] | None:
        task = draw.one([t for t in LATENT[language] if t.count(world) > max(SHOTS) + 2])
        form = draw.one(FORMATS[language])
        shots: list[Pair] = []
        used: set[str] = set()
        while len(shots) < max(SHOTS):
            pair = _next_pair(draw, task, None, used)
            if pair is None:
                return None
            shots.append(pair)
            used.add(pair[0])
        query = _next_pair(draw, task, shots[-1][0], used)
        return None if query is None else (shots, query, form)

    attempt = 0
    while True:
        draw = Draw(world, f"icl-{language}/{attempt}", "heldout", index, language)
        case = make(draw)
        if case is not None:
            return case
        attempt += 1


def icl_prompt(world: World, language: Language, shots: int, index: int) -> Prompt:
    """The case with its last ``shots`` examples shown, ending where the answer begins."""
    examples, (x, y), (before, middle, end) = _case(world, language, index)
    shown = examples[len(examples) - shots :]
    text = f"{_render(shown, (before, middle, end))}{before}{x}{middle}".rstrip(" ")
    return Prompt(
        (Message("user", text),),
        Check("exact", (y,)),
        Origin(f"school:icl-{language}-{shots}", str(index), LICENCE),
    )


def _register(language: Language) -> None:
    name = f"lists-{language}"
    spoken = "English" if language == "en" else "Chinese"

    def item(world: World, split: Split, index: int) -> Document:
        text = fresh_item(list_text, world, name, split, index, language)
        return Document(text, Origin(f"school:{name}", str(index), LICENCE))

    register_part(
        Part(
            name,
            "documents",
            f"lists of examples of one unnamed task, {spoken}",
            item,
            lambda world: _distinct(language, world),
        )
    )

    def floor_examples(world: World, n: int) -> list[tuple[str, str]]:
        rows = []
        for i in range(n):
            lines = item(world, "train", i).text.rsplit("\n", 1)
            last = lines[-1]
            for _, middle, _ in FORMATS[language]:
                mark = middle.strip("\n ")
                if mark and mark in last:
                    query, answer = last.rsplit(mark, 1)
                    head = "\n".join([*lines[:-1], f"{query}{mark}"])
                    rows.append((head, answer.strip()))
                    break
        return rows

    for shots in SHOTS:

        def cases(world: World, n: int, shots: int = shots) -> list[Prompt]:
            return [icl_prompt(world, language, shots, i) for i in range(n)]

        register_task(
            EvalTask(
                f"icl-{language}-{shots}",
                "completion",
                language,
                f"the next line of a list after {shots} examples, {spoken}",
                cases,
                floor_examples,
                aligned=True,
            )
        )


_register("en")
_register("zh")
