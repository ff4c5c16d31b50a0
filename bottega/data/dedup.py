"""Duplicates, exact and near, found in one pass over a stream; the first copy is kept.

Exact: the hash of the normalised text. Near: MinHash over runs of five tokens (a token is a word, or one
character of Chinese, Japanese or Korean), one permutation with optimal densification (Shrivastava 2017,
"Optimal Densification for Fast and Accurate Minwise Hashing"), candidates by banding, confirmed by the
estimated Jaccard similarity. All of it is numpy over batches of texts; of a text kept, only 16 bytes (exact)
and some 430 (near) stay in memory.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bottega.data.records import Comparison, Document, Labelled, Rated, Record

SHINGLE_TOKENS = 5
_BINS = 128
_BAND_ROWS = 6
_BANDS = _BINS // _BAND_ROWS  # 21 bands of 6: a pair of similarity 0.8 is a candidate with probability 0.998
_EMPTY = np.uint32(0xFFFFFFFF)
_BLOCK = 0x10000  # characters whose class is looked up; beyond lie rare Chinese characters and emoji

U64 = NDArray[np.uint64]


def full_text(record: Record) -> str:
    """All that a record says, prompts and answers."""
    if isinstance(record, Document | Labelled):
        return record.text
    said = [message.content for message in record.messages]
    if isinstance(record, Comparison):
        said += [answer.message.content for answer in record.answers]
    elif isinstance(record, Rated):
        said.append(record.answer.message.content)
    return "\n".join(said)


def judgement(record: Record) -> str:
    """What was said *about* the text: two verdicts on one answer are two records, not a duplicate."""
    match record:
        case Comparison():
            return "\n".join(f"{one.labeler} {one.tiers} {one.all_bad}" for one in record.rankings)
        case Rated():
            return f"{record.rating} {record.rater}"
        case Labelled():
            return str(sorted(record.categories.items()))
        case _:
            return ""


class ExactDuplicates:
    """Keys seen so far."""

    def __init__(self) -> None:
        self._seen: set[bytes] = set()

    def add(self, key: bytes) -> bool:
        """Whether the key was seen before; it is now."""
        before = len(self._seen)
        self._seen.add(key)
        return len(self._seen) == before


class NearDuplicates:
    """Texts kept so far, by signature. The same texts in the same batches give the same answer."""

    def __init__(self, threshold: float = 0.8) -> None:
        self.threshold = threshold
        self._kept = 0
        self._signatures = np.empty((1024, _BINS), dtype=np.uint16)
        self._bands = _SortedRuns()

    def add(self, texts: Sequence[str]) -> list[bool]:
        """For each text, whether it nearly equals one kept before it; if not, it is kept."""
        signatures = minhash(texts)  # [N, BINS]
        keys = _band_keys(signatures)  # [N, BANDS]
        short = signatures.astype(np.uint16)
        wordless = (signatures == _EMPTY).all(axis=1)
        near = self._near_earlier(keys, short) & ~wordless
        start = self._kept
        waiting: dict[int, list[int]] = {}  # band key -> kept rows of this batch
        for row in np.flatnonzero(~near & ~wordless):
            row_keys = keys[row].tolist()
            candidates = sorted({other for key in row_keys for other in waiting.get(key, ())})
            if candidates:
                agreement = (self._signatures[candidates] == short[row]).mean(axis=1)
                if agreement.max() >= self.threshold:
                    near[row] = True
                    continue
            self._keep(short[row])
            for key in row_keys:
                waiting.setdefault(key, []).append(self._kept - 1)
        flat = [(key, row) for key, rows in waiting.items() for row in rows[:4]]
        if self._kept > start:
            self._bands.add(
                np.array([key for key, _ in flat], np.uint64), np.array([row for _, row in flat], np.uint32)
            )
        return near.tolist()  # type: ignore[no-any-return]

    def _near_earlier(self, keys: U64, short: NDArray[np.uint16]) -> NDArray[np.bool_]:
        near = np.zeros(len(keys), dtype=bool)
        for found in self._bands.find(keys.ravel()):
            hits = np.flatnonzero(found >= 0)
            rows, others = hits // _BANDS, found[hits]
            pairs = np.unique(np.stack([rows, others]), axis=1)
            agreement = (self._signatures[pairs[1]] == short[pairs[0]]).mean(axis=1)
            near[pairs[0][agreement >= self.threshold]] = True
        return near

    def _keep(self, signature: NDArray[np.uint16]) -> None:
        if self._kept == len(self._signatures):
            self._signatures = np.concatenate([self._signatures, np.empty_like(self._signatures)])
        self._signatures[self._kept] = signature
        self._kept += 1


class _SortedRuns:
    """A map from band keys to rows as sorted arrays: 12 bytes an entry, where a dict takes a hundred."""

    def __init__(self) -> None:
        self._runs: list[tuple[U64, NDArray[np.uint32]]] = []

    def add(self, keys: U64, rows: NDArray[np.uint32]) -> None:
        runs = [*self._runs, (keys, rows)]
        while len(runs) > 1 and len(runs[-2][0]) < 2 * len(runs[-1][0]):
            (keys_a, rows_a), (keys_b, rows_b) = runs[-2:]
            runs[-2:] = [(np.concatenate([keys_a, keys_b]), np.concatenate([rows_a, rows_b]))]
        keys, rows = runs[-1]
        order = np.argsort(keys, kind="stable")
        runs[-1] = (keys[order], rows[order])
        self._runs = runs

    def find(self, keys: U64) -> list[NDArray[np.int64]]:
        """For each run, the first row of every key, or -1."""
        found = []
        for known, rows in self._runs:
            at = np.minimum(np.searchsorted(known, keys), len(known) - 1)
            found.append(np.where(known[at] == keys, rows[at].astype(np.int64), -1))
        return found


def minhash(texts: Sequence[str]) -> NDArray[np.uint32]:
    """Signatures [N, 128]: the share of equal entries of two rows estimates their texts' Jaccard similarity.

    A text without any word has a signature of nothing but 0xFFFFFFFF.
    """
    shingles, owner = _shingles(texts)
    bins = ((shingles >> np.uint64(32)) * np.uint64(_BINS)) >> np.uint64(32)
    values = np.minimum((shingles & np.uint64(0xFFFFFFFF)).astype(np.uint32), _EMPTY - np.uint32(1))
    signatures = np.full(len(texts) * _BINS, _EMPTY, dtype=np.uint32)
    np.minimum.at(signatures, owner * _BINS + bins.astype(np.int64), values)
    return _densified(signatures.reshape(len(texts), _BINS))


def _shingles(texts: Sequence[str]) -> tuple[U64, NDArray[np.int64]]:
    """The hash of every run of five tokens, and the text it belongs to. A text of fewer tokens is one run."""
    folded = [
        text.lower() if text.isascii() else unicodedata.normalize("NFKC", text).casefold() for text in texts
    ]
    codes = np.frombuffer("".join(folded).encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    owners = np.repeat(np.arange(len(texts)), [len(text) for text in folded])
    kinds = _character_classes()[np.minimum(codes, _BLOCK)]

    inside = kinds > 0
    starts = kinds == 2  # a Chinese character is a token by itself
    first = np.ones(len(codes), dtype=bool)
    first[1:] = (kinds[1:] != kinds[:-1]) | (owners[1:] != owners[:-1])
    starts |= inside & first
    starts, codes, owners = starts[inside], codes[inside], owners[inside]
    token_starts = np.flatnonzero(starts)
    if not len(token_starts):
        return np.empty(0, np.uint64), np.empty(0, np.int64)
    place = np.arange(len(codes)) - np.repeat(token_starts, np.diff(token_starts, append=len(codes)))
    weights = _powers()[np.minimum(place, 63)]
    tokens = _mixed(np.add.reduceat((codes.astype(np.uint64) + np.uint64(1)) * weights, token_starts))
    owner = owners[token_starts]

    hashes = np.zeros(len(tokens), dtype=np.uint64)
    whole = np.zeros(len(tokens), dtype=bool)
    for step in range(SHINGLE_TOKENS):
        reach = len(tokens) - step
        same = owner[step:] == owner[:reach]
        hashes[:reach] += np.where(same, tokens[step:] * _powers()[step + 1], np.uint64(0))
        if step == SHINGLE_TOKENS - 1:
            whole[: max(reach, 0)] = same
    counts = np.bincount(owner, minlength=len(texts))
    opening = np.ones(len(tokens), dtype=bool)
    opening[1:] = owner[1:] != owner[:-1]
    whole |= opening & (counts[owner] < SHINGLE_TOKENS)
    return _mixed(hashes[whole]), owner[whole]


def _densified(signatures: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Fill each empty bin from another, chosen by a hash of the bin alone, so that equal texts stay equal."""
    filled = signatures.copy()
    rows, bins = np.nonzero(signatures == _EMPTY)
    some = (signatures != _EMPTY).any(axis=1)
    rows, bins = rows[some[rows]], bins[some[rows]]
    for donors in _donors():
        if not len(rows):
            break
        given = signatures[rows, donors[bins]]
        filled[rows, bins] = given
        left = given == _EMPTY
        rows, bins = rows[left], bins[left]
    if len(rows):  # a text of one or two shingles, after very many tries: any bin that is not empty
        filled[rows, bins] = signatures[rows].min(axis=1)
    return filled


def _band_keys(signatures: NDArray[np.uint32]) -> U64:
    """One key for each band of rows; bands have keys of their own."""
    bands = (
        signatures[:, : _BANDS * _BAND_ROWS].reshape(len(signatures), _BANDS, _BAND_ROWS).astype(np.uint64)
    )
    keys: U64 = (_mixed(bands) * _powers()[1 : _BAND_ROWS + 1]).sum(axis=2, dtype=np.uint64)
    bands_apart: U64 = _mixed(keys + np.arange(_BANDS, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15))
    return bands_apart


@cache
def _character_classes() -> NDArray[np.uint8]:
    """0: parts words; 1: of a word; 2: a word by itself. The last entry is for all beyond the first plane."""
    kinds = np.fromiter((chr(code).isalnum() for code in range(_BLOCK)), dtype=np.uint8, count=_BLOCK)
    for low, high in ((0x3040, 0x30FF), (0x3400, 0x9FFF), (0xAC00, 0xD7AF), (0xF900, 0xFAFF)):
        kinds[low : high + 1] = 2
    return np.append(kinds, np.uint8(2))


@cache
def _powers() -> U64:
    powers = np.ones(64, dtype=np.uint64)
    np.multiply.accumulate(np.full(63, 0x9E3779B97F4A7C15, dtype=np.uint64), out=powers[1:])
    return powers


@cache
def _donors() -> NDArray[np.int64]:
    """For each try, the bin that would fill each empty bin [tries, BINS]."""
    tries = np.arange(1024 * _BINS, dtype=np.uint64) + np.uint64(0x5851F42D4C957F2D)
    donors: NDArray[np.int64] = (_mixed(tries) % np.uint64(_BINS)).astype(np.int64)
    return donors.reshape(1024, _BINS)


def _mixed(values: Any) -> Any:
    """SplitMix64's finaliser: every bit of the input moves every bit of the output."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
