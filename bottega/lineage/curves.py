"""The picture of a training run for a model's card."""

from __future__ import annotations

from pathlib import Path

from bottega.lineage.card import Card


def draw_curves(card: Card, path: Path) -> None:
    """Loss over tokens, the raw line quiet and a running mean over it; PNG or SVG by the suffix."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter

    from bottega.lineage.readme import quantity

    tokens, loss = card.curves["tokens"], card.curves["loss"]
    figure = Figure(figsize=(6.4, 3.0), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.plot(tokens, loss, color="#9db8d9", lw=0.9)
    axes.plot(tokens, _running_mean(loss), color="#2b5d9e", lw=1.8)
    axes.set_xlabel("tokens", fontsize=8, color="#4b5563")
    axes.set_ylabel("training loss (nats a token)", fontsize=8, color="#4b5563")
    axes.set_title(f"{card.name}: {card.stage}", loc="left", fontsize=10, fontweight="bold", color="#1d2126")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: quantity(value)))
    axes.tick_params(labelsize=7.5, length=2, colors="#4b5563")
    axes.grid(color="#e5e7eb", lw=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    figure.savefig(path)


def _running_mean(values: list[float], decay: float = 0.9) -> list[float]:
    """An exponential mean, corrected for its start."""
    smooth, mean, weight = [], 0.0, 0.0
    for value in values:
        mean, weight = decay * mean + (1 - decay) * value, decay * weight + (1 - decay)
        smooth.append(mean / weight)
    return smooth
