"""The files that a ``file:`` URI names: paths, globs, and ``$DATA``."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path

from bottega.data.readers import is_readable
from bottega.errors import UserError

_GLOB = "*?["


def find_files(pattern: str, data: Path | None) -> list[tuple[str, Path]]:
    """(name, path) of every file, sorted by name, which is relative to the folder before the first wildcard.

    Names, not paths, go into row ids and digests, so that a moved folder keeps them. Raises ``UserError``
    when there is none.
    """
    path = _expanded(pattern, data)
    parts = path.parts
    fixed = next((i for i, part in enumerate(parts) if any(c in part for c in _GLOB)), len(parts) - 1)
    if path.is_file():
        fixed = len(parts) - 1
    root = Path(*parts[:fixed])
    if not root.is_dir():
        raise UserError(f"file:{pattern}: {_first_missing(root)}")
    if path.is_dir():
        raise UserError(f"file:{pattern}: is a folder; name its files: file:{pattern.rstrip('/')}/*.jsonl.gz")
    if path.is_file():
        return [(path.name, path)]
    found = (file for file in root.glob(str(Path(*parts[fixed:]))) if file.is_file())
    files = sorted((file.relative_to(root).as_posix(), file) for file in found)
    if not files:
        raise UserError(f"file:{pattern}: no file matches; {_nearest(root, parts[-1])}")
    return files


def is_non_commercial_folder(path: Path) -> bool:
    """Whether the file lies under a folder named ``nc``: non-commercial, where nothing else is stated."""
    return "nc" in path.absolute().parts[:-1]


def _expanded(pattern: str, data: Path | None) -> Path:
    if pattern.startswith("$DATA"):
        if data is None:
            raise UserError(f"file:{pattern}: $DATA is not set; give the data folder with --data FOLDER")
        return data / pattern.removeprefix("$DATA").lstrip("/")
    if not pattern:
        raise UserError("file: names no file; give a path, such as file:texts/*.jsonl.gz")
    return Path(pattern).expanduser()


def _first_missing(folder: Path) -> str:
    missing = folder
    while not missing.parent.is_dir():
        missing = missing.parent
    near = get_close_matches(
        missing.name, [child.name for child in missing.parent.iterdir() if child.is_dir()], n=1
    )
    hint = f"; did you mean {missing.parent / near[0]}?" if near else ""
    return f"there is no folder {missing}{hint}"


def _nearest(root: Path, name: str) -> str:
    there = sorted(file.name for file in root.iterdir() if file.is_file() and is_readable(file.name))
    near = get_close_matches(name, there, n=1, cutoff=0.5)
    if near:
        return f"did you mean {near[0]}?"
    if there:
        return f"{root} holds {', '.join(there[:5])}{' and more' if len(there) > 5 else ''}"
    return f"{root} holds no file of a known kind"
