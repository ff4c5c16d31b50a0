"""Bits per byte on held-out English after the same minutes of training: ours beside compiled transformers.

Both have the 13.8M shape (8,192 vocabulary, context 512), the same tokenizer, documents and cores;
compilation is left out of the time of both. The peer is fused AdamW under a cosine, the best of three
learning rates.
``python -m benchmarks.prove_bits [--data URI] [--minutes 10] [--seeds 2] [--precision auto]``
``--data`` takes any source: ``file:books/*.txt``, ``hf:owner/dataset:split``; by default the school's prose.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from bottega.data.records import Document
from bottega.data.sources import ReadOptions, SourceSpec, has_own_splits, open_source
from bottega.errors import UserError
from bottega.training.precision import choose_precision

CONTEXT = 512
VOCAB_SIZE = 8192
PEER_RATES = (5e-4, 1e-3, 2e-3)
BAR = 0.12


def prepare(folder: Path, uri: str, records: int, heldout_documents: int) -> None:
    """Tokenizer, token shards and held-out texts that all contenders share."""
    from bottega.data.encoded import encode_documents
    from bottega.data.shards import write_shards
    from bottega.data.tokenizer import Tokenizer

    def texts(split: Any) -> Iterator[str]:
        spec = SourceSpec(uri=uri)
        fraction = 0.01 if not has_own_splits(spec) else 0.0
        # Nothing that is trained here is kept, so that licences keep no rows out.
        read = ReadOptions(split=split, heldout_fraction=fraction, include_nc=True, include_unclear=True)
        for record in open_source(spec, read):
            if isinstance(record, Document):
                yield record.text

    def tokenizer_of(vocab_size: int) -> Tokenizer:
        try:
            return Tokenizer.train(islice(texts("train"), records), vocab_size)
        except UserError:  # a small world has fewer words; the models keep the full vocabulary
            if vocab_size < 1024:
                raise
            return tokenizer_of(vocab_size // 2)

    tokenizer = tokenizer_of(VOCAB_SIZE)
    tokenizer.save(folder / "tokenizer")
    write_shards(
        encode_documents(tokenizer, islice(texts("train"), records)), folder / "shards", vocab_size=VOCAB_SIZE
    )
    heldout = list(islice(texts("heldout"), heldout_documents))
    (folder / "heldout.json").write_text(json.dumps(heldout))
    print(
        f"{uri}: {records:,} documents at most, tokenizer of {tokenizer.vocab_size}, "
        f"held out {sum(map(len, heldout)):,} characters",
        flush=True,
    )


def ours(folder: Path, minutes: float, seed: int, given: argparse.Namespace) -> float:
    """The product as it comes: its defaults, a budget in tokens that fits the minutes, its schedule."""
    from bottega.data.packing import DocumentPlan
    from bottega.data.shards import TokenShards
    from bottega.model.config import preset
    from bottega.model.decoder import Decoder
    from bottega.model.init import initialise
    from bottega.training.loop import TrainConfig, train
    from bottega.training.objective import language_modelling
    from bottega.training.telemetry import read_metrics

    plan = DocumentPlan([(TokenShards(folder / "shards"), 1.0)], CONTEXT, given.rows, seed)

    def run(steps: int, name: str) -> tuple[Decoder, list[float]]:
        model = initialise(Decoder(preset("13.8M", max_positions=CONTEXT)), seed)
        config = TrainConfig(
            budget_tokens=steps * plan.tokens_per_step, precision=given.precision, compile="on", seed=seed
        )
        train(model, language_modelling, plan, config, folder / name)
        return model, [r["step_s"] for r in read_metrics(folder / name / "metrics.jsonl")]

    _, trial = run(12, f"ours-trial-{seed}")
    steps = math.floor(60 * minutes / statistics.median(trial[2:]))
    model, seconds = run(steps, f"ours-{seed}")
    print(f"ours: {steps} steps, {sum(seconds[2:]):.0f} s without compilation", flush=True)
    return score(model, folder)


def peer(folder: Path, minutes: float, seed: int, rate: float, given: argparse.Namespace) -> float:
    """transformers' own Llama, compiled, in the usual loop, on the same rows without document masks."""
    import torch

    from benchmarks.contenders import peer_model
    from bottega.data.packing import DocumentPlan
    from bottega.data.shards import TokenShards
    from bottega.model.hub import load_model

    plan = DocumentPlan([(TokenShards(folder / "shards"), 1.0)], CONTEXT, given.peer_rows, seed)
    model = peer_model(CONTEXT, seed)
    compiled = torch.compile(model)
    weights = model.parameters()
    optimizer = torch.optim.AdamW(weights, lr=rate, betas=(0.9, 0.95), weight_decay=0.1, fused=True)

    def step(index: int, factor: float) -> float:
        began = time.perf_counter()
        tokens = torch.from_numpy(plan.batch(index).tokens)
        for group in optimizer.param_groups:
            group["lr"] = rate * factor
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=given.precision == "bfloat16"):
            loss = compiled(input_ids=tokens, labels=tokens).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        loss.item()
        return time.perf_counter() - began

    trial = [step(index, 0.0) for index in range(8)]  # at rate 0: compiles and measures, learns nothing
    optimizer.state.clear()
    steps = math.floor(60 * minutes / statistics.median(trial[2:]))
    warmup = max(1, steps // 50)
    seconds = 0.0
    for index in range(steps):
        cosine = 0.1 + 0.45 * (1 + math.cos(math.pi * index / steps))
        seconds += step(index, min(1.0, (index + 1) / warmup) * cosine)
    print(f"peer at {rate:g}: {steps} steps, {seconds:.0f} s without compilation", flush=True)
    target = folder / f"peer-{seed}-{rate:g}"
    model.save_pretrained(target)
    return score(load_model(target), folder)


def score(model: Any, folder: Path) -> float:
    """Both models are scored by the same code, on the same documents."""
    from bottega.data.tokenizer import Tokenizer
    from bottega.evals.bits import bits_per_byte

    heldout = json.loads((folder / "heldout.json").read_text())
    found = bits_per_byte(model.eval(), Tokenizer.load(folder / "tokenizer"), heldout, CONTEXT)
    return float(found.value)


def apart(folder: Path, given: argparse.Namespace, who: str, seed: int, rate: float) -> float:
    """One contender in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.prove_bits", "--only", who, "--folder", str(folder)]
    for key in ("minutes", "rows", "peer_rows", "precision"):
        command += [f"--{key.replace('_', '-')}", str(getattr(given, key))]
    done = subprocess.run(
        [*command, "--seed", str(seed), "--rate", str(rate)], stdout=subprocess.PIPE, text=True, check=True
    )
    lines = done.stdout.splitlines()
    print("\n".join(line for line in lines if not line.startswith("BITS ")), flush=True)
    bits = next(float(line.split()[1]) for line in lines if line.startswith("BITS "))
    print(f"{who}{f' at {rate:g}' if rate else ''}, seed {seed}: {bits:.4f} bits per byte", flush=True)
    return bits


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="school:prose-en", help="the source to train on")
    parser.add_argument("--records", type=int, default=200_000, help="documents to train on, at most")
    parser.add_argument("--heldout", type=int, default=500, help="documents to score on")
    parser.add_argument("--minutes", type=float, default=10.0, help="of training, for each contender")
    parser.add_argument("--seeds", type=int, default=2, help="how many seeds")
    parser.add_argument("--rows", type=int, default=8, help="rows of 512 in our step")
    parser.add_argument("--peer-rows", type=int, default=16, help="rows of 512 in the peer's step")
    parser.add_argument("--precision", choices=("auto", "float32", "bfloat16"), default="auto")
    for hidden, kind in (("only", str), ("folder", Path), ("seed", int), ("rate", float)):
        parser.add_argument(f"--{hidden}", type=kind, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.only:
        if given.only == "ours":
            bits = ours(given.folder, given.minutes, given.seed, given)
        else:
            bits = peer(given.folder, given.minutes, given.seed, given.rate, given)
        print(f"BITS {bits}")
        return
    chosen = choose_precision("cpu", given.precision)
    given.precision = chosen.name
    print(f"precision {chosen.name}: {chosen.reason}", flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        prepare(folder, given.data, given.records, given.heldout)
        gains = []
        for seed in range(given.seeds):
            mine = apart(folder, given, "ours", seed, 0.0)
            theirs = {rate: apart(folder, given, "peer", seed, rate) for rate in PEER_RATES}
            best = min(theirs.values())
            gains.append(best - mine)
            tried = ", ".join(f"{bits:.4f} at {rate:g}" for rate, bits in theirs.items())
            print(f"seed {seed}: ours {mine:.4f} bits per byte, the peer {tried}", flush=True)
    print(f"GAIN bits-per-byte {statistics.mean(gains):.4f} (least of {given.seeds} seeds {min(gains):.4f})")
    if min(gains) < BAR:
        sys.exit(f"the bar is {BAR} bits per byte on every seed")


if __name__ == "__main__":
    main()
