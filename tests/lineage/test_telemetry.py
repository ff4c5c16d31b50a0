"""CORRECTNESS 28: what a run logs at every step is told while it runs, and drawn into its card."""

from __future__ import annotations

import io
import json
import math
import re
import struct
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from bottega.lineage.card import Card, looks_of, read_card, thin_curves
from bottega.lineage.curves import draw_curves
from bottega.lineage.graph import Graph, Node
from bottega.lineage.home import Home
from bottega.lineage.overview import Overview
from bottega.lineage.recipe import load

POLICY, JUDGE = Node("model", "text-davinci-003"), Node("model", "reward-model")
LINE_28 = {
    "approx_kl": 0.0021,
    "kl": 3.25,
    "clip_fraction": 0.125,
    "ratio": 1.0004,
    "ratio_variance": 0.031,
    "entropy": 1.875,
    "explained_variance": 0.5,
    "score": -0.75,
    "length": 33.5,
    "ended": 0.9375,
    "grad_norm": 1.25,
}
TOLD = (
    *("score -0.750", "KL 3.250", "length 33.5", "ended 94%", "entropy 1.875", "approx. KL 0.0021"),
    *("clipped 12.5%", "ratio 1.0004", "ratio variance 0.031", "values explain 50%", "gradient norm 1.25"),
)


def run_of(tmp_path: Path, **figures: float) -> Path:
    """A run folder after five of ten steps."""
    metrics = tmp_path / "work" / "train" / "metrics.jsonl"
    metrics.parent.mkdir(parents=True)
    row = {"step": 5, "steps": 10, "tokens": 2048, "loss": 0.654, "tokens_per_s": 1024.0} | figures
    metrics.write_text(json.dumps(row) + "\n", encoding="utf-8")
    return tmp_path


def live(node: Node, run: Path, width: int) -> list[str]:
    """The overview of the school, the model in the middle of its run, but for models that wait."""
    console = Console(file=io.StringIO(), force_terminal=True, width=width, color_system=None)
    overview = Overview(load("school"), console)
    overview.plan(Graph(overview.recipe).schedule())
    overview.begin(node, run)
    console.file = io.StringIO()
    console.print(overview._render())
    lines = console.file.getvalue().splitlines()
    assert all(len(line) <= width for line in lines)
    return [line.rstrip() for line in lines if not line.startswith("·")]


@pytest.mark.parametrize("width", [80, 120])
def test_a_terminal_shows_every_figure_of_a_policy_that_learns(tmp_path: Path, width: int) -> None:
    shown = live(POLICY, run_of(tmp_path, **LINE_28), width)
    text = "\n".join(shown)
    assert all(told in text for told in TOLD)
    assert "loss" not in text
    assert "1,024 tokens/s  2 s left" in shown[-1]
    assert sum(line.startswith("▶ text-davinci-003  score") for line in shown) == 1


def test_a_terminal_shows_how_often_a_reward_model_is_right_beside_the_loss(tmp_path: Path) -> None:
    shown = live(JUDGE, run_of(tmp_path, accuracy=0.625, margin=0.3, grad_norm=2.0), 100)
    assert "▶ reward-model  loss 0.654  accuracy 62.5%" in shown


def test_a_terminal_has_one_line_for_a_model_with_a_loss_alone(tmp_path: Path) -> None:
    shown = live(Node("model", "davinci"), run_of(tmp_path, grad_norm=2.0), 100)
    assert [line.split()[:2] for line in shown[2:]] == [["▶", "davinci"]]
    assert "loss 0.654  1,024 tokens/s" in shown[-1]


@pytest.mark.parametrize(
    ("node", "figures", "told"),
    [
        (POLICY, LINE_28, ", ".join(TOLD)),
        (JUDGE, {"accuracy": 0.625}, "loss 0.654, accuracy 62.5%"),
    ],
)
def test_lines_without_a_terminal_say_the_same(
    node: Node, figures: dict[str, float], told: str, tmp_path: Path
) -> None:
    console = Console(file=io.StringIO(), width=400)
    overview = Overview(load("school"), console)
    overview.plan([node])
    overview.begin(node, run_of(tmp_path, **figures))
    overview._report_line(node, overview._lines[node])
    line = console.file.getvalue().splitlines()[-1]  # type: ignore[attr-defined]
    assert line == f"  {node.name}: 2.0k of 4.1k tokens, {told}, 1,024 tokens/s; the family about 2 s"


def metrics_of(tmp_path: Path, steps: int = 40, **last: float) -> Path:
    """The lines of a run that learned by trial and looked at held-out answers every tenth step."""
    rows: list[dict[str, Any]] = []
    for step in range(1, steps + 1):
        row = {"step": step, "tokens": 100 * step, "loss": 0.0, "value_loss": 0.1} | LINE_28
        if step % 10 == 0:
            row |= {"kl": step / 10, "heldout_preference": 0.5 + step / 100, "heldout_quality": 0.4}
        rows.append(row)
    rows[-1] |= last
    file = tmp_path / "metrics.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file


def card_of(family: Path, metrics: Path, **report: str) -> Card:
    home = Home(family)
    card = read_card(home.path("model", "davinci", home.versions("model", "davinci")[0]))
    drawn = {"curves": thin_curves(metrics), "looks": looks_of(metrics), "report": report}
    return card.model_copy(update=drawn)


def words(svg: Path) -> str:
    """The text of a picture, which matplotlib keeps beside the outlines of its letters."""
    return "\n".join(re.findall(r"<!-- (.*?) -->", svg.read_text(encoding="utf-8")))


def test_a_card_has_every_figure_of_its_run_and_no_others(family: Path, tmp_path: Path) -> None:
    assert card_of(family, metrics_of(tmp_path)).curves.keys() == {"tokens", "loss", *LINE_28}
    home = Home(family)
    reader = read_card(home.path("model", "davinci", home.versions("model", "davinci")[0]))
    assert reader.curves.keys() == {"tokens", "loss", "grad_norm"}


def test_a_step_that_came_to_infinity_is_not_in_the_card(family: Path, tmp_path: Path) -> None:
    curves = card_of(family, metrics_of(tmp_path, grad_norm=math.inf, ratio=math.nan)).curves
    assert curves["tokens"][-1] == 3900
    json.dumps(curves, allow_nan=False)


def test_every_figure_is_drawn_on_a_picture_that_fits_a_screen(family: Path, tmp_path: Path) -> None:
    card = card_of(family, metrics_of(tmp_path))
    draw_curves(card, tmp_path / "curves.png")
    width, height = struct.unpack(">II", (tmp_path / "curves.png").read_bytes()[16:24])
    assert width <= 2100 and height <= 1400
    draw_curves(card, tmp_path / "curves.svg")
    drawn = (tmp_path / "curves.svg").read_text(encoding="utf-8")
    assert drawn.count('id="axes_') == len(LINE_28) + 2
    for label in ("approximate KL", "mean of the ratio", "variance of the ratio", "gradient norm"):
        assert label in words(tmp_path / "curves.svg")


@pytest.mark.parametrize("judge", ["the training reward itself", "a reward model that training did not use"])
def test_looks_are_drawn_over_kl_too_and_name_their_judge(judge: str, family: Path, tmp_path: Path) -> None:
    draw_curves(card_of(family, metrics_of(tmp_path), judged_by=judge), tmp_path / "curves.svg")
    shown = words(tmp_path / "curves.svg")
    assert "KL of an answer to the reference (nats)" in shown
    assert f"preferred by {judge}" in " ".join(shown.split())
    assert "true quality" in shown


@pytest.mark.parametrize(
    ("stage", "config", "label"),
    [
        ("reward", {}, "training loss (nats a prompt)"),
        ("dpo", {"loss": "sigmoid"}, "training loss (nats a prompt)"),
        ("dpo", {"loss": "ipo"}, "training loss (a prompt)"),
        ("kto", {}, "training loss (an answer)"),
        ("sft", {}, "training loss (nats a token)"),
    ],
)
def test_a_loss_is_drawn_in_its_unit(
    stage: str, config: dict[str, str], label: str, family: Path, tmp_path: Path
) -> None:
    figures = ("tokens", "loss") if stage == "sft" else ("tokens", "loss", "accuracy")
    curves = {name: [1.0, 2.0] for name in figures}
    card = card_of(family, metrics_of(tmp_path))
    drawn = {"stage": stage, "config": config, "curves": curves, "looks": {}}
    draw_curves(card.model_copy(update=drawn), tmp_path / "curves.svg")
    assert label in words(tmp_path / "curves.svg").splitlines()
