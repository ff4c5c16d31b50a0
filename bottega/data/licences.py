"""What a record's licence lets us do: names made uniform, and sorted into four classes.

Licences are written by many hands ("CC BY-SA 4.0", "cc-by-sa-4.0", "MIT License", "Apache 2.0"). A name is
normalised towards SPDX, then classified. What cannot be recognised is ``unclear``: it is never guessed to be
free.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal, get_args

LicenceClass = Literal["permissive", "share-alike", "nc", "unclear"]  # the freest first

UNSTATED = "unstated"
NC_FOLDER = "non-commercial (folder nc)"

_PERMISSIVE = {
    "0BSD", "AFL-3.0", "Apache-2.0", "Artistic-2.0", "BSD", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0",
    "CC-BY", "CC0-1.0", "CDLA-Permissive-2.0", "CNRI-Python", "HPND", "ISC", "MIT", "MIT-0", "MIT-CMU",
    "NCSA", "ODC-By-1.0", "PDDL-1.0", "PSF-2.0", "Python-2.0", "Public domain", "UPL-1.0", "Unicode-3.0",
    "Unlicense", "WTFPL", "X11", "ZPL-2.1", "Zlib",
}  # fmt: skip
_SHARE_ALIKE = {
    "AGPL", "CC-BY-SA", "CDLA-Sharing-1.0", "EPL-2.0", "EUPL-1.2", "GFDL", "GPL", "LGPL", "MPL-1.1",
    "MPL-2.0", "ODbL-1.0",
}  # fmt: skip
# Spellings of package metadata and dataset cards, in lower case, with every separator one space.
_SPELLINGS = {
    "academic free license": "AFL-3.0",
    "afl 3 0": "AFL-3.0",
    "apache": "Apache-2.0",
    "apache 2": "Apache-2.0",
    "apache 2 0": "Apache-2.0",
    "apache software": "Apache-2.0",
    "apache software 2 0": "Apache-2.0",
    "artistic 2 0": "Artistic-2.0",
    "boost software 1 0": "BSL-1.0",
    "bsd": "BSD",
    "bsd 2": "BSD-2-Clause",
    "bsd 3": "BSD-3-Clause",
    "bsd 2 clause": "BSD-2-Clause",
    "bsd 3 clause": "BSD-3-Clause",
    "3 clause bsd": "BSD-3-Clause",
    "2 clause bsd": "BSD-2-Clause",
    "modified bsd": "BSD-3-Clause",
    "new bsd": "BSD-3-Clause",
    "simplified bsd": "BSD-2-Clause",
    "cc0": "CC0-1.0",
    "cc0 1 0": "CC0-1.0",
    "expat": "MIT",
    "gnu affero general public": "AGPL",
    "gnu general public": "GPL",
    "gnu lesser general public": "LGPL",
    "historical permission notice and disclaimer": "HPND",
    "isc": "ISC",
    "mit": "MIT",
    "mozilla public 2 0": "MPL-2.0",
    "odbl": "ODbL-1.0",
    "odc by": "ODC-By-1.0",
    "pd": "Public domain",
    "psf": "PSF-2.0",
    "psfl": "PSF-2.0",
    "python software foundation": "PSF-2.0",
    "public domain": "Public domain",
    "the unlicense": "Unlicense",
    "unlicense": "Unlicense",
    "zlib libpng": "Zlib",
    "zope public": "ZPL-2.1",
}
_BY_FORM = {re.sub(r"[^a-z0-9]+", " ", name.lower()).strip(): name for name in _PERMISSIVE | _SHARE_ALIKE}
_NON_COMMERCIAL = re.compile(
    r"non ?commercial|\bnc\b|research (use )?only|academic use only|no commercial", re.IGNORECASE
)
_UNCLEAR = re.compile(r"unclear|unknown|unstated|no licen[cs]e|not stated|each under its own", re.IGNORECASE)
_CREATIVE_COMMONS = re.compile(r"^(?:cc|creative commons)\b.*?\bby\b")
_COPYLEFT = re.compile(r"^(agpl|lgpl|gpl|gfdl)(?:v?\d+)?\b")


@lru_cache(maxsize=4096)
def normalise(name: str) -> str:
    """The licence's short name where it is known ("Apache License 2.0" is "Apache-2.0"), else the name,
    trimmed.

    A note in parentheses ("MIT (GPT-4 output)") is kept, for the card to show.
    """
    name = " ".join(name.split())
    bare, note = _without_note(name)
    known = _canonical(bare)
    return name if known is None else known + note


@lru_cache(maxsize=4096)
def classify(name: str) -> LicenceClass:
    """The class of a licence name or of an SPDX expression: the best side of an OR, the worst of an AND.

    A note in parentheses counts when it restricts: "MIT (research only)" is non-commercial.
    """
    if _NON_COMMERCIAL.search(_form(name)):
        return "nc"
    if _UNCLEAR.search(name):
        return "unclear"
    return _classify_expression(name)


def let_in(name: str, *, include_nc: bool = False, include_unclear: bool = False) -> bool:
    """Whether such records may be trained on, under the flags ``--include-nc`` and ``--include-unclear``."""
    kind = classify(name)
    return (
        kind in ("permissive", "share-alike")
        or (kind == "nc" and include_nc)
        or (kind == "unclear" and include_unclear)
    )


def _classify_expression(expression: str) -> LicenceClass:
    order: tuple[LicenceClass, ...] = get_args(LicenceClass)
    alternatives = _sides(expression, ("OR",))
    if len(alternatives) > 1:
        return min(map(_classify_expression, alternatives), key=order.index)
    joined = _sides(expression, ("AND", "and"))
    if len(joined) > 1:
        return max(map(_classify_expression, joined), key=order.index)
    inner = re.fullmatch(r"\((.*)\)", expression.strip())
    return _classify_expression(inner[1]) if inner else _classify_one(_without_note(expression)[0])


def _sides(expression: str, words: tuple[str, ...]) -> list[str]:
    """What an operator joins, where it stands outside all parentheses."""
    sides: list[list[str]] = [[]]
    depth = 0
    for word in expression.split():
        if word in words and not depth:
            sides.append([])
        else:
            sides[-1].append(word)
            depth += word.count("(") - word.count(")")
    return [" ".join(side) for side in sides]


def _classify_one(name: str) -> LicenceClass:
    known = _canonical(name.strip(" ()").split(" WITH ")[0])  # an exception only adds permissions
    if known is None:
        return "unclear"
    family = re.sub(r"-\d[\d.]*$", "", known)
    if known in _PERMISSIVE or family == "CC-BY":
        return "permissive"
    if known in _SHARE_ALIKE or family == "CC-BY-SA":
        return "share-alike"
    return "unclear"


def _canonical(name: str) -> str | None:
    """The short name of one licence, without its note; None where it is not known."""
    if name in _PERMISSIVE or name in _SHARE_ALIKE:
        return name
    form = _form(name)
    if _CREATIVE_COMMONS.match(form):
        version = re.search(r"\d( \d)?", form)
        terms = "".join(f"-{term.upper()}" for term in ("nc", "sa", "nd") if re.search(rf"\b{term}\b", form))
        return f"CC-BY{terms}" + (f"-{version[0].replace(' ', '.')}" if version else "")
    if _COPYLEFT.match(form):
        return _COPYLEFT.match(form)[1].upper()  # type: ignore[index]
    plain = re.sub(r"\b(the|licen[cs]e|licensed|version|v|approved|osi|us)\b", " ", form)
    plain = re.sub(r"\bv(?=\d)", "", plain)
    plain = " ".join(plain.split())
    for key in (form, plain, re.sub(r" s$", "", plain)):
        if key in _BY_FORM or key in _SPELLINGS:
            return _BY_FORM.get(key) or _SPELLINGS[key]
    if form.startswith("public domain"):
        return "Public domain"
    if plain.startswith(("gnu affero", "gnu general public", "gnu lesser", "gnu library")):
        return "AGPL" if "affero" in plain else "GPL" if "general public" in plain[:20] else "LGPL"
    return None


def _without_note(name: str) -> tuple[str, str]:
    """A name and the note in parentheses that ends it: ("MIT", " (GPT-4 output)")."""
    match = re.match(r"^([^()]+?)(\s*\([^()]*\))$", name.strip())
    return (match[1], f" {match[2].strip()}") if match else (name.strip(), "")


def _form(name: str) -> str:
    """Lower case, every run of other characters one space: the form in which spellings are compared."""
    return re.sub(r"[^a-z0-9]+", " ", name.lower()).strip()
