"""The one training loop: a stage brings an objective and a plan of batches, the loop does the rest."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from bottega.bilingual import Text
from bottega.errors import UserError
from bottega.training.compilation import CompileChoice, compile_model, restore_plain, should_compile
from bottega.training.distributed import World, join_world
from bottega.training.harness import Run, determinism
from bottega.training.interrupt import StopRequest
from bottega.training.learner import Learner, gradient_norm
from bottega.training.memory import freed_memory_kept
from bottega.training.objective import Objective, TensorBatch
from bottega.training.optim import OptimizerName
from bottega.training.precision import Precision, PrecisionName, choose_precision
from bottega.training.schedule import Schedule
from bottega.training.telemetry import Telemetry

if TYPE_CHECKING:
    from bottega.data.packing import BatchPlan
    from bottega.model.decoder import Backbone


@dataclass(frozen=True)
class TrainConfig:
    """How to train. What changes the result is part of a run's identity; the rest may change later."""

    budget_tokens: int  # tokens to train on, rounded up to whole steps
    optimizer: OptimizerName = "muon"  # muon: hidden matrices by Muon, all else by AdamW
    lr: float = 3e-3  # peak learning rate of AdamW
    muon_lr: float = 0.01  # peak learning rate of Muon; small batches want it small
    betas: tuple[float, float] = (0.9, 0.95)  # AdamW's decay rates of the two moments
    eps: float = 1e-8  # AdamW's epsilon
    weight_decay: float = 0.1  # of matrices, times the learning rate; norms and biases have none
    clip_norm: float = 1.0  # the gradient's global norm is kept below this; 0 is no clipping
    warmup_fraction: float = 0.02  # of all steps, learning rate rising linearly
    decay_fraction: float = 0.3  # of all steps, at the end, falling linearly
    final_lr_fraction: float = 0.0  # of the peak, where the decay ends
    micros: int = 1  # parts of a step's batch computed one after the other, to save memory
    seed: int = 0  # of torch's generator, for objectives that draw
    precision: PrecisionName = "auto"  # of matrix products; see bottega doctor
    compile: CompileChoice = "auto"  # torch.compile
    deterministic: bool = True  # bitwise repeatable on a CPU
    checkpoint_every_steps: int = 0  # 0: by time alone
    checkpoint_every_s: float = 120.0  # seconds between checkpoints; 0: by steps alone
    eval_every_steps: int = 0  # held-out loss, where a held-out plan is given; 0: at the end alone
    eval_batches: int = 8  # batches of the held-out plan that one evaluation reads
    keep_best: bool = False  # end with the weights of the lowest held-out loss, not with the last
    stop_after_s: float = 0.0  # end early after so many seconds of training, recorded as such; 0: never

    def identity(self) -> dict[str, Any]:
        """The fields that the result depends on."""
        found = {k: v for k, v in asdict(self).items() if k not in _NOT_IDENTITY}
        return found | ({"keep_best": self.eval_every_steps} if self.keep_best else {})


CLEARLY_WORSE = 1.01  # times the lowest held-out loss; nearer to it the end is no sign of a wrong knob

_NOT_IDENTITY = frozenset(
    {
        *("compile", "precision", "deterministic", "micros", "checkpoint_every_steps", "checkpoint_every_s"),
        *("eval_every_steps", "eval_batches", "keep_best", "stop_after_s"),
    }
)


@dataclass(frozen=True)
class TrainResult:
    """What a run did; the trained weights are in the model that was given, in float32."""

    steps: int
    tokens: int
    seconds: float  # of steps, over all resumptions; a first step's compilation included
    flops: float
    final_loss: float  # mean over the last steps
    heldout_loss: float | None
    resumed_from: int | None  # step of the checkpoint
    stopped_early: bool
    best_step: int | None  # whose weights they are, where the best were kept and not the last
    notes: tuple[Text, ...]  # what the user must know of it
    precision: Precision
    compiled: bool


def train(
    model: Backbone,
    objective: Objective,
    plan: BatchPlan,
    config: TrainConfig,
    run_dir: Path,
    *,
    telemetry: Telemetry | None = None,
    resume: bool = True,
    heldout: BatchPlan | None = None,
) -> TrainResult:
    """Train ``model`` (float32, on its device) in place on ``plan`` until the budget is spent.

    With ``keep_best`` a loss that is not finite ends the run early, with the best weights so far.

    Writes checkpoints and ``metrics.jsonl`` under ``run_dir`` and goes on from the newest checkpoint
    there, unless ``resume`` is False. Raises ``TrainingInterrupted`` after Ctrl-C, ``UserError`` for a loss
    that is not finite.
    """
    device = next(model.parameters()).device
    world = join_world(device)
    own = telemetry is None
    telemetry = telemetry or Telemetry(run_dir)
    telemetry.quiet |= not world.is_first
    try:
        with (
            determinism(config.deterministic and device.type == "cpu"),
            freed_memory_kept(),
            StopRequest() as stop,
        ):
            run = _Run(model, objective, plan, config, run_dir, telemetry, world, heldout)
            if run.compiled:
                compile_model(run.learner.model)
            return run.go(stop, resume=resume)
    finally:
        restore_plain(model)
        if own:
            telemetry.close()


class _Run(Run):
    """One call of :func:`train`."""

    def __init__(
        self,
        model: Backbone,
        objective: Objective,
        plan: BatchPlan,
        config: TrainConfig,
        run_dir: Path,
        telemetry: Telemetry,
        world: World,
        heldout: BatchPlan | None,
    ) -> None:
        self.objective, self.plan, self.config, self.heldout = objective, plan, config, heldout
        device = next(model.parameters()).device
        self.precision = choose_precision(device, config.precision)
        if self.precision.warning:
            telemetry.message(self.precision.warning)
        total_steps = max(1, math.ceil(config.budget_tokens / plan.tokens_per_step))
        self.schedule = Schedule(
            total_steps,
            round(config.warmup_fraction * total_steps),
            round(config.decay_fraction * total_steps),
            config.final_lr_fraction,
        )
        context = plan.batch(0, world.rank, world.size, 0, config.micros).tokens.shape[1]
        self.flops_per_step = plan.tokens_per_step * model.flops_per_token(context)
        flops = self.flops_per_step * total_steps
        self.compiled, why = should_compile(config.compile, device, self.precision.dtype, flops)
        telemetry.message(f"{self.precision.name} ({self.precision.reason}); {why}")
        self.learner = Learner(model, config, self.precision.dtype, world)
        identity = {
            **config.identity(),
            "betas": list(config.betas),
            "tokens_per_step": plan.tokens_per_step,
            "parameters": {n: list(p.shape) for n, p in self.learner.weights.masters.items()},
            "first and last batch": _digest(plan, (0, total_steps - 1)),
        }
        super().__init__({"": self.learner}, total_steps, identity, run_dir, config, telemetry, world)
        self.best_loss, self.best_step = math.inf, 0
        self.recent: list[float] = []  # the last losses, for a final loss that one batch does not decide

    def go(self, stop: StopRequest, *, resume: bool) -> TrainResult:
        resumed_from = self.run(stop, resume=resume)
        if self.ended:
            self.notes.append(self.ended)
        heldout = self._evaluate() if self.heldout is not None else None
        if heldout is not None and self.config.keep_best:
            heldout = self._best_of(heldout)
        self.learner.weights.write_back()
        return TrainResult(
            steps=self.step,
            tokens=self.step * self.plan.tokens_per_step,
            seconds=self.seconds,
            flops=float(self.step * self.flops_per_step),
            final_loss=sum(self.recent) / max(1, len(self.recent)),
            heldout_loss=heldout,
            resumed_from=resumed_from,
            stopped_early=self.step < self.total_steps,
            best_step=self.best_step if self.config.keep_best else None,
            notes=tuple(self.notes),
            precision=self.precision,
            compiled=self.compiled,
        )

    def one_step(self) -> None:
        """Forward and backward over the step's parts, then one update."""
        began = time.perf_counter()
        config, world = self.config, self.world
        sums: dict[str, Tensor] = {}
        for micro in range(config.micros):
            batch = TensorBatch.of(
                self.plan.batch(self.step, world.rank, world.size, micro, config.micros), self.learner.device
            )
            parts = self.objective(self.learner.model, batch)
            parts.loss_sum.backward()  # type: ignore[no-untyped-call]
            grads = self.learner.collect()
            for name, value in {"loss": parts.loss_sum, "weight": parts.weight, **parts.metrics}.items():
                value = value.detach().float()
                sums[name] = sums[name] + value if name in sums else value
        if not grads:
            raise UserError("the objective gave no gradient: is every parameter frozen?")
        found = world.sum(torch.stack(list(sums.values())))
        # A GPU is waited for once.
        *values, norm = torch.cat((found, gradient_norm(grads).reshape(1))).tolist()
        totals = dict(zip(sums, values, strict=True))
        weight = totals.pop("weight")
        means = {name: total / weight if weight else 0.0 for name, total in totals.items()}
        norm = self.learner.scale(grads, weight, norm)
        if not (math.isfinite(means["loss"]) and math.isfinite(norm)):
            self._stop_on_non_finite(means["loss"], norm)
            return
        factor = self.schedule.factor(self.step)
        self.learner.step(factor)
        self.step += 1
        self._report(means, norm, factor, time.perf_counter() - began)

    def _report(self, means: dict[str, float], norm: float, factor: float, step_s: float) -> None:
        self.seconds += step_s
        self.recent = [*self.recent[-9:], means["loss"]]
        record: dict[str, Any] = {
            "step": self.step,
            "tokens": self.step * self.plan.tokens_per_step,
            **means,
            "grad_norm": norm,
            "lr_factor": factor,
            "step_s": step_s,
            "tokens_per_s": self.plan.tokens_per_step / step_s,
        }
        every = self.config.eval_every_steps
        if self.heldout is not None and every and self.step % every == 0:
            record["heldout_loss"] = self._evaluate()
            if self.config.keep_best:
                self._keep_if_best(record["heldout_loss"])
        self.telemetry.step(record)

    def _keep_if_best(self, loss: float) -> None:
        if loss < self.best_loss:
            self.best_loss, self.best_step = loss, self.step
            self.save_best()

    def _best_of(self, last_loss: float) -> float:
        """Put back the weights of the lowest held-out loss, unless the last are no worse; that loss."""
        if not (self.best_step or math.isfinite(last_loss)):
            raise UserError(
                f"the held-out loss is {last_loss} after step {self.step} and was never a number: there are "
                "no weights to keep. Lower the learning rate, or mend the data."
            )
        if last_loss <= self.best_loss:
            self.best_loss, self.best_step = last_loss, self.step
            return last_loss
        self.return_to_best(self.best_step)
        step, best = self.best_step, f"{self.best_loss:.4f}"
        en = (
            f"the held-out loss was lowest at step {step} ({best}) and ended at {last_loss:.4f}: the weights "
            f"of step {step} are kept"
        )
        zh = f"留出数据的损失在第 {step} 步最低（{best}），最后是 {last_loss:.4f}：保留第 {step} 步的权重"
        if last_loss >= CLEARLY_WORSE * self.best_loss:
            en += ". A lower learning rate or fewer passes over the data would end nearer to them"
            zh += "。学习率小一些，或者少读几遍数据，结束时会离它更近"
        self.note(Text(en=en, zh=zh))
        return self.best_loss

    @torch.no_grad()
    def _evaluate(self) -> float:
        """The loss on the held-out plan; plain on a CPU, where another graph costs more than it saves."""
        assert self.heldout is not None
        # On CUDA attention is compiled always: eager, it holds all S x S scores.
        stance = "force_eager" if self.learner.device.type == "cpu" else "default"
        sums = torch.zeros(2, dtype=torch.float64)
        with torch.compiler.set_stance(stance):
            for index in range(self.config.eval_batches):
                arrays = self.heldout.batch(index, self.world.rank, self.world.size)
                batch = TensorBatch.of(arrays, self.learner.device)
                parts = self.objective(self.learner.model, batch)
                sums += torch.stack((parts.loss_sum, parts.weight)).double().cpu()
        loss, weight = self.world.sum(sums).tolist()
        return float(loss / weight) if weight else 0.0

    def state(self) -> dict[str, Any]:
        found: dict[str, Any] = {"recent": self.recent}
        if self.best_step:
            found |= {"best_loss": self.best_loss, "best_step": self.best_step}
        return found

    def put_back(self, state: dict[str, Any]) -> None:
        self.recent = state["recent"]
        self.best_loss, self.best_step = state.get("best_loss", math.inf), state.get("best_step", 0)

    def _stop_on_non_finite(self, loss: float, norm: float) -> None:
        """The weights are still those before this step: save them, say what the batch was, and stop; or end
        with the best so far, where those are kept."""
        report = self.run_dir / "non-finite.json"
        if self.world.is_first:
            self.run_dir.mkdir(parents=True, exist_ok=True)
            content: dict[str, Any] = {"step": self.step + 1, "loss": repr(loss), "grad_norm": repr(norm)}
            content["batch"] = list(self.plan.provenance(self.step))
            report.write_text(json.dumps(content, indent=1), encoding="utf-8")
        what = (
            f"step {self.step + 1}: the loss is {loss} and the gradient's norm {norm}. What the batch was "
            f"made of is in {report}"
        )
        if self.best_step:
            zh = f"第 {self.step + 1} 步：损失是 {loss}，梯度的范数是 {norm}。这一批由什么组成，写在 {report}"
            self.ended = Text(en=what, zh=zh)
            self.telemetry.message(f"{what}. Training ends here; lower the learning rate, or mend the data.")
            return
        self.save()
        raise UserError(
            f"{what}; the weights before it are saved. Lower the learning rate, or mend the data."
        )


def _digest(plan: BatchPlan, steps: Iterable[int]) -> str:
    """A digest of whole steps' batches: other data, or another order of them, has another."""
    found = blake2b(digest_size=8)
    for step in steps:
        batch = plan.batch(step)
        found.update(batch.tokens.tobytes())
        found.update(batch.weights.tobytes())
        for array in batch.extra.values():
            found.update(array.tobytes())
    return found.hexdigest()
