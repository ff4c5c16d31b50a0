"""What all training stages share: the parent, the run itself, the finished model and the account of it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from bottega.errors import UserError
from bottega.stages.base import Cost, DataUse, StageInputs, StageResult
from bottega.stages.knobs import OptimizerConfig

if TYPE_CHECKING:
    import torch

    from bottega.data.batches import BatchPlan
    from bottega.data.tokenizer import Tokenizer
    from bottega.model.config import ModelConfig
    from bottega.model.decoder import Backbone, Decoder
    from bottega.training.loop import TrainResult
    from bottega.training.objective import Objective


T = TypeVar("T")


def device_of(inputs: StageInputs) -> torch.device:
    """The device to train on; sets the number of threads where the run names one."""
    import torch

    from bottega.training.devices import choose_device

    if inputs.run.threads is not None:
        torch.set_num_threads(inputs.run.threads)
    return choose_device(inputs.run.device)


def first_alone(inputs: StageInputs, make: Callable[[], T]) -> T:
    """What ``make`` gives, made by the first process before the others, which find its work in the cache."""
    from bottega.training.distributed import join_world

    made = join_world(device_of(inputs)).on_first(make)
    return make() if made is None else made


def tokenizer_of(inputs: StageInputs) -> Tokenizer:
    """The tokenizer that was given, or else the first parent's.

    Raises:
        UserError: there is neither, or the one given is not the parent's.
    """
    from bottega.data.tokenizer import Tokenizer

    own = None if inputs.tokenizer is None else Tokenizer.load(inputs.tokenizer)
    if not inputs.parents:
        if own is None:
            raise UserError(f"{inputs.out.name}: a model made from nothing needs a tokenizer; name one")
        return own
    inherited = Tokenizer.load(inputs.parents[0])
    if own is not None and own.digest != inherited.digest:
        raise UserError(
            f"{inputs.out.name}: the tokenizer {inputs.tokenizer} is not that of the parent "
            f"{inputs.parents[0]}, whose weights mean nothing under another one; leave `tokenizer` out"
        )
    return inherited


def parent_of(inputs: StageInputs, stage: str, context: int) -> Decoder:
    """The one parent, in float32, on the device, able to take ``context`` tokens."""
    from bottega.model.hub import load_model

    if len(inputs.parents) != 1:
        given = len(inputs.parents)
        raise UserError(f"{inputs.out.name}: the stage {stage} goes on from one parent, {given} were given")
    model = load_model(inputs.parents[0], device=device_of(inputs))
    if model.config.max_positions < context:  # rotary positions have no end: training is what reaches further
        model.config = replace(model.config, max_positions=context)
    return model


def backbone_of(inputs: StageInputs, stage: str, context: int) -> Backbone:
    """As :func:`parent_of`, where a reward model will do as well as a language model."""
    from bottega.model.hub import is_scorer, load_scorer

    if len(inputs.parents) != 1 or not is_scorer(inputs.parents[0]):
        return parent_of(inputs, stage, context)
    return load_scorer(inputs.parents[0], device=device_of(inputs))


def no_parents(inputs: StageInputs, stage: str) -> None:
    """Raise ``UserError`` where a stage that starts from nothing was given a parent."""
    if inputs.parents:
        raise UserError(
            f"{inputs.out.name}: the stage {stage} starts from nothing; use code or sft with a parent"
        )


def new_model(shape: ModelConfig, seed: int, device: torch.device) -> Decoder:
    """A model of this shape with random weights, which depend on the seed alone."""
    from bottega.model.decoder import Decoder
    from bottega.model.init import initialise

    return initialise(Decoder(shape), seed).to(device)


def learn(
    model: Backbone,
    plan: BatchPlan,
    config: OptimizerConfig,
    inputs: StageInputs,
    *,
    seed: int,
    budget_tokens: int,
    objective: Objective | None = None,
    heldout: BatchPlan | None = None,
    **changes: Any,
) -> TrainResult:
    """Train ``model`` in place, from the newest checkpoint in the work folder where there is one.

    ``changes``: further fields of ``TrainConfig``.
    """
    from rich.console import Console

    from bottega.training.distributed import join_world
    from bottega.training.loop import TrainConfig, train
    from bottega.training.objective import language_modelling
    from bottega.training.telemetry import Telemetry

    train_config = TrainConfig(
        budget_tokens=budget_tokens,
        optimizer=config.optimizer,
        lr=config.lr,
        muon_lr=config.muon_lr,
        weight_decay=config.weight_decay,
        clip_norm=config.clip_norm,
        warmup_fraction=config.warmup_fraction,
        decay_fraction=config.decay_fraction,
        micros=inputs.run.micros,
        seed=seed,
        precision=inputs.run.precision,
        compile=inputs.run.compile,
        checkpoint_every_s=inputs.run.checkpoint_every_s,
        checkpoint_every_steps=inputs.run.checkpoint_every_steps,
        **changes,
    )
    console = Console(stderr=True, quiet=not inputs.run.progress)
    run_dir = run_folder(inputs)
    quiet = not join_world(next(model.parameters()).device).is_first
    with Telemetry(run_dir, title=inputs.out.name, quiet=quiet, console=console) as telemetry:
        goal = objective or language_modelling
        return train(model, goal, plan, train_config, run_dir, telemetry=telemetry, heldout=heldout)


def run_folder(inputs: StageInputs) -> Path:
    """Where the loop keeps checkpoints and metrics."""
    return inputs.work / "train"


def finish(
    model: Backbone,
    tokenizer: Tokenizer,
    trained: TrainResult,
    inputs: StageInputs,
    *,
    data: tuple[DataUse, ...],
    report: dict[str, Any],
    beside: Mapping[str, Path] | None = None,
) -> StageResult:
    """Write the model, whole or not at all, and give the account. ``beside``: folders to copy into it."""
    from bottega.model.hub import save_model
    from bottega.training.distributed import join_world

    device = next(model.parameters()).device
    world = join_world(device)

    def write() -> None:
        save_model(model, inputs.out, tokenizer)
        for name, folder in (beside or {}).items():
            shutil.copytree(folder, inputs.out / name, dirs_exist_ok=True)

    world.on_first(write)
    metrics = {
        "final_loss": trained.final_loss,
        "tokens_per_s": trained.tokens / trained.seconds if trained.seconds else 0.0,
        "parameters": float(model.num_parameters()),
    }
    if trained.heldout_loss is not None:
        metrics["heldout_loss"] = trained.heldout_loss
    return StageResult(
        cost=Cost(
            seconds=trained.seconds,
            tokens=trained.tokens,
            steps=trained.steps,
            flops=trained.flops,
            device=_device_name(device, world.size),
            precision=trained.precision.name,
        ),
        metrics=metrics,
        curves=run_folder(inputs) / "metrics.jsonl",
        data=data,
        report=report
        | {
            "stopped_early": trained.stopped_early,
            "resumed_from": trained.resumed_from,
            "notes": [note.model_dump() for note in (*trained.notes, *report.get("notes", ()))],
        },
    )


def _device_name(device: torch.device, processes: int) -> str:
    import torch

    together = f", {processes} processes" if processes > 1 else ""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device) + together
    threads = torch.get_num_threads()
    return f"{device.type}, {threads} thread{'s' if threads != 1 else ''}{together}"
