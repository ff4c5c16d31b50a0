"""Contenders that learn by trial: PPO, ours, and TRL's trainers beside it, from the same weights.

Both sides get the same policy, reward model and prompts (those of ``comparisons.jsonl``), and answers of
the same length. A step samples ``rows`` answers, TO_A_PROMPT to a prompt, and makes one update of them. Its
parts: ``rollout`` is the sampling, ``scoring`` all that is asked of the networks before the policy moves,
advantages included, and ``update`` the rest.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from benchmarks.contenders import QUIETLY, Job, StepClock, heard, peer_clock, peer_tokenizer
from benchmarks.preferring import comparisons

if TYPE_CHECKING:
    from bottega.data.tokenizer import Tokenizer
    from bottega.model.decoder import Decoder
    from bottega.model.scorer import Scorer

TO_A_PROMPT = 4
CONTEXT = 1024  # of a prompt with an answer, at most
TINY = {"hidden_size": 32, "intermediate_size": 64, "num_layers": 2, "num_heads": 2, "num_kv_heads": 2,
        "head_dim": 16}  # fmt: skip
SHAPES = ("13.8M", "124M", "350M", "tiny")


def prompts(job: Job) -> list[list[int]]:
    """The prompts of all steps, one after the other."""
    every = comparisons(job.folder)
    count = (job.warmup + job.steps) * job.rows // TO_A_PROMPT
    return [every[i % len(every)]["prompt"] for i in range(count)]


def policy_and_judge(job: Job) -> tuple[Decoder, Scorer]:
    """The policy as it begins, and the reward model."""
    from bottega.model.config import preset
    from bottega.model.decoder import Decoder
    from bottega.model.init import initialise
    from bottega.model.scorer import scorer_from

    name, changes = ("13.8M", TINY) if job.shape == "tiny" else (job.shape, {})
    model = initialise(Decoder(preset(name, family="llama", max_positions=CONTEXT, **changes)), 0)
    return model, scorer_from(model, 1)


def tokenizer_of(vocab_size: int) -> Tokenizer:
    """One that has a text for every token; what it says is of no account."""
    import random

    from bottega.data.tokenizer import Tokenizer

    draw = random.Random(0)
    count = max(20_000, vocab_size)
    words = ["".join(draw.choices("abcdefghijklmnopqrstuvwxyz", k=draw.randint(3, 9))) for _ in range(count)]
    return Tokenizer.train([" ".join(words)] * 2, vocab_size)


def waited(device: str) -> None:
    """Let the device end what it was given, so that the time of it is counted where it belongs."""
    if device != "cpu":
        import torch

        torch.cuda.synchronize(device)


def ours(job: Job, *, ptx: bool) -> StepClock:
    """The product's own run of PPO: engine, four networks, telemetry."""
    import os

    import torch
    from torch import Tensor

    from bottega.data.batches import Batch
    from bottega.data.records import Message, Origin
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

    clock = StepClock(job.started)

    def hear(record: dict[str, Any]) -> None:
        clock.add(record["step_s"])
        for part, column in (("rollout", "sample_s"), ("scoring", "score_s"), ("update", "update_s")):
            clock.parts.setdefault(part, []).append(record[column])

    class Waiting(PpoRun):
        """Scoring and update end when the device has done them."""

        def advantages(self, *args: Any) -> tuple[Tensor, Tensor | None]:
            found = super().advantages(*args)
            waited(job.device)
            return found

        def weights_changed(self) -> None:
            super().weights_changed()
            waited(job.device)

    class Text:
        """Rows of random tokens for the mix."""

        def batch(self, step: int, *where: int) -> Batch:
            batch = Batch.padding(8, job.context)
            batch.tokens[:], batch.targets[:] = step % 97 + 5, step % 97 + 6
            batch.weights[:], batch.segments[:] = 1.0, 1
            batch.positions[:] = range(job.context)
            return batch

    begun, reward_model = policy_and_judge(job)
    begun.to(job.device)
    reward_model.to(job.device)
    tokenizer = tokenizer_of(begun.config.vocab_size)
    precision = choose_precision(job.device, job.precision)
    rates = Rates("adamw", 1e-5, 1e-3, 0.0, 1.0)
    judge, reference = frozen(reward_model, precision.dtype), frozen(begun, precision.dtype)
    policy = Learner(begun, rates, precision.dtype, ALONE)
    value = Learner(scorer_from(reward_model, 1), rates, precision.dtype, ALONE)
    compiled = job.compile == "on"
    for network in (policy.model, value.model, judge, reference) if compiled else ():
        compile_model(network)
    reward = ModelReward(judge)
    networks = Networks(
        policy, value, lambda micro: logprobs_of(reference, micro, 1.0), reward, reward, tokenizer,
        torch.device(job.device), precision, compiled=compiled, judged_apart=False,
    )  # fmt: skip
    config = PpoConfig.parse(
        {
            "steps": job.warmup + job.steps,
            "batch_prompts": job.rows // TO_A_PROMPT,
            "answers_per_prompt": TO_A_PROMPT,
            "max_new_tokens": job.new_tokens,
            "context": CONTEXT,
            "batch_tokens": job.batch_tokens,
            "no_end_score": "own",
            "eval_prompts": 0,
            "min_score_spread": 0.0,
            "ptx_coef": 1.0 if ptx else 0.0,
        }
    )
    asked = [Asked(ids, (Message("user", "-"),), None, Origin("draw")) for ids in prompts(job)]
    run_dir = job.folder / f"run-{os.getpid()}"
    run = Waiting(
        networks,
        Prompts(asked, [], ()),
        Text() if ptx else None,  # type: ignore[arg-type]
        config,
        run_dir,
        Cadence(0, 0, 0.0),
        heard(run_dir, hear, shown=("score",)),
    )
    with StopRequest() as stop:
        run.run(stop, resume=False)
    run.close()
    return clock


def trl(job: Job, method: str) -> StepClock:
    """TRL's trainer of ``method`` (RLOO, GRPO) as its documentation has it: no value network."""
    import trl as peer
    from datasets import Dataset
    from transformers import AutoModelForSequenceClassification

    from bottega.model.hub import save_model

    clock = StepClock(job.started)
    # The trainer reads its reference from where the policy is.
    model, judge = policy_and_judge(job)
    policy = save_model(model, job.folder / f"{method}-policy")
    judged_by = save_model(judge, job.folder / f"{method}-judge")
    tokenizer = peer_tokenizer(model.config.vocab_size)
    reward_model = AutoModelForSequenceClassification.from_pretrained(judged_by, num_labels=1)
    reward_model.config.pad_token_id = tokenizer.pad_token_id
    config = getattr(peer, f"{method}Config")(
        output_dir=str(job.folder / method),
        per_device_train_batch_size=job.rows // job.peer_parts,
        gradient_accumulation_steps=job.peer_parts,  # all answers of a step are sampled at once
        num_generations=TO_A_PROMPT,
        max_completion_length=job.new_tokens,
        beta=0.05,
        max_steps=job.warmup + job.steps,
        learning_rate=1e-5,
        bf16=job.precision == "bfloat16",
        **QUIETLY | {"use_cpu": job.device == "cpu"},
    )
    trainer = getattr(peer, f"{method}Trainer")(
        str(policy),
        reward_funcs=reward_model,
        args=config,
        train_dataset=Dataset.from_list([{"prompt": "".join(f" t{i}" for i in ids)} for ids in prompts(job)]),
        processing_class=tokenizer,
        reward_processing_classes=tokenizer,
        callbacks=[peer_clock(clock)],
    )
    rollout_s = timed(trainer, "_generate", job.device)
    before_update_s = timed(trainer, "_generate_and_score_completions", job.device)
    trainer.train()
    clock.parts = {
        "rollout": rollout_s,
        "scoring": [before - rollout for before, rollout in zip(before_update_s, rollout_s, strict=True)],
        "update": [step - before for step, before in zip(clock.step_s, before_update_s, strict=True)],
    }
    return clock


def timed(trainer: Any, method: str, device: str) -> list[float]:
    """Seconds of every call of the method from now on; the trainer calls it once a step, and its results are
    on the host by the end, so that nothing waits that would not wait by itself."""
    found: list[float] = []
    work = getattr(trainer, method)

    def clocked(*args: Any, **kwargs: Any) -> Any:
        began = time.perf_counter()
        result = work(*args, **kwargs)
        waited(device)
        found.append(time.perf_counter() - began)
        return result

    setattr(trainer, method, clocked)
    return found


TRIALS: dict[str, Callable[[Job], StepClock]] = {
    "ppo-ours": lambda job: ours(job, ptx=False),
    "ppo-ours-ptx": lambda job: ours(job, ptx=True),
    "rloo-trl": lambda job: trl(job, "RLOO"),
    "grpo-trl": lambda job: trl(job, "GRPO"),
}
