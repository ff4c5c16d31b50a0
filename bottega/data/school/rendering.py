"""Programs as source: the same composition in several styles, laid out as a formatter would lay it out."""

from __future__ import annotations

from typing import Any

from bottega.data.school.composition import Program
from bottega.data.school.primitives import Step

_LOOSE = ("@ + ", "@ - ", "@ > ", "@ < ", "@ != ")  # any change before them binds at least as tightly
WIDTH = 88  # a longer line makes the compact style give way to steps
_TYPES = {
    "numbers": "list[int]",
    "words": "list[str]",
    "text": "str",
    "number": "int",
    "pair": "int",
    "branch": "int",
}
_RESULTS = {"ints": "list[int]", "strs": "list[str]", "int": "int", "str": "str", "bool": "bool"}
_ACCUMULATED = frozenset({"total", "count"})


def literal(value: Any) -> str:
    """A value as it is written in source, with double quotes."""
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, list):
        return f"[{', '.join(map(literal, value))}]"
    return repr(value)


def call(program: Program, arguments: tuple[Any, ...]) -> str:
    """The call as it is written in source."""
    return f"{program.name}({', '.join(map(literal, arguments))})"


def assertion(program: Program, arguments: tuple[Any, ...]) -> str:
    """One assertion about one call."""
    value = program.run(arguments)
    if value is True:
        return f"assert {call(program, arguments)}"
    if value is False:
        return f"assert not {call(program, arguments)}"
    return f"assert {call(program, arguments)} == {literal(value)}"


def signature(program: Program) -> str:
    """The ``def`` line."""
    names = program.theme.parameters
    if not program.annotated:
        return f"def {program.name}({', '.join(names)}):"
    kind = _TYPES[program.kind]
    typed = ", ".join(f"{name}: {kind}" for name in names)
    return f"def {program.name}({typed}) -> {_RESULTS[result_shape(program)]}:"


def result_shape(program: Program) -> str:
    """The shape of what the program returns."""
    if program.kind not in ("numbers", "words"):
        result = program.steps[-1].result
        return {"ints": "int", "strs": "str"}.get(result, result)
    shape = "ints" if program.kind == "numbers" else "strs"
    for step in program.steps:
        shape = step.result if step.role in ("change", "finish") else shape
    return shape


def body(program: Program) -> list[str]:
    """The statements, indented by four spaces, without the docstring."""
    if program.kind == "branch":
        return _branch(program)
    if program.kind in ("numbers", "words"):
        lines = {"compact": _compact, "steps": _steps, "loop": _loop}[program.style](program)
        if max(map(len, lines)) > WIDTH or "][" in lines[-1]:
            lines = _steps(program)
        if program.guarded:
            empty = literal(program.run(([],)))
            lines = [f"    if not {program.theme.parameters[0]}:", f"        return {empty}", *lines]
        return lines
    return _straight(program)


def function(program: Program, docstring: list[str] | None = None) -> str:
    """The whole function; ``docstring`` is its lines without quotes and indentation."""
    lines = [signature(program)]
    if docstring and len(docstring) == 1:
        lines.append(f'    """{docstring[0]}"""')
    elif docstring:
        lines.append(f'    """{docstring[0]}')
        lines.extend(f"    {line}" if line else "" for line in docstring[1:])
        lines.append('    """')
    return "\n".join(lines + body(program))


def apply(step: Step, operand: str, atomic: bool) -> str:
    """The step's code over an operand, in parentheses where precedence asks for them."""
    code = step.code
    if atomic or "(@" in code or code.endswith(" in @") or code.startswith(_LOOSE):
        return step.of(operand)
    return step.of(f"({operand})")


def _wrapped(step: Step, operand: str) -> str:
    return apply(step, operand, operand.isidentifier())


def _comprehension(item: str, source: str, group: list[Step]) -> str:
    """``expression for item in source if condition``: a run of filters and maps fused."""
    expression, atomic = item, True
    conditions = []
    for step in group:
        made = apply(step, expression, atomic)
        if step.role == "keep":
            conditions.append(made)
        else:
            expression, atomic = made, step.atomic
    tail = f" if {' and '.join(conditions)}" if conditions else ""
    return f"{expression} for {item} in {source}{tail}"


def _groups(steps: tuple[Step, ...]) -> list[list[Step]]:
    """Steps with runs of element-wise ones put together."""
    groups: list[list[Step]] = []
    for step in steps:
        elementwise = step.role in ("keep", "change")
        if groups and elementwise and groups[-1][0].role in ("keep", "change"):
            groups[-1].append(step)
        else:
            groups.append([step])
    return groups


def _expression(program: Program, groups: list[list[Step]], source: str) -> str:
    """All the groups over a source, as one expression."""
    value, bare = source, ""
    for group in groups:
        if group[0].role in ("keep", "change"):
            bare = _comprehension(program.theme.item, value, group)
            value = f"[{bare}]"
            continue
        step = group[0]
        if bare and step.code in ("sum(@)", "sorted(@)"):
            value = step.of(bare)  # these take the items as they come; no list need stand first
        else:
            value = step.of(value)
        bare = ""
    return value


def _compact(program: Program) -> list[str]:
    return [f"    return {_expression(program, _groups(program.steps), program.theme.parameters[0])}"]


def _steps(program: Program) -> list[str]:
    """One variable for each step but the last."""
    value = program.theme.parameters[0]
    taken = {value, program.theme.item}
    lines = []
    for step in program.steps[:-1]:
        name = step.local if step.local not in taken else "result"
        taken.add(name)
        lines.append(f"    {name} = {_expression(program, [[step]], value)}")
        value = name
    lines.append(f"    return {_expression(program, [[program.steps[-1]]], value)}")
    return lines


def _loop(program: Program) -> list[str]:
    """A loop over the first run of filters and maps; what follows is an expression over its result."""
    groups = _groups(program.steps)
    source, item = program.theme.parameters[0], program.theme.item
    while groups and groups[0][0].role == "arrange":
        source = groups.pop(0)[0].of(source)
    if groups and groups[0][0].role in ("keep", "change"):
        group = groups.pop(0)
    elif groups and groups[0][0].name in _ACCUMULATED:
        group = []
    else:
        return _steps(program)
    ending = groups[0][0] if groups else None
    inner: list[str] = []
    indent = " " * 8
    value, atomic = item, True
    for here, step in enumerate(group):
        if step.role == "keep":
            if value != item:
                inner.append(f"{indent}{step_name(program)} = {value}")
                value, atomic = step_name(program), True
            inner.append(f"{indent}if {apply(step, value, atomic)}:")
            indent += "    "
        else:
            made = apply(step, value, atomic)
            if here + 1 < len(group) and group[here + 1].role == "change":
                inner.append(f"{indent}{step_name(program)} = {made}")
                value, atomic = step_name(program), True
            else:
                value, atomic = made, step.atomic
    if ending is not None and ending.name in _ACCUMULATED:
        gain = value if ending.name == "total" else "1"
        start, inside, result = "0", f"{indent}{ending.local} += {gain}", ending.local
        groups = groups[1:]
    else:
        start, inside, result = "[]", f"{indent}result.append({value})", "result"
    lines = [f"    {result} = {start}", f"    for {item} in {source}:", *inner, inside]
    lines.append(f"    return {_expression(program, groups, result)}")
    return lines


def step_name(program: Program) -> str:
    """The variable that holds a changed item inside a loop."""
    return "changed" if program.theme.item == "value" else "value"


def _straight(program: Program) -> list[str]:
    """A text or a number changed step by step, or in one expression."""
    names = program.theme.parameters
    value, atomic = names[0], True
    lines = []
    for here, step in enumerate(program.steps):
        made = apply(step, value, atomic)
        if here == 0 and program.kind == "pair":
            made = step.code.replace("@", names[0]).replace("$", names[1])
        if here + 1 == len(program.steps) or program.style == "compact":
            value, atomic = made, step.atomic
            continue
        kept = names[0] if program.style == "loop" and program.kind != "pair" else "result"
        lines.append(f"    {kept} = {made}")
        value, atomic = kept, True
    return [*lines, f"    return {value}"]


def _branch(program: Program) -> list[str]:
    """``if`` and its two returns, in one of three layouts."""
    condition, then, otherwise = program.steps
    n = program.theme.parameters[0]
    test, yes, no = (_wrapped(step, n) for step in (condition, then, otherwise))
    if program.style == "compact":
        return [f"    return {yes} if {test} else {no}"]
    if program.style == "steps":
        return [f"    if {test}:", f"        return {yes}", f"    return {no}"]
    return [
        f"    if {test}:",
        f"        result = {yes}",
        "    else:",
        f"        result = {no}",
        "    return result",
    ]
