"""On one GPU, in bfloat16: training on packed documents, and decoding with a 1B-parameter Llama shape.

``python -m benchmarks.gpu train [--shape 124M ...]``: tokens a second and the share of the card's measured
matrix-product peak (FLOPs = 6 x parameters, tied embedding once, x tokens + 6 x layers x width x context x
tokens), peak memory; with ``--peer`` beside a compiled ``LlamaForCausalLM`` with fused AdamW on rows of one
document.

``python -m benchmarks.gpu generate [--rows 1 ...]``: tokens a second of the engine, 64 + 128 tokens, beside
transformers' generate; alone, as a share of what reading the weights allows.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.contenders import heard
from benchmarks.measure import ratio, share
from bottega.data.encoded import Encoded
from bottega.data.packing import DocumentPlan
from bottega.data.shards import TokenShards, write_shards
from bottega.engine.local import LocalEngine
from bottega.engine.requests import Request
from bottega.model.config import ModelConfig, preset
from bottega.model.decoder import Decoder
from bottega.model.init import initialise
from bottega.training.loop import TrainConfig, train
from bottega.training.objective import language_modelling

CONTEXT = 1024
# Rows of a step and the parts it is computed in.
BATCHES = {"124M": (64, 1), "350M": (64, 2)}
LLAMA_1B = {
    "vocab_size": 128256, "hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16,
    "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 64, "max_position_embeddings": 4096,
    "rms_norm_eps": 1e-5, "tie_word_embeddings": True,
}  # fmt: skip
PROMPT, NEW = 64, 128
SHORT, LONG = 32, 288  # answers whose times differ by the decoding of so many tokens


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("train", "generate"))
    parser.add_argument("--shape", nargs="+", default=list(BATCHES), choices=list(BATCHES))
    parser.add_argument("--rows", nargs="+", type=int, default=[1, 8, 64, 256])
    parser.add_argument("--repeats", type=int, default=5, help="of which the median counts; half for a peer")
    parser.add_argument("--steps", type=int, default=20, help="measured steps of training")
    parser.add_argument("--peer", action="store_true", help="train a peer too")
    given = parser.parse_args()
    print(torch.cuda.get_device_name(), torch.__version__)
    if given.what == "train":
        peak = matmul_peak_flops()
        print(f"matrix products in bfloat16: {peak / 1e12:.0f} TFLOP/s")
        for shape in given.shape:
            measure_training(shape, peak, given.steps, with_peer=given.peer)
    else:
        measure_generation(given.rows, given.repeats)


# ---------------------------------------------------------------- training


def measure_training(name: str, peak: float, steps: int, *, with_peer: bool) -> None:
    """Tokens a second over ``steps`` steps after ten that do not count."""
    rows, micros = BATCHES[name]
    config = preset(name, max_positions=CONTEXT)
    flops = config.flops_per_token(CONTEXT)
    with tempfile.TemporaryDirectory() as folder:
        write_shards(documents(config.vocab_size), Path(folder) / "shards", vocab_size=config.vocab_size)
        plan = DocumentPlan([(TokenShards(Path(folder) / "shards"), 1.0)], CONTEXT, rows, seed=0)
        torch.cuda.reset_peak_memory_stats()
        mine = our_steps(config, plan, micros, steps, Path(folder))
        speed = describe(name, "ours", mine, plan.tokens_per_step, flops, peak)
        share(f"gpu-train-{name}", speed * flops / peak)
        if with_peer:
            torch.cuda.reset_peak_memory_stats()
            theirs = peer_steps(config, rows, micros, steps)
            other = describe(name, "compiled transformers", theirs, plan.tokens_per_step, flops, peak)
            ratio(f"gpu-train-{name}", speed, other)


def describe(name: str, who: str, step_s: list[float], tokens: int, flops: float, peak: float) -> float:
    """Print one line for people; the median tokens a second."""
    speeds = sorted(tokens / s for s in step_s)
    median = statistics.median(speeds)
    print(
        f"{name} {who}: {median:,.0f} tokens/s ({speeds[0]:,.0f} to {speeds[-1]:,.0f}), "
        f"{median * flops / 1e12:.0f} TFLOP/s, {median * flops / peak:.1%} of the peak, "
        f"{tokens:,} tokens a step, peak memory {torch.cuda.max_memory_allocated() / 2**30:.1f} GiB",
        flush=True,
    )
    return median


def documents(vocab_size: int) -> Iterator[Encoded]:
    """Random documents, the middle one of some 400 tokens: about two and a half to a row."""
    draw = np.random.default_rng(0)
    for _ in range(8000):
        length = int(np.clip(draw.lognormal(6, 1), 8, 20_000))
        yield Encoded(draw.integers(3, vocab_size, length).tolist())


def our_steps(config: ModelConfig, plan: DocumentPlan, micros: int, steps: int, folder: Path) -> list[float]:
    """Seconds of each measured step of the product's own loop, as a recipe trains: Muon and AdamW."""
    found: list[float] = []
    model = initialise(Decoder(config), 0).to("cuda")
    run = TrainConfig(
        budget_tokens=(10 + steps) * plan.tokens_per_step,
        micros=micros,
        compile="on",
        checkpoint_every_s=0,
    )
    run_dir = folder / "run"
    with heard(run_dir, lambda record: found.append(record["step_s"])) as telemetry:
        train(model, language_modelling, plan, run, run_dir, telemetry=telemetry)
    return found[10:]


def peer_steps(config: ModelConfig, rows: int, micros: int, steps: int) -> list[float]:
    """Seconds of each measured step of the plainest loop around transformers' model."""
    from transformers import LlamaConfig, LlamaForCausalLM

    shape = LlamaConfig(**config.to_hf() | {"use_cache": False, "torch_dtype": "float32"})
    model = torch.compile(LlamaForCausalLM(shape).cuda())
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=3e-4, betas=(0.9, 0.95), weight_decay=0.1, fused=True
    )
    found = []
    for _ in range(10 + steps):
        torch.cuda.synchronize()
        began = time.perf_counter()
        for _ in range(micros):
            ids = torch.randint(3, config.vocab_size, (rows // micros, CONTEXT), device="cuda")
            with torch.autocast("cuda", dtype=torch.bfloat16):
                (model(input_ids=ids, labels=ids).loss / micros).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        torch.cuda.synchronize()
        found.append(time.perf_counter() - began)
    return found[10:]


# ---------------------------------------------------------------- generation


def measure_generation(batches: list[int], repeats: int) -> None:
    """Tokens a second of both at each number of rows, in turns."""
    bandwidth = copy_bandwidth()
    print(f"copying moves {bandwidth / 1e12:.2f} TB/s, read and written")
    peer, model = one_model_twice()
    weights = sum(p.numel() * p.element_size() for p in model.parameters())
    for rows in batches:
        prompts = torch.randint(3, 128_000, (rows, PROMPT), generator=torch.Generator().manual_seed(0))
        with LocalEngine(model, slots=rows, max_tokens=PROMPT + LONG) as engine:

            def ours(new: int, engine: LocalEngine = engine, prompts: torch.Tensor = prompts) -> None:
                engine.weights_changed()  # nothing of the last round is taken over
                engine.generate([Request(p, new, detokenise=False) for p in prompts.tolist()])

            def theirs(prompts: torch.Tensor = prompts) -> None:
                with torch.inference_mode():
                    peer.generate(
                        prompts.cuda(), attention_mask=torch.ones_like(prompts).cuda(), max_new_tokens=NEW,
                        min_new_tokens=NEW, do_sample=False, pad_token_id=0,
                    )  # fmt: skip

            mine = seconds_of(lambda: ours(NEW), repeats)
            other = seconds_of(theirs, max(1, repeats // 2))
            tokens = rows * NEW
            print(f"{rows} rows: ours {tokens / mine:,.0f} tokens/s, transformers {tokens / other:,.0f}")
            ratio(f"gpu-generate-{rows}", tokens / mine, tokens / other)
            step = (seconds_of(lambda: ours(LONG), repeats) - seconds_of(lambda: ours(SHORT), repeats)) / (
                LONG - SHORT
            )
            print(f"{rows} rows: {1e3 * step:.3f} ms a token, {rows / step:,.0f} tokens/s of decoding alone")
            if rows == 1:
                print(f"{weights / 2**30:.2f} GiB of weights, read at {weights / step / 1e12:.2f} TB/s")
                share("gpu-decode-bandwidth", weights / step / bandwidth)


def one_model_twice() -> tuple[Any, Decoder]:
    """The shape with random weights as transformers has it, and the same weights as ours."""
    from transformers import LlamaConfig, LlamaForCausalLM

    shape = LlamaConfig(**LLAMA_1B, eos_token_id=None, bos_token_id=None, pad_token_id=0)
    with torch.device("cuda"):
        peer = LlamaForCausalLM(shape).to(torch.bfloat16).eval()
        model = Decoder(ModelConfig.from_hf(shape.to_dict())).to("cuda", torch.bfloat16).eval()
    kept = {name: p for name, p in peer.state_dict().items() if name != "lm_head.weight"}
    model.load_state_dict(kept)
    return peer, model


def seconds_of(work: Callable[[], object], repeats: int) -> float:
    """The median of ``repeats`` after one that does not count."""
    found = []
    for repeat in range(repeats + 1):
        torch.cuda.synchronize()
        began = time.perf_counter()
        work()
        torch.cuda.synchronize()
        if repeat:
            found.append(time.perf_counter() - began)
    return statistics.median(found)


# ---------------------------------------------------------------- the card's limits


def matmul_peak_flops(sizes: tuple[int, ...] = (4096, 8192, 16384)) -> float:
    """The best, over the sizes, of the median speed of a square matrix product in bfloat16."""
    best = 0.0
    for size in sizes:
        a, b = (torch.randn(size, size, device="cuda", dtype=torch.bfloat16) for _ in range(2))
        best = max(best, 2 * size**3 / event_seconds(lambda a=a, b=b: a @ b))  # type: ignore[misc]
    return best


def copy_bandwidth() -> float:
    """Bytes read and written a second by a large copy."""
    a = torch.empty(2**32, dtype=torch.uint8, device="cuda").random_()
    b = torch.empty_like(a)
    return 2 * a.numel() / event_seconds(lambda: b.copy_(a))


def event_seconds(work: Callable[[], object], repeats: int = 20) -> float:
    """The median time on the GPU."""
    found = []
    for repeat in range(repeats + 3):
        began, ended = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        began.record()
        work()
        ended.record()
        ended.synchronize()
        if repeat >= 3:
            found.append(began.elapsed_time(ended) / 1e3)
    return statistics.median(found)


if __name__ == "__main__":
    main()
