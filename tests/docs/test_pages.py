"""What the documentation says is so: commands parse, links lead somewhere, tables are the code's."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import typer
from rich.console import Console

from bottega.cli.main import app
from bottega.data.inspect import inspect, render
from bottega.data.school.registry import TASKS
from bottega.data.sources import SourceSpec
from bottega.lineage.family import members
from bottega.lineage.home import Home
from bottega.lineage.options import BuildOptions
from bottega.lineage.recipe import load, parse
from bottega.lineage.tree import legend, tree
from scripts import doc_tables
from tests.docs.reading import ROOT, Page, commands, mentions, pages, twins

PAGES = pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.path.relative_to(ROOT)))
TWINS = pytest.mark.parametrize("english, chinese", twins(), ids=lambda page: page.path.name)
BY_LANGUAGE = pytest.mark.parametrize("folder", ["docs", "docs/zh"])


@TWINS
def test_every_page_has_a_chinese_twin_with_the_same_headings(english: Page, chinese: Page) -> None:
    assert chinese.path.is_file()
    assert [level for level, _ in english.headings] == [level for level, _ in chinese.headings]
    written_in = [re.search("[一-鿿]", title) is not None for _, title in chinese.headings]
    assert written_in.count(False) <= 1  # the product's own name


@TWINS
def test_twins_name_the_same_commands_tables_and_pages(english: Page, chinese: Page) -> None:
    assert [words[:1] for words in commands(english)] == [words[:1] for words in commands(chinese)]
    assert [block.kind for block in english.blocks] == [block.kind for block in chinese.blocks]
    assert [found["name"] for found in doc_tables.TABLE.finditer(english.text)] == [
        found["name"] for found in doc_tables.TABLE.finditer(chinese.text)
    ]
    assert english.text.count("\n| ") == chinese.text.count("\n| ")
    target = [Path(link.partition("#")[0]).name for link in english.links]
    mirrored = [Path(link.partition("#")[0]).name for link in chinese.links]
    assert target[1:] == mirrored[1:]  # the first leads to the other language


@PAGES
def test_every_link_leads_to_a_file_and_a_heading_that_exist(page: Page) -> None:
    for link in page.links:
        target, _, anchor = link.partition("#")
        assert not re.match(r"\w+:", target), f"{link}: pages link within the repository only"
        place = (page.path.parent / target).resolve() if target else page.path
        assert place.is_file(), f"{link}: there is no such file"
        assert not anchor or anchor in Page(place).anchors, f"{link}: there is no such heading"


@PAGES
def test_every_command_in_a_shell_block_parses(page: Page, tmp_path: Path) -> None:
    for words in commands(page):
        # A folder that the reader has to have; the parser asks whether it is there.
        known = [str(tmp_path) if before == "--data" else word for before, word in _with_before(words)]
        _parse(known)


@PAGES
def test_every_command_named_in_a_sentence_has_its_verb_and_options(page: Page) -> None:
    for words in mentions(page):
        if words[0] != "VERB":
            _parse(words, partial=True)


@PAGES
def test_the_tables_are_those_of_the_code(page: Page) -> None:
    assert page.text == doc_tables.fill(page.text, doc_tables.language_of(page.path)), (
        "run `python -m scripts.doc_tables`"
    )


def test_every_table_stands_on_a_page_and_every_translation_is_needed() -> None:
    used = {found["name"] for page in pages() for found in doc_tables.TABLE.finditer(page.text)}
    assert used == set(doc_tables.TABLES)
    chinese = "".join(page.text for page in pages() if doc_tables.language_of(page.path) == "zh")
    unused = [en for en, zh in doc_tables.translations().items() if zh.replace("|", "\\|") not in chinese]
    assert unused == []


def test_every_task_stands_in_the_tables_through_itself_or_its_twin() -> None:
    assert {name.removesuffix("-en") for name in TASKS if name.endswith("-en")} == {
        name.removesuffix("-zh") for name in TASKS if name.endswith("-zh")
    }
    lists = {name for name in TASKS if not name.endswith(("-en", "-zh"))}
    swapped = {name.replace("-en-", "-zh-") for name in lists if "-en-" in name}
    assert lists == swapped | {name.replace("-zh-", "-en-") for name in swapped}


@PAGES
def test_a_page_names_no_machine_and_no_host(page: Page) -> None:
    assert not re.search(r"(?<![\w.~])/(work|home|root|tmp|Users|mnt|opt|data)/", page.text)
    assert not re.search(r"https?://", page.text)


@PAGES
def test_the_first_thing_on_a_page_can_be_run(page: Page) -> None:
    if page.path.stem == "log":
        return
    assert page.blocks[0].kind == "sh"
    before = page.text.partition("```")[0]
    assert not re.search(r"^## ", before, re.MULTILINE)


@PAGES
def test_whole_recipes_are_sound_and_programs_are_python(page: Page) -> None:
    for block in page.blocks:
        if block.kind == "toml" and "[recipe]" in block.text:
            assert parse(block.text, page.path.name).models
        if block.kind == "python":
            compile(block.text, page.path.name, "exec")


@BY_LANGUAGE
def test_the_inspection_shown_is_what_is_printed(
    folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shell, shown = Page(ROOT / folder / "data.md").blocks[:2]
    rows = re.search(r"<<'END'\n(.*?)^END$", shell.text, re.DOTALL | re.MULTILINE)
    assert rows is not None
    monkeypatch.chdir(tmp_path)
    Path("chats.jsonl").write_text(rows[1], encoding="utf-8")
    printed = _printed(render(inspect(SourceSpec(uri="file:chats.jsonl"))), width=88)
    assert _without_time(printed) == _without_time(shown.text)


@BY_LANGUAGE
def test_the_tree_shown_is_what_is_printed_before_anything_is_built(folder: str, tmp_path: Path) -> None:
    school = load("school")
    found = members(school, Home(tmp_path), BuildOptions())
    printed = _printed(tree(school, found), legend(), width=100)
    assert printed == Page(ROOT / folder / "lineage.md").blocks[1].text


def _with_before(words: list[str]) -> list[tuple[str, str]]:
    return list(zip(["", *words], words, strict=False))


def _parse(words: list[str], *, partial: bool = False) -> None:
    """Parse a command line and run nothing. Raises the parser's error for one that does not fit."""
    command: Any = typer.main.get_command(app)
    context = command.make_context("bottega", list(words), resilient_parsing=partial)
    rest = [*getattr(context, "_protected_args", ()), *context.args]
    while rest and hasattr(command, "resolve_command"):
        name, command, arguments = command.resolve_command(context, rest)
        # Of a verb the options have to exist; what they are given, and the arguments, may be left out.
        if partial and not hasattr(command, "resolve_command"):
            unknown = [w for w in arguments if w.startswith("-") and w not in _options(command)]
            assert not unknown, f"bottega {' '.join(words)}: unknown {unknown}"
        context = command.make_context(name, arguments, parent=context, resilient_parsing=partial)
        rest = [*getattr(context, "_protected_args", ()), *context.args]


def _options(command: Any) -> set[str]:
    return {
        option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)
    } | {"--help"}


def _printed(*what: Any, width: int) -> str:
    console = Console(width=width, color_system=None, force_terminal=False)
    with console.capture() as capture:
        console.print(*what)
    return "".join(f"{line.rstrip()}\n" for line in capture.get().splitlines())


def _without_time(text: str) -> str:
    return re.sub(r"read in [\d.]+ s", "read in 0.0 s", text)
