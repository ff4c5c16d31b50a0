"""What is measured, each in a process of its own so that its peak memory is its own.

``python -m benchmarks.contenders NAME FOLDER`` trains NAME on the data in FOLDER and prints one line of JSON:
seconds of every measured step, seconds from the command to the end of the first step, peak memory.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import time
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bottega.training.telemetry import Telemetry

SHAPE = {"vocab_size": 8192, "hidden_size": 384, "intermediate_size": 1024, "layers": 6, "heads": 6}


@dataclass(frozen=True)
class Job:
    """One measurement."""

    folder: Path  # holds examples.jsonl: {"ids": [...], "weights": [...]} of one context's length at most
    rows: int
    context: int
    precision: str
    steps: int  # measured
    warmup: int  # not measured: compilation and first allocations
    started: float  # time.time() when the command was given
    # Of learning by trial, whose rows are answers:
    device: str = "cpu"
    shape: str = "13.8M"
    new_tokens: int = 128  # of an answer
    batch_tokens: int = 8192  # that ours computes at once
    peer_parts: int = 1  # in which the peer computes a step's answers
    compile: str = "on"  # ours


class StepClock:
    """Seconds of each step, and of the way to the end of the first."""

    def __init__(self, started: float) -> None:
        self.started = started
        self.first_step_s = 0.0
        self.step_s: list[float] = []
        self.parts: dict[str, list[float]] = {}  # what each step is made of, where that is told

    def add(self, seconds: float) -> None:
        if not self.step_s:
            self.first_step_s = time.time() - self.started
        self.step_s.append(seconds)


def heard(run_dir: Path, hear: Callable[[dict[str, Any]], None], **options: Any) -> Telemetry:
    """The telemetry of a run, silent, that hands on every step's record."""
    from rich.console import Console

    from bottega.training.telemetry import Telemetry

    class Heard(Telemetry):
        def step(self, record: dict[str, Any]) -> None:
            super().step(record)
            hear(record)

    return Heard(run_dir, console=Console(quiet=True), **options)


def ours(job: Job) -> StepClock:
    """The product's own loop, telemetry and all, with AdamW as the peers have, compiled as a long run is."""
    from bottega.data.encoded import Encoded
    from bottega.data.packing import ConversationPlan
    from bottega.data.shards import TokenShards, write_shards
    from bottega.model.config import preset
    from bottega.model.decoder import Decoder
    from bottega.model.init import initialise
    from bottega.training.loop import TrainConfig, train
    from bottega.training.objective import language_modelling

    clock = StepClock(job.started)

    shards = job.folder / "shards"
    if not shards.exists():
        examples = (Encoded(e["ids"], e["weights"], 0) for e in read_examples(job.folder))
        write_shards(examples, shards, vocab_size=SHAPE["vocab_size"])
    plan = ConversationPlan([(TokenShards(shards), 1.0)], job.context, job.rows, seed=0)
    model = initialise(Decoder(preset("13.8M", family="llama", max_positions=job.context)), 0)
    config = TrainConfig(
        budget_tokens=(job.warmup + job.steps) * plan.tokens_per_step,
        optimizer="adamw",
        lr=3e-4,
        precision=job.precision,  # type: ignore[arg-type]
        compile="on",
        checkpoint_every_s=0,
    )
    run_dir = job.folder / f"run-{os.getpid()}"
    train(
        model,
        language_modelling,
        plan,
        config,
        run_dir,
        telemetry=heard(run_dir, lambda record: clock.add(record["step_s"])),
    )
    return clock


def plain(job: Job) -> StepClock:
    """A compiled ``LlamaForCausalLM`` with bfloat16 autocast and fused AdamW, in the plainest loop."""
    import torch

    clock = StepClock(job.started)
    model = torch.compile(peer_model(job.context))
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=3e-4, betas=(0.9, 0.95), weight_decay=0.1, fused=True
    )
    examples = list(read_examples(job.folder))
    for step in range(job.warmup + job.steps):
        rows = [examples[(step * job.rows + i) % len(examples)]["ids"] for i in range(job.rows)]
        tokens = torch.tensor(rows)
        began = time.perf_counter()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=job.precision == "bfloat16"):
            loss = model(input_ids=tokens, labels=tokens).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        loss.item()
        clock.add(time.perf_counter() - began)
    return clock


QUIETLY: dict[str, Any] = {  # settings of TRL's trainers: on the CPU, nothing but the steps
    "use_cpu": True,
    "gradient_checkpointing": False,
    "logging_strategy": "no",
    "save_strategy": "no",
    "report_to": [],
    "disable_tqdm": True,
}


def peer_clock(clock: StepClock) -> Any:
    """A callback by which a trainer of transformers or TRL reports its steps."""
    from transformers import TrainerCallback

    class Clock(TrainerCallback):  # type: ignore[misc]
        began = 0.0

        def on_step_begin(self, *args: Any, **kwargs: Any) -> None:
            self.began = time.perf_counter()

        def on_step_end(self, *args: Any, **kwargs: Any) -> None:
            clock.add(time.perf_counter() - self.began)

    return Clock()


def trl(job: Job, *, compiled: bool) -> StepClock:
    """TRL's SFTTrainer as its documentation has it, reports switched off."""
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    clock = StepClock(job.started)

    steps = job.warmup + job.steps
    examples = list(read_examples(job.folder))
    chosen = [examples[i % len(examples)] for i in range(steps * job.rows)]
    labels = [[t if w else -100 for t, w in zip(e["ids"], e["weights"], strict=True)] for e in chosen]
    dataset = Dataset.from_dict({"input_ids": [e["ids"] for e in chosen], "labels": labels})
    config = SFTConfig(
        output_dir=str(job.folder / "trl"),
        per_device_train_batch_size=job.rows,
        max_steps=steps,
        max_length=job.context,
        learning_rate=3e-4,
        bf16=job.precision == "bfloat16",
        torch_compile=compiled,
        optim="adamw_torch_fused",
        **QUIETLY,
        shuffle_dataset=False,
    )
    trainer = SFTTrainer(
        peer_model(job.context),
        args=config,
        train_dataset=dataset,
        processing_class=peer_tokenizer(),
        callbacks=[peer_clock(clock)],
    )
    trainer.train()
    return clock


def peer_model(
    context: int, seed: int = 0, *, kv_heads: int = SHAPE["heads"], use_cache: bool = False
) -> Any:
    """The 13.8M shape as transformers builds it."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=SHAPE["vocab_size"],
        hidden_size=SHAPE["hidden_size"],
        intermediate_size=SHAPE["intermediate_size"],
        num_hidden_layers=SHAPE["layers"],
        num_attention_heads=SHAPE["heads"],
        num_key_value_heads=kv_heads,
        max_position_embeddings=context,
        tie_word_embeddings=True,
        use_cache=use_cache,
    )
    return LlamaForCausalLM(config)


def peer_tokenizer(vocab_size: int = SHAPE["vocab_size"]) -> Any:
    """A tokenizer for the trainer to hold: words t0, t1 .. with spaces between, where examples are no ids."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocabulary = {f"t{i}": i for i in range(vocab_size)}
    base = Tokenizer(models.WordLevel(vocabulary, unk_token="t0"))
    base.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=base, eos_token="t1", pad_token="t2", unk_token="t0")


def read_examples(folder: Path) -> list[dict[str, Any]]:
    """The examples that every contender trains on."""
    return [json.loads(line) for line in (folder / "examples.jsonl").read_text().splitlines()]


def peak_memory_bytes(device: str = "cpu") -> int:
    """Of this process so far, on the device that it computes on."""
    if device != "cpu":
        import torch

        return torch.cuda.max_memory_allocated(device)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if platform.system() == "Darwin" else peak * 1024


CONTENDERS: dict[str, Callable[[Job], StepClock]] = {
    "ours": ours,
    "plain": plain,
    "trl": lambda job: trl(job, compiled=False),
    "trl-compiled": lambda job: trl(job, compiled=True),
}


def main() -> None:
    from benchmarks.preferring import PREFERRING
    from benchmarks.trials import TRIALS

    contenders = CONTENDERS | PREFERRING | TRIALS
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=contenders)
    parser.add_argument("folder", type=Path)
    kinds = {"int": int, "float": float, "str": str}
    for field in fields(Job)[1:]:
        needed = field.default is MISSING
        default = None if needed else field.default
        parser.add_argument(f"--{field.name}", type=kinds[str(field.type)], required=needed, default=default)
    given = vars(parser.parse_args())
    contender = contenders[given.pop("name")]
    job = Job(**given)
    clock = contender(job)
    found = {
        "step_s": clock.step_s[job.warmup :],
        "first_step_s": clock.first_step_s,
        "peak_memory_bytes": peak_memory_bytes(job.device),
        "parts": {part: statistics.median(s[job.warmup :]) for part, s in clock.parts.items()},
    }
    print("RESULT " + json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
