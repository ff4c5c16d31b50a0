"""A text turned into token ids, with the weight each token has as a target."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from bottega.data.records import Document

if TYPE_CHECKING:
    from bottega.data.tokenizer import Tokenizer


@dataclass(frozen=True, slots=True)
class Encoded:
    """One example as tokens.

    ``weights[i]`` is the weight of ``ids[i]`` in the loss when it is the target; ``None`` means 1 everywhere.
    ``text_bytes`` is the UTF-8 length of the text, for bits per byte.
    """

    ids: list[int]
    weights: list[float] | None = None
    text_bytes: int = 0


def encode_documents(
    tokenizer: Tokenizer, documents: Iterable[Document | str], *, batch_documents: int = 512
) -> Iterator[Encoded]:
    """Encode documents as ``[EOT, t1 .. tn]``, many at a time; the order is kept.

    The target of ``tn`` is the next document's EOT, so every document learns where it ends.
    """
    eot = tokenizer.require("eot")
    texts = (d.text if isinstance(d, Document) else d for d in documents)
    while chunk := list(islice(texts, batch_documents)):
        for text, ids in zip(chunk, tokenizer.encode_batch(chunk), strict=True):
            yield Encoded([eot, *ids], None, len(text.encode()))
