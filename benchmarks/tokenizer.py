"""Tokenizer speed beside plain ``tokenizers``: training, and encoding to shards.

``python -m benchmarks.tokenizer [FILES]`` reads JSON lines with a ``text`` field (.gz allowed) or plain text;
without files, the standard library's sources. Both sides are timed in turn; medians and spread are shown.
"""

from __future__ import annotations

import argparse
import gzip
import json
import shutil
import sysconfig
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from tokenizers import Regex, models, pre_tokenizers, trainers
from tokenizers import Tokenizer as Backend

from bottega.data.encoded import encode_documents
from bottega.data.presplit import SPLIT_EXPRESSION
from bottega.data.shards import write_shards
from bottega.data.tokenizer import Tokenizer


def read(files: list[Path], limit_bytes: int) -> list[str]:
    """Texts of the files, an equal part of each, up to the limit."""
    texts = []
    for file in files:
        size = 0
        with gzip.open(file, "rt") if file.suffix == ".gz" else file.open(errors="ignore") as lines:
            for line in lines if ".jsonl" in file.name else [lines.read()]:
                texts.append(json.loads(line)["text"] if ".jsonl" in file.name else line)
                size += len(texts[-1].encode())
                if size > limit_bytes / len(files):
                    break
    return texts


def seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def plain_backend() -> Backend:
    backend = Backend(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLIT_EXPRESSION), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    return backend


def train_plain(texts: list[str], vocab_size: int) -> None:
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=vocab_size, initial_alphabet=alphabet, show_progress=False)
    plain_backend().train_from_iterator(texts, trainer)


def write_ours(tokenizer: Tokenizer, texts: list[str], folder: Path) -> None:
    again = Tokenizer(tokenizer.model, tokenizer.config)  # nothing remembered
    write_shards(encode_documents(again, texts), folder / "shards", vocab_size=again.vocab_size)
    shutil.rmtree(folder / "shards")


def encode_plain(tokenizer: Tokenizer, texts: list[str]) -> None:
    backend = Backend.from_str(json.dumps(tokenizer.model))
    for first in range(0, len(texts), 512):
        for encoding in backend.encode_batch_fast(texts[first : first + 512], add_special_tokens=False):
            _ = encoding.ids


def compare(
    name: str, megabytes: float, ours: Callable[[], object], peer: Callable[[], object], n: int
) -> None:
    times = [(seconds(ours), seconds(peer)) for _ in range(n)]
    mine, theirs = (sorted(megabytes / t for t in side) for side in zip(*times, strict=True))
    print(
        f"{name}: ours {median(mine):.2f} MB/s ({mine[0]:.2f} to {mine[-1]:.2f}), "
        f"tokenizers {median(theirs):.2f} MB/s ({theirs[0]:.2f} to {theirs[-1]:.2f})"
    )
    ratio = median(mine) / median(theirs)
    print(f"RATIO {name} {median(mine):.3f} {median(theirs):.3f} {ratio:.3f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--vocab-size", type=int, default=8192)
    parser.add_argument("--megabytes", type=float, default=20)
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    files = args.files or sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))
    texts = read(files, int(args.megabytes * 1e6))
    megabytes = sum(len(text.encode()) for text in texts) / 1e6
    print(f"{len(texts)} texts, {megabytes:.1f} MB, vocabulary {args.vocab_size}")
    compare(
        "tokenizer-train",
        megabytes,
        lambda: Tokenizer.train(texts, args.vocab_size),
        lambda: train_plain(texts, args.vocab_size),
        args.repeats,
    )
    tokenizer = Tokenizer.train(texts, args.vocab_size)
    with tempfile.TemporaryDirectory() as folder:
        compare(
            "tokenizer-shards",
            megabytes,
            lambda: write_ours(tokenizer, texts, Path(folder)),
            lambda: encode_plain(tokenizer, texts),
            args.repeats,
        )


if __name__ == "__main__":
    main()
