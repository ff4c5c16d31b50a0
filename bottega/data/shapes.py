"""What a row is, told by its fields: row dict -> Record.

A *shape* is a set of fields that public data sets agree on (OpenAI chat messages, Alpaca, ShareGPT, ...). The
first shape of ``SHAPES`` whose fields a row has is its shape, unless the source names one. A source whose
fields carry other names maps them (``fields = {prompt = "question", completion = "answer"}``), see
``FieldMap``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from functools import lru_cache

from bottega.data.conversations import CONVERSATION_SHAPES, DOCUMENT_SHAPES
from bottega.data.preferences import PREFERENCE_SHAPES
from bottega.data.records import Origin, Record
from bottega.data.rows import Fields, Shape, ShapeError
from bottega.errors import UserError

# Preferences first: their rows also hold the fields of the plainer shapes below them.
SHAPES: dict[str, Shape] = {
    shape.name: shape for shape in (*PREFERENCE_SHAPES, *CONVERSATION_SHAPES, *DOCUMENT_SHAPES)
}

_HOLE = re.compile(r"\{(\w+(?:\.\w+)*)\}")


@dataclass(frozen=True)
class FieldMap:
    """A source's own names for a shape's fields.

    Each value is the row's field (``"question"``), a path into it (``"question.stem"``), or a text with
    fields in braces (``"{title}\\n\\n{text}"``). The fields it uses are gone from the row that the shapes
    then see.
    """

    fields: Mapping[str, str]

    def __call__(self, row: Fields) -> Fields:
        """The row with the shape's names. Raises ``ShapeError`` for a field that the row lacks."""
        made: Fields = {}
        used: set[str] = set()
        for name, value in self.fields.items():
            holes = _HOLE.findall(value)
            for path in holes or [value]:
                used.add(path.split(".")[0] if path not in row else path)
            if holes:
                made[name] = self._filled(row, value, name)
            else:
                made[name] = self._find(row, value, name)
        return {name: value for name, value in row.items() if name not in used} | made

    def _filled(self, row: Fields, template: str, name: str) -> str:
        return _HOLE.sub(lambda hole: _as_text(self._find(row, hole[1], name)), template)

    def _find(self, row: Fields, path: str, name: str) -> object:
        return _value_at(row, path, f"mapped to `{name}`")


@dataclass(frozen=True)
class RowFilter:
    """Which rows of a source are wanted, by patterns (``*``, ``?``, ``[abc]``) for the row's own fields.

    A row is wanted where each field of ``only`` matches one of its patterns and no field of ``without`` does.
    """

    only: Mapping[str, Sequence[str]]
    without: Mapping[str, Sequence[str]]

    def __bool__(self) -> bool:
        return bool(self.only or self.without)

    def __call__(self, row: Fields) -> bool:
        """Whether the row is wanted. Raises ``ShapeError`` for a field that the row lacks."""
        return all(_matches(row, *one, "only") for one in self.only.items()) and not any(
            _matches(row, *one, "without") for one in self.without.items()
        )


def _matches(row: Fields, path: str, patterns: Sequence[str], key: str) -> bool:
    value = _as_text(_value_at(row, path, f"named by `{key}`"))
    return any(fnmatchcase(value, pattern) for pattern in patterns)


def _value_at(row: Fields, path: str, why: str) -> object:
    """The value of a field, or along a path into one; ``why`` it is looked for stands in the error."""
    if path in row:
        return row[path]
    value: object = row
    for step in path.split("."):
        if not isinstance(value, dict) or step not in value:
            raise ShapeError(f"the field `{path}`, {why}, is missing; fields found: {_names(row)}")
        value = value[step]
    return value


def find_shape(row: Fields, asked: str | None = None) -> Shape:
    """The shape of a row: the one asked for, or the first that fits.

    Raises ``ShapeError`` naming the fields found, the shape that comes nearest, and the shapes known.
    """
    if asked is not None:
        shape = named_shape(asked)
        lacking = [name for name in shape.needs if name not in row]
        if lacking:
            raise ShapeError(
                f"the shape {asked} needs {_quoted(shape.needs)}; "
                f"missing: {_quoted(lacking)}; fields found: {_names(row)}"
            )
        return shape
    for shape in _candidates(tuple(row)):
        if shape.accepts is None or shape.accepts(row):
            return shape
    raise ShapeError(_nothing_fits(row))


@lru_cache(maxsize=256)
def _candidates(names: tuple[str, ...]) -> tuple[Shape, ...]:
    """The shapes whose fields are all there: rows of one file share their fields, so this is asked once."""
    return tuple(shape for shape in SHAPES.values() if set(shape.needs) <= set(names))


def named_shape(name: str) -> Shape:
    """The shape of this name. Raises ``UserError`` with the nearest known one."""
    if name in SHAPES:
        return SHAPES[name]
    near = get_close_matches(name, SHAPES, n=1)
    hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(SHAPES)}"
    raise UserError(f"there is no row shape named {name!r}; {hint}")


def read_row(row: Fields, origin: Origin, shape: Shape | None = None) -> Record:
    """The record of one row. Raises ``ShapeError`` where its fields or values are not those of a shape."""
    return (shape or find_shape(row)).read(row, origin)


def _nothing_fits(row: Fields) -> str:
    def overlap(shape: Shape) -> float:
        return len(set(shape.needs) & set(row)) / len(shape.needs)

    nearest = max(SHAPES.values(), key=overlap)
    near = ""
    if overlap(nearest):
        lacking = [name for name in nearest.needs if name not in row]
        missing = f"without {_quoted(lacking)}" if lacking else "whose other fields or values differ"
        near = f"; nearest: {nearest.name} ({missing})"
    return (
        f"the row fits no known shape; fields found: {_names(row)}{near}; name the fields with `fields`, "
        f"or leave such rows out with --skip-bad-rows; shapes known: {', '.join(SHAPES)}"
    )


def _as_text(value: object) -> str:
    return value if isinstance(value, str) else "" if value is None else str(value)


def _names(row: Fields) -> str:
    return ", ".join(list(row)[:20]) or "none"


def _quoted(names: tuple[str, ...] | list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
