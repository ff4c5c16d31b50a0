"""Datasets of the Hugging Face hub, streamed through ``datasets``, and local folders in the hub's layout.

``hf:owner/dataset:split``, ``hf:owner/dataset@commit:split``, ``hf:owner/dataset/config:split``,
``hf:./folder:split``. The commit that was read is recorded, so that a dataset can be read again as it was.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bottega.data.readers import Row
from bottega.errors import UserError

_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class HubAddress:
    """A hub URI, taken apart. ``folder`` is set for a local one."""

    repo: str
    split: str
    config: str | None = None
    revision: str | None = None
    folder: Path | None = None


@dataclass(frozen=True)
class HubDataset:
    """A dataset found: what it is, and how to stream its rows."""

    address: HubAddress
    name: str
    commit: str | None
    licence: str | None

    def rows(self) -> Iterator[Row]:
        """The rows in the hub's order, numbered from 1. Raises ``UserError`` for what cannot be loaded."""
        import datasets

        at = self.address
        target = str(at.folder) if at.folder else at.repo
        try:
            stream = datasets.load_dataset(
                target,
                name=at.config,
                split=at.split,
                streaming=True,
                revision=None if at.folder else self.commit or at.revision,
            )
            for number, fields in enumerate(stream, 1):
                yield Row(number, dict(fields))
        except UserError:
            raise
        except Exception as error:  # the library and its file systems raise of many kinds
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise UserError(f"hf:{at.repo}:{at.split}: cannot be read: {reason}") from error


def open_hub(uri: str) -> HubDataset:
    """Find the dataset: its commit and its licence, from the hub or from the folder's card."""
    at = parse_hub_uri(uri)
    if at.folder is not None:
        card = at.folder / "README.md"
        licence = _card_licence(card.read_text("utf-8")) if card.is_file() else None
        commit = at.folder.name if _COMMIT.fullmatch(at.folder.name) else None  # a hub cache's snapshot
        return HubDataset(at, at.folder.name, commit, licence)
    from huggingface_hub import HfApi
    from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

    try:
        info = HfApi().dataset_info(at.repo, revision=at.revision, timeout=30)
    except RevisionNotFoundError:
        raise UserError(f"{uri}: {at.repo} has no revision {at.revision}") from None
    except RepositoryNotFoundError:
        raise UserError(
            f"{uri}: there is no public data set {at.repo} on the hub; for a private or a gated one "
            "log in first (hf auth login)"
        ) from None
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(
            f"{uri}: the hub does not give {at.repo}: {reason}; check the name and the network, "
            "or use a local folder (hf:./folder:split)"
        ) from error
    licence = getattr(info.card_data, "license", None)
    return HubDataset(at, at.repo, info.sha, licence if isinstance(licence, str) else None)


def parse_hub_uri(uri: str) -> HubAddress:
    """The parts of ``hf:...``. Raises ``UserError`` saying the form."""
    body, colon, split = uri.removeprefix("hf:").rpartition(":")
    form = "hf:owner/dataset:split, with /config or @commit after the dataset, or hf:./folder:split"
    if not colon or not body or not split:
        raise UserError(f"{uri}: a hub source names its split; the form is {form}")
    folder = Path(body).expanduser()
    if body.startswith((".", "/", "~")):
        if not folder.is_dir():
            raise UserError(f"{uri}: there is no folder {folder}")
        return HubAddress(folder.name, split, folder=folder)
    name, _, revision = body.partition("@")
    parts = name.split("/")
    if len(parts) not in (2, 3) or not all(parts):
        raise UserError(f"{uri}: the form is {form}")
    return HubAddress("/".join(parts[:2]), split, parts[2] if len(parts) == 3 else None, revision or None)


def _card_licence(card: str) -> str | None:
    """``license:`` of the card's front matter."""
    front = re.match(r"---\s*\n(.*?)\n---", card, re.DOTALL)
    found = re.search(r"^license:\s*['\"]?([^'\"\n#]+)", front[1], re.MULTILINE) if front else None
    return found[1].strip() if found else None
