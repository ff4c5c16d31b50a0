"""Too much of a reward: what the training reward, a second opinion and the truth say as KL grows.

PPO with a low price of KL and nothing mixed in, and best-of-n, from ``text-davinci-002`` of a school family
that is built (``bottega build second-judge``). A table is printed and a picture drawn.
``python -m benchmarks.overoptimisation [--steps 400] [--kl-coef 0.01] [--out over-optimisation.png]``
"""

from __future__ import annotations

import argparse
import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

PROMPTS = 400  # held out
SAMPLES = 64  # to each, for best-of-n
SIZES = (1, 2, 4, 8, 16, 32, 64)
ROOM = 48  # tokens of an answer


@dataclass
class Curve:
    """Points of one method, by KL."""

    kl: list[float]
    reward: list[float]  # what is optimised
    second: list[float]  # by the second judge
    truth: list[float]

    def begun_at(self, other: Curve) -> Curve:
        """With the other's first point, of the untrained policy, before its own; by KL."""
        names = [one.name for one in fields(self)]
        rows = zip(*(getattr(other, name)[:1] + getattr(self, name) for name in names), strict=True)
        return Curve(*map(list, zip(*sorted(rows), strict=True)))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--kl-coef", type=float, default=0.01)
    parser.add_argument("--lr", type=float, default=3e-4)
    parser.add_argument("--out", type=Path, default=Path("over-optimisation.png"))
    given = parser.parse_args()
    family = Family()
    with tempfile.TemporaryDirectory() as scratch:
        best = best_of_n(family)
        curves = {"best of n": best, "PPO": ppo(family, Path(scratch), given).begun_at(best)}
    for name, curve in curves.items():
        print(f"{name:10s} {'KL':>8s} {'reward':>8s} {'second':>8s} {'truth':>8s}")
        for row in zip(curve.kl, curve.reward, curve.second, curve.truth, strict=True):
            print(f"{'':10s} " + " ".join(f"{value:8.3f}" for value in row))
    draw(curves, given.out)


class Family:
    """The models of the built family, and the prompts that it holds out."""

    def __init__(self) -> None:
        from bottega.data.tokenizer import Tokenizer
        from bottega.lineage.home import Home
        from bottega.lineage.names import find_model

        home = Home()
        self.policy, self.reward, self.second = (
            find_model(home, name) for name in ("text-davinci-002", "reward-model", "second-judge")
        )
        self.prompts = home.path("dataset", "prompts", home.versions("dataset", "prompts")[0])
        self.tokenizer = Tokenizer.load(self.policy)


def best_of_n(family: Family) -> Curve:
    """The answer that the reward model likes best among n; its KL is log n - (n - 1) / n."""
    from bottega.data.comparisons import Judged
    from bottega.data.frozen import FrozenDataset
    from bottega.data.records import Prompt
    from bottega.data.splits import evenly
    from bottega.engine.local import LocalEngine
    from bottega.engine.rollout import rollout
    from bottega.evals.prompting import encode_prompt, stop_ids
    from bottega.evals.scoring import score_answers
    from bottega.evals.verdicts import qualities
    from bottega.model.hub import load_model, load_scorer

    records = FrozenDataset(family.prompts).records("heldout")
    prompts = evenly([one for one in records if isinstance(one, Prompt)], PROMPTS)
    asked = [encode_prompt(family.tokenizer, one, "chat") for one in prompts]
    model = load_model(family.policy).eval()
    with LocalEngine(model, family.tokenizer, slots=64, max_tokens=model.config.max_positions) as engine:
        drawn = rollout(
            engine, asked, max_new_tokens=ROOM, stop_ids=stop_ids(family.tokenizer), n=SAMPLES, seed=1
        )
    each = [prompt for prompt in prompts for _ in range(SAMPLES)]
    truth = np.array(qualities(each, drawn.texts, drawn.ended.tolist()))
    answers = [row[mask].tolist() for row, mask in zip(drawn.tokens, drawn.sampled, strict=True)]
    judged = [Judged.unranked(asked[i // SAMPLES], [answer]) for i, answer in enumerate(answers)]
    rewards, seconds = (
        np.array([float(found[0]) for found in score_answers(load_scorer(folder).eval(), judged)])
        for folder in (family.reward, family.second)
    )
    by_prompt = [values.reshape(-1, SAMPLES) for values in (rewards, seconds, truth)]
    order = by_prompt[0].argsort(axis=1)
    ranked = [np.take_along_axis(values, order, axis=1) for values in by_prompt]
    found = [[float((values @ _chosen(n)).mean()) for n in SIZES] for values in ranked]
    return Curve([math.log(n) - (n - 1) / n for n in SIZES], *found)


def _chosen(n: int) -> NDArray[np.float64]:
    """How likely each of SAMPLES answers, the worst first, is the best of n drawn from them."""
    whole = math.comb(SAMPLES, n)
    return np.array([math.comb(i, n - 1) / whole for i in range(SAMPLES)])


def ppo(family: Family, scratch: Path, given: argparse.Namespace) -> Curve:
    """A run that pays next to nothing for KL and has nothing mixed in; the rails are off."""
    from bottega import stages
    from bottega.stages.base import DatasetInput, RunOptions, StageInputs
    from bottega.training.telemetry import read_metrics

    stage = stages.get("ppo")
    config: dict[str, Any] = {
        "steps": given.steps,
        "batch_prompts": 128,
        "context": 256,
        "max_new_tokens": ROOM,
        "minibatches": 2,
        "lr": given.lr,
        "value_lr": given.lr,
        "decay_fraction": 0.0,
        "kl_coef": given.kl_coef,
        "eval_prompts": PROMPTS,
        "eval_every": 10,
        "max_kl": 0.0,
        "max_growth": 0.0,
        "min_entropy": 0.0,
    }
    inputs = StageInputs(
        parents=(family.policy, family.reward, family.second),
        tokenizer=None,
        datasets=(DatasetInput(family.prompts, name="prompts"),),
        work=scratch / "work",
        out=scratch / "model",
        run=RunOptions(),
    )
    rows = read_metrics(stage.run(stage.Config.parse(config), inputs, 1).curves)
    looked = [row for row in rows if "heldout_quality" in row]
    names = ("kl", "score", "heldout_score", "heldout_quality")
    return Curve(*([float(row[name]) for row in looked] for name in names))


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
