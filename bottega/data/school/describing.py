"""Programs in words: the sentence of a docstring or a request, in English and Chinese."""

from __future__ import annotations

from bottega.data.school.composition import Program
from bottega.data.school.draw import Draw
from bottega.data.school.primitives import Step
from bottega.data.school.registry import Language

_ENDS_EN = {
    "total": "the sum of",
    "largest": "the largest of",
    "smallest": "the smallest of",
    "longest": "the longest of",
    "shortest": "the shortest of",
}
_ENDS_THEIR = {
    "total": "their sum",
    "count": "how many there are",
    "largest": "the largest",
    "smallest": "the smallest",
    "longest": "the longest",
    "shortest": "the shortest",
}
_OR_NOTHING = {"largest": "0", "smallest": "0", "longest": '""', "shortest": '""'}
_OR_NOTHING_ZH = {"largest": "0", "smallest": "0", "longest": "空文本", "shortest": "空文本"}
_LOCAL_SIZE_ZH = {"total": "和", "count": "个数", "largest": "最大值", "smallest": "最小值"}


def describe(draw: Draw, program: Program, language: Language) -> str:
    """One sentence that says what the function returns, ended by a full stop."""
    if language == "zh":
        return _sentence_zh(draw, program)
    text = _sentence_en(draw, program)
    return f"{text[0].upper()}{text[1:]}."


def _kept_en(step: Step, noun: str) -> str:
    return f"{noun}{step.en}" if step.en.startswith(" ") else f"{step.en} {noun}"


def _kept_zh(step: Step, noun: str) -> str:
    if step.zh.endswith("的"):
        return step.zh + noun
    return step.zh if noun == "数" else f"为{step.zh}的{noun}"


def _noun_phrase(steps: tuple[Step, ...], noun: str, zh: bool) -> str | None:
    """The steps before the end as one noun phrase ("first 2 even numbers"); None where they need clauses."""
    roles = "".join(step.role[0] for step in steps)
    if roles not in ("", "k", "a", "ka"):
        return None
    phrase = noun
    for step in steps:
        if step.role == "keep":
            phrase = _kept_zh(step, phrase) if zh else _kept_en(step, phrase)
        else:
            phrase = step.noun_zh.replace("@", phrase) if zh else step.noun.replace("@", phrase)
    return phrase


def _end_en(step: Step, what: str) -> str:
    """A closing step over a noun phrase."""
    if step.name == "has":
        return f"{step.noun} {what}"
    if step.name == "join":
        return f"{what} {step.noun}"
    if step.name == "count":
        return f"the number of {what.removeprefix('the ')}"
    phrase = f"{_ENDS_EN[step.name]} {what}"
    return f"{phrase}, or {_OR_NOTHING[step.name]} if none" if step.name in _OR_NOTHING else phrase


def _end_zh(step: Step, what: str) -> str:
    if step.name == "has":
        return f"{what}中是否有{step.noun_zh}"
    if step.name == "join":
        return f"把{what}{step.noun_zh}后的文本"
    phrase = f"{what}的{step.noun_zh}" if step.name in _LOCAL_SIZE_ZH else f"{what}中{step.noun_zh}"
    return f"{phrase}，没有则返回{_OR_NOTHING_ZH[step.name]}" if step.name in _OR_NOTHING_ZH else phrase


def _sentence_en(draw: Draw, program: Program) -> str:
    if program.kind == "branch":
        return _branch_en(draw, program)
    if program.kind not in ("numbers", "words"):
        return _scalar_en(program)
    noun = program.theme.parameters[0]
    steps = program.steps
    finish = steps[-1] if steps[-1].role == "finish" else None
    before = steps[:-1] if finish else steps
    phrase = _noun_phrase(before, noun, zh=False)
    if phrase is not None and (len(before) < 2 or draw.chance(0.6)):
        return f"return {_end_en(finish, f'the {phrase}')}" if finish else f"return the {phrase}"
    clauses = [_clause_en(step, program, first=here == 0) for here, step in enumerate(before)]
    if finish is None:
        if len(clauses) > 1 or draw.chance(0.5):
            clauses.append(draw.one(("return the result", "return the list")))
    elif finish.name == "has":
        clauses.append(f"return {finish.noun} them")
    elif finish.name == "join":
        clauses.append(f"return them {finish.noun}")
    else:
        ending = f"return {_ENDS_THEIR[finish.name]}"
        if finish.name in _OR_NOTHING:
            ending += f", or {_OR_NOTHING[finish.name]} if none"
        clauses.append(ending)
    return _listed(clauses)


def _listed(clauses: list[str]) -> str:
    """Clauses as a series: "a and b", "a, b, and c"."""
    if len(clauses) < 3:
        return " and ".join(clauses)
    return f"{', '.join(clauses[:-1])}, and {clauses[-1]}"


def _clause_en(step: Step, program: Program, first: bool) -> str:
    noun = program.theme.parameters[0]
    if step.role == "keep":
        kept = _kept_en(step, noun if first else "ones")
        return f"keep the {kept}"
    if step.role == "change":
        return step.en.replace("@", f"each {_item(program)}" if first else "each one")
    if first:
        return step.en.replace("@", f"the {noun}").replace("#", noun).replace("~", _item(program))
    return step.en.replace("@", "them").replace(" #", "").replace("~", "one")


def _item(program: Program) -> str:
    """The noun of one item; loop variables may be single letters, nouns may not."""
    return program.theme.parameters[0].removesuffix("s")


def _scalar_en(program: Program) -> str:
    names = program.theme.parameters
    finish = program.steps[-1] if program.steps[-1].role == "finish" else None
    before = program.steps[:-1] if finish else program.steps
    clauses = []
    for here, step in enumerate(before):
        if here == 0 and program.kind == "pair":
            clauses.append(step.en.replace("@", names[0]).replace("$", names[1]))
        else:
            clauses.append(
                step.en.replace("@", names[0] if here == 0 else "the result" if here == 1 else "it")
            )
    if finish:
        clauses.append(f"return {finish.en.replace('@', 'the result' if clauses else names[0])}")
    elif len(clauses) > 1:
        clauses.append("return it")
    return _listed(clauses)


def _branch_en(draw: Draw, program: Program) -> str:
    condition, then, otherwise = program.steps
    n = program.theme.parameters[0]
    test = condition.en.strip()
    yes, no = then.en.replace("@", n), otherwise.en.replace("@", "it")
    if draw.chance(0.5):
        return f"if {n} is {test}, {yes}; otherwise {no}"
    return f"{yes} if it is {test}, otherwise {no}"


def _sentence_zh(draw: Draw, program: Program) -> str:
    if program.kind == "branch":
        condition, then, otherwise = program.steps
        n = program.theme.parameters[0]
        test = condition.zh.removesuffix("的")
        test = test if condition.zh.endswith("的") else f"是{test}"
        return f"如果{n}{test}，就{then.zh.replace('@', n)}，否则{otherwise.zh.replace('@', '它')}。"
    if program.kind not in ("numbers", "words"):
        return _scalar_zh(program)
    noun = program.theme.zh
    steps = program.steps
    finish = steps[-1] if steps[-1].role == "finish" else None
    before = steps[:-1] if finish else steps
    phrase = _noun_phrase(before, noun, zh=True)
    if phrase is not None and (len(before) < 2 or draw.chance(0.6)):
        every = "所有" if len(before) < 2 and (not before or before[0].role == "keep") else ""
        return f"返回{_end_zh(finish, every + phrase)}。" if finish else f"返回{every}{phrase}。"
    clauses = [_clause_zh(step, noun, first=here == 0) for here, step in enumerate(before)]
    if finish is None:
        clauses.append("返回结果" if len(clauses) < 3 or draw.chance(0.5) else "最后返回列表")
    elif finish.name == "join":
        clauses.append(f"{finish.noun_zh}成文本并返回")
    else:
        clauses.append(f"返回{_end_zh(finish, '其')}" if finish.name == "has" else f"返回{_their_zh(finish)}")
    return "，".join(clauses) + "。"


def _their_zh(step: Step) -> str:
    if step.name in _LOCAL_SIZE_ZH:
        phrase = f"它们的{step.noun_zh}"
    else:
        phrase = f"其中{step.noun_zh}"
    return f"{phrase}，没有则返回{_OR_NOTHING_ZH[step.name]}" if step.name in _OR_NOTHING_ZH else phrase


def _clause_zh(step: Step, noun: str, first: bool) -> str:
    if step.role == "keep":
        return f"只保留{_kept_zh(step, noun)}"
    if step.role == "change":
        return step.zh.replace("@", f"每个{noun}")
    return step.zh.replace("@", noun if first else "它们").replace("#", noun if first else "")


def _scalar_zh(program: Program) -> str:
    names = program.theme.parameters
    finish = program.steps[-1] if program.steps[-1].role == "finish" else None
    before = program.steps[:-1] if finish else program.steps
    clauses = []
    for here, step in enumerate(before):
        if here == 0 and program.kind == "pair":
            clauses.append(step.zh.replace("@", names[0]).replace("$", names[1]))
        else:
            clauses.append(step.zh.replace("@", names[0] if here == 0 else "结果"))
    if finish:
        clauses.append(f"返回{finish.zh.replace('@', '结果' if clauses else names[0])}")
    elif len(clauses) > 1:
        clauses.append("返回结果")
    return "，".join(clauses) + "。"
