"""Which language a text is in, told by its script alone: enough to count English and Chinese."""

from __future__ import annotations

from typing import Literal

import numpy as np

Language = Literal["en", "zh", "other"]

_LOOK_AT_CHARS = 1000
# Punctuation and symbols between the letters of other scripts: general, CJK, full-width.
_SIGNS = ((0x2000, 0x2BFF), (0x3000, 0x303F), (0xFF00, 0xFF20))


def language(text: str) -> Language:
    """``zh`` where a fifth of the letters are Chinese, ``en`` where nine in ten are plain Latin, else
    ``other``.

    Code, and other languages in unaccented Latin letters, count as ``en``: only the script is looked at.
    """
    start = text[:_LOOK_AT_CHARS]
    if start.isascii():
        return "en"
    codes = np.frombuffer(start.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    han = _between(codes, 0x3400, 0x9FFF)
    latin = _between(codes | np.uint32(0x20), ord("a"), ord("z"))
    other = _between(codes, 0xC0, 0x10FFFF) - han - sum(_between(codes, low, high) for low, high in _SIGNS)
    letters = han + latin + other
    if han * 5 >= letters > 0:
        return "zh"
    return "en" if latin * 10 >= letters * 9 else "other"


def _between(codes: np.typing.NDArray[np.uint32], low: int, high: int) -> int:
    return int(np.count_nonzero(codes - np.uint32(low) <= high - low))  # below ``low`` wraps to huge
