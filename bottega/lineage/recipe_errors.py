"""What is wrong with a recipe: its file, line and key, and the nearest thing that would be right."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from bottega.errors import UserError
from bottega.lineage.nearest import did_you_mean, nearest

Path = tuple[str | int, ...]
Schema = TypeVar("Schema", bound=BaseModel)

_HEADER = re.compile(r"^\s*\[\[?\s*(?P<name>[^\]]+?)\s*\]\]?\s*(#.*)?$")
_KEY = re.compile(
    r"""^\s*(?P<name>(?:"[^"]*"|'[^']*'|[A-Za-z0-9_-]+)(?:\s*\.\s*(?:"[^"]*"|'[^']*'|[A-Za-z0-9_-]+))*)\s*="""
)


class Faults:
    """The faults of one recipe, gathered so that the first is shown and the rest are counted."""

    def __init__(self, file: str, text: str) -> None:
        self.file = file
        self._lines = text.splitlines()
        self._messages: list[tuple[int, str]] = []

    def add(self, path: Path, message: str) -> None:
        """Record a fault at a key; ``message`` goes on from the key's name."""
        line = locate(self._lines, path)
        where = f"{self.file}:{line}" if line else self.file
        self._messages.append((line or len(self._lines) + 1, f"{where}: {dotted(path)}: {message}"))

    def raise_if_any(self) -> None:
        """Raise a UserError for the faults so far, the topmost of the file first."""
        if not self._messages:
            return
        first, *rest = (message for _, message in sorted(self._messages, key=lambda pair: pair[0]))
        more = f"\n(and {len(rest)} more fault{'s' if len(rest) > 1 else ''} in this recipe)" if rest else ""
        raise UserError(first + more)

    def unknown_key(self, path: Path, known: Iterable[str]) -> None:
        """A key that the schema does not have."""
        known = list(known)
        hint = did_you_mean(str(path[-1]), known)
        listing = "" if hint != "." else f" Known here: {', '.join(known)}."
        self.add(path, f"unknown key{hint}{listing}")

    def unknown_name(self, path: Path, name: object, known: Iterable[str], what: str) -> None:
        """A value that should name something that exists."""
        known = list(known)
        hint = did_you_mean(str(name), known)
        listing = "" if hint != "." else f" Known: {', '.join(known) or 'none'}."
        self.add(path, f"no {what} is called {name!r}{hint}{listing}")

    def missing(self, path: Path, key: str, table: Mapping[str, Any], known: Iterable[str]) -> None:
        """A required key that is not there, unless a misspelling of it is."""
        for present in table:
            if present not in known and nearest(present, [key], closeness=0.75):
                self.add((*path, present), f"unknown key; did you mean {key!r}?")
                return
        self.add(path, f"the key {key!r} is missing.")

    def table(self, value: object, path: Path) -> Mapping[str, Any]:
        """The value where it is a table; otherwise a fault, and an empty table to go on with."""
        if isinstance(value, Mapping):
            return value
        self.add(path, f"must be a table, [{dotted(path)}], not {_shown(value)}.")
        return {}

    def validate(
        self, schema: type[Schema], value: object, path: Path, also_known: Iterable[str] = ()
    ) -> Schema | None:
        """The value as the schema, or None with its faults recorded."""
        before = len(self._messages)
        table = self.table(value, path)
        if len(self._messages) > before:
            return None
        try:
            return schema.model_validate(table)
        except ValidationError as error:
            for detail in _telling(error, table):
                self._pydantic(schema, detail, path, table, also_known)
            return None

    def validate_lists(self, value: object, path: Path) -> dict[str, tuple[str, ...]]:
        """A table of lists of strings."""
        lists: dict[str, tuple[str, ...]] = {}
        for key, entries in self.table(value, path).items():
            if isinstance(entries, list) and all(isinstance(entry, str) for entry in entries):
                lists[key] = tuple(entries)
            else:
                self.add((*path, key), f"must be a list of strings, not {_shown(entries)}.")
        return lists

    def _pydantic(
        self, schema: type[BaseModel], detail: dict[str, Any], path: Path, table: Mapping[str, Any],
        also_known: Iterable[str],
    ) -> None:  # fmt: skip
        location: Path = tuple(detail["loc"])
        full = (*path, *location)
        keys = _keys_at(schema, location[:-1])
        if len(location) == 1:
            keys = [*also_known, *keys]
        kind = detail["type"]
        if kind == "extra_forbidden":
            self.unknown_key(full, keys)
        elif kind == "missing":
            inner = _dig(table, location[:-1])
            self.missing(full[:-1], str(location[-1]), inner if isinstance(inner, Mapping) else {}, keys)
        else:
            said = str(detail["msg"]).removeprefix("Value error, ").rstrip(".")
            self.add(full, f"{said[:1].lower()}{said[1:]} (given: {_shown(detail.get('input'))}).")


def syntax_error(error: tomllib.TOMLDecodeError, file: str) -> UserError:
    """A TOML syntax error with its line in front, where an editor finds it."""
    found = re.search(
        r"^(?P<what>.*) \(at line (?P<line>\d+), column (?P<column>\d+)\)$", str(error), re.DOTALL
    )
    if not found:
        return UserError(f"{file}: not valid TOML: {error}.")
    what = found["what"]
    twice = re.search(r"Cannot (?:declare|overwrite)", what)
    hint = " A name may be used once; rename or remove one of the two." if twice else ""
    return UserError(f"{file}:{found['line']}: not valid TOML at column {found['column']}: {what}.{hint}")


def dotted(path: Path) -> str:
    """A key's path as a reader writes it: ``models.davinci.data[0].weight``."""
    shown = ""
    for part in path:
        shown += f"[{part}]" if isinstance(part, int) else f".{part}" if shown else str(part)
    return shown


def locate(lines: list[str], path: Path) -> int | None:
    """The line (from 1) of the deepest key of ``path`` that stands at a line's beginning, or None."""
    wanted = [str(part) for part in path if not isinstance(part, int)]
    table: list[str] = []
    best, best_depth = None, 0
    for number, line in enumerate(lines, start=1):
        if header := _HEADER.match(line):
            table = _split(header["name"])
            here = table
        elif key := _KEY.match(line):
            here = table + _split(key["name"])
        else:
            continue
        depth = len(here)
        if here == wanted[:depth] and depth > best_depth:
            best, best_depth = number, depth
    return best


def _telling(error: ValidationError, table: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The errors worth showing, each at the key that a reader wrote.

    Where a value may be of several types, pydantic reports each type's complaint under the type's name; only
    the complaints of the type that was meant are kept: those deeper than "this is of another type".
    """
    details: list[dict[str, Any]] = []
    for detail in error.errors():
        path, of_union = _as_written(tuple(detail["loc"]), detail["type"], table)
        details.append(
            dict(detail) | {"loc": path, "wrong_branch": of_union and detail["type"].endswith("_type")}
        )
    return [
        detail
        for detail in details
        if not detail["wrong_branch"]
        or not any(
            other["loc"][: len(detail["loc"])] == detail["loc"] and not other["wrong_branch"]
            for other in details
        )
    ]


def _as_written(location: Path, kind: str, table: object) -> tuple[Path, bool]:
    """The location without the type names of unions; and whether there were any."""
    path: list[str | int] = []
    current, of_union = table, False
    for place, part in enumerate(location):
        inside = _dig(current, (part,))
        absent_key = kind == "missing" and place == len(location) - 1
        if inside is None and not absent_key:
            of_union = True
            continue
        path.append(part)
        current = inside
    return tuple(path), of_union


def _split(name: str) -> list[str]:
    return [part.strip("\"'") for part in re.findall(r"\"[^\"]*\"|'[^']*'|[A-Za-z0-9_-]+", name)]


def _dig(value: object, path: Path) -> object:
    for part in path:
        if isinstance(value, Mapping) and isinstance(part, str):
            value = value.get(part)
        elif isinstance(value, list | tuple) and isinstance(part, int) and part < len(value):
            value = value[part]
        else:
            return None
    return value


def _keys_at(schema: type[BaseModel], path: Path) -> list[str]:
    """The keys of the schema nested at ``path``; empty where there is no schema there."""
    current: Any = schema
    for part in path:
        if isinstance(part, int):
            continue
        field = current.model_fields.get(part) if _is_schema(current) else None
        current = _schema_in(field.annotation) if field else None
    return list(current.model_fields) if _is_schema(current) else []


def _is_schema(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, BaseModel)


def _schema_in(annotation: Any) -> Any:
    """The first schema inside an annotation such as ``tuple[Annotated[X, ...], ...]`` or ``X | None``."""
    if _is_schema(annotation):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        found = _schema_in(argument)
        if found is not None:
            return found
    return None


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
