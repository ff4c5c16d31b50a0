"""PPO as InstructGPT did it, and its kin without a value network: GRPO and REINFORCE leave-one-out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from bottega.bilingual import Text
from bottega.errors import UserError
from bottega.model.decoder import Decoder
from bottega.model.lora import merge_lora
from bottega.model.scorer import PolicyWithValue, Scorer
from bottega.stages.base import DataUse, StageConfig, StageInputs, StageResult, register
from bottega.stages.policy import PolicyRun
from bottega.stages.policy_knobs import GroupConfig, GrpoConfig, PolicyConfig, PpoConfig
from bottega.stages.policy_measures import Forward, Measured
from bottega.stages.policy_networks import Networks, hidden_of, networks_of
from bottega.stages.prompts import Prompts, read_prompts
from bottega.training.advantages import gae, group_relative, leave_one_out, token_rewards, whiten
from bottega.training.experience import Experience, Micro
from bottega.training.objective import LossParts
from bottega.training.policy_loss import clipped_value_loss
from bottega.training.token_logprobs import TokenLogprobs, token_logprobs

if TYPE_CHECKING:
    from bottega.data.packing import StepPlan
    from bottega.data.tokenizer import Tokenizer
    from bottega.stages.mixing import Mixture

# Who scores held-out answers while a policy learns.
_REWARD_ITSELF = Text(en="the training reward itself", zh="训练所用的奖励本身")
_JUDGED_APART = Text(en="a reward model that training did not use", zh="训练中没有用到的奖励模型")


class PpoRun(PolicyRun):
    """Per-token KL in the reward, generalised advantages, a value network that starts as the reward model."""

    config: PpoConfig
    _hidden: Tensor  # of the last microbatch's tokens, where policy and value share a trunk

    def advantages(self, experience: Experience, measured: Measured) -> tuple[Tensor, Tensor | None]:
        """Whitened over all tokens of the step."""
        config, mask = self.config, experience.mask
        assert measured.values is not None
        rewards = token_rewards(
            experience.padded(measured.logprobs),
            experience.padded(measured.ref_logprobs),
            mask,
            measured.scores,
            self.kl.coef,
        )
        if config.whiten_scores:
            rewards = whiten(rewards, mask, self.world, shift_mean=False)
        found, returns = gae(
            rewards, experience.padded(measured.values), mask, gamma=config.gamma, lam=config.lam
        )
        return experience.flat(whiten(found, mask, self.world)), experience.flat(returns)

    def logprobs(self, micro: Micro) -> TokenLogprobs:
        """As for any policy; what a shared trunk made of the tokens is kept for their values."""
        model = self.policy.model
        if not isinstance(model, PolicyWithValue):
            return super().logprobs(micro)
        hidden = hidden_of(model, micro)
        self._hidden = hidden.reshape(-1, hidden.shape[-1]).index_select(0, micro.places)
        return token_logprobs(
            model, hidden, micro.batch.targets, micro.places, temperature=self.config.temperature
        )

    def values(self, micro: Micro) -> Tensor | None:
        """Of the states before each token; of a shared trunk, after :meth:`logprobs`."""
        model = self.policy.model
        if isinstance(model, PolicyWithValue):
            return model.values(self._hidden)
        assert self.networks.value is not None
        scorer = self.networks.value.model
        assert isinstance(scorer, Scorer)
        hidden = hidden_of(scorer, micro)
        return scorer.rewards(hidden.reshape(-1, hidden.shape[-1]).index_select(0, micro.places))

    def further_loss(
        self, micro: Micro, now: Forward, measured: Measured, returns: Tensor | None
    ) -> LossParts | None:
        """The value loss."""
        assert now.values is not None and measured.values is not None and returns is not None
        parts = clipped_value_loss(
            now.values, measured.values[micro.tokens], returns[micro.tokens], clip=self.config.value_clip
        )
        shared = isinstance(self.policy.model, PolicyWithValue)
        loss = parts.loss_sum * (2 * self.config.value_coef if shared else 1.0)
        return LossParts(loss, parts.weight, {"value_loss": parts.loss_sum, **parts.metrics})


class GroupRun(PolicyRun):
    """An answer's advantage is what sets its score apart from those of the other answers to its prompt."""

    config: GroupConfig

    def advantages(self, experience: Experience, measured: Measured) -> tuple[Tensor, Tensor | None]:
        """The same for all tokens of an answer."""
        config, n = self.config, experience.n
        scores = measured.scores
        if isinstance(config, GrpoConfig):
            found = group_relative(scores.view(-1, n), scale=config.scale)
        else:
            by_token = experience.padded(measured.logprobs - measured.ref_logprobs)
            found = leave_one_out((scores - self.kl.coef * by_token.sum(1)).view(-1, n))
        return found.reshape(-1).repeat_interleave(experience.lengths), None

    def further_loss(
        self, micro: Micro, now: Forward, measured: Measured, returns: Tensor | None
    ) -> LossParts | None:
        """Of GRPO, the KL to the reference (2402.03300, equation 4)."""
        if not isinstance(self.config, GrpoConfig) or not self.kl.coef:
            return None
        behind = measured.ref_logprobs[micro.tokens] - now.logprobs
        loss = self.kl.coef * (behind.exp() - behind - 1).sum()
        return LossParts(loss, torch.tensor(0.0), {"kl_loss": loss})


@dataclass(frozen=True)
class Cadence:
    """When a run saves."""

    seed: int
    checkpoint_every_steps: int
    checkpoint_every_s: float
    stop_after_s: float = 0.0


class PolicyStage:
    """What the methods have in common: parents, prompts, networks, and the account of it all."""

    name: ClassVar[str]
    version: ClassVar[int] = 2
    Config: ClassVar[type[StageConfig]]
    Run: ClassVar[type[PolicyRun]]

    def run(self, config: PolicyConfig, inputs: StageInputs, seed: int) -> StageResult:
        """Improve the first parent by what the second, or the prompts' checks, say of its answers."""
        from bottega.stages.learning import first_alone

        networks = networks_of(config, inputs, seed, self.name)
        asked = read_prompts(inputs, networks.tokenizer, config, heldout=config.eval_prompts)
        ptx = first_alone(inputs, lambda: _ptx(config, inputs, networks.tokenizer, seed))
        rows = None if ptx is None else ptx.rows
        run, resumed_from = improve(self.Run, networks, asked, rows, config, inputs, seed)
        use = (*asked.use, *(() if ptx is None else ptx.use))
        return _account(run, config, inputs, resumed_from, use, asked)


def improve(
    kind: type[PolicyRun],
    networks: Networks,
    asked: Prompts,
    ptx: StepPlan | None,
    config: PolicyConfig,
    inputs: StageInputs,
    seed: int,
) -> tuple[PolicyRun, int | None]:
    """Take all steps of a run; the run, its networks holding what is to be kept, and the step it went on
    from."""
    from rich.console import Console

    from bottega.stages.learning import run_folder
    from bottega.training.compilation import restore_plain
    from bottega.training.harness import determinism
    from bottega.training.interrupt import StopRequest
    from bottega.training.memory import freed_memory_kept
    from bottega.training.telemetry import Telemetry

    options, run_dir = inputs.run, run_folder(inputs)
    cadence = Cadence(seed, options.checkpoint_every_steps, options.checkpoint_every_s)
    console = Console(stderr=True, quiet=not options.progress)
    with (
        Telemetry(
            run_dir,
            title=inputs.out.name,
            quiet=not networks.world.is_first,
            console=console,
            shown=("score", "kl", "length"),
        ) as telemetry,
        determinism(networks.device.type == "cpu"),
        freed_memory_kept(),
        StopRequest() as stop,
    ):
        run = kind(networks, asked, ptx, config, run_dir, cadence, telemetry)
        try:
            resumed_from = run.run(stop, resume=True)
            run.finish()
        finally:
            run.close()
            restore_plain(networks.policy.model)
    return run, resumed_from


def _ptx(config: PolicyConfig, inputs: StageInputs, tokenizer: Tokenizer, seed: int) -> Mixture | None:
    """The text of the replay datasets in rows, where it is to be learned from."""
    from bottega.stages.knobs import MixtureConfig
    from bottega.stages.mixing import mix
    from bottega.stages.prepare import prepare

    replay = tuple(entry for entry in inputs.datasets if entry.role == "replay")
    if bool(replay) != bool(config.ptx_coef):
        wrong = "ptx_coef is 0: it would not be read" if replay else "there is none with role = replay"
        raise UserError(f"{inputs.out.name}: ptx_coef above 0 reads the replay datasets, and {wrong}")
    if not replay:
        return None
    rows = max(1, config.ptx_tokens // config.context)
    size = {"context": config.context, "batch_tokens": rows * config.context}
    data = prepare(replace(inputs, datasets=replay), tokenizer, main=())
    return mix(data, MixtureConfig.parse({"budget_tokens": 1, **size}), tokenizer, seed)


def _account(
    run: PolicyRun,
    config: PolicyConfig,
    inputs: StageInputs,
    resumed_from: int | None,
    use: tuple[DataUse, ...],
    asked: Prompts,
) -> StageResult:
    """Write the model, and say what it took."""
    from bottega.stages.learning import finish
    from bottega.training.loop import TrainResult
    from bottega.training.telemetry import read_metrics

    networks = run.networks
    model = networks.policy.weights.given
    assert isinstance(model, Decoder)
    if config.lora is not None:
        merge_lora(model)
    last = read_metrics(run.run_dir / "metrics.jsonl")[-10:]

    def recent(name: str) -> float:
        return float(sum(row[name] for row in last)) / max(1, len(last))

    trained = TrainResult(
        steps=run.step,
        tokens=run.tokens,
        seconds=run.seconds,
        flops=run.positions * networks.flops_per_position(run.row),
        final_loss=recent("loss"),
        heldout_loss=None,
        resumed_from=resumed_from,
        stopped_early=run.step < run.total_steps,
        best_step=run.kept_step if run.heldout else None,
        notes=tuple(run.notes),
        precision=networks.precision,
        compiled=networks.compiled,
    )
    report = {
        **asked.report,
        "kept_step": run.kept_step,
        "judged_by": (_JUDGED_APART if networks.judged_apart else _REWARD_ITSELF).model_dump(),
        "ended": run.ended.en if run.ended else "",
        "samples": run.looks.samples(),
    }
    result = finish(model, networks.tokenizer, trained, inputs, data=use, report=report)
    metrics = {name: result.metrics[name] for name in ("tokens_per_s", "parameters")}
    metrics |= {name: recent(name) for name in ("score", "kl", "length", "ended", "entropy")}
    if run.heldout:
        metrics["heldout_preference"] = run.looks.best_preference
    return replace(result, metrics=metrics)


class Ppo(PolicyStage):
    """Proximal policy optimisation against a reward model, with a value network."""

    name: ClassVar[str] = "ppo"
    Config: ClassVar[type[StageConfig]] = PpoConfig
    Run: ClassVar[type[PolicyRun]] = PpoRun


class Grpo(PolicyStage):
    """Group-relative policy optimisation (2402.03300)."""

    name: ClassVar[str] = "grpo"
    Config: ClassVar[type[StageConfig]] = GrpoConfig
    Run: ClassVar[type[PolicyRun]] = GroupRun


class Rloo(PolicyStage):
    """REINFORCE with the other answers' mean as its baseline (2402.14740)."""

    name: ClassVar[str] = "rloo"
    Config: ClassVar[type[StageConfig]] = GroupConfig
    Run: ClassVar[type[PolicyRun]] = GroupRun


register(Ppo())
register(Grpo())
register(Rloo())
