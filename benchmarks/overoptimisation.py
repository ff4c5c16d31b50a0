"""Too much of a reward: what the training reward, a second opinion and the truth say as KL grows.

PPO with a low price of KL and nothing mixed in, and best-of-n, from ``text-davinci-002`` of a school family
that is built (``bottega build second-judge``). Both are looked at by their answers to the same held-out
prompts, scored in the same way, an answer without an end as it is; a point of PPO, its KL included, is of the
weights after so many steps. A table is printed and a picture drawn.
``python -m benchmarks.overoptimisation [--steps 400] [--kl-coef 0.01] [--out over-optimisation.png]``
"""

from __future__ import annotations

import argparse
import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bottega.stages.base import RunOptions

if TYPE_CHECKING:
    from bottega.data.records import Prompt
    from bottega.data.tokenizer import Tokenizer
    from bottega.engine.rollout import Rollouts
    from bottega.model.decoder import Decoder
    from bottega.model.scorer import Scorer
    from bottega.stages.policy import PolicyRun

PROMPTS = 400  # held out
SAMPLES = 64  # to each, for best-of-n
SIZES = (1, 2, 4, 8, 16, 32, 64)
ROOM = 48  # tokens of an answer
LOOK_EVERY = 10  # steps of PPO


@dataclass
class Curve:
    """Points of one method, by KL."""

    kl: list[float] = field(default_factory=list)
    reward: list[float] = field(default_factory=list)  # what is optimised
    second: list[float] = field(default_factory=list)  # by the second judge
    truth: list[float] = field(default_factory=list)

    def add(self, *point: float) -> None:
        """KL, reward, second opinion and truth."""
        for one, value in zip(fields(self), point, strict=True):
            getattr(self, one.name).append(float(value))

    def by_kl(self) -> Curve:
        """The same points in the order of their KL."""
        rows = sorted(zip(self.kl, self.reward, self.second, self.truth, strict=True))
        return Curve(*map(list, zip(*rows, strict=True)))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--kl-coef", type=float, default=0.01)
    parser.add_argument("--lr", type=float, default=3e-4)
    parser.add_argument("--out", type=Path, default=Path("over-optimisation.png"))
    given = parser.parse_args()
    family = built_family()
    with tempfile.TemporaryDirectory() as scratch:
        curves = {
            "best of n": best_of_n(family),
            "PPO": ppo(family, Path(scratch), steps=given.steps, kl_coef=given.kl_coef, lr=given.lr),
        }
    for name, curve in curves.items():
        print(f"{name:10s} {'KL':>8s} {'reward':>8s} {'second':>8s} {'truth':>8s}")
        for row in zip(curve.kl, curve.reward, curve.second, curve.truth, strict=True):
            print(f"{'':10s} " + " ".join(f"{value:8.3f}" for value in row))
    draw(curves, given.out)


class Family:
    """A policy, what judges its answers, and the held-out prompts at which both methods are looked at."""

    def __init__(self, policy: Path, reward: Path, second: Path, prompts: Path) -> None:
        from bottega.data.frozen import FrozenDataset
        from bottega.data.records import Prompt
        from bottega.data.splits import evenly
        from bottega.data.tokenizer import Tokenizer
        from bottega.evals.prompting import encode_prompt
        from bottega.model.hub import load_scorer

        self.policy, self.reward, self.prompts = policy, reward, prompts
        self.judges: tuple[Scorer, Scorer] = (load_scorer(reward).eval(), load_scorer(second).eval())
        self.tokenizer: Tokenizer = Tokenizer.load(policy)
        records = FrozenDataset(prompts).records("heldout")
        self.heldout: list[Prompt] = evenly([one for one in records if isinstance(one, Prompt)], PROMPTS)
        self.asked = [encode_prompt(self.tokenizer, one, "chat") for one in self.heldout]


def built_family() -> Family:
    """The models of the family that is built, and the prompts that it holds out."""
    from bottega.lineage.home import Home
    from bottega.lineage.names import find_model

    home = Home()
    names = ("text-davinci-002", "reward-model", "second-judge")
    policy, reward, second = (find_model(home, name) for name in names)
    return Family(
        policy, reward, second, home.path("dataset", "prompts", home.versions("dataset", "prompts")[0])
    )


@dataclass(frozen=True)
class Judged:
    """Answers to the held-out prompts and what is said of them, float64 [prompts, n] each."""

    rollouts: Rollouts
    reward: NDArray[np.float64]
    second: NDArray[np.float64]
    truth: NDArray[np.float64]


def judged(family: Family, model: Decoder, n: int) -> Judged:
    """``n`` answers of a model to each held-out prompt, judged: every point of both curves is made so."""
    from bottega.data.comparisons import Judged as Unranked
    from bottega.engine.local import LocalEngine
    from bottega.engine.rollout import rollout
    from bottega.evals.prompting import stop_ids
    from bottega.evals.scoring import score_answers
    from bottega.evals.verdicts import qualities

    stops = stop_ids(family.tokenizer)
    with LocalEngine(model, family.tokenizer, slots=64, max_tokens=model.config.max_positions) as engine:
        drawn = rollout(engine, family.asked, max_new_tokens=ROOM, stop_ids=stops, n=n, seed=1)
    each = [prompt for prompt in family.heldout for _ in range(n)]
    truth = np.array(qualities(each, drawn.texts, drawn.ended.tolist()))
    answers = answers_of(drawn)
    alone = [Unranked.unranked(family.asked[i // n], [answer]) for i, answer in enumerate(answers)]
    reward, second = (
        np.array([float(found[0]) for found in score_answers(scorer, alone)]) for scorer in family.judges
    )
    return Judged(drawn, *(values.reshape(-1, n) for values in (reward, second, truth)))


def answers_of(drawn: Rollouts) -> list[list[int]]:
    """The tokens that were drawn."""
    return [row[mask].tolist() for row, mask in zip(drawn.tokens, drawn.sampled, strict=True)]


def best_of_n(family: Family) -> Curve:
    """The answer that the reward model likes best among n; its KL is log n - (n - 1) / n."""
    from bottega.model.hub import load_model

    found = judged(family, load_model(family.policy).eval(), SAMPLES)
    order = found.reward.argsort(axis=1)
    ranked = [np.take_along_axis(v, order, axis=1) for v in (found.reward, found.second, found.truth)]
    curve = Curve()
    for n in SIZES:
        curve.add(math.log(n) - (n - 1) / n, *(float((values @ _chosen(n)).mean()) for values in ranked))
    return curve


def _chosen(n: int) -> NDArray[np.float64]:
    """How likely each of SAMPLES answers, the worst first, is the best of n drawn from them."""
    whole = math.comb(SAMPLES, n)
    return np.array([math.comb(i, n - 1) / whole for i in range(SAMPLES)])


def ppo(
    family: Family,
    scratch: Path,
    *,
    steps: int,
    kl_coef: float,
    lr: float,
    batch_prompts: int = 128,
    run: RunOptions | None = None,
) -> Curve:
    """A run that pays next to nothing for KL and has nothing mixed in; the rails are off."""
    from bottega.stages.base import DatasetInput, StageInputs
    from bottega.stages.policy_knobs import PpoConfig
    from bottega.stages.ppo import Ppo, PpoRun

    curve = Curve()

    class Looking(PpoRun):
        """Looks at the policy before the first step and after every few."""

        def one_step(self) -> None:
            if self.step == 0:
                curve.add(*point(family, self))
            super().one_step()
            if self.step % LOOK_EVERY == 0:
                curve.add(*point(family, self))

    class Looked(Ppo):
        Run = Looking

    config: dict[str, Any] = {
        "steps": steps,
        "batch_prompts": batch_prompts,
        "context": 256,
        "max_new_tokens": ROOM,
        "minibatches": 2,
        "lr": lr,
        "value_lr": lr,
        "decay_fraction": 0.0,
        "kl_coef": kl_coef,
        "eval_prompts": 0,
        "max_kl": 0.0,
        "max_growth": 0.0,
        "min_entropy": 0.0,
    }
    inputs = StageInputs(
        parents=(family.policy, family.reward),
        tokenizer=None,
        datasets=(DatasetInput(family.prompts, name="prompts"),),
        work=scratch / "work",
        out=scratch / "model",
        run=run or RunOptions(),
    )
    Looked().run(PpoConfig.parse(config), inputs, 1)
    return curve.by_kl()


def point(family: Family, run: PolicyRun) -> tuple[float, ...]:
    """KL, reward, second opinion and truth of the policy's weights as they are now."""
    from bottega.model.decoder import Decoder

    model = run.policy.model
    assert isinstance(model, Decoder)
    found = judged(family, model, 1)
    return (
        kl_of(family, run, answers_of(found.rollouts)),
        *(float(values.mean()) for values in (found.reward, found.second, found.truth)),
    )


def kl_of(family: Family, run: PolicyRun, answers: list[list[int]]) -> float:
    """Nats an answer from the policy's beginning to the policy, by an answer to each held-out prompt."""
    import torch

    from bottega.training.experience import Experience, row_for

    experience = Experience(
        family.asked,
        answers,
        row=row_for([len(ids) for ids in family.asked], 1, ROOM),
        batch_tokens=run.config.batch_tokens,
        pad=0,
        device=run.policy.device,
    )
    (micros,) = experience.minibatches(1, range(len(family.asked)))
    with torch.no_grad():
        apart = [run.logprobs(one).logprobs - run.networks.reference(one).logprobs for one in micros]
    return float(torch.cat(apart).sum()) / len(answers)


def draw(curves: dict[str, Curve], path: Path) -> None:
    """Reward and second opinion as they rise from where they began, the truth on an axis of its own."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.0, 3.2), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    for axes, (name, curve) in zip(figure.subplots(1, 2), curves.items(), strict=True):
        for values, label, colour in (
            (curve.reward, "training reward", "#2b5d9e"),
            (curve.second, "second opinion", "#6b8f3c"),
        ):
            axes.plot(curve.kl, _risen(values), color=colour, lw=1.6, label=label)
        axes.set_xscale("function", functions=(lambda kl: np.sqrt(np.maximum(kl, 0)), np.square))
        axes.set_xlim(0, max(curve.kl) * 1.02)
        truth = axes.twinx()
        truth.plot(curve.kl, curve.truth, "--", color="#b3541e", lw=1.6)
        truth.set_ylabel("true quality (dashed)", fontsize=8, color="#b3541e")
        axes.set_title(name, loc="left", fontsize=10, fontweight="bold")
        axes.set_xlabel("KL of an answer (nats, by its root)", fontsize=8)
        axes.set_ylabel("reward above the start", fontsize=8)
        axes.legend(fontsize=7, frameon=False, loc="best")
        for one in (axes, truth):
            one.tick_params(labelsize=7.5)
            one.spines["top"].set_visible(False)
    figure.savefig(path)


def _risen(values: Sequence[float]) -> list[float]:
    return [value - values[0] for value in values]


if __name__ == "__main__":
    main()
