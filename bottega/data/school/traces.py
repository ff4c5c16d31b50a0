"""Documents of code at work: scripts, loops and expressions with every change of state written out.

This is the part of code that teaches working in steps. Its steps are written ``12 - 5 = 7``, as single sums
are in the arithmetic prose; what only code shows is one step feeding the next. No person's name, no
question and no ``Answer:`` occur here, so a story sum asked of a model that read this part is a transfer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bottega.data.records import Document, Origin
from bottega.data.school.composition import Program, draw_arguments, draw_numbers, draw_program
from bottega.data.school.draw import Draw
from bottega.data.school.nouns import EDIBLE, NOUNS, PORTABLE, Noun
from bottega.data.school.programs import LICENCE
from bottega.data.school.registry import Language, Part, register_part
from bottega.data.school.rendering import call, function, literal
from bottega.data.school.story_sums import HOLDERS, boxed_moves, deeds, held, series
from bottega.data.school.sums import Move, Sign, distinct_chains, draw_move, draw_moves, may_show
from bottega.data.school.world import Split, World

_COUNTERS = [
    "total",
    "count",
    "score",
    "points",
    "level",
    "balance",
    "stock",
    "seats",
    "result",
    "amount",
    "steps",
    "x",
    "y",
    "n",
]
_COUNTED: tuple[Noun, ...] = (*EDIBLE, *PORTABLE)
_PLACES_EN = (
    "The shop",
    "A stall",
    "The club",
    "The school",
    "The kitchen",
    "The farm",
    "The team",
    "The market",
)
_PLACES_ZH = ("店里", "摊位上", "俱乐部里", "学校里", "厨房里", "农场里", "仓库里", "市场上")
# What an example and its result are called.
_CASES: dict[Language, tuple[str, ...]] = {
    "en": ("Case", "Input", "Example", "Given", "Stock", "Test", "In", "Story"),
    "zh": ("例子", "输入", "已知", "情况", "库存", "测试", "例", "事情"),
}
_LEFT: dict[Language, tuple[str, ...]] = {
    "en": ("Result", "Output", "Total", "Left", "Returns", "Now", "Out", "In all"),
    "zh": ("结果", "输出", "合计", "剩下", "返回", "现在", "得到", "一共"),
}
_VERBS_EN: dict[str, tuple[str, ...]] = {
    "+": ("add {}", "buy {} more", "find {} more", "{} come in", "put in {}", "pick {} more", "get {} more"),
    "-": ("take away {}", "sell {}", "give {} away", "use {}", "lose {}", "{} go out", "remove {}"),
    "*": ("multiply by {}", "make it {} times as many"),
}
_VERBS_ZH: dict[str, tuple[str, ...]] = {
    "+": ("加上{}", "又买来{}", "又找到{}", "放进{}", "增加{}", "又得到{}"),
    "-": ("减去{}", "卖掉{}", "送出{}", "用掉{}", "丢了{}", "拿走{}"),
    "*": ("乘以{}", "变成原来的{}倍"),
}


def _verb(draw: Draw, move: Move, language: Language) -> str:
    return draw.one((_VERBS_ZH if language == "zh" else _VERBS_EN)[move.sign]).format(move.by)


def _counter(draw: Draw) -> str:
    return draw.one(_COUNTERS) if draw.chance(0.5) else draw.one(_COUNTED).plural


def _script(draw: Draw, language: Language) -> list[str]:
    """A count and what happens to it, a statement each, with the sum beside it."""
    name, moves = _counter(draw), draw_moves(draw, draw.between(2, 4))
    lines = [f"{name} = {moves[0].before}"]
    form = draw.below(4)
    for move in moves:
        statement = (
            f"{name} = {name} {move.sign} {move.by}" if form == 0 else f"{name} {move.sign}= {move.by}"
        )
        if form == 1:
            lines.append(f"# {_verb(draw, move, language)}")
        said = f"{_verb(draw, move, language)}: " if form == 2 else ""
        lines.append(f"{statement}  # {said}{move}")
    lines.append(f"print({name})  # {moves[-1].after}")
    if form == 3:
        chain = " -> ".join(str(n) for n in (moves[0].before, *(move.after for move in moves)))
        lines.append(f"# {name}: {chain}")
    return lines


def _planned(draw: Draw, language: Language) -> list[str]:
    """A plan in words, then the sums it comes to, then the code."""
    name, moves = _counter(draw), draw_moves(draw, draw.between(2, 3))
    verbs = [_verb(draw, move, language) for move in moves]
    first = moves[0].before
    if language == "zh":
        plan = f"# 开始有{first}，{'，'.join(verbs)}。"
    else:
        plan = f"# Start with {first}, {', '.join(verbs[:-1])}, then {verbs[-1]}."
    return _worked_out(draw, plan, name, moves)


def _told(draw: Draw, thing: Noun, language: Language) -> tuple[str, list[Move]]:
    """What a place holds and what comes and goes, and the sums it comes to."""
    boxed = draw.chance(0.2)
    moves = boxed_moves(draw, draw.between(2, 3)) if boxed else draw_moves(draw, draw.between(2, 3))
    done = deeds(draw, moves[1:] if boxed else moves, thing, (), language)
    box = draw.one(HOLDERS)
    start = held(moves[0], thing, box if boxed else None, language)
    if language == "zh":
        return f"{draw.one(_PLACES_ZH)}有{start}。{'，'.join(done)}。", moves
    return f"{draw.one(_PLACES_EN)} has {start}. It {series(done)}.", moves


def _stock(draw: Draw, language: Language) -> list[str]:
    """The story of a place in a comment; then the sums, then the code."""
    thing = draw.one(_COUNTED)
    plan, moves = _told(draw, thing, language)
    return _worked_out(draw, f"# {plan}", thing.plural.replace(" ", "_"), moves)


def _examples(draw: Draw, language: Language) -> list[str]:
    """A docstring of such stories as examples, each with its sums and what is left, all put alike."""
    thing = draw.one(_COUNTED)
    colon = "：" if language == "zh" else ": "
    case, left = (_label(draw, often[language], language) for often in (_CASES, _LEFT))
    lines = ['"""']
    for _ in range(draw.between(2, 3)):
        plan, moves = _told(draw, thing if draw.chance(0.3) else draw.one(_COUNTED), language)
        lines += [
            f"{case}{colon}{_ended(draw, plan)}",
            *map(str, moves),
            f"{left}{colon}{moves[-1].after}",
            "",
        ]
    return [*lines[:-1], '"""']


def _label(draw: Draw, often: Sequence[str], language: Language) -> str:
    """What an example or its result is called: one of the usual words, or any word at all."""
    if draw.chance(0.4):
        return draw.one(often)
    word = draw.one(NOUNS)
    return word.zh if language == "zh" else word.en.capitalize()


def _ended(draw: Draw, plan: str) -> str:
    """A note ends with a full stop, with a colon or with nothing."""
    if draw.chance(0.3):
        return plan
    return plan[:-1] + draw.one(("", "", ":" if plan.isascii() else "："))


def _worked_out(draw: Draw, plan: str, name: str, moves: Sequence[Move]) -> list[str]:
    """A plan, the sums and the code that follow from it, mostly in this order."""
    first, plan = moves[0].before, _ended(draw, plan)
    if draw.chance(0.5):
        told = ['"""', plan.removeprefix("# "), *map(str, moves), '"""']
        return [*told, "", f"{name} = {moves[-1].after}"]
    sums = [f"# {move}" for move in moves]
    code = [f"{name} = {first}", *(f"{name} {move.sign}= {move.by}" for move in moves)]
    ending = f"print({name})  # {moves[-1].after}"
    way = draw.below(4)
    if way == 0:
        return [plan, *code, *sums, ending]
    return [plan, *sums, f"{name} = {moves[-1].after}"] if way == 1 else [plan, *sums, *code, ending]


def _expression(draw: Draw, language: Language) -> list[str]:
    """An expression evaluated one operation at a time."""
    moves = draw_moves(draw, draw.between(2, 3))
    text, tight = str(moves[0].before), True
    for move in moves:
        operand = text if tight or move.sign != "*" else f"({text})"
        text, tight = f"{operand} {move.sign} {move.by}", move.sign == "*"
    name = draw.one(_COUNTERS)
    head = "# 一步一步来：" if language == "zh" else "# step by step:"
    steps = [f"# {move}" for move in moves]
    return [
        f"{name} = {text}",
        *([head] if draw.chance(0.3) else []),
        *steps,
        f"print({name})  # {moves[-1].after}",
    ]


def _while(draw: Draw, language: Language) -> list[str]:
    """A ``while`` loop, with each round written below it."""
    name = draw.one(_COUNTERS)
    rounds, by, down = draw.between(2, 5), draw.between(2, 7), draw.chance(0.6)
    start = by * rounds + draw.below(by) if down else draw.between(0, 9)
    sign: Sign = "-" if down else "+"
    moves = [Move(start + here * (-by if down else by), sign, by) for here in range(rounds)]
    stop = by if down else moves[-1].before + 1 + draw.below(by)
    test = f"{name} >= {stop}" if down else f"{name} < {stop}"
    rounds_shown = [f"# {move}" for move in moves]
    return [
        f"{name} = {start}",
        f"while {test}:",
        f"    {name} {sign}= {by}",
        "",
        *rounds_shown,
        f"print({name})  # {moves[-1].after}",
    ]


def _running(draw: Draw, language: Language) -> list[str]:
    """A loop that adds up a list, each round written below it."""
    numbers = draw_numbers(draw)
    moves = _added(numbers)
    total = draw.one(("total", "result", "points", "balance"))
    item = draw.one(("number", "n", "item", "value"))
    lines = [f"{total} = 0", f"for {item} in {literal(numbers)}:", f"    {total} += {item}", ""]
    if draw.chance(0.4):
        lines.append(f"# {total}: {' -> '.join(['0', *(str(move.after) for move in moves)])}")
    else:
        lines.extend(f"# {item} = {move.by}: {move}" for move in moves)
    return [*lines, f"print({total})  # {moves[-1].after}"]


def _added(gains: list[int]) -> list[Move]:
    """The sums of adding these up from nothing."""
    moves: list[Move] = []
    for gain in gains:
        before = moves[-1].after if moves else 0
        moves.append(Move(before, "+", gain) if gain >= 0 else Move(before, "-", -gain))
    return moves


def _branching(draw: Draw, language: Language) -> list[str]:
    """An ``if`` over a count, with the way it goes."""
    name, before, border = draw.one(_COUNTERS), draw.between(2, 25), draw.between(5, 18)
    high = before > border
    yes, no = draw_move(draw, before), draw_move(draw, before)
    taken = yes if high else no
    return [
        f"{name} = {before}",
        f"if {name} > {border}:  # {before} > {border}: {high}",
        f"    {name} {yes.sign}= {yes.by}",
        "else:",
        f"    {name} {no.sign}= {no.by}",
        f"# {taken}",
        f"print({name})  # {taken.after}",
    ]


def _list_changes(draw: Draw, language: Language) -> list[str]:
    """A list changed in place, with what it holds after each statement."""
    name = draw.one(("items", "queue", "numbers", "scores", "stack"))
    held = draw_numbers(draw)[:3]
    lines = [f"{name} = {literal(held)}"]
    for _ in range(draw.between(2, 4)):
        way = draw.below(5)
        if way == 0 and len(held) > 1:
            held.pop()
            statement = f"{name}.pop()"
        elif way == 1:
            held.reverse()
            statement = f"{name}.reverse()"
        elif way == 2:
            held.sort()
            statement = f"{name}.sort()"
        else:
            added = draw.between(0, 20)
            held.append(added)
            statement = f"{name}.append({added})"
        lines.append(f"{statement}  # {literal(held)}")
    return [*lines, f"print(len({name}))  # {len(held)}"]


def loop_program(draw: Draw) -> Program:
    """A program over numbers that a trace can follow: it filters, changes, adds up or counts."""
    while True:
        program = draw_program(draw, ("numbers",), ("loop",))
        roles = "".join(step.role[0] for step in program.steps)
        if roles in ("k", "c", "kc", "kf", "cf", "kcf", "f") and not program.guarded:
            last = program.steps[-1]
            if last.role != "finish" or last.name in ("total", "count"):
                return program


def trace_lines(program: Program, numbers: list[int]) -> list[str]:
    """The rounds of a ``loop_program`` over these numbers, a line each, and what it returns."""
    keep = next((step for step in program.steps if step.role == "keep"), None)
    change = next((step for step in program.steps if step.role == "change"), None)
    sums = iter(_trace_sums(program, numbers))
    adds = program.steps[-1].role == "finish"
    lines: list[str] = []
    kept: list[int] = []
    for number in numbers:
        if keep is not None and not keep.run([number]):
            lines.append(f"{number}: skip")
            continue
        value = number if change is None else change.run(number)
        if change is not None and change.name != "negate" and number >= 0:
            lines.append(f"{number}: {change.of(str(number))} = {value}")
        kept.append(value)
        holder = program.steps[-1].local if adds else "result"
        shown = next(sums) if adds else literal(kept)
        lines.append(f"{number}: {shown}" if change is None else f"{holder}: {shown}")
    return [*lines, f"returns {program.run((numbers,))}"]


def _trace_sums(program: Program, numbers: list[int]) -> list[Move]:
    """The sums of a ``loop_program`` that adds up or counts; none for one that gives a list."""
    end = program.steps[-1]
    if end.role != "finish":
        return []
    values = numbers
    for step in program.steps[:-1]:
        values = step.run(values)
    return _added([1] * len(values) if end.name == "count" else values)


def _loop_trace(draw: Draw, language: Language) -> list[str]:
    """A function with a loop, and what happens in a call."""
    program = loop_program(draw)
    (numbers,) = draw_arguments(draw, program)
    return [
        function(program),
        "",
        "",
        f"# {call(program, (numbers,))}",
        *(f"# {line}" for line in trace_lines(program, numbers)),
    ]


_LAYOUTS: tuple[Callable[[Draw, Language], list[str]], ...] = (
    _script,
    _script,
    _planned,
    _planned,
    *(_stock,) * 5,
    *(_examples,) * 10,
    _expression,
    _expression,
    _while,
    _running,
    _branching,
    _list_changes,
    _loop_trace,
    _loop_trace,
)


_SHORT = (_script, _planned, _stock, _expression)


def _item(name: str, language: Language) -> Callable[[World, Split, int], Document]:
    def item(world: World, split: Split, index: int) -> Document:
        draw = Draw(world, name, split, index, language)
        while True:
            layout = draw.one(_LAYOUTS)
            lines = layout(draw, language)
            # More of the same kind, so that one shows how the next is done; or of any.
            again = (layout,) if layout in _SHORT and draw.chance(0.6) else _SHORT
            for _ in range(draw.between(1, 4) if draw.chance(0.6) else 0):
                if sum(map(len, lines)) < 400:  # so that most documents fit a context of 256 tokens
                    lines += ["", *draw.one(again)(draw, language)]
            text = "\n".join(lines) + "\n"
            if may_show(draw, text):
                break
        return Document(text, Origin(f"school:{name}", str(index), LICENCE))

    return item


def distinct_traces(world: World) -> int:
    """Chains of two or three sums by their counter, in the plainest layout alone: a lower bound."""
    return (distinct_chains(2) + distinct_chains(3)) * (len(_COUNTERS) + len(_COUNTED))


_LANGUAGES: tuple[tuple[Language, str], ...] = (("en", "English"), ("zh", "Chinese"))
for _language, _what in _LANGUAGES:
    register_part(
        Part(
            f"traces-{_language}",
            "documents",
            f"Python scripts and loops with every change of state in a comment, in {_what}",
            _item(f"traces-{_language}", _language),
            distinct_traces,
        )
    )
