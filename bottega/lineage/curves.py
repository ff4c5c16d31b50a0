"""The picture of a training run for a model's card."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import zip_longest
from pathlib import Path
from textwrap import fill
from typing import Any

from bottega.lineage.card import Card

COLUMNS = 4  # of panels, at most
TITLES = {
    "loss": "training loss (nats a token)",
    "score": "score",
    "kl": "KL of an answer (nats)",
    "length": "length (tokens)",
    "entropy": "entropy (nats a token)",
    "ended": "share of answers that ended",
    "explained_variance": "explained variance of values",
    "clip_fraction": "share of tokens clipped",
    "approx_kl": "approximate KL (nats)",
    "ratio": "mean of the ratio",
    "ratio_variance": "variance of the ratio",
    "accuracy": "agreement with the labelers",
    "margin": "margin of the preferred answer",
    "grad_norm": "gradient norm",
}


def draw_curves(card: Card, path: Path) -> None:
    """Each figure over tokens, the raw line quiet and a running mean over it; PNG or SVG by the suffix.

    Where there is more than the loss, the figures stand in rows, and a loss of PPO, which says nothing, is
    left out.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    names = [name for name in card.curves if name != "tokens"]
    if "score" in names:
        names.remove("loss")
    panels: list[Callable[[Any], None]] = [partial(_draw_figure, card=card, name=name) for name in names]
    if card.looks:
        panels += [
            partial(_draw_looks, card=card, over=over) for over in ("tokens", "kl") if over in card.looks
        ]
    rows = -(-len(panels) // COLUMNS)
    columns = -(-len(panels) // rows)
    size = (6.4, 3.0) if len(panels) == 1 else (3.4 * columns, 2.2 * rows + 0.3)
    figure = Figure(figsize=size, dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(rows, columns, squeeze=False).flat
    for axes, draw in zip_longest(grid, panels):
        if draw is None:
            axes.set_visible(False)
        else:
            draw(axes)
    grid[0].set_title(
        f"{card.name}: {card.stage}", loc="left", fontsize=10, fontweight="bold", color="#1d2126"
    )
    figure.savefig(path)


def draw_calibration(card: Card, path: Path) -> None:
    """How often the answer that a reward model thinks better was preferred, by how sure it is: on held-out
    rankings, the pairs of each bar written above it. On the diagonal its word can be taken."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    details = next(score.details for name, score in card.all_scores().items() if name.startswith("brier:"))
    marks = [name.removeprefix("right_when_") for name in details if name.startswith("right_when_")]
    figure = Figure(figsize=(3.8, 3.0), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.plot([0.5, 1.0], [0.5, 1.0], color="#9ca3af", lw=1.0, ls="--")
    for mark in marks:
        low, high = (float(part) for part in mark.split("_to_"))
        rate, pairs = details[f"right_when_{mark}"], details[f"pairs_at_{mark}"]
        axes.bar((low + high) / 2, rate, width=0.9 * (high - low), color="#9db8d9")
        axes.annotate(f"{pairs:,.0f}", ((low + high) / 2, rate), ha="center", va="bottom", fontsize=6.5)
    axes.set_xlim(0.5, 1.0)
    axes.set_ylim(0.0, 1.08)
    axes.set_xlabel("probability given to the answer thought better", fontsize=8, color="#4b5563")
    axes.set_ylabel("share of pairs where it was preferred", fontsize=8, color="#4b5563")
    axes.set_title(f"{card.name}: calibration", loc="left", fontsize=10, fontweight="bold", color="#1d2126")
    _plain(axes)
    figure.savefig(path)


def _draw_looks(axes: Any, *, card: Card, over: str) -> None:
    """How often held-out answers are preferred to those of before training, and how good they truly are,
    over tokens or over the KL to the reference. Where one rises and the other falls, the reward misleads."""
    from matplotlib.ticker import MaxNLocator

    judge = fill(f"preferred by {card.judged_by.en or 'the judge'}", 28)
    lines = (
        ("heldout_preference", judge, "#2b5d9e", "o", "-"),
        ("heldout_quality", "true quality", "#b3541e", "s", "--"),
    )
    for name, label, colour, mark, line in lines:
        if name in card.looks:
            # The KL goes back and forth between looks, and a line with it.
            style = {"ls": line, "lw": 1.4, "ms": 2.5} if over == "tokens" else {"ls": "", "ms": 3.5}
            axes.plot(card.looks[over], card.looks[name], mark, color=colour, label=label, **style)
    axes.set_ylabel("held-out answers", fontsize=8, color="#4b5563")
    axes.legend(fontsize=6.5, frameon=False, ncols=2, loc="lower left", bbox_to_anchor=(-0.03, 0.98))
    if over == "tokens":
        _over_tokens(axes)
    else:
        axes.set_xlabel("KL of an answer to the reference (nats)", fontsize=8, color="#4b5563")
        axes.xaxis.set_major_locator(MaxNLocator(5))
        _plain(axes)


def _draw_figure(axes: Any, *, card: Card, name: str) -> None:
    tokens, values = card.curves["tokens"], card.curves[name]
    axes.plot(tokens, values, color="#9db8d9", lw=0.9)
    axes.plot(tokens, _running_mean(values), color="#2b5d9e", lw=1.8)
    axes.set_ylabel(_title(card, name), fontsize=8, color="#4b5563")
    _over_tokens(axes)


def _title(card: Card, name: str) -> str:
    """A loss is in the unit of what it is a mean over; those of KTO and IPO are no likelihoods."""
    if name != "loss" or "accuracy" not in card.curves:
        return TITLES[name]
    if card.stage == "kto":
        return "training loss (an answer)"
    return f"training loss ({'' if card.config.get('loss') == 'ipo' else 'nats '}a prompt)"


def _over_tokens(axes: Any) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    from bottega.lineage.readme import quantity

    axes.set_xlabel("tokens", fontsize=8, color="#4b5563")
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: quantity(value)))
    _plain(axes)


def _plain(axes: Any) -> None:
    axes.tick_params(labelsize=7.5, length=2, colors="#4b5563")
    axes.grid(color="#e5e7eb", lw=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _running_mean(values: list[float], decay: float = 0.9) -> list[float]:
    """An exponential mean, corrected for its start."""
    smooth, mean, weight = [], 0.0, 0.0
    for value in values:
        mean, weight = decay * mean + (1 - decay) * value, decay * weight + (1 - decay)
        smooth.append(mean / weight)
    return smooth
