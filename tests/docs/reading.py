"""Pages of the documentation taken apart: headings, blocks of code, links, command lines."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_FENCE = re.compile(r"^```(?P<kind>\w*)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)
_INLINE = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_SHELL_WORDS = {"|", ">", ">>", "&&", "||", ";", "<"}


@dataclass(frozen=True)
class Block:
    """A fenced block."""

    kind: str
    text: str


@dataclass(frozen=True)
class Page:
    """One page."""

    path: Path

    @property
    def text(self) -> str:
        """The whole file."""
        return self.path.read_text(encoding="utf-8")

    @property
    def prose(self) -> str:
        """The file without its blocks of code."""
        return _FENCE.sub("", self.text)

    @property
    def headings(self) -> list[tuple[int, str]]:
        """(level, title) of every heading."""
        found = re.findall(r"^(#+) (.+)$", self.prose, re.MULTILINE)
        return [(len(marks), title.strip()) for marks, title in found]

    @property
    def anchors(self) -> set[str]:
        """What a link to a heading may name, by the rule that forges share."""
        return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for _, title in self.headings}

    @property
    def links(self) -> list[str]:
        """The target of every link and picture."""
        return _LINK.findall(self.prose)

    @property
    def blocks(self) -> list[Block]:
        """Every fenced block, in order."""
        return [Block(found["kind"], found["text"]) for found in _FENCE.finditer(self.text)]

    @property
    def inline(self) -> list[str]:
        """Every piece of code within a line."""
        return _INLINE.findall(self.prose)


def pages() -> list[Page]:
    """Every page there is."""
    found = [*sorted(ROOT.glob("README*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
    return [Page(path) for path in found]


def twins() -> list[tuple[Page, Page]]:
    """Each English page with its Chinese one."""
    english = [page.path for page in pages() if page.path.parent == ROOT / "docs" and page.path.stem != "log"]
    pairs = [(Page(path), Page(path.parent / "zh" / path.name)) for path in english]
    return [(Page(ROOT / "README.md"), Page(ROOT / "README.zh.md")), *pairs]


def commands(page: Page) -> list[list[str]]:
    """The words after ``bottega`` of every command line in the page's shell blocks."""
    lines = (line for block in page.blocks if block.kind == "sh" for line in block.text.splitlines())
    return [words for line in lines if "bottega" in line for words in _calls(line)]


def mentions(page: Page) -> list[list[str]]:
    """The words after ``bottega`` of every command named within a line; it may be without its arguments."""
    return [shlex.split(code)[1:] for code in page.inline if code.startswith("bottega ")]


def _calls(line: str) -> list[list[str]]:
    """The calls of bottega in a line of shell, among pipes and settings of the environment."""
    calls: list[list[str]] = []
    words: list[str] = []
    for word in [*shlex.split(line, comments=True), ";"]:
        if word not in _SHELL_WORDS:
            words.append(word)
            continue
        while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
            words.pop(0)
        if words and words[0] == "bottega":
            calls.append(words[1:])
        words = []
    return calls
