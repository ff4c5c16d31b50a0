"""Learning by trial: sample answers, score them, move the policy towards what scored well (2203.02155).

Of several processes each holds all networks, samples and measures its share of a step's prompts, and learns
from the gradients of all.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor

from bottega.bilingual import Text
from bottega.engine.local import LocalEngine
from bottega.engine.rollout import Rollouts, rollout
from bottega.engine.sampling import request_seeds
from bottega.errors import UserError
from bottega.model.decoder import Backbone, Decoder
from bottega.stages.policy_knobs import PolicyConfig
from bottega.stages.policy_looks import Look, Looks
from bottega.stages.policy_measures import Forward, Measured, figures_of
from bottega.stages.policy_networks import Networks, logprobs_of
from bottega.stages.prompts import Prompts
from bottega.stages.rewards import Asked
from bottega.training.average import Average
from bottega.training.experience import Experience, Micro, row_for
from bottega.training.guard import Guard, Limits
from bottega.training.harness import Cadence, Held, Run
from bottega.training.kl_control import KLControl
from bottega.training.policy_loss import clipped_policy_loss, importance_weights
from bottega.training.schedule import Schedule
from bottega.training.telemetry import Telemetry
from bottega.training.token_logprobs import TokenLogprobs

if TYPE_CHECKING:
    from bottega.data.packing import StepPlan
    from bottega.training.objective import LossParts

T = TypeVar("T")
SLOTS, GPU_SLOTS = 64, 256  # answers sampled at once, where a step has as many
BACK_OFF = 0.5  # the rate's factor after each time that a policy ran away; the price of KL rises by as much
MOST_BACK_OFFS = 3  # then training ends


class PolicyRun(Run):
    """The steps of one run. A subclass says what the answers' advantages are, and what else learns."""

    def __init__(
        self,
        networks: Networks,
        asked: Prompts,
        ptx: StepPlan | None,
        config: PolicyConfig,
        run_dir: Path,
        cadence: Cadence,
        telemetry: Telemetry,
    ) -> None:
        from bottega.evals.prompting import stop_ids

        self.networks, self.policy, self.config, self.ptx = networks, networks.policy, config, ptx
        self.prompts, self.heldout = asked.train, asked.heldout
        learners = {"policy": networks.policy}
        if networks.value is not None:
            learners["value"] = networks.value
        self.average = Average(networks.policy, config.ema_decay) if config.ema_decay else None
        held: dict[str, Held] = {**learners, **({"average": self.average} if self.average else {})}
        identity = {
            "config": config.model_dump(mode="json"),
            "seed": cadence.seed,
            "prompts": asked.digest,
            "parameters": {n: list(p.shape) for n, p in networks.policy.weights.masters.items()},
        }
        super().__init__(held, config.steps, identity, run_dir, cadence, telemetry, networks.world)
        if config.batch_prompts < self.world.size:
            raise UserError(
                f"batch_prompts = {config.batch_prompts} leaves some of {self.world.size} processes without "
                "a prompt; raise it, or start fewer"
            )
        self._trained = learners
        questions = [one.messages[-1].content for one in self.heldout]
        self.looks = Looks(questions, run_dir / "samples.jsonl", writes=self.world.is_first)
        self._seed = cadence.seed
        tokenizer = networks.tokenizer
        self._pad = tokenizer.require("eot") if tokenizer.pad is None else tokenizer.pad
        self._stops = stop_ids(tokenizer)
        lengths = [len(one.tokens) for one in (*self.prompts, *self.heldout)]
        longest, n = max(lengths), config.answers_per_prompt
        self.row = row_for(lengths, n, config.max_new_tokens)
        at_once = GPU_SLOTS if networks.device.type == "cuda" else SLOTS
        slots, most = min(at_once, config.batch_prompts * n), longest + config.max_new_tokens
        self.looker = self._engine(networks.policy.model, slots, most)  # of the policy, its weights in place
        source = self.begin(networks)
        self.engine = self.looker if source is None else self._engine(source, slots, most)
        self.schedule = Schedule(
            config.steps,
            round(config.warmup_fraction * config.steps),
            round(config.decay_fraction * config.steps),
        )
        self.kl = KLControl(config.kl_coef, config.kl_target, config.kl_horizon)
        limits = Limits(
            config.max_kl,
            config.min_entropy,
            config.min_score_spread,
            config.min_ended,
            config.max_growth,
        )
        self.guard = Guard(limits)
        self.first_length: float | None = None  # of the answers, on average, in the first step
        self.backed_off = 0  # times
        self.tokens = 0  # of answers, so far
        self.positions = 0  # computed by every network, filler included
        self._kept: Forward | None = None  # of the measurement, where a step learns on that

    # ---------------------------------------------------------------- what a method decides

    def begin(self, networks: Networks) -> Backbone | None:
        """Make what the method needs beside the networks; the model that is learned from, where that is not
        the policy."""
        return None

    def _engine(self, model: Backbone, slots: int, max_tokens: int) -> LocalEngine:
        assert isinstance(model, Decoder)
        return LocalEngine(model, self.networks.tokenizer, slots=slots, max_tokens=max_tokens)

    def weights_changed(self) -> None:
        """What the engines hold of a prompt is of weights that are no more."""
        self.looker.weights_changed()
        if self.engine is not self.looker:
            self.engine.weights_changed()

    def close(self) -> None:
        """Free the engines."""
        self.looker.close()
        self.engine.close()

    def advantages(self, experience: Experience, measured: Measured) -> tuple[Tensor, Tensor | None]:
        """Flat advantages of the tokens, and the returns that values are to learn, where there are values."""
        raise NotImplementedError

    def values(self, micro: Micro) -> Tensor | None:
        """Flat values of a microbatch's tokens; None where nothing learns them."""
        return None

    def further_loss(
        self, micro: Micro, now: Forward, measured: Measured, returns: Tensor | None
    ) -> LossParts | None:
        """What else is to be lowered, on the policy's graph or on that of the values."""
        return None

    # ---------------------------------------------------------------- a step

    def one_step(self) -> None:
        """Sample, score, learn."""
        if not self.looks.begun:
            self.looks.begin(self._look() if self.heldout else [])
            self._keep()
        began = time.perf_counter()
        config = self.config
        every = self._asked()
        asked = self._own(every)
        seeds = self._own(request_seeds(self._seed * 1_000_003 + self.step, len(every)))
        rollouts = self._sample(asked, seeds, self.engine, config.answers_per_prompt)
        sampled_s = time.perf_counter() - began
        experience, drawn = self._experience(asked, rollouts)
        draw = random.Random(f"{self._seed}/{self.step}")
        order = list(range(len(every)))
        draw.shuffle(order)
        minibatches = experience.minibatches(config.minibatches, order, self.world)
        measured = self._measure(asked, rollouts, experience, drawn, minibatches)
        advantages, returns = self.advantages(experience, measured)
        scored_s = time.perf_counter() - began - sampled_s
        figures = figures_of(experience, rollouts, measured, returns, self.kl.coef, self.world)
        factor = self.schedule.factor(self.step) * BACK_OFF**self.backed_off
        computed = sum(micro.batch.tokens.numel() for minibatch in minibatches for micro in minibatch)
        sums: dict[str, float] = {"positions": computed}
        updates = 0
        for epoch in range(config.inner_epochs):
            if epoch:
                draw.shuffle(order)
                minibatches = experience.minibatches(config.minibatches, order, self.world)
            for minibatch in minibatches:
                figures |= self._update(minibatch, measured, advantages, returns, factor, updates, sums)
                updates += 1
        if self.average is not None:
            self.average.update()
        self.weights_changed()
        sums = self._sum(sums)
        self.positions += round(sums.pop("positions"))
        count = max(sums.pop("tokens"), 1.0)
        figures |= {name: total / count for name, total in sums.items()}
        figures["ratio_variance"] = max(figures.pop("ratio_square") - figures["ratio"] ** 2, 0.0)
        self.kl.update(figures["kl"], len(every) * config.answers_per_prompt)
        tokens = round(count / config.inner_epochs)
        self.tokens += tokens
        self.step += 1
        step_s = time.perf_counter() - began
        self.seconds += step_s
        split = {"sample_s": sampled_s, "score_s": scored_s, "update_s": step_s - sampled_s - scored_s}
        self._report(figures | split, factor, step_s, tokens)

    def _asked(self) -> list[Asked]:
        """The prompts of this step: every prompt once before any a second time."""
        size, there = self.config.batch_prompts, len(self.prompts)
        numbers = range(self.step * size, (self.step + 1) * size)
        orders: dict[int, list[int]] = {}
        for epoch in {number // there for number in numbers}:
            orders[epoch] = list(range(there))
            random.Random(f"prompts/{self._seed}/{epoch}").shuffle(orders[epoch])
        return [self.prompts[orders[number // there][number % there]] for number in numbers]

    def _own(self, of_all: Sequence[T]) -> Sequence[T]:
        """This process's share."""
        return of_all[self.world.rank :: self.world.size]

    def _sum(self, numbers: dict[str, float]) -> dict[str, float]:
        """Over all processes."""
        names = sorted(numbers)
        total = self.world.sum(torch.tensor([numbers[name] for name in names], dtype=torch.float64))
        return dict(zip(names, total.tolist(), strict=True))

    def _sample(self, asked: Sequence[Asked], seed: Sequence[int], engine: LocalEngine, n: int) -> Rollouts:
        return rollout(
            engine,
            [one.tokens for one in asked],
            max_new_tokens=self.config.max_new_tokens,
            stop_ids=self._stops,
            n=n,
            temperature=self.config.temperature,
            seed=seed,
            pad_id=self._pad,
        )

    def _experience(self, asked: Sequence[Asked], rollouts: Rollouts) -> tuple[Experience, Tensor]:
        """The answers as drawn, and the engine's log-probabilities of their tokens, flat."""
        answers = [row[mask].tolist() for row, mask in zip(rollouts.tokens, rollouts.sampled, strict=True)]
        experience = Experience(
            [one.tokens for one in asked],
            answers,
            row=self.row,
            batch_tokens=self.config.batch_tokens,
            pad=self._pad,
            device=self.policy.device,
        )
        return experience, rollouts.logprobs[rollouts.sampled].to(self.policy.device)

    def _measure(
        self,
        asked: Sequence[Asked],
        rollouts: Rollouts,
        experience: Experience,
        drawn: Tensor,
        minibatches: Sequence[Sequence[Micro]],
    ) -> Measured:
        micros = [micro for minibatch in minibatches for micro in minibatch]
        logprobs, ref, entropy, values = drawn.new_empty(4, experience.tokens)
        valued = False
        # A step that is one update of one microbatch learns on the graphs that it was measured with.
        once = len(minibatches) == len(micros) == 1 and self.config.inner_epochs == 1
        for micro in micros:
            # With a graph, though it is dropped: without one a compiler makes another, whose bits differ.
            now = self.logprobs(micro)
            logprobs[micro.tokens], entropy[micro.tokens] = now.logprobs.detach(), now.entropy
            with torch.set_grad_enabled(once):
                found = self.values(micro)
            with torch.no_grad():
                ref[micro.tokens] = self.networks.reference(micro).logprobs
            if found is not None:
                values[micro.tokens] = found.detach()
                valued = True
            if once:
                self._kept = Forward(now.logprobs, found)
        scores = self.networks.reward.scores(asked, rollouts.texts, micros, len(rollouts.lengths)).to(
            drawn.device
        )
        scores = self._judged(scores, rollouts.ended.to(drawn.device))
        return Measured(logprobs, ref, drawn, entropy, values if valued else None, scores)

    def _judged(self, scores: Tensor, ended: Tensor) -> Tensor:
        """Scores with that of answers without an end in place of theirs."""
        instead = self.config.no_end_score
        return scores if instead == "own" else torch.where(ended, scores, float(instead))

    def logprobs(self, micro: Micro) -> TokenLogprobs:
        """Of a microbatch's tokens under the policy, with the gradient."""
        return logprobs_of(self.policy.model, micro, self.config.temperature)

    def _update(
        self,
        minibatch: Sequence[Micro],
        measured: Measured,
        advantages: Tensor,
        returns: Tensor | None,
        factor: float,
        update: int,
        sums: dict[str, float],
    ) -> dict[str, float]:
        """One step of every optimiser on a part of the answers; the norms of the gradients."""
        config = self.config
        own_tokens = sum(micro.tokens.numel() for micro in minibatch)
        tokens = self._sum({"tokens": own_tokens})["tokens"]
        totals: dict[str, Tensor] = {}
        for micro in minibatch:
            now = self._kept or Forward(self.logprobs(micro).logprobs, self.values(micro))
            self._kept = None
            old = measured.logprobs[micro.tokens]
            weights = None
            if config.importance_cap:
                drawn = measured.engine_logprobs[micro.tokens]
                weights = importance_weights(old, drawn, cap=config.importance_cap)
            parts = clipped_policy_loss(
                now.logprobs, old, advantages[micro.tokens], clip=config.clip, weights=weights
            )
            loss, metrics = parts.loss_sum, {"policy_loss": parts.loss_sum, **parts.metrics}
            further = self.further_loss(micro, now, measured, returns)
            if further is not None:
                loss, metrics = loss + further.loss_sum, metrics | further.metrics
            loss.backward()  # type: ignore[no-untyped-call]
            for learner in self._trained.values():
                learner.collect()
            for name, value in metrics.items():
                totals[name] = totals.get(name, torch.zeros(())) + value.detach().float().cpu()
        if self.ptx is not None:
            totals["ptx_loss"] = self._ptx(update, tokens) * own_tokens
        for name, total in totals.items():
            sums[name] = sums.get(name, 0.0) + float(total)
        sums["tokens"] = sums.get("tokens", 0.0) + own_tokens
        norms = {}
        for name, learner in self._trained.items():
            norm = learner.scale(learner.summed(), tokens)
            norms["grad_norm" if learner is self.policy else f"{name}_grad_norm"] = norm
            if not math.isfinite(norm):
                self.ended = Text(
                    en=f"the gradient of the {name} is {norm}: lower the learning rate",
                    zh=f"{name} 的梯度是 {norm}：请降低学习率",
                )
        if not self.ended:
            for learner in self._trained.values():
                learner.step(factor)
        return norms

    def _ptx(self, update: int, tokens: float) -> Tensor:
        """Add gamma times the gradient of language modelling (2203.02155, equation 2), so weighted that the
        division by ``tokens`` leaves its own mean; that mean."""
        from bottega.training.objective import TensorBatch, language_modelling

        assert self.ptx is not None and isinstance(self.policy.model, Decoder)
        config = self.config
        number = self.step * config.inner_epochs * config.minibatches + update
        batch = TensorBatch.of(self.ptx.batch(number, self.world.rank, self.world.size), self.policy.device)
        parts = language_modelling(self.policy.model, batch)
        sums = self.world.sum(torch.stack([parts.loss_sum.detach(), parts.weight.detach()]).float())
        loss, weight = sums[0], sums[1]
        scale = config.ptx_coef * tokens / weight.clamp(min=1)
        (parts.loss_sum * scale).backward()  # type: ignore[no-untyped-call]
        self.policy.collect()
        return (loss / weight.clamp(min=1)).cpu()

    # ---------------------------------------------------------------- figures

    def _report(self, figures: dict[str, float], factor: float, step_s: float, tokens: int) -> None:
        record: dict[str, Any] = {
            "step": self.step,
            "tokens": self.tokens,
            "loss": figures["policy_loss"],
            **figures,
            "lr_factor": factor,
            "step_s": step_s,
            "tokens_per_s": tokens / step_s,
        }
        watched = {name: figures[name] for name in ("kl", "entropy", "score_spread", "ended", "score")}
        self.first_length = self.first_length or figures["length"]
        watched["growth"] = figures["length"] / self.first_length
        self.ended = self.ended or self.guard.reason_to_stop(watched)
        if self.ended and self._backs_off and self.backed_off < MOST_BACK_OFFS:
            self._back_off()
        is_last = self.step == self.total_steps
        is_better = False
        if self.heldout and not self.ended and (is_last or self.step % self.config.eval_every == 0):
            looked, is_better = self.looks.compare(self.step, self._look())
            record |= looked
        self.telemetry.step(record)
        if is_better:  # after its line: what is kept may be a checkpoint, which a killed run goes on from
            self._keep()
        if self.ended:
            self.telemetry.message(f"step {self.step}: {self.ended.en}. Training ends here.")

    @property
    def _backs_off(self) -> bool:
        return self.config.on_runaway == "back-off"

    def _keep(self) -> None:
        """Keep the weights as the best so far, where a resumed run may need them with all that goes on."""
        self.save_best()
        if self._backs_off:
            self.save()

    def _back_off(self) -> None:
        """Go back to the best weights, at half the rate and twice the price of KL."""
        assert self.ended is not None
        self.return_to_best(self.looks.best_step)
        for learner in self._trained.values():
            learner.optimizers.forget()
        self.weights_changed()
        self.backed_off += 1
        self.kl.coef /= BACK_OFF
        self.guard.strikes = {}
        self.telemetry.message(
            f"step {self.step}: {self.ended.en}. Back to the weights of step {self.looks.best_step}, at "
            f"{BACK_OFF:g} of the rate, with kl_coef {self.kl.coef:g}."
        )
        self.ended = None

    @contextmanager
    def _as_kept(self) -> Iterator[None]:
        """Inside, the policy has the weights that would be kept now: the average, where there is one."""
        if self.average is None:
            yield
            return
        now = {name: tensor.clone() for name, tensor in self.policy.state()[0].items()}
        self.policy.put_back(self.average.weights)
        self.weights_changed()
        yield
        self.policy.put_back(now)
        self.weights_changed()

    def _look(self) -> list[Look]:
        """Answers to the held-out prompts with the judge's scores, of the weights that would be kept now."""
        with self._as_kept():
            shares, size = self.world.gather(self._own_look()), self.world.size
        return [shares[i % size][i // size] for i in range(len(self.heldout))]

    def _own_look(self) -> list[Look]:
        """This process's share of a look."""
        from bottega.evals.verdicts import qualities

        asked = self._own(self.heldout)
        if not asked:
            return []
        seeds = self._own(request_seeds(self._seed, len(self.heldout)))
        rollouts = self._sample(asked, seeds, self.looker, 1)
        experience, _ = self._experience(asked, rollouts)
        (micros,) = experience.minibatches(1, range(len(asked)))
        scores = self.networks.judge.scores(asked, rollouts.texts, micros, len(asked)).cpu()
        scores = self._judged(scores, rollouts.ended)
        true: list[float | None] = [None] * len(asked)
        prompts = [one.prompt for one in asked if one.prompt is not None]
        if len(prompts) == len(asked):
            true[:] = qualities(prompts, rollouts.texts, rollouts.ended.tolist())
        return [Look(*one) for one in zip(rollouts.texts, scores.tolist(), true, strict=True)]

    def state(self) -> dict[str, Any]:
        """Counts, the KL coefficient, the guard's strikes, and what was best so far."""
        return {
            "answer_tokens": self.tokens,
            "positions": self.positions,
            "kl_coef": self.kl.coef,
            "strikes": self.guard.strikes,
            "first_length": self.first_length,
            "backed_off": self.backed_off,
            **self.looks.state(),
        }

    def put_back(self, state: dict[str, Any]) -> None:
        """Take over what :meth:`state` gave."""
        self.tokens, self.positions = state["answer_tokens"], state["positions"]
        self.kl.coef = state["kl_coef"]
        self.guard.strikes = state["strikes"]
        self.first_length, self.backed_off = state["first_length"], state["backed_off"]
        self.looks.put_back(state, self.step)
        self.weights_changed()

    @property
    def kept_step(self) -> int:
        """The step whose weights are the outcome."""
        return self.looks.best_step if self.heldout or self.ended else self.step

    def finish(self) -> None:
        """Put the weights that are to be kept into the networks: the best of those looked at, averaged where
        that was asked for. Where nothing was looked at, the last, or after a runaway the first."""
        if self.ended:
            step, whole = self.step, self.total_steps
            self.notes.append(
                Text(
                    en=f"ended at step {step} of {whole}: {self.ended.en}",
                    zh=f"在 {whole} 步中的第 {step} 步结束：{self.ended.zh}",
                )
            )
        if self.kept_step != self.step:
            self.return_to_best(self.kept_step)
            self.note(self.looks.why_kept())
        if self.average is not None:
            self.policy.put_back(self.average.weights)
        for learner in self._trained.values():
            learner.weights.write_back()
