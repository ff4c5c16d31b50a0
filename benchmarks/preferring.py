"""Contenders that learn from comparisons: reward models and DPO, ours and TRL's, on the same comparisons.

The folder holds ``comparisons.jsonl``: {"prompt": [ids], "answers": [[ids], ...]}, the best answer first, all
ranked. One step of either side takes ``rows`` comparisons: TRL's 2 x rows x pairs sequences are padded to the
longest, ours is packed. Seconds are of whole steps.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

from benchmarks.contenders import QUIETLY, Job, StepClock, heard, peer_clock, peer_model, peer_tokenizer


def comparisons(folder: Path) -> list[dict[str, Any]]:
    """What every contender learns from."""
    return [json.loads(line) for line in (folder / "comparisons.jsonl").read_text().splitlines()]


def chosen_steps(job: Job) -> Iterator[list[dict[str, Any]]]:
    """The comparisons of each step."""
    every = comparisons(job.folder)
    for step in range(job.warmup + job.steps):
        yield [every[(step * job.rows + i) % len(every)] for i in range(job.rows)]


def ours(job: Job, *, direct: bool) -> StepClock:
    """The product's own objective, optimiser and packing, compiled as a long run is."""
    import os

    import numpy as np
    import torch

    from bottega.data.comparisons import Judged
    from bottega.data.judged import ComparisonPlan
    from bottega.model.config import preset
    from bottega.model.decoder import Decoder
    from bottega.model.init import initialise
    from bottega.model.scorer import scorer_from
    from bottega.stages.policy_networks import frozen
    from bottega.training.direct import DirectPreference, Goal
    from bottega.training.loop import TrainConfig, train
    from bottega.training.reward import reward_modelling

    clock = StepClock(job.started)

    def judged(row: dict[str, Any]) -> Judged:
        K = len(row["answers"])
        wins = np.triu(np.ones((K, K), np.float32), 1)
        return Judged(
            np.array(row["prompt"], np.int32),
            tuple(np.array(answer, np.int32) for answer in row["answers"]),
            wins / wins.sum(),
            np.full(K, np.nan, np.float32),
        )

    plan = _Steps([[judged(row) for row in rows] for rows in chosen_steps(job)], ComparisonPlan)
    model = initialise(Decoder(preset("13.8M", family="llama", max_positions=job.context)), 0)
    config = TrainConfig(
        budget_tokens=(job.warmup + job.steps) * plan.tokens_per_step,
        optimizer="adamw",
        lr=1e-4,
        precision=job.precision,  # type: ignore[arg-type]
        compile="on",
        checkpoint_every_s=0,
    )
    run_dir = job.folder / f"run-{os.getpid()}"
    dtype = getattr(torch, job.precision)
    learner = model if direct else scorer_from(model, seed=0)
    objective = DirectPreference(Goal(), frozen(model, dtype)) if direct else reward_modelling
    train(
        learner,
        objective,
        plan,  # type: ignore[arg-type]
        config,
        run_dir,
        telemetry=heard(run_dir, lambda record: clock.add(record["step_s"])),
    )
    return clock


class _Steps:
    """A plan of one packed batch for each step's comparisons, all of one shape."""

    def __init__(self, steps: list[list[Any]], plan: Any) -> None:
        from bottega.data.judged import row_and_strip

        row, strip = row_and_strip([one for judged in steps for one in judged])

        def plans(row: int) -> list[Any]:
            return [plan(judged, 1 << 30, seed=0, context=row, strip=strip) for judged in steps]

        self._plans = plans(row)
        while strip < row and any(one.num_rows > 1 for one in self._plans):
            row += strip
            self._plans = plans(row)
        rows = max(one.num_rows for one in self._plans)
        for one in self._plans:
            one.batch_rows = rows
        self.tokens_per_step = rows * row

    def batch(self, step: int, *where: int) -> Any:
        return self._plans[step].batch(0)

    def provenance(self, step: int) -> list[str]:
        return []


def trl(job: Job, *, direct: bool, compiled: bool) -> StepClock:
    """TRL's RewardTrainer or DPOTrainer as its documentation has it, reports switched off; K answers are
    all their pairs."""
    import torch
    from datasets import Dataset
    from transformers import LlamaForSequenceClassification
    from trl import DPOConfig, DPOTrainer, RewardConfig, RewardTrainer

    clock = StepClock(job.started)
    torch._dynamo.config.assume_static_by_default = False  # or it is compiled anew for every length

    def text(ids: list[int]) -> str:
        return "".join(f" t{i}" for i in ids)

    rows: list[dict[str, Any]] = []
    for chosen in chosen_steps(job):
        for one in chosen:
            prompt = one["prompt"]
            for pair in combinations(one["answers"], 2):
                if direct:  # it reads texts alone
                    rows.append(
                        dict(zip(("prompt", "chosen", "rejected"), map(text, (prompt, *pair)), strict=True))
                    )
                else:
                    rows.append({"chosen_ids": [*prompt, *pair[0]], "rejected_ids": [*prompt, *pair[1]]})
    steps = job.warmup + job.steps
    shared: dict[str, Any] = {
        "output_dir": str(job.folder / "trl"),
        "per_device_train_batch_size": len(rows) // steps,
        "max_steps": steps,
        "max_length": job.context,
        "learning_rate": 1e-4,
        "bf16": job.precision == "bfloat16",
        "torch_compile": compiled,
        "optim": "adamw_torch_fused",
        **QUIETLY,
    }
    dataset = Dataset.from_list(rows)
    model = peer_model(job.context)
    kind: Any = DPOTrainer
    more = {"ref_model": peer_model(job.context)} if direct else {}
    if not direct:
        kind = RewardTrainer
        torch.manual_seed(0)
        model.config.num_labels, model.config.pad_token_id = 1, 2
        model = LlamaForSequenceClassification(model.config)
    trainer = kind(
        model,
        args=(DPOConfig if direct else RewardConfig)(**shared),
        train_dataset=dataset,
        processing_class=peer_tokenizer(),
        callbacks=[peer_clock(clock)],
        **more,
    )
    # In the order given, so that both sides take the same comparisons in every step.
    trainer._get_train_sampler = lambda *_: torch.utils.data.SequentialSampler(dataset)
    trainer.train()
    return clock


PREFERRING: dict[str, Callable[[Job], StepClock]] = {
    "reward-ours": lambda job: ours(job, direct=False),
    "reward-trl": lambda job: trl(job, direct=False, compiled=False),
    "reward-trl-compiled": lambda job: trl(job, direct=False, compiled=True),
    "dpo-ours": lambda job: ours(job, direct=True),
    "dpo-trl": lambda job: trl(job, direct=True, compiled=False),
    "dpo-trl-compiled": lambda job: trl(job, direct=True, compiled=True),
}
