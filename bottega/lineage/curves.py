"""The picture of a training run for a model's card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bottega.lineage.card import Card

COLUMNS = 3
TITLES = {
    "loss": "training loss (nats a token)",
    "score": "score",
    "kl": "KL of an answer (nats)",
    "length": "length (tokens)",
    "entropy": "entropy (nats a token)",
    "ended": "share of answers that ended",
    "explained_variance": "explained variance of the values",
    "clip_fraction": "clipped tokens",
    "accuracy": "agreement with the labelers",
    "margin": "margin of the preferred answer",
}


def draw_curves(card: Card, path: Path) -> None:
    """Each figure over tokens, the raw line quiet and a running mean over it; PNG or SVG by the suffix.

    Where there is more than the loss, the figures stand in rows of three, and a loss of PPO, which says
    nothing, is left out.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    names = [name for name in card.curves if name != "tokens"]
    if "score" in names:
        names.remove("loss")
    count = len(names) + bool(card.looks)
    columns = min(COLUMNS, count)
    rows = -(-count // columns)
    size = (6.4, 3.0) if count == 1 else (3.4 * columns, 2.2 * rows + 0.3)
    figure = Figure(figsize=size, dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(rows, columns, squeeze=False)
    heading = f"{card.name}: {card.stage}"
    for number, axes in enumerate(panels.flat):
        if number == len(names) and card.looks:
            draw_looks(axes, card.looks)
            continue
        if number >= len(names):
            axes.set_visible(False)
            continue
        name = names[number]
        title = TITLES[name] if name != "loss" or "accuracy" not in names else "training loss (nats a prompt)"
        _draw(axes, card.curves["tokens"], card.curves[name], title)
        if number == 0:
            axes.set_title(heading, loc="left", fontsize=10, fontweight="bold", color="#1d2126")
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


def draw_looks(axes: Any, looks: Mapping[str, Sequence[float]]) -> None:
    """How often the reward prefers held-out answers to those of before training, and how good they truly are.
    Where one rises and the other falls, the reward misleads."""
    lines = (
        ("heldout_preference", "preferred by the reward", "#2b5d9e", "-"),
        ("heldout_quality", "true quality", "#b3541e", "--"),
    )
    for name, label, colour, style in lines:
        if name in looks:
            axes.plot(looks["tokens"], looks[name], style, color=colour, lw=1.4, label=label)
    axes.set_ylabel("held-out answers", fontsize=8, color="#4b5563")
    axes.legend(fontsize=6.5, frameon=False)
    _over_tokens(axes)


def _draw(axes: Any, tokens: list[float], values: list[float], title: str) -> None:
    axes.plot(tokens, values, color="#9db8d9", lw=0.9)
    axes.plot(tokens, _running_mean(values), color="#2b5d9e", lw=1.8)
    axes.set_ylabel(title, fontsize=8, color="#4b5563")
    _over_tokens(axes)


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
