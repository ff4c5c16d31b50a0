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

from benchmarks.contenders import QUIETLY, Job, StepClock, peer_clock, peer_model, peer_tokenizer


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
    from rich.console import Console

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
    from bottega.training.telemetry import Telemetry

    clock = StepClock(job.started)

    class Clocked(Telemetry):
        def step(self, record: dict[str, Any]) -> None:
            super().step(record)
            clock.add(record["step_s"])

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
        telemetry=Clocked(run_dir, console=Console(quiet=True)),
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


ANSWERS, ANSWER_TOKENS, TO_A_PROMPT = 32, 128, 4  # of a step of learning by trial


def prompts(job: Job) -> list[list[int]]:
    """The prompts of all steps, one after the other."""
    every = comparisons(job.folder)
    count = (job.warmup + job.steps) * ANSWERS // TO_A_PROMPT
    return [every[i % len(every)]["prompt"] for i in range(count)]


def ppo_ours(job: Job, *, ptx: bool) -> StepClock:
    """The product's own run of PPO: engine, four networks, telemetry."""
    import os
    import random

    import torch
    from rich.console import Console

    from bottega.data.batches import Batch
    from bottega.data.records import Message, Origin
    from bottega.data.tokenizer import Tokenizer
    from bottega.model.config import preset
    from bottega.model.decoder import Decoder
    from bottega.model.init import initialise
    from bottega.model.scorer import scorer_from
    from bottega.stages.policy_knobs import PpoConfig
    from bottega.stages.policy_networks import Networks, Rates, frozen, logprobs_of
    from bottega.stages.ppo import Cadence, PpoRun
    from bottega.stages.prompts import Prompts
    from bottega.stages.rewards import Asked, ModelReward
    from bottega.training.compilation import compile_model
    from bottega.training.distributed import ALONE
    from bottega.training.interrupt import StopRequest
    from bottega.training.learner import Learner
    from bottega.training.precision import choose_precision
    from bottega.training.telemetry import Telemetry

    clock = StepClock(job.started)

    class Clocked(Telemetry):
        def step(self, record: dict[str, Any]) -> None:
            super().step(record)
            clock.add(record["step_s"])
            for part in ("sample_s", "score_s", "update_s"):
                clock.parts.setdefault(part.removesuffix("_s"), []).append(record[part])

    class Text:
        """Rows of random tokens for the mix."""

        def batch(self, step: int, *where: int) -> Batch:
            batch = Batch.padding(8, job.context)
            batch.tokens[:], batch.targets[:] = step % 97 + 5, step % 97 + 6
            batch.weights[:], batch.segments[:] = 1.0, 1
            batch.positions[:] = range(job.context)
            return batch

    draw = random.Random(0)
    words = ["".join(draw.choices("abcdefghijklmnopqrstuvwxyz", k=draw.randint(3, 9))) for _ in range(20_000)]
    tokenizer = Tokenizer.train([" ".join(words)] * 2, 8192)
    model = initialise(Decoder(preset("13.8M", family="llama", max_positions=1024)), 0)
    precision = choose_precision("cpu", job.precision)  # type: ignore[arg-type]
    rates = Rates("adamw", 1e-5, 1e-3, 0.0, 1.0)
    reward_model = scorer_from(model, 1)
    judge, reference = frozen(reward_model, precision.dtype), frozen(model, precision.dtype)
    policy = Learner(model, rates, precision.dtype, ALONE)
    value = Learner(scorer_from(reward_model, 1), rates, precision.dtype, ALONE)
    for network in (policy.model, value.model, judge, reference):
        compile_model(network)
    reward = ModelReward(judge)
    networks = Networks(
        policy, value, lambda micro: logprobs_of(reference, micro, 1.0), reward, reward, tokenizer,
        torch.device("cpu"), precision, compiled=True, judged_apart=False,
    )  # fmt: skip
    config = PpoConfig.parse(
        {
            "steps": job.warmup + job.steps,
            "batch_prompts": ANSWERS // TO_A_PROMPT,
            "answers_per_prompt": TO_A_PROMPT,
            "max_new_tokens": ANSWER_TOKENS,
            "context": 1024,
            "no_end_score": "own",
            "eval_prompts": 0,
            "min_score_spread": 0.0,
            "ptx_coef": 1.0 if ptx else 0.0,
        }
    )
    asked = [Asked(ids, (Message("user", "-"),), None, Origin("draw")) for ids in prompts(job)]
    run_dir = job.folder / f"run-{os.getpid()}"
    run = PpoRun(
        networks,
        Prompts(asked, [], ()),
        Text() if ptx else None,  # type: ignore[arg-type]
        config,
        run_dir,
        Cadence(0, 0, 0.0),
        Clocked(run_dir, console=Console(quiet=True), shown=("score",)),
    )
    with StopRequest() as stop:
        run.run(stop, resume=False)
    run.close()
    return clock


def rloo_trl(job: Job) -> StepClock:
    """TRL's RLOOTrainer as its documentation has it, with a reward model of the same shape."""
    import torch
    from datasets import Dataset
    from transformers import LlamaForSequenceClassification
    from trl import RLOOConfig, RLOOTrainer

    clock = StepClock(job.started)

    policy = job.folder / "policy"  # the trainer reads its reference from where the policy is
    peer_model(1024, use_cache=True).save_pretrained(policy)
    judge_config = peer_model(1024).config
    judge_config.num_labels, judge_config.pad_token_id = 1, 2
    torch.manual_seed(0)
    tokenizer = peer_tokenizer()
    dataset = Dataset.from_list([{"prompt": "".join(f" t{i}" for i in ids)} for ids in prompts(job)])
    config = RLOOConfig(
        output_dir=str(job.folder / "rloo"),
        per_device_train_batch_size=ANSWERS,
        num_generations=TO_A_PROMPT,
        max_completion_length=ANSWER_TOKENS,
        beta=0.05,
        max_steps=job.warmup + job.steps,
        learning_rate=1e-5,
        bf16=job.precision == "bfloat16",
        **QUIETLY,
    )
    trainer = RLOOTrainer(
        str(policy),
        reward_funcs=LlamaForSequenceClassification(judge_config),
        args=config,
        train_dataset=dataset,
        processing_class=tokenizer,
        reward_processing_classes=tokenizer,
        callbacks=[peer_clock(clock)],
    )
    trainer.train()
    return clock


PREFERRING: dict[str, Callable[[Job], StepClock]] = {
    "reward-ours": lambda job: ours(job, direct=False),
    "reward-trl": lambda job: trl(job, direct=False, compiled=False),
    "reward-trl-compiled": lambda job: trl(job, direct=False, compiled=True),
    "dpo-ours": lambda job: ours(job, direct=True),
    "dpo-trl": lambda job: trl(job, direct=True, compiled=False),
    "ppo-ours": lambda job: ppo_ours(job, ptx=False),
    "ppo-ours-ptx": lambda job: ppo_ours(job, ptx=True),
    "rloo-trl": rloo_trl,
    "dpo-trl-compiled": lambda job: trl(job, direct=True, compiled=True),
}
