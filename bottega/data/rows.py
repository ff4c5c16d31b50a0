"""What every row shape is made of: the shape itself, and the checked reading of a row's values."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bottega.data.records import Message, Origin, Record, Role

Fields = dict[str, object]
_DIGITS = re.compile(r"[+-]?[0-9]{1,18}")  # `isdigit` also takes what `int` does not, such as "²"
_LARGEST = 10**18  # beyond it no number is a rank, a label or a mark, and floats no longer hold it


class ShapeError(ValueError):
    """A row that is not of its shape: what is wrong with which field. The caller adds file and line."""


@dataclass(frozen=True, slots=True)
class Shape:
    """One known kind of row.

    ``needs`` are the fields every such row has; ``accepts`` looks further, where two shapes share these.
    """

    name: str
    needs: tuple[str, ...]
    read: Callable[[Fields, Origin], Record]
    accepts: Callable[[Fields], bool] | None = None


_ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "prompter": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bing": "assistant",
    "bard": "assistant",
    "model": "assistant",
    "bot": "assistant",
}


def role(value: object) -> Role:
    """A role by any of its common names."""
    known = _ROLES.get(value.lower()) if isinstance(value, str) else None
    if known is None:
        raise ShapeError(f"unknown role {value!r}; known: {', '.join(_ROLES)}")
    return known


def text(row: Fields, name: str) -> str:
    """A field that has to be text."""
    value = row[name]
    if isinstance(value, str):
        return value
    raise ShapeError(f"`{name}` must be text; found {kind(value)}")


def optional_text(row: Fields, name: str) -> str:
    """A field that may be missing or null: then the empty text."""
    return "" if row.get(name) is None else text(row, name)


def real_text(row: Fields, name: str) -> str:
    """A text with something in it."""
    value = text(row, name)
    if not value or value.isspace():
        raise ShapeError(f"`{name}` is empty")
    return value


def items(row: Fields, name: str) -> list[object]:
    """A field that has to be a list."""
    value = row[name]
    if isinstance(value, list):
        return value
    raise ShapeError(f"`{name}` must be a list; found {kind(value)}")


def content(value: object, name: str = "content") -> str:
    """A message's content: text, or OpenAI's list of text parts."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        texts: list[str] = []
        for part in value:
            if not isinstance(part, dict) or not isinstance(part.get("text"), str):
                found = part.get("type", "a part without text") if isinstance(part, dict) else kind(part)
                raise ShapeError(f"`{name}` holds {found!r}; only text parts can be read")
            texts.append(part["text"])
        return "".join(texts)
    raise ShapeError(f"a message's `{name}` must be text; found {kind(value)}")


def messages(value: object, name: str = "messages") -> tuple[Message, ...]:
    """A list of OpenAI's ``{role, content}`` messages; ``weight`` (0 or 1) is the share in the loss."""
    if not isinstance(value, list) or not value:
        raise ShapeError(f"`{name}` must be a list of messages; found {kind(value)}")
    made: list[Message] = []
    for number, item in enumerate(value, 1):
        if not isinstance(item, dict) or "role" not in item or "content" not in item:
            found = ", ".join(item) if isinstance(item, dict) else kind(item)
            raise ShapeError(f"message {number} of `{name}` needs `role` and `content`; found {found}")
        weight = item.get("weight")
        if weight is not None and (
            isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 <= weight <= 1
        ):
            raise ShapeError(
                f"message {number} of `{name}` has the weight {weight!r}; it must be from 0 to 1"
            )
        made.append(
            Message(role(item["role"]), content(item["content"]), None if weight is None else float(weight))
        )
    return tuple(made)


def user(prompt: str) -> tuple[Message, ...]:
    """One user message."""
    return (Message("user", prompt),)


def with_input(instruction: str, given: str) -> str:
    """An instruction and what it is about, a blank line between."""
    return f"{instruction}\n\n{given}" if given.strip() else instruction


def integer(value: object, name: str) -> int:
    """A whole number, also written as text (CSV) or as a float without a fraction."""
    if isinstance(value, str) and _DIGITS.fullmatch(value.strip()):
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool) and -_LARGEST <= value <= _LARGEST:
        return value
    raise ShapeError(f"`{name}` must be a whole number; found {value!r}"[:200])


def one_of(value: object, name: str, known: Sequence[object]) -> None:
    """Check a value of a closed set."""
    if value not in known:
        raise ShapeError(f"`{name}` is {value!r}; it must be one of {', '.join(map(str, known))}"[:200])


def kind(value: object) -> str:
    """What a value is, in a user's words."""
    names = {
        str: "text",
        bool: "true/false",
        int: "a number",
        float: "a number",
        list: "a list",
        dict: "an object",
    }
    if value is None:
        return "null"
    if value in ([], {}):
        return "an empty list" if isinstance(value, list) else "an empty object"
    return names.get(type(value), type(value).__name__)
