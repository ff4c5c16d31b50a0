"""The Python that is installed, as text to learn from: ``python:stdlib`` and ``python:packages``.

``python:stdlib`` is the source of the standard library, its documentation strings and the language's help
topics, ``python:packages`` the sources of the installed packages whose metadata states a permissive licence.
"""

from __future__ import annotations

import ast
import email.message
import sysconfig
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, cast

from bottega.data import licences
from bottega.data.records import Document, Origin
from bottega.errors import UserError

if TYPE_CHECKING:
    from bottega.data.sources import ReadReport

_STDLIB_LICENCE = "PSF-2.0"
# Tests of the standard library are not installed everywhere, and hold files that are wrong on purpose.
_SKIPPED = {
    "__pycache__",
    "test",
    "tests",
    "idle_test",
    "site-packages",
    "dist-packages",
    "ensurepip",
}
# What a package bundles of others is under their licences, not under the one that its metadata states.
_BUNDLED = {
    "_vendor",
    "_vendored",
    "vendor",
    "vendored",
    "vendored_packages",
    "third_party",
    "thirdparty",
    "extern",
    "externals",
}
_MAX_SOURCE_BYTES = 1_000_000  # beyond lie generated tables


def open_python(uri: str, report: ReadReport) -> Iterator[Document]:
    """The documents of ``python:stdlib`` or ``python:packages``. Raises ``UserError`` for any other name."""
    match uri.removeprefix("python:"):
        case "stdlib":
            return _counted(_stdlib(uri), report)
        case "packages":
            return _counted(_packages(uri, report), report)
        case other:
            raise UserError(f"{uri}: there is no python:{other}; known: python:stdlib, python:packages")


def _counted(documents: Iterator[Document], report: ReadReport) -> Iterator[Document]:
    for document in documents:
        report.rows += 1
        report.shapes["python"] += 1
        yield document


def _stdlib(uri: str) -> Iterator[Document]:
    root = Path(sysconfig.get_path("stdlib"))
    for path in _python_files(root):
        name = path.relative_to(root)
        source = _source(path)
        if source is None:
            continue
        yield Document(source, Origin(uri, name.as_posix(), _STDLIB_LICENCE))
        documentation = _documentation(source, ".".join(name.with_suffix("").parts).removesuffix(".__init__"))
        if documentation:
            yield Document(documentation, Origin(uri, f"{name.as_posix()}#documentation", _STDLIB_LICENCE))
    try:
        from pydoc_data.topics import topics
    except ImportError:  # some builds leave it out
        return
    for topic in sorted(topics):
        yield Document(topics[topic].strip() + "\n", Origin(uri, f"topic {topic}", _STDLIB_LICENCE))


def _python_files(folder: Path) -> Iterator[Path]:
    """Every module below, a folder's own before its subfolders', in alphabetical order."""
    children = sorted(folder.iterdir())
    yield from (child for child in children if child.suffix == ".py" and child.is_file())
    for child in children:
        if child.is_dir() and child.name not in _SKIPPED and not child.name.startswith("config-"):
            yield from _python_files(child)


def _documentation(source: str, module: str) -> str:
    """A module's documentation strings: its own, then each class's and function's under its full name."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return ""
    sections = [f"{module}\n\n{ast.get_docstring(tree)}"] if ast.get_docstring(tree) else []

    def visit(node: ast.AST, prefix: str) -> None:
        for child in ast.iter_child_nodes(node):
            if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                continue
            name = f"{prefix}.{child.name}"
            said = ast.get_docstring(child)
            if said and not child.name.startswith("_"):
                arguments = "" if isinstance(child, ast.ClassDef) else f"({ast.unparse(child.args)})"
                sections.append(f"{name}{arguments}\n\n{said}")
            if isinstance(child, ast.ClassDef):
                visit(child, name)

    visit(tree, module)
    return "\n\n\n".join(sections) + "\n" if sections else ""


def _packages(uri: str, report: ReadReport) -> Iterator[Document]:
    """Sources of every permissive package, by name; files of the others are counted under their licence."""
    found = {(package.metadata["Name"] or "").lower(): package for package in metadata.distributions()}
    for name in sorted(found):
        package = found[name]
        if not name or name == "bottega":  # what is being worked on has no settled content
            continue
        licence = package_licence(package)
        paths = sorted(
            file for file in package.files or () if file.suffix == ".py" and not _BUNDLED & set(file.parts)
        )
        if licences.classify(licence) != "permissive":
            report.left_out[licence] += len(paths)
            continue
        for file in paths:
            source = _source(Path(str(file.locate())))
            if source is not None:
                yield Document(source, Origin(uri, f"{name}/{file.as_posix()}", licence))


def package_licence(package: metadata.Distribution) -> str:
    """The licence in a package's metadata: its SPDX expression, else classifiers, else a short free text."""
    about = cast(email.message.Message, package.metadata)
    expression = about.get("License-Expression")
    if expression:
        return licences.normalise(expression)
    classifiers = (
        line.split(" :: ")[-1] for line in about.get_all("Classifier") or () if line.startswith("License ::")
    )
    named = [
        licences.normalise(line) for line in classifiers if line not in ("OSI Approved", "DFSG approved")
    ]
    free = " ".join((about.get("License") or "").split())
    if named:
        # "BSD License" is less than "BSD-3-Clause", which the free text may say.
        stated = licences.normalise(free) if 0 < len(free) <= 60 else ""
        return stated if named == ["BSD"] and stated.startswith("BSD") else " AND ".join(named)
    return licences.normalise(free) if 0 < len(free) <= 60 else licences.UNSTATED


def _source(path: Path) -> str | None:
    """A Python file's text; None where it is empty, huge, or not UTF-8."""
    try:
        if path.stat().st_size > _MAX_SOURCE_BYTES:
            return None
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return None
    return text if text.strip() and "\0" not in text else None
