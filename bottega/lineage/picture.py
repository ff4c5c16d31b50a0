"""The family as a picture: a tree from left to right, each model a card with its scores and its cost."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bottega.evals.names import rivals_of
from bottega.evals.score import Score
from bottega.evals.scoreboard import short_name
from bottega.lineage.family import Member
from bottega.lineage.readme import duration, number, quantity
from bottega.lineage.recipe import Recipe

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Inches; the axes' units are inches too, with y downward.
CARD_WIDTH, HEAD, SCORE_ROW, FOOT = 3.5, 0.56, 0.235, 0.27
GAP_X, GAP_Y, MARGIN, TITLE, LEGEND = 0.62, 0.24, 0.42, 0.95, 0.55
SCORES_SHOWN = 6
SCORES_OF_OTHERS = 3  # controls and bases

PAPER, INK, SOFT, FAINT, LINE = "#fbfaf7", "#1f2328", "#5d6570", "#9aa1ab", "#c9ced6"
STAGES = {
    "pretrain": "#2f5d9b", "code": "#1f7a5c", "sft": "#b4561f", "reward": "#94761d", "ppo": "#9c3266",
    "import": "#6b4fa0",
}  # fmt: skip
OTHER_STAGE = "#5d6570"
CJK_FONTS = (
    "Noto Sans CJK SC", "Noto Sans SC", "Source Han Sans SC", "Source Han Sans CN", "PingFang SC",
    "Hiragino Sans GB", "Microsoft YaHei", "WenQuanYi Micro Hei", "WenQuanYi Zen Hei", "SimHei",
    "Droid Sans Fallback",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Box:
    """Where a model's card stands: its left upper corner and its size, in inches."""

    x: float
    y: float
    height: float

    @property
    def middle(self) -> float:
        """The height at which edges meet the card."""
        return self.y + self.height / 2


def draw_family(recipe: Recipe, found: list[Member], path: Path) -> None:
    """Write the picture; PNG or SVG by the suffix. Chinese titles are shown where a font has them."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    boxes = layout(found)
    width = max(box.x + CARD_WIDTH for box in boxes.values()) + MARGIN
    height = max(box.y + box.height for box in boxes.values()) + MARGIN + LEGEND
    figure = Figure(figsize=(width, height), dpi=160, facecolor=PAPER)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)
    axes.axis("off")
    drawing = _Drawing(figure, axes, chinese_font())
    drawing.heading(recipe, found)
    for member in found:
        for parent in member.spec.parent:
            drawing.edge(boxes[parent], boxes[member.name], quiet=member.spec.role != "model")
    for member in found:
        drawing.card(member, boxes[member.name])
    drawing.legend({member.spec.stage for member in found}, height - LEGEND + 0.1)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Without the date, the same family draws the same file.
    figure.savefig(path, facecolor=PAPER, metadata={"Date": None} if path.suffix == ".svg" else None)


def layout(found: list[Member]) -> dict[str, Box]:
    """A place for every card."""
    heights = {member.name: card_height(member) for member in found}
    return {
        name: Box(MARGIN + column * (CARD_WIDTH + GAP_X), MARGIN + TITLE + top, heights[name])
        for name, (column, top) in arrange(found, heights, GAP_Y).items()
    }


def arrange(
    found: Sequence[Member], heights: Mapping[str, float], gap: float
) -> dict[str, tuple[int, float]]:
    """The column and the top of every card: children beside their first parent, to the right of all, none
    overlapping. The highest stands at 0."""
    children: dict[str | None, list[Member]] = {}
    for member in found:
        children.setdefault(member.spec.parent[0] if member.spec.parent else None, []).append(member)
    specs = {member.name: member.spec for member in found}

    def column(name: str) -> int:
        """One beyond the parent that stands farthest to the right."""
        return max((column(parent) + 1 for parent in specs[name].parent if parent in specs), default=0)

    columns = {name: column(name) for name in specs}

    def stacked(groups: Iterable[dict[str, float]]) -> dict[str, float]:
        """One below the other, each as high up as the cards above it allow, column by column."""
        tops: dict[str, float] = {}
        for group in groups:
            drop = max(
                (
                    tops[above] + heights[above] + gap - top
                    for name, top in group.items()
                    for above in tops
                    if columns[above] == columns[name]
                ),
                default=0.0,
            )
            tops |= {name: top + drop for name, top in group.items()}
        return tops

    def group(member: Member) -> dict[str, float]:
        """The tops of a model's card and of all its descendants', to be moved together."""
        own, below = heights[member.name], children.get(member.name, [])
        tops = stacked(map(group, below))
        middles = [tops[child.name] + heights[child.name] / 2 for child in (below[:1] + below[-1:])]
        return {member.name: (sum(middles) / len(middles) if middles else own / 2) - own / 2, **tops}

    tops = stacked(map(group, children.get(None, [])))
    highest = min(tops.values(), default=0.0)
    return {name: (columns[name], top - highest) for name, top in tops.items()}


def card_height(member: Member) -> float:
    """Head, a row per score, and the cost."""
    rows = len(main_scores(member))
    return HEAD + rows * SCORE_ROW + FOOT + (0.08 if rows else 0.0)


def main_scores(member: Member) -> list[Score]:
    """The first few scores of a model, in the recipe's order."""
    if member.card is None:
        return []
    most = SCORES_SHOWN if member.spec.role == "model" else SCORES_OF_OTHERS
    return [score for score in member.card.all_scores().values() if not score.not_built][:most]


def chinese_font() -> str | None:
    """An installed font with Chinese characters, or None."""
    from matplotlib import font_manager

    # Such fonts have no bold face, which is told of for every word.
    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)
    known = {font.name for font in font_manager.fontManager.ttflist}
    return next((name for name in CJK_FONTS if name in known), None)


class _Drawing:
    """The marks on the paper."""

    def __init__(self, figure: Figure, axes: Axes, chinese: str | None) -> None:
        self.figure, self.axes, self.chinese = figure, axes, chinese
        self._fonts = ["DejaVu Sans", *([chinese] if chinese else [])]

    def text(
        self, x: float, y: float, words: str, size: float, *, room: float | None = None, **style: Any
    ) -> Any:
        """Words at a point, cut with an ellipsis where they need more than ``room`` inches; the artist."""
        style.setdefault("color", INK)
        style.setdefault("va", "center")
        artist = self.axes.text(x, y, words, fontsize=size, family=self._fonts, parse_math=False, **style)
        while room is not None and len(words) > 1 and self.width(artist) > room:
            words = words[:-1].rstrip()
            artist.set_text(words + "…")
        return artist

    def width(self, artist: Any) -> float:
        """How wide a text came out, in inches."""
        return float(artist.get_window_extent(self.figure.canvas.get_renderer()).width / self.figure.dpi)  # type: ignore[attr-defined]

    def both(self, words: Any) -> str:
        """A text in English, and in Chinese beside it where that can be shown."""
        shown = [words.en, words.zh if self.chinese else ""]
        return "  ".join(part for part in shown if part)

    def heading(self, recipe: Recipe, found: list[Member]) -> None:
        """The family's name, and how much of it stands at what cost."""
        title = self.both(recipe.info.title) or recipe.name
        self.text(MARGIN, MARGIN + 0.1, title, 17, fontweight="bold")
        cards = [member.card for member in found if member.card is not None]
        parts = [f"{len(cards)} of {len(found)} models built"]
        if cards:
            parts.append(f"{quantity(sum(card.cost.tokens for card in cards))} tokens")
            parts.append(duration(sum(card.cost.seconds for card in cards)))
            parts.append(", ".join(dict.fromkeys(card.cost.device for card in cards)))
        self.text(MARGIN, MARGIN + 0.42, "   ·   ".join(parts), 9, color=SOFT)

    def edge(self, parent: Box, child: Box, *, quiet: bool) -> None:
        """From a parent's right side to its child's left."""
        from matplotlib.patches import PathPatch
        from matplotlib.path import Path as Curve

        x0, x1 = parent.x + CARD_WIDTH, child.x
        bend = (x1 - x0) * 0.55
        points = [
            (x0, parent.middle),
            (x0 + bend, parent.middle),
            (x1 - bend, child.middle),
            (x1, child.middle),
        ]
        curve = Curve(points, [Curve.MOVETO, Curve.CURVE4, Curve.CURVE4, Curve.CURVE4])
        style: Mapping[str, Any] = {"lw": 1.1, "ls": (0, (3, 2.4))} if quiet else {"lw": 1.7}
        self.axes.add_patch(PathPatch(curve, fill=False, ec=LINE if quiet else "#aeb5bf", zorder=1, **style))

    def card(self, member: Member, box: Box) -> None:
        """One model."""
        quiet = member.spec.role != "model"
        built = member.card is not None
        colour = STAGES.get(member.spec.stage, OTHER_STAGE)
        self._frame(box, quiet=quiet, built=built, colour=colour)
        x, right = box.x + 0.2, box.x + CARD_WIDTH - 0.14
        chip = self.text(
            right, box.y + 0.2, member.spec.stage, 7, ha="right", color=colour, alpha=0.55 if quiet else 1.0
        )
        room = right - x - self.width(chip) - 0.1
        name_colour = INK if built and not quiet else SOFT
        self.text(
            x,
            box.y + 0.2,
            member.name,
            10,
            room=room,
            color=name_colour,
            fontweight="normal" if quiet else "bold",
        )
        words = self.both(member.spec.title)
        if quiet:
            words = f"{member.spec.role}: {words}" if words else member.spec.role
        self.text(x, box.y + 0.41, words, 7.5, room=right - x, color=FAINT if quiet else SOFT)
        y = box.y + HEAD + 0.1
        for score in main_scores(member):
            self._score(score, x, right, y, colour if not quiet else FAINT)
            y += SCORE_ROW
        self.text(x, box.y + box.height - 0.17, _cost(member), 6.8, room=right - x, color=FAINT)

    def _frame(self, box: Box, *, quiet: bool, built: bool, colour: str) -> None:
        from matplotlib.patches import FancyBboxPatch, Rectangle

        shape = f"round,pad=0,rounding_size={0.07}"
        style: Mapping[str, Any] = {"lw": 0.9, "ls": (0, (3, 2.4))} if quiet or not built else {"lw": 1.0}
        frame = FancyBboxPatch(
            (box.x, box.y), CARD_WIDTH, box.height, boxstyle=shape, zorder=3,
            fc="#ffffff" if built and not quiet else PAPER, ec=LINE, **style,
        )  # fmt: skip
        self.axes.add_patch(frame)
        stripe = Rectangle(
            (box.x, box.y),
            0.065,
            box.height,
            fc=colour,
            ec="none",
            alpha=0.35 if quiet or not built else 1.0,
            zorder=4,
        )
        self.axes.add_patch(stripe)
        stripe.set_clip_path(frame)

    def _score(self, score: Score, x: float, right: float, y: float, colour: str) -> None:
        """Name, a track with the interval where the scale is known, the value, the interval in figures."""
        quiet = colour == FAINT
        interval = f"{number(score.low, score.unit)}–{number(score.high, score.unit)}"
        self.text(right, y, interval, 6.2, ha="right", color=FAINT)
        value_right = right - 0.68
        self.text(
            value_right,
            y,
            number(score.value, score.unit),
            8,
            ha="right",
            color=SOFT if quiet else INK,
            fontweight="normal" if quiet else "bold",
        )
        end = value_right - 0.42
        tracked = score.unit == "accuracy"
        label_room = 1.34 if tracked else end - x
        self.text(x, y, label(score), 7, room=label_room, color=FAINT if quiet else SOFT)
        if not tracked:
            return
        start = x + label_room + 0.08

        def at(share: float) -> float:
            return start + (end - start) * share

        self._bar(at(0), at(1), y, 0.028, "#e8eaee", 5)
        self._bar(at(score.low), at(score.high), y, 0.055, colour, 6, alpha=0.3)
        self.axes.plot([at(score.value)], [y], "o", ms=3.2, color=colour, zorder=7)
        if score.floors:
            floor = at(max(score.floors.values()))
            self.axes.plot([floor, floor], [y - 0.06, y + 0.06], color="#c0392b", lw=0.9, zorder=6)

    def _bar(
        self, x0: float, x1: float, y: float, half: float, colour: str, layer: int, alpha: float = 1.0
    ) -> None:
        from matplotlib.patches import Rectangle

        self.axes.add_patch(
            Rectangle((x0, y - half), x1 - x0, 2 * half, fc=colour, ec="none", alpha=alpha, zorder=layer)
        )

    def legend(self, stages: Iterable[str], y: float) -> None:
        """What the colours and marks mean."""
        x = MARGIN
        for stage in sorted(
            stages, key=lambda name: (list(STAGES).index(name) if name in STAGES else 99, name)
        ):
            self._bar(x, x + 0.16, y, 0.05, STAGES.get(stage, OTHER_STAGE), 5)
            artist = self.text(x + 0.24, y, stage, 7.5, color=SOFT)
            x += 0.24 + self.width(artist) + 0.3
        words = (
            "dashed: control or base, not served    bar and figures: 95% interval    "
            "red tick: best floor    bits a byte: lower is better"
        )
        self.text(x + 0.1, y, words, 7.5, color=FAINT)


def label(score: Score) -> str:
    """An evaluation's name without its kind, which the figures show, and a file's without its folders; a win
    rate bears the other model's, or that of the reward model which judges."""
    kind, _, what = short_name(score.name).partition(":")
    if models := rivals_of(score.name):
        return f"by {models[1]}" if models[1:] else f"{what.removesuffix('-prompts')} over {models[0]}"
    if kind == "brier":
        return "Brier score"
    return f"{what} bits/byte" if kind == "bits-per-byte" else what or kind


def _cost(member: Member) -> str:
    card = member.card
    if card is None:
        return {"interrupted": "interrupted; resumes", "waiting": "not built yet"}.get(
            member.status, member.status
        )
    parts = [f"{quantity(card.metrics['parameters'])} parameters"] if "parameters" in card.metrics else []
    if card.cost.tokens:
        parts += [f"{quantity(card.cost.tokens)} tokens", duration(card.cost.seconds)]
    if member.status == "changed":
        parts.append("outdated")
    return "  ·  ".join(parts)
