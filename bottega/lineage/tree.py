"""The family as a tree in the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bottega.lineage.family import Member
from bottega.lineage.readme import duration, quantity, value_with_interval
from bottega.lineage.recipe import Recipe

if TYPE_CHECKING:
    from rich.text import Text
    from rich.tree import Tree

_STATUS = {
    "built": ("✓", "green"),
    "changed": ("↻", "yellow"),
    "interrupted": ("◐", "cyan"),
    "waiting": ("·", "dim"),
}
KEY_SCORES = 3


def tree(recipe: Recipe, found: list[Member]) -> Tree:
    """Roots at the top, each model under its first parent, with its status, cost and key scores."""
    from rich.text import Text
    from rich.tree import Tree

    heading = Text(recipe.info.title.en or recipe.name, style="bold")
    if recipe.info.description.en:
        heading.append(f"\n{recipe.info.description.en}", style="dim")
    root = Tree(heading, guide_style="dim")
    placed: dict[str, Tree] = {}
    by_name = {member.name: member for member in found}

    def place(member: Member) -> Tree:
        if member.name not in placed:
            parents = member.spec.parent
            above = place(by_name[parents[0]]) if parents else root
            placed[member.name] = above.add(_label(member))
        return placed[member.name]

    for member in found:
        place(member)
    return root


def legend() -> Text:
    """What the marks mean."""
    from rich.text import Text

    meaning = {
        "built": "built",
        "changed": "built before the recipe changed",
        "interrupted": "interrupted, resumes",
        "waiting": "waiting",
    }
    text = Text()
    for status, (mark, style) in _STATUS.items():
        text.append(mark, style=style).append(f" {meaning[status]}   ", style="dim")
    return text


def _label(member: Member) -> Text:
    from rich.text import Text

    mark, style = _STATUS[member.status]
    quiet = member.spec.role != "model"
    label = Text()
    label.append(f"{mark} ", style=style)
    label.append(member.name, style="dim" if quiet or member.status == "waiting" else "bold")
    if quiet:
        label.append(f" ({member.spec.role})", style="dim italic")
    label.append(f"  {member.spec.stage}", style="cyan" if not quiet else "dim")
    if len(member.spec.parent) > 1:
        label.append(f"  also from {', '.join(member.spec.parent[1:])}", style="dim")
    card = member.card
    if card is not None:
        label.append(f"  {member.version}", style="dim")
        label.append(
            f"  {quantity(card.cost.tokens)} tokens, {duration(card.cost.seconds)}, "
            f"{card.cost.flops:.1e} FLOPs",
            style="dim",
        )
        scores = [score for score in card.all_scores().values() if not score.not_built]
        for score in scores[:KEY_SCORES]:
            label.append(f"\n  {score.name} ", style="dim")
            label.append(value_with_interval(score), style="" if not quiet else "dim")
            if score.floors and not score.above_floors:
                label.append("  not above its floors", style="yellow")
        if len(scores) > KEY_SCORES:
            label.append(f"\n  and {len(scores) - KEY_SCORES} more: bottega scoreboard", style="dim")
    elif member.spec.title.en:
        label.append(f"  {member.spec.title.en}", style="dim")
    return label
