"""The one training loop: a stage brings an objective and a plan of batches, the loop does the rest."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from bottega.errors import UserError
from bottega.training.checkpoint import Checkpoint, Checkpoints
from bottega.training.compilation import CompileChoice, compile_model, restore_plain, should_compile
from bottega.training.distributed import World, fill, join_world, whole
from bottega.training.interrupt import StopRequest, TrainingInterrupted
from bottega.training.memory import freed_memory_kept
from bottega.training.objective import Objective, TensorBatch
from bottega.training.optim import OptimizerName, build_optimizers
from bottega.training.precision import Precision, PrecisionName, choose_precision
from bottega.training.schedule import Schedule
from bottega.training.telemetry import Telemetry
from bottega.training.weights import MasterWeights

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
            _determinism(config.deterministic and device.type == "cpu"),
            freed_memory_kept(),
            StopRequest() as stop,
        ):
            run = _Run(model, objective, plan, config, run_dir, telemetry, world, heldout)
            if run.compiled:
                compile_model(run.weights.model)
            return run.go(stop, resume=resume)
    finally:
        restore_plain(model)
        if own:
            telemetry.close()


class _Run:
    """The state of one call of :func:`train`."""

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
        self.objective, self.plan, self.config, self.run_dir = objective, plan, config, run_dir
        self.telemetry, self.world, self.heldout = telemetry, world, heldout
        device = next(model.parameters()).device
        self.precision = choose_precision(device, config.precision)
        if self.precision.warning:
            telemetry.message(self.precision.warning)
        self.total_steps = max(1, math.ceil(config.budget_tokens / plan.tokens_per_step))
        self.schedule = Schedule(
            self.total_steps,
            round(config.warmup_fraction * self.total_steps),
            round(config.decay_fraction * self.total_steps),
            config.final_lr_fraction,
        )
        context = plan.batch(0, world.rank, world.size, 0, config.micros).tokens.shape[1]
        self.flops_per_step = plan.tokens_per_step * model.flops_per_token(context)
        flops = self.flops_per_step * self.total_steps
        self.compiled, why = should_compile(config.compile, device, self.precision.dtype, flops)
        telemetry.message(f"{self.precision.name} ({self.precision.reason}); {why}")

        model.train()
        self.weights = MasterWeights(model, self.precision.dtype, world)
        self.device = next(self.weights.model.parameters()).device
        self.optimizers = build_optimizers(
            self.weights.masters,
            optimizer=config.optimizer,
            lr=config.lr,
            muon_lr=config.muon_lr,
            weight_decay=config.weight_decay,
            betas=config.betas,
            eps=config.eps,
            muon_dtype=self.precision.dtype,
        )
        identity = {
            **config.identity(),
            "betas": list(config.betas),
            "tokens_per_step": plan.tokens_per_step,
            "parameters": {n: list(p.shape) for n, p in self.weights.masters.items()},
            "first and last batch": _digest(plan, (0, self.total_steps - 1)),
        }
        self.checkpoints = Checkpoints(run_dir / "checkpoints", identity, telemetry.message, world)
        self.best = Checkpoints(run_dir / "best", identity, telemetry.message, world)
        self.best_loss, self.best_step = math.inf, 0
        self.diverged = False
        self.step = 0
        self.seconds = 0.0
        self.recent: list[float] = []  # the last losses, for a final loss that one batch does not decide

    def go(self, stop: StopRequest, *, resume: bool) -> TrainResult:
        resumed_from = self._resume() if resume else None
        if resumed_from is None:
            torch.manual_seed(self.config.seed)
        self.telemetry.start(self.total_steps, self.step)
        saved_at, last_saved = time.monotonic(), self.step
        out_of_time = False
        while self.step < self.total_steps and not out_of_time:
            self._one_step()
            if self.diverged:
                break
            due = self._agree(stop.asked, self._is_due(saved_at), self._is_out_of_time())
            asked, due_now, out_of_time = due
            if due_now or asked or out_of_time:
                self._save()
                saved_at, last_saved = time.monotonic(), self.step
            if asked and self.step < self.total_steps:
                raise TrainingInterrupted(
                    f"stopped at step {self.step} of {self.total_steps}; saved in {self.checkpoints.folder}. "
                    "Run the same command to go on."
                )
        if last_saved != self.step:
            self._save()
        heldout = self._evaluate() if self.heldout is not None else None
        if heldout is not None and self.config.keep_best:
            heldout = self._return_to_best(heldout)
        self.weights.write_back()
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
            precision=self.precision,
            compiled=self.compiled,
        )

    def _one_step(self) -> None:
        """Forward and backward over the step's parts, then one update."""
        began = time.perf_counter()
        config, world = self.config, self.world
        sums: dict[str, Tensor] = {}
        for micro in range(config.micros):
            batch = TensorBatch.of(
                self.plan.batch(self.step, world.rank, world.size, micro, config.micros), self.device
            )
            parts = self.objective(self.weights.model, batch)
            parts.loss_sum.backward()  # type: ignore[no-untyped-call]
            grads = self.weights.collect_grads()
            for name, value in {"loss": parts.loss_sum, "weight": parts.weight, **parts.metrics}.items():
                value = value.detach().float()
                sums[name] = sums[name] + value if name in sums else value
        if not grads:
            raise UserError("the objective gave no gradient: is every parameter frozen?")
        found = world.sum(torch.stack(list(sums.values())))
        # A GPU is waited for once.
        *values, norm = torch.cat((found, whole(nn.utils.get_total_norm(grads)).reshape(1))).tolist()
        totals = dict(zip(sums, values, strict=True))
        weight = totals.pop("weight")
        means = {name: total / weight if weight else 0.0 for name, total in totals.items()}
        norm = self._scale_grads(grads, norm, weight)
        if not (math.isfinite(means["loss"]) and math.isfinite(norm)):
            self._stop_on_non_finite(means["loss"], norm)
            return
        factor = self.schedule.factor(self.step)
        self.optimizers.set_lr_factor(factor)
        self.optimizers.step()
        self.optimizers.zero_grad()
        self.weights.refresh()
        self.step += 1
        self._report(means, norm, factor, time.perf_counter() - began)

    @torch.no_grad()
    def _scale_grads(self, grads: list[Tensor], norm: float, weight: float) -> float:
        """Turn gradients of a sum, whose norm is ``norm``, into those of the mean over the global weight,
        clipped.

        Returns the norm of the mean's before clipping.
        """
        # FSDP averages over the processes, and a mean over the global weight needs their sum.
        scale = self.world.size / weight if weight else 0.0
        norm *= scale
        if self.config.clip_norm and norm > self.config.clip_norm:
            scale *= self.config.clip_norm / norm
        torch._foreach_mul_(grads, scale)
        return norm

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
            weights = {name: p.data for name, p in self.weights.masters.items()}
            self.best.save(Checkpoint(self.step, weights, {}, {}))

    def _return_to_best(self, last_loss: float) -> float:
        """Put back the weights of the lowest held-out loss, unless the last are no worse; that loss."""
        if last_loss <= self.best_loss:
            self.best_loss, self.best_step = last_loss, self.step
            return last_loss
        found = self.best.newest(restore_random=False)
        assert found is not None and found.step == self.best_step
        for name, master in self.weights.masters.items():
            fill(master.data, found.weights[name])
        self.telemetry.message(
            f"the held-out loss was lowest at step {self.best_step} ({self.best_loss:.4f}) and ended at "
            f"{last_loss:.4f}: the weights of step {self.best_step} are kept. A lower learning rate or fewer "
            "passes over the data would end nearer to them."
        )
        return self.best_loss

    @torch.no_grad()
    def _evaluate(self) -> float:
        """The loss on the held-out plan; plain on a CPU, where another graph costs more than it saves."""
        assert self.heldout is not None
        # On CUDA attention is compiled always: eager, it holds all S x S scores.
        stance = "force_eager" if self.device.type == "cpu" else "default"
        sums = torch.zeros(2, dtype=torch.float64)
        with torch.compiler.set_stance(stance):
            for index in range(self.config.eval_batches):
                arrays = self.heldout.batch(index, self.world.rank, self.world.size)
                batch = TensorBatch.of(arrays, self.device)
                parts = self.objective(self.weights.model, batch)
                sums += torch.stack((parts.loss_sum, parts.weight)).double().cpu()
        loss, weight = self.world.sum(sums).tolist()
        return float(loss / weight) if weight else 0.0

    def _is_due(self, saved_at: float) -> bool:
        config = self.config
        by_step = config.checkpoint_every_steps and self.step % config.checkpoint_every_steps == 0
        by_time = config.checkpoint_every_s and time.monotonic() - saved_at >= config.checkpoint_every_s
        return bool(by_step or by_time)

    def _is_out_of_time(self) -> bool:
        return bool(self.config.stop_after_s and self.seconds >= self.config.stop_after_s)

    def _agree(self, *flags: bool) -> list[bool]:
        """True where any process says so: what is decided by a clock or a signal must be decided once."""
        if self.world.size == 1:
            return list(flags)
        return [bool(v) for v in self.world.sum(torch.tensor([float(f) for f in flags])).tolist()]

    def _save(self) -> None:
        masters = self.weights.masters
        weights = {name: p.data for name, p in masters.items()}
        state = {"seconds": self.seconds, "recent": self.recent}
        if self.best_step:
            state |= {"best_loss": self.best_loss, "best_step": self.best_step}
        self.checkpoints.save(Checkpoint(self.step, weights, self.optimizers.state(masters), state))

    def _resume(self) -> int | None:
        found = self.checkpoints.newest()
        if found is None:
            return None
        for name, master in self.weights.masters.items():
            fill(master.data, found.weights[name])
        self.optimizers.load_state(self.weights.masters, found.optimizer)
        self.weights.refresh()
        self.step = found.step
        self.seconds, self.recent = found.state["seconds"], found.state["recent"]
        self.best_loss = found.state.get("best_loss", math.inf)
        self.best_step = found.state.get("best_step", 0)
        self.telemetry.message(f"going on from the checkpoint of step {found.step}")
        return found.step

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
            self.diverged = True
            self.telemetry.message(f"{what}. Training ends here; lower the learning rate, or mend the data.")
            return
        self._save()
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


@contextmanager
def _determinism(on: bool) -> Iterator[None]:
    from torch.utils import deterministic

    before = torch.are_deterministic_algorithms_enabled()
    # Nothing here reads memory before writing it, and filling all of it costs time.
    fill_before, deterministic.fill_uninitialized_memory = deterministic.fill_uninitialized_memory, False  # type: ignore[attr-defined]
    torch.use_deterministic_algorithms(on or before)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)
        deterministic.fill_uninitialized_memory = fill_before  # type: ignore[attr-defined]
