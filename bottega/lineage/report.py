"""A family as one HTML page that needs no server and no network: tree, claims, scores, answers, curves."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from bottega.evals.claims import STATUS_ZH, Verdict, effect_text
from bottega.evals.score import Score
from bottega.evals.scoreboard import short_name
from bottega.lineage.card import Card, now, own_version
from bottega.lineage.family import Member, scoreboard
from bottega.lineage.home import write_text
from bottega.lineage.picture import arrange
from bottega.lineage.readme import duration, number, quantity
from bottega.lineage.recipe import Recipe

# Pixels of the tree.
NODE_WIDTH, NODE_HEIGHT, GAP_X, GAP_Y = 226, 66, 20, 14
_UNITS = {
    "accuracy": ("% right, higher is better", "正确率（%），越高越好"),
    "bits/byte": ("bits a byte, lower is better", "每字节比特数，越低越好"),
    "tokens/s": ("tokens a second, higher is better", "每秒词元数，越高越好"),
}


def write_report(
    recipe: Recipe,
    found: Sequence[Member],
    path: Path,
    *,
    world_seed: int,
    verdicts: Sequence[Verdict] = (),
    language: Literal["en", "zh"] = "en",
) -> None:
    """Write the page. It opens in ``language``; a button changes that, another one light and dark."""
    import jinja2

    source = Path(__file__).with_name("report.html").read_text(encoding="utf-8")
    # Answers, names and licences are anybody's text: all of it is escaped.
    template = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined).from_string(source)
    carded = [(member, member.card) for member in found if member.card is not None]
    page = template.render(
        language=language,
        version=own_version(),
        title={"en": recipe.info.title.en or recipe.name, "zh": recipe.info.title.zh},
        description=recipe.info.description,
        world_seed=world_seed,
        made=now(),
        tree=_tree(found),
        claims=[_claim(verdict) for verdict in verdicts],
        panels=_panels(recipe, found),
        answers=_answers(carded),
        models=[_model(member, card) for member, card in carded],
    )
    write_text(path, page)


def _tree(found: Sequence[Member]) -> dict[str, Any]:
    """Where every model stands, in pixels, as in the picture of the family."""
    heights = {member.name: float(NODE_HEIGHT) for member in found}
    at = {
        name: (column * (NODE_WIDTH + GAP_X), top)
        for name, (column, top) in arrange(found, heights, GAP_Y).items()
    }
    edges = []
    for member in found:
        for parent in member.spec.parent:
            x0, y0 = at[parent][0] + NODE_WIDTH, at[parent][1] + NODE_HEIGHT / 2
            x1, y1 = at[member.name][0], at[member.name][1] + NODE_HEIGHT / 2
            bend = (x0 + x1) / 2
            edges.append(f"M{x0:.0f} {y0:.0f}C{bend:.0f} {y0:.0f} {bend:.0f} {y1:.0f} {x1:.0f} {y1:.0f}")
    return {
        "width": max((x for x, _ in at.values()), default=0) + NODE_WIDTH + 4,
        "height": max((y for _, y in at.values()), default=0) + NODE_HEIGHT + 4,
        "edges": edges,
        "nodes": [
            {
                "name": member.name,
                "x": round(at[member.name][0]),
                "y": round(at[member.name][1]),
                "stage": member.spec.stage,
                "role": member.spec.role,
                "title": {"en": member.spec.title.en, "zh": member.spec.title.zh},
                "cost": member.status if member.card is None else duration(member.card.cost.seconds),
            }
            for member in found
        ],
    }


def _claim(verdict: Verdict) -> dict[str, str]:
    claim, reasons = verdict.claim, verdict.reasons(verdict.provisional)
    effect = interval = ""
    if verdict.effect is not None and verdict.low is not None and verdict.high is not None:
        effect = effect_text(verdict.effect, claim.effect)
        interval = f"{effect_text(verdict.low, claim.effect)} – {effect_text(verdict.high, claim.effect)}"
    return {
        "model": claim.model,
        "says": claim.says,
        "says_zh": claim.says_zh,
        "effect": effect,
        "interval": interval,
        "n": f"{verdict.n:,}" if verdict.n else "",
        "status": verdict.status,
        "status_zh": STATUS_ZH[verdict.status],
        "reason": "; ".join(reason.en for reason in reasons),
        "reason_zh": "；".join(reason.told("zh") for reason in reasons),
    }


def _panels(recipe: Recipe, found: Sequence[Member]) -> list[dict[str, Any]]:
    """One for each evaluation: every model's score on a scale that all of them share."""
    board = scoreboard(recipe, list(found))
    panels = []
    for column in board.columns:
        scores = [
            (row, row.scores[column])
            for row in board.rows
            if column in row.scores and not math.isnan(row.scores[column].value)
        ]
        if not scores:
            continue
        sample, best = scores[0][1], board.best(column)
        floors = list(sample.floors.values())
        floor = (max if sample.higher_is_better else min)(floors) if floors else None
        tops = [score.high for _, score in scores] + ([] if floor is None else [floor])
        top = 1.0 if sample.unit == "accuracy" else 1.05 * max(tops)
        unit, unit_zh = _UNITS.get(sample.unit, (sample.unit, sample.unit))
        panels.append(
            {
                "name": short_name(column),
                "unit": unit,
                "unit_zh": unit_zh,
                "floor": None if floor is None else _percent(floor, top),
                "rows": [
                    {
                        "model": row.model,
                        "tone": "quiet" if row.role != "model" else "best" if row.model in best else "model",
                        "at": _percent(score.value, top),
                        "low": _percent(score.low, top),
                        "width": round(max(0.0, _percent(score.high, top) - _percent(score.low, top)), 2),
                        "value": number(score.value, score.unit),
                        "told": _told(score),
                    }
                    for row, score in scores
                ],
            }
        )
    return panels


def _percent(value: float, top: float) -> float:
    return round(100 * min(1.0, max(0.0, value / top)), 2)


def _told(score: Score) -> str:
    low, high = number(score.low, score.unit), number(score.high, score.unit)
    floors = "".join(f", {name} {number(value, score.unit)}" for name, value in score.floors.items())
    return f"{number(score.value, score.unit)} ({low} – {high}), n = {score.n}{floors}"


def _answers(carded: Sequence[tuple[Member, Card]]) -> list[dict[str, Any]]:
    """What the models said, those that were asked the same prompts side by side."""
    groups: dict[tuple[str, ...], list[tuple[str, dict[str, str]]]] = {}
    for member, card in carded:
        if card.samples:
            said = {sample.prompt: sample.answer for sample in card.samples}
            groups.setdefault(tuple(said), []).append((member.name, said))
    return [
        {
            "models": [name for name, _ in models],
            "rows": [{"prompt": p, "answers": [said[p] for _, said in models]} for p in prompts],
        }
        for prompts, models in groups.items()
    ]


def _model(member: Member, card: Card) -> dict[str, Any]:
    cost, family = card.cost, card.family_cost
    return {
        "name": member.name,
        "version": card.version,
        "stage": card.stage,
        "description": {
            "en": card.description.en or card.title.en,
            "zh": card.description.zh or card.title.zh,
        },
        "parents": ", ".join(parent.name for parent in card.parents),
        "parameters": quantity(card.metrics.get("parameters", 0.0)),
        "device": f"{cost.device}, {cost.precision}",
        "seconds": duration(cost.seconds),
        "tokens": quantity(cost.tokens),
        "flops": f"{cost.flops:.2g}",
        "family_seconds": duration(family.get("seconds", cost.seconds)),
        "licences": ", ".join(f"{name} ({count:,})" for name, count in card.licences.items()),
        "curve": _curve(card.curves),
        "notes": card.notes,
        "trials": [
            {"step": best.step, "kept": best.step == card.kept_step, "best": best, "worst": worst}
            for best, worst in card.trials()
        ],
        "judged_by": card.judged_by,
    }


def _curve(curves: Mapping[str, Sequence[float]]) -> dict[str, str] | None:
    """A polyline in a square of 100 by 100, from the first tokens to the last, the highest value on top: of
    the score where answers were scored, else of the loss."""
    what = "score" if "score" in curves else "loss"
    tokens, values = curves.get("tokens", ()), curves.get(what, ())
    if len(values) < 2:
        return None
    low, high = min(values), max(values)
    across, tall = max(tokens[-1] - tokens[0], 1.0), max(high - low, 1e-9)
    points = (
        f"{100 * (x - tokens[0]) / across:.1f},{3 + 94 * (high - y) / tall:.1f}"
        for x, y in zip(tokens, values, strict=True)
    )
    first, last = f"{values[0]:.2f}", f"{values[-1]:.2f}"
    return {
        "points": " ".join(points),
        "what": what,
        "first": first,
        "last": last,
        "tokens": f"→ {quantity(tokens[-1])}",
        "label": f"{what} from {first} to {last} over {quantity(tokens[-1])} tokens",
    }
