"""Learning by trial: a known ceiling is reached, the first step is exact, what runs away is held."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bottega import stages
from bottega.data.tokenizer import Tokenizer
from bottega.errors import UserError
from bottega.model.hub import load_model, load_scorer
from bottega.model.scorer import Scorer
from bottega.stages.base import StageInputs, StageResult
from bottega.stages.best import chosen
from bottega.stages.policy import PolicyRun
from bottega.stages.policy_knobs import PolicyConfig
from bottega.stages.policy_networks import networks_of
from bottega.stages.ppo import improve
from bottega.stages.prompts import read_prompts
from bottega.stages.rewards import Asked
from bottega.training.distributed import World
from bottega.training.experience import Micro
from bottega.training.telemetry import read_metrics

from .workshop import Workshop

SMALL: dict[str, Any] = {
    "context": 64,
    "max_new_tokens": 8,
    "steps": 3,
    "batch_prompts": 8,
    "batch_tokens": 512,
    "eval_prompts": 4,
    "eval_every": 2,
    "min_score_spread": 0.0,
}
LOGGED = {  # CORRECTNESS 28
    *("approx_kl", "kl", "clip_fraction", "ratio", "ratio_variance", "entropy", "explained_variance"),
    *("score", "length", "ended", "grad_norm"),
}


def inputs_of(workshop: Workshop, where: Path, *parents: Path, replay: bool = False) -> StageInputs:
    data = [workshop.dataset("rankings")]
    if replay:
        data.append(workshop.dataset("prose", role="replay"))
    return replace(workshop.inputs(where, *data), parents=parents)


def run(name: str, config: dict[str, Any], inputs: StageInputs, seed: int = 0) -> StageResult:
    stage = stages.get(name)
    return stage.run(stage.Config.parse(SMALL | config), inputs, seed)


class Share:
    """The share of an answer's tokens that are one token; there is no better answer than that token alone."""

    def __init__(self, token: int, width: int) -> None:
        self._token, self._width = token, width

    def scores(
        self, asked: Sequence[Asked], texts: Sequence[str], micros: Sequence[Micro], count: int
    ) -> Tensor:
        found = torch.zeros(count)
        for micro in micros:
            branches, segments = micro.batch.extra["branches"], micro.batch.segments
            for end, answer in zip(micro.ends.tolist(), micro.answers.tolist(), strict=True):
                row, column = divmod(end, branches.shape[1])
                own = (branches[row] == branches[row, column]) & (segments[row] == segments[row, column])
                own &= torch.arange(len(own)) > 0
                found[answer] = (micro.batch.tokens[row][own] == self._token).sum() / self._width
        return found


@pytest.mark.parametrize("method", ["ppo", "grpo", "rloo", "expert-iteration"])
def test_each_method_passes_95_percent_of_a_known_ceiling(
    method: str, workshop: Workshop, policy: Path, reward_model: Path, tmp_path: Path
) -> None:
    """CORRECTNESS 30: emit as many of a given token as fit."""
    stage: Any = stages.get(method)
    knobs = {
        "steps": 60,
        "batch_prompts": 16,
        "answers_per_prompt": {"ppo": 1, "expert-iteration": 8}.get(method, 4),
        "no_end_score": "own",
        "kl_coef": 0.0,
        "lr": 3e-3,
        "eval_prompts": 0,
        "min_entropy": 0.0,
        "max_kl": 0.0,
        "reward": "model",
    }
    own = {"ppo": {"value_lr": 3e-3}, "expert-iteration": {"rounds": 12}}
    config = stage.Config.parse(SMALL | knobs | own.get(method, {}))
    assert isinstance(config, PolicyConfig)
    inputs = inputs_of(workshop, tmp_path, policy, reward_model)
    networks = networks_of(config, inputs, 0, method)
    tokenizer = networks.tokenizer
    token = tokenizer.encode("On the")[0]
    share = Share(token, config.max_new_tokens)
    asked = read_prompts(inputs, tokenizer, config, heldout=0)
    improve(stage.Run, replace(networks, reward=share, judge=share), asked, None, config, inputs, 0)
    rows = read_metrics(tmp_path / "work" / "train" / "metrics.jsonl")
    assert rows[0]["score"] < 0.5
    assert max(row["score"] for row in rows) > 0.95


def test_rejection_sampling_learns_the_best_of_its_parents_answers_and_no_others(
    workshop: Workshop, policy: Path, reward_model: Path, tmp_path: Path
) -> None:
    stage: Any = stages.get("rejection-sampling")
    knobs = {"steps": 40, "batch_prompts": 16, "no_end_score": "own", "lr": 3e-3, "eval_prompts": 32}
    config = stage.Config.parse(SMALL | knobs | {"min_entropy": 0.0, "max_kl": 0.0, "max_growth": 0.0})
    inputs = inputs_of(workshop, tmp_path, policy, reward_model)
    networks = networks_of(config, inputs, 0, stage.name)
    share = Share(networks.tokenizer.encode("On the")[0], config.max_new_tokens)
    asked = read_prompts(inputs, networks.tokenizer, config, heldout=32)
    before = {name: p.clone() for name, p in networks.policy.model.named_parameters()}
    said: list[list[tuple[str, ...]]] = []  # by the sampler and by the policy, at every look

    class Watched(stage.Run):  # type: ignore[misc, name-defined]
        def _look(self) -> Any:
            said.append([self._sample(self.heldout, 0, one, 1).texts for one in (self.engine, self.looker)])
            return super()._look()

    learned, _ = improve(
        Watched, replace(networks, reward=share, judge=share), asked, None, config, inputs, 0
    )
    rows = read_metrics(tmp_path / "work" / "train" / "metrics.jsonl")
    scores = [row["score"] for row in rows]
    assert max(scores) - min(scores) < 0.15, "every answer is the parent's"
    assert said[0][0] == said[0][1] == said[-1][0] != said[-1][1], (
        "the policy is looked at, and not its parent"
    )
    assert all(row["kl"] == 0 for row in rows[:1]) and rows[-1]["kl"] != 0, "the policy moves away from it"

    def mean_score(weights: dict[str, Tensor]) -> float:
        for name, p in networks.policy.model.named_parameters():
            p.data.copy_(weights[name])
        drawn = learned._sample(asked.train[:16], 5, engine, 8)
        tokens = (drawn.tokens == share._token) & drawn.sampled
        return float(tokens.sum(1).float().mean() / config.max_new_tokens)

    after = {name: p.detach().clone() for name, p in networks.policy.model.named_parameters()}
    with learned._engine(networks.policy.model, 32, 64) as engine:
        assert mean_score(after) > mean_score(before) + 0.1


def test_chosen_answers_are_the_best_that_pass() -> None:
    scores = torch.tensor([[0.0, 2.0, 2.0, 1.0], [0.1, 0.2, 0.3, 0.4]])
    assert chosen(scores, 1, -math.inf).tolist() == [[False, True, False, False], [False, False, False, True]]
    assert chosen(scores, 2, 0.5).tolist() == [[False, True, True, False], [False] * 4]
    assert chosen(scores, 9, 0.5).sum() == 3


def test_where_no_answer_passes_its_check_nothing_is_learned(
    workshop: Workshop, policy: Path, tmp_path: Path
) -> None:
    stage: Any = stages.get("rejection-sampling")
    config = stage.Config.parse(SMALL | {"reward": "checks", "eval_prompts": 0, "no_end_score": 0.0})
    inputs = inputs_of(workshop, tmp_path, policy)
    networks = networks_of(config, inputs, 0, stage.name)
    none = Share(networks.tokenizer.vocab_size, config.max_new_tokens)  # no token is that one
    before = {name: p.clone() for name, p in networks.policy.weights.masters.items()}
    asked = read_prompts(inputs, networks.tokenizer, config, heldout=0)
    improve(stage.Run, replace(networks, reward=none, judge=none), asked, None, config, inputs, 0)
    rows = read_metrics(tmp_path / "work" / "train" / "metrics.jsonl")
    assert all(row["score"] == 0 and row["grad_norm"] == 0 for row in rows)
    assert all(torch.equal(p, before[name]) for name, p in networks.policy.weights.masters.items())


def test_a_policy_that_runs_away_goes_back_at_half_the_rate_and_then_ends(
    workshop: Workshop,
    policy: Path,
    reward_model: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    inputs = inputs_of(workshop, tmp_path, policy, reward_model)
    inputs = replace(inputs, run=replace(inputs.run, progress=True))
    wild = {"lr": 0.1, "steps": 40, "max_kl": 5.0, "eval_every": 1, "kl_coef": 0.01, "min_entropy": 0.01}
    result = run("ppo", {**wild, "on_runaway": "back-off"}, inputs)
    said = " ".join(capsys.readouterr().err.split())
    assert "Back to the weights of step" in said
    rows = read_metrics(result.curves)
    prices = sorted({row["kl_coef"] for row in rows})
    assert prices[:2] == pytest.approx([0.01, 0.02]) and len(prices) <= 4
    rates = [row["lr_factor"] for row in rows]
    assert any(later < 0.6 * before for before, later in pairwise(rates))
    assert all(p.isfinite().all() for p in weights(inputs.out).values())


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_at_the_first_step_nothing_has_moved(
    precision: str, workshop: Workshop, policy: Path, reward_model: Path, tmp_path: Path
) -> None:
    """CORRECTNESS 16, 20 and 28: the ratio is exactly 1, and the KL to the reference exactly 0."""
    inputs = inputs_of(workshop, tmp_path, policy, reward_model)
    inputs = replace(inputs, run=replace(inputs.run, precision=precision))
    result = run("ppo", {"steps": 1}, inputs)
    (row,) = read_metrics(result.curves)
    assert row.keys() >= LOGGED
    assert row["kl"] == row["approx_kl"] == row["clip_fraction"] == row["ratio_variance"] == 0
    assert row["ratio"] == 1
    assert abs(row["engine_kl"]) < 1e-3


@pytest.mark.parametrize(
    ("stage", "config"),
    [
        ("ppo", {}),
        ("ppo", {"value": "shared", "value_coef": 0.1}),
        ("ppo", {"lora": {"rank": 4, "alpha": 8.0}}),
        ("grpo", {"reward": "model", "answers_per_prompt": 3, "kl_coef": 0.05}),
    ],
)
def test_a_step_of_one_microbatch_learns_what_one_of_several_does(
    stage: str, config: dict[str, Any], workshop: Workshop, policy: Path, reward_model: Path, tmp_path: Path
) -> None:
    made, passes = {}, {}
    for tokens in (128, 8192):
        inputs = inputs_of(workshop, tmp_path / str(tokens), policy, reward_model)
        result = run(stage, config | {"steps": 1, "batch_tokens": tokens, "eval_prompts": 0}, inputs)
        made[tokens], (passes[tokens],) = weights(inputs.out), read_metrics(result.curves)
    before = weights(policy)
    assert any(not torch.equal(p, before[name]) for name, p in made[8192].items())
    for name, one in made[8192].items():
        torch.testing.assert_close(one, made[128][name], atol=2e-5, rtol=0)
    assert passes[8192]["ratio"] == passes[128]["ratio"] == 1
    assert passes[8192]["policy_loss"] == pytest.approx(passes[128]["policy_loss"], abs=1e-5)


def test_later_updates_of_a_step_move_away_from_what_was_sampled(
    workshop: Workshop, policy: Path, reward_model: Path, tmp_path: Path
) -> None:
    inputs = inputs_of(workshop, tmp_path, policy, reward_model)
    config = {"steps": 2, "inner_epochs": 2, "minibatches": 2, "lr": 1e-3, "clip": 0.05}
    rows = read_metrics(run("ppo", config, inputs).curves)
    assert all(row["approx_kl"] > 0 and row["ratio_variance"] > 0 for row in rows)
    assert rows[1]["kl"] != 0


def test_the_value_network_starts_as_the_reward_model(
    workshop: Workshop, policy: Path, reward_model: Path, tmp_path: Path
) -> None:
    """CORRECTNESS 26."""
    inputs = inputs_of(workshop, tmp_path, policy, reward_model)
    stage: Any = stages.get("ppo")
    networks = networks_of(stage.Config.parse(SMALL), inputs, 0, "ppo")
    assert networks.value is not None and isinstance(networks.value.model, Scorer)
    begun, trained = networks.value.model, load_scorer(reward_model)
    assert begun.shift == trained.shift
    state = dict(trained.named_parameters())
    assert all(torch.equal(p, state[name]) for name, p in begun.named_parameters())


def test_no_network_drops_anything_out(
    workshop: Workshop, policy: Path, reward_model: Path, tmp_path: Path
) -> None:
    """CORRECTNESS 17."""
    for model in (load_model(policy), load_scorer(reward_model)):
        assert not any(isinstance(module, nn.Dropout) for module in model.modules())


def test_an_answer_without_an_end_gets_its_fixed_score_and_one_with_an_end_its_own(
    workshop: Workshop, policy: Path, reward_model: Path, tmp_path: Path
) -> None:
    """CORRECTNESS 19."""
    inputs = inputs_of(workshop, tmp_path, policy, reward_model)
    stage: Any = stages.get("ppo")
    config = stage.Config.parse(SMALL | {"no_end_score": -7.0})
    seen: list[tuple[list[bool], list[float]]] = []

    class Watched(stage.Run):  # type: ignore[name-defined,misc]
        def _judged(self, scores: Tensor, ended: Tensor) -> Tensor:
            found: Tensor = super()._judged(scores, ended)
            seen.append((ended.tolist(), found.tolist()))
            assert torch.equal(found[ended], scores[ended])
            return found

    networks = networks_of(config, inputs, 0, "ppo")
    asked = read_prompts(inputs, networks.tokenizer, config, heldout=4)
    improve(Watched, networks, asked, None, config, inputs, 0)
    pairs = [pair for ended, scores in seen for pair in zip(ended, scores, strict=True)]
    assert {ended for ended, _ in pairs} == {True, False}
    assert all((score == -7.0) == (not ended) for ended, score in pairs)


def test_the_token_that_ended_an_answer_is_learned_from(
    workshop: Workshop, policy: Path, reward_model: Path, tmp_path: Path
) -> None:
    """CORRECTNESS 18: rewarded for ending at once, the policy learns to."""
    stage: Any = stages.get("rloo")
    knobs = {
        "steps": 25,
        "batch_prompts": 16,
        "lr": 3e-3,
        "kl_coef": 0.0,
        "reward": "model",
        "eval_prompts": 0,
    }
    config = stage.Config.parse(SMALL | knobs | {"max_kl": 0.0, "min_entropy": 0.0, "no_end_score": -1.0})

    class Short:
        def scores(
            self, asked: Sequence[Asked], texts: Sequence[str], micros: Sequence[Micro], count: int
        ) -> Tensor:
            return torch.tensor([-float(len(text)) / 20 for text in texts])

    inputs = inputs_of(workshop, tmp_path, policy, reward_model)
    networks = replace(networks_of(config, inputs, 0, "rloo"), reward=Short())
    asked = read_prompts(inputs, networks.tokenizer, config, heldout=0)
    improve(stage.Run, networks, asked, None, config, inputs, 0)
    rows = read_metrics(tmp_path / "work" / "train" / "metrics.jsonl")
    assert rows[-1]["ended"] > 0.95 > 0.6 > rows[0]["ended"]
    assert rows[-1]["length"] < 3 < rows[0]["length"]


def weights(folder: Path) -> dict[str, Tensor]:
    return {name: p.detach() for name, p in load_model(folder).named_parameters()}


def test_pretraining_text_is_mixed_into_every_update_and_a_coefficient_near_nothing_changes_nothing(
    workshop: Workshop, policy: Path, reward_model: Path, tmp_path: Path
) -> None:
    """CORRECTNESS 27."""
    parents = (policy, reward_model)
    made = {}
    for name, coef in (("plain", 0.0), ("whisper", 1e-30), ("mixed", 1.0)):
        inputs = inputs_of(workshop, tmp_path / name, *parents, replay=coef > 0)
        knobs = {"ptx_coef": coef, "ptx_tokens": 128, "lr": 1e-3, "eval_prompts": 0}
        result = run("ppo", knobs, inputs)
        made[name] = weights(inputs.out)
        assert all(("ptx_loss" in row) == (coef > 0) for row in read_metrics(result.curves))
    assert all(torch.equal(p, made["plain"][name]) for name, p in made["whisper"].items())
    assert any(not torch.equal(p, made["plain"][name]) for name, p in made["mixed"].items())


def test_adapters_are_trained_against_the_policy_without_them(
    workshop: Workshop, policy: Path, reward_model: Path, tmp_path: Path
) -> None:
    inputs = inputs_of(workshop, tmp_path, policy, reward_model)
    lora = {"rank": 4, "alpha": 8.0}
    knobs = {"lora": lora, "lr": 1e-2, "steps": 4, "eval_prompts": 0}
    rows = read_metrics(run("ppo", knobs, inputs).curves)
    assert rows[0]["kl"] == 0 and rows[0]["ratio"] == 1
    assert any(row["kl"] != 0 for row in rows[1:])
    before, after = weights(policy), weights(inputs.out)
    assert before.keys() == after.keys()
    assert torch.equal(before["model.embed_tokens.weight"], after["model.embed_tokens.weight"])
    assert not torch.equal(
        before["model.layers.0.mlp.up_proj.weight"], after["model.layers.0.mlp.up_proj.weight"]
    )


def test_the_value_may_share_the_policys_trunk_and_is_not_saved_with_it(
    workshop: Workshop, policy: Path, reward_model: Path, tmp_path: Path
) -> None:
    inputs = inputs_of(workshop, tmp_path, policy, reward_model)
    result = run("ppo", {"value": "shared", "value_coef": 0.1}, inputs)
    rows = read_metrics(result.curves)
    assert rows[0]["ratio"] == 1 and rows[0]["kl"] == 0
    assert all(row.keys() >= LOGGED for row in rows)
    assert weights(inputs.out).keys() == weights(policy).keys()
    assert load_model(inputs.out).num_parameters() == load_model(policy).num_parameters()


def test_the_model_may_be_the_moving_average_of_its_steps(
    workshop: Workshop, policy: Path, reward_model: Path, tmp_path: Path
) -> None:
    made = {}
    for name, decay in (("last", 0.0), ("average", 0.9)):
        inputs = inputs_of(workshop, tmp_path / name, policy, reward_model)
        run("ppo", {"ema_decay": decay, "lr": 1e-3, "eval_prompts": 0}, inputs)
        made[name] = weights(inputs.out)
    start = weights(policy)
    far, near = (
        sum(float((p - start[name]).square().sum()) for name, p in made[kind].items())
        for kind in ("last", "average")
    )
    assert 0 < near < 0.2 * far


def test_a_rate_far_too_high_ends_with_the_reason_and_the_best_weights(
    workshop: Workshop,
    policy: Path,
    reward_model: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    inputs = inputs_of(workshop, tmp_path, policy, reward_model)
    inputs = replace(inputs, run=replace(inputs.run, progress=True))
    wild = {"lr": 0.1, "steps": 40, "max_kl": 20.0, "eval_every": 1, "kl_coef": 0.0, "min_entropy": 0.01}
    result = run("ppo", wild, inputs)
    said = " ".join(capsys.readouterr().err.split())
    assert result.report["ended"]
    assert result.report["ended"] in said
    assert "lower the learning rate" in said
    assert result.report["stopped_early"]
    rows = read_metrics(result.curves)
    looked = {row["step"]: row["heldout_preference"] for row in rows if "heldout_preference" in row}
    kept = result.report["kept_step"]
    assert ({0: 0.5} | looked)[kept] == max(0.5, *looked.values())
    assert any(result.report["ended"] in note["en"] for note in result.report["notes"])
    assert all(p.isfinite().all() for p in weights(inputs.out).values())


def test_an_inner_epoch_takes_every_answer_once_in_an_order_of_its_own_at_a_falling_rate(
    workshop: Workshop, policy: Path, reward_model: Path, tmp_path: Path
) -> None:
    """CORRECTNESS 29."""
    stage: Any = stages.get("ppo")
    knobs = {"inner_epochs": 3, "minibatches": 4, "clip_norm": 0.01, "eval_prompts": 0, "lr": 1e-3}
    config = stage.Config.parse(SMALL | knobs)
    inputs = inputs_of(workshop, tmp_path, policy, reward_model)
    networks = networks_of(config, inputs, 0, "ppo")
    taken: list[list[int]] = []
    norms: list[float] = []

    class Watched(stage.Run):  # type: ignore[misc, name-defined]
        def _update(self, minibatch: Sequence[Micro], *rest: Any) -> dict[str, float]:
            taken.append(sorted(i for micro in minibatch for i in micro.answers.tolist()))
            found: dict[str, float] = super()._update(minibatch, *rest)
            norms.append(found["grad_norm"])
            return found

    scaled = networks.policy.scale

    def scale(grads: list[Tensor], weight: float, norm: float | None = None) -> float:
        found = scaled(grads, weight, norm)
        assert float(nn.utils.get_total_norm(grads)) <= 0.01 * 1.001
        return found

    networks.policy.scale = scale  # type: ignore[method-assign]
    asked = read_prompts(inputs, networks.tokenizer, config, heldout=0)
    improve(Watched, networks, asked, None, config, inputs, 0)
    assert len(taken) == 3 * 3 * 4 and max(norms) > 0.01
    for step in range(3):
        epochs = [taken[(step * 3 + epoch) * 4 : (step * 3 + epoch + 1) * 4] for epoch in range(3)]
        assert all(sorted(i for part in epoch for i in part) == list(range(8)) for epoch in epochs)
        assert epochs[0] != epochs[1] != epochs[2]
    rates = [row["lr_factor"] for row in read_metrics(tmp_path / "work" / "train" / "metrics.jsonl")]
    assert rates == sorted(rates, reverse=True) and rates[-1] < rates[0]
    groups = networks.policy.optimizers.parts["adamw"].param_groups
    assert {group["eps"] for group in groups} == {1e-5}


def test_answers_at_set_steps_are_in_the_card_best_and_worst(
    workshop: Workshop, policy: Path, reward_model: Path, tmp_path: Path
) -> None:
    inputs = inputs_of(workshop, tmp_path, policy, reward_model)
    samples = run("ppo", {"steps": 4}, inputs).report["samples"]
    assert {row["step"] for row in samples} == {0, 2, 4}
    for step in (0, 2, 4):
        scores = [row["score"] for row in samples if row["step"] == step]
        assert scores[:2] == sorted(scores, reverse=True)[:2]
        assert min(scores) in scores[2:]
    assert all(row["prompt"].startswith("Where did the") for row in samples)


@pytest.mark.parametrize(
    ("name", "parents", "config", "message"),
    [
        ("ppo", "policy", {}, "needs as parents the policy, a reward model"),
        ("grpo", "both", {}, "needs as parents the policy alone"),
        ("grpo", "policy", {}, "needs prompts that come with a check"),
        ("ppo", "swapped", {}, "a reward model is wanted here, and this is a language model"),
        ("ppo", "both", {"ptx_coef": 1.0}, "ptx_coef above 0 reads the replay datasets"),
        ("ppo", "both", {"max_new_tokens": 64}, "leaves no room for a prompt"),
        ("ppo", "both", {"max_new_tokens": 60}, "nothing to ask: .* prompts of more than 4 tokens"),
        ("ppo", "both", {"value": "shared", "lora": {"rank": 2}}, "choose one"),
    ],
)
def test_what_cannot_be_done_is_said(
    name: str,
    parents: str,
    config: dict[str, Any],
    message: str,
    workshop: Workshop,
    policy: Path,
    reward_model: Path,
    tmp_path: Path,
) -> None:
    given = {
        "policy": (policy,),
        "both": (policy, reward_model),
        "swapped": (policy, policy),
    }[parents]
    with pytest.raises(UserError, match=message):
        run(name, config, inputs_of(workshop, tmp_path, *given))
    assert not (tmp_path / "model").exists()


def test_every_process_needs_a_prompt(
    workshop: Workshop, policy: Path, reward_model: Path, tmp_path: Path
) -> None:
    inputs = inputs_of(workshop, tmp_path, policy, reward_model)
    stage: Any = stages.get("ppo")
    config = stage.Config.parse(SMALL)
    networks = replace(networks_of(config, inputs, 0, "ppo"), world=World(1, 9))
    asked = read_prompts(inputs, networks.tokenizer, config, heldout=4)
    with pytest.raises(UserError, match="batch_prompts = 8 leaves some of 9 processes without a prompt"):
        improve(stage.Run, networks, asked, None, config, inputs, 0)


def test_a_reward_model_of_another_tokenizer_is_refused(
    workshop: Workshop, policy: Path, reward_model: Path, tmp_path: Path
) -> None:
    import shutil

    other = shutil.copytree(reward_model, tmp_path / "other")
    Tokenizer.train(["another text altogether, with other words in it"] * 30, 285).save(other)
    with pytest.raises(UserError, match="has another tokenizer than the policy"):
        run("ppo", {}, inputs_of(workshop, tmp_path, policy, other))


def test_verifiable_rewards_come_from_the_prompts_checks(
    workshop: Workshop, policy: Path, tmp_path: Path
) -> None:
    from bottega.data.records import Check, Message, Prompt
    from bottega.evals.verdicts import passes

    exact = Prompt((Message("user", "2 + 2?"),), Check("exact", ("4",)))
    program = Prompt(
        (Message("user", "Write f."),), Check("tests", tests="assert f(2) == 4\nassert f(3) == 9\n")
    )
    answers = ["4.", "5", "```python\ndef f(x):\n    return x * x\n```", "def f(x):\n    return 4\n"]
    assert passes([exact, exact, program, program], answers) == [True, False, True, False]


def test_the_adaptive_coefficient_and_every_count_survive_a_stop(
    workshop: Workshop, policy: Path, reward_model: Path, tmp_path: Path
) -> None:
    """CORRECTNESS 31: what a run that was stopped goes on with is what one that was not has."""
    config = {"steps": 6, "kl_target": 0.5, "kl_horizon": 100, "lr": 1e-3}
    whole = inputs_of(workshop, tmp_path / "whole", policy, reward_model)
    result = run("ppo", config, whole)

    torn = inputs_of(workshop, tmp_path / "torn", policy, reward_model)
    torn = replace(torn, run=replace(torn.run, checkpoint_every_steps=2))
    stage: Any = stages.get("ppo")
    taken = PolicyRun.one_step

    def stop_after_four(self: PolicyRun) -> None:
        if self.step == 4:
            raise KeyboardInterrupt
        taken(self)

    patch = pytest.MonkeyPatch()
    patch.setattr(PolicyRun, "one_step", stop_after_four)
    with pytest.raises(KeyboardInterrupt):
        stage.run(stage.Config.parse(SMALL | config), torn, 0)
    patch.undo()
    resumed = run("ppo", config, torn)
    assert resumed.report["resumed_from"] == 4
    timed = ("sample_s", "score_s", "update_s", "step_s", "tokens_per_s")
    curves = [
        [{k: v for k, v in row.items() if k not in timed} for row in read_metrics(made.curves)]
        for made in (result, resumed)
    ]
    assert json.dumps(curves[0]) == json.dumps(curves[1])
    assert not math.isclose(curves[0][0]["kl_coef"], curves[0][-1]["kl_coef"])
    assert resumed.report["samples"] == result.report["samples"]
    assert all(torch.equal(p, weights(whole.out)[name]) for name, p in weights(torn.out).items())
