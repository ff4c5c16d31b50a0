"""Plain Python values as JSON and back: what a program gives is rebuilt here from its parts.

So an object that claims to equal everything never reaches a comparison: only exact built-in types come out.
Standard library only: a sandboxed process imports this file.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

MAX_DEPTH = 60
MAX_ITEMS = 100_000  # of an iterator that is run to its end


class UnsupportedValueError(TypeError):
    """A value that cannot be passed between a program and its tests."""


def encode(value: Any) -> Any:
    """What JSON can hold. Raises ``UnsupportedValueError`` for anything but plain values."""
    return _encode(value, 0)


def decode(value: Any) -> Any:
    """The value again. Raises ``ValueError`` for what ``encode`` never gives."""
    try:
        return _decode(value, 0)
    except (TypeError, IndexError) as error:
        raise ValueError(f"not a value: {error}") from None


def _encode(value: Any, depth: int) -> Any:
    if depth > MAX_DEPTH:
        raise UnsupportedValueError(f"a value nested more than {MAX_DEPTH} deep")
    if value is None or value is True or value is False:
        return value
    if isinstance(value, str):
        return ["s", str.__str__(value)]
    if isinstance(value, int):
        return ["i", hex(value)]  # no limit of digits
    if isinstance(value, float):
        return ["f", float.__repr__(value)]
    if isinstance(value, complex):
        return ["c", float.__repr__(value.real), float.__repr__(value.imag)]
    if isinstance(value, bytes | bytearray):
        return ["b", bytes(value).hex()]
    for kind, name in ((list, "l"), (tuple, "t"), (set, "S"), (frozenset, "F")):
        if isinstance(value, kind):
            return [name, *(_encode(item, depth + 1) for item in value)]
    if isinstance(value, dict):
        pairs = dict.items(value)
        return ["d", *([_encode(k, depth + 1), _encode(v, depth + 1)] for k, v in pairs)]
    if isinstance(value, range):
        return ["r", hex(value.start), hex(value.stop), hex(value.step)]
    if isinstance(value, Iterator):
        items = []
        for item in value:
            items.append(_encode(item, depth + 1))
            if len(items) > MAX_ITEMS:
                raise UnsupportedValueError(f"an iterator of more than {MAX_ITEMS:,} items")
        return ["I", *items]
    raise UnsupportedValueError(f"a value of type {type(value).__name__}")


def _decode(value: Any, depth: int) -> Any:
    if depth > MAX_DEPTH:
        raise ValueError("nested too deep")
    if value is None or value is True or value is False:
        return value
    if not isinstance(value, list) or not value:
        raise ValueError(f"not a value: {value!r:.80}")
    kind, rest = value[0], value[1:]
    if kind == "s":
        return str(rest[0])
    if kind == "i":
        return int(rest[0], 16)
    if kind == "f":
        return float(rest[0])
    if kind == "c":
        return complex(float(rest[0]), float(rest[1]))
    if kind == "b":
        return bytes.fromhex(rest[0])
    if kind == "d":
        return {_decode(k, depth + 1): _decode(v, depth + 1) for k, v in rest}
    if kind == "r":
        return range(*(int(number, 16) for number in rest))
    items = [_decode(item, depth + 1) for item in rest]
    makers: dict[str, Any] = {"l": list, "t": tuple, "S": set, "F": frozenset, "I": iter}
    if kind not in makers:
        raise ValueError(f"no kind of value: {kind!r:.80}")
    return makers[kind](items)
