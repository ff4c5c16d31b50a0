"""Building a family, like make: what is missing and nothing else, resuming what was interrupted.

A model is made in ``runs/NAME-VERSION/NAME`` and renamed into place when it is whole, card and all, so that a
folder under ``models/`` is never half a model. Its evaluations run after that and are added to its card.
"""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from bottega.errors import UserError
from bottega.lineage import make
from bottega.lineage.card import Card, read_card, write_card
from bottega.lineage.fingerprint import file_digest
from bottega.lineage.graph import Node
from bottega.lineage.home import VERSION_LENGTH, Family, Home
from bottega.lineage.nearest import did_you_mean
from bottega.lineage.options import BuildOptions
from bottega.lineage.recipe import Recipe
from bottega.lineage.resolve import Resolver
from bottega.training.interrupt import TrainingInterrupted


class Observer(Protocol):
    """What hears of a build as it goes. Every call returns at once."""

    def plan(self, nodes: list[Node]) -> None:
        """All that the build will look at, in order."""

    def found(self, node: Node) -> None:
        """The node stood already."""

    def begin(self, node: Node, run: Path | None) -> None:
        """The node is being made; a model's ``run`` folder gets a metrics.jsonl."""

    def evaluating(self, node: Node, evaluation: str) -> None:
        """One of a model's evaluations begins."""

    def done(self, node: Node, note: str) -> None:
        """The node stands."""

    def failed(self, node: Node, error: BaseException) -> None:
        """The node cannot be made."""

    def skipped(self, node: Node, because: Node) -> None:
        """The node is not tried, since what it needs has failed."""

    def say(self, text: str) -> None:
        """Anything else worth a line."""


@dataclass
class BuildReport:
    """What a build came to."""

    built: list[Node] = field(default_factory=list)
    found: list[Node] = field(default_factory=list)
    failed: dict[Node, BaseException] = field(default_factory=dict)
    skipped: dict[Node, Node] = field(default_factory=dict)  # node -> the failed node it needs
    unscored: dict[Node, BaseException] = field(default_factory=dict)  # stands, but an evaluation failed


class BuildInterrupted(Exception):  # noqa: N818  (not an error: the user's wish)
    """Ctrl-C in the middle of a build. Everything made so far is kept."""


def build(
    recipe: Recipe,
    home: Home,
    options: BuildOptions,
    observer: Observer,
    *,
    models: Iterable[str] | None = None,
    source: str = "",
    jobs: int = 1,
) -> BuildReport:
    """Build the named models, or all, and whatever they need.

    A node that fails takes down only what is made from it; the rest is built. ``source`` is how the recipe is
    loaded again later (a shipped name or a path). ``jobs``: nodes built side by side, in processes of their
    own; 1 builds them in this one.

    Raises:
        UserError: a name that the recipe does not have, or a built model that was damaged since.
        BuildInterrupted: Ctrl-C; the same command resumes.
    """
    names = None if models is None else list(models)
    for name in names or ():
        if name not in recipe.models:
            raise UserError(
                f"the recipe {recipe.name!r} has no model {name!r}{did_you_mean(name, recipe.models)} "
                f"Models: {', '.join(recipe.models)}."
            )
    resolver = Resolver(recipe, home, options)
    nodes = resolver.graph.schedule(names)
    family = Family(recipe.name, source or recipe.file, options.remembered())
    report = BuildReport()
    observer.plan(nodes)
    if jobs > 1 and any(_has_work(resolver, node) for node in nodes):
        from bottega.lineage.side_by_side import build_side_by_side

        at = build_side_by_side(resolver, nodes, family, observer, report, jobs, _disk_is_full)
        if at is not None:
            raise BuildInterrupted(str(at))
        return report
    for node in nodes:
        broken = next(
            (need for need in resolver.graph.needs[node] if need in report.failed or need in report.skipped),
            None,
        )
        if broken is not None:
            report.skipped[node] = report.skipped.get(broken, broken)
            observer.skipped(node, report.skipped[node])
            continue
        try:
            build_node(resolver, node, family, observer, report)
        except (KeyboardInterrupt, TrainingInterrupted) as error:
            raise BuildInterrupted(str(node)) from error
        except Exception as error:
            report.failed[node] = error
            observer.failed(node, error)
            if _disk_is_full(error):
                break  # nothing else would fit either
    return report


def _has_work(resolver: Resolver, node: Node) -> bool:
    """Whether anything is to be done for a node, be it to say what is wrong with it."""
    try:
        standing = resolver.standing(node)
        if not standing.built or standing.path is None:
            return True
        wanted = node.kind == "model" and resolver.options.evaluate
        return wanted and bool(_unscored(resolver, node.name, read_card(standing.path)))
    except UserError:
        return True


def _disk_is_full(error: BaseException | None) -> bool:
    """Whether this, or what it was raised from, is the system's word that no space is left."""
    while error is not None:
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            return True
        if "No space left on device" in str(error):  # as safetensors and Arrow wrap it
            return True
        error = error.__cause__
    return False


def build_node(
    resolver: Resolver, node: Node, family: Family, observer: Observer, report: BuildReport
) -> None:
    """Build one node whose needs stand, unless it stands itself; a model is evaluated too."""
    standing = resolver.standing(node)
    if standing.built:
        _stands(resolver, node, family, observer, report)
        report.found.append(node)
        observer.found(node)
        return
    assert standing.fingerprint is not None
    label = f"{node.kind}-{node.name}-{standing.fingerprint[:VERSION_LENGTH]}"
    with resolver.home.lock(label, observer.say):
        resolver.forget(node)  # another build may have finished it while this one waited
        if not resolver.standing(node).built:
            run = resolver.home.run(node.name, standing.fingerprint)
            observer.begin(node, run)
            note = make.make(resolver, node)
            resolver.forget(node)
            report.built.append(node)
            _stands(resolver, node, family, observer, report)
            observer.done(node, note)
            for remark in _remarks(resolver, node):
                observer.say(remark)
            return
    _stands(resolver, node, family, observer, report)
    report.found.append(node)
    observer.found(node)


def _stands(resolver: Resolver, node: Node, family: Family, observer: Observer, report: BuildReport) -> None:
    """Check a built node, bring its card up to the recipe, and put it into the family's index."""
    standing = resolver.standing(node)
    assert standing.path is not None and standing.fingerprint is not None
    if node.kind == "model":
        verify(standing.path)
        # Killed between its model's last step and its own, a run stays behind.
        shutil.rmtree(resolver.home.run(node.name, standing.fingerprint), ignore_errors=True)
    resolver.home.record(family, str(node), standing.fingerprint, resolver.identity(node))
    if node.kind == "model":
        _reword(resolver.recipe, node.name, standing.path)
        if resolver.options.evaluate:
            try:
                evaluate(resolver, node.name, observer)
            except Exception as error:  # the model stands all the same, and others are made from it
                report.unscored[node] = error
                observer.say(f"{node} could not be evaluated: {error}")


def _remarks(resolver: Resolver, node: Node) -> list[str]:
    """What the user must know of the run that made a model."""
    if node.kind != "model":
        return []
    return [f"  {node.name}: {note.en}" for note in read_card(resolver.path(node)).notes]


def _reword(recipe: Recipe, name: str, folder: Path) -> None:
    """Titles and roles are not part of the fingerprint: a card follows the recipe without a new build."""
    card, spec = read_card(folder), recipe.models[name]
    wording = {"role": spec.role, "title": spec.title, "description": spec.description, "chat": spec.chat}
    worded = card.model_copy(update=wording)
    if worded != card:
        write_card(folder, worded)


def evaluate(resolver: Resolver, name: str, observer: Observer, *, again: bool = False) -> Card:
    """Run the evaluations that a built model's card does not have as they are now (or all), into the card."""
    from bottega.lineage.evaluation import Evaluator

    folder = resolver.path(Node("model", name))
    card = read_card(folder)
    evaluator: Evaluator | None = None
    for evaluation, asked in _unscored(resolver, name, card, again=again).items():
        observer.evaluating(Node("model", name), evaluation)
        evaluator = evaluator or Evaluator(resolver, folder)
        score = evaluator.score(evaluation)
        # One write for each: an interrupted evaluation loses at most itself.
        scored = {
            "scores": {**card.scores, evaluation: score.to_json()},
            "score_settings": {**card.score_settings, evaluation: asked},
        }
        card = card.model_copy(update=scored)
        if evaluation.startswith("brier:") and not score.not_built:
            from bottega.lineage.curves import draw_calibration

            draw_calibration(card, folder / "calibration.png")
        write_card(folder, card)
    wanted = resolver.recipe.evaluations(name)
    ordered = {key: card.scores[key] for key in (*wanted, *card.scores) if key in card.scores}
    if list(ordered) != list(card.scores):
        card = card.model_copy(update={"scores": ordered})
        write_card(folder, card)
    return card


def _unscored(resolver: Resolver, name: str, card: Card, *, again: bool = False) -> dict[str, str]:
    """The evaluations that a model's card does not have as they are now, or all, each with its settings."""
    from bottega.lineage.evaluation import settings

    asked = {wanted: settings(resolver, wanted) for wanted in resolver.recipe.evaluations(name)}
    return {one: now for one, now in asked.items() if again or card.score_settings.get(one) != now}


def verify(folder: Path) -> Card:
    """The card of a built model whose files are what they were when it was made.

    Raises:
        UserError: a file is missing or was changed; the message says how to have the model made again.
    """
    card = read_card(folder)
    for name, weights in card.files.items():
        file = folder / name
        if not file.is_file():
            what = f"{name} is missing"
        elif file.stat().st_size != weights.size_bytes:
            what = f"{name} has {file.stat().st_size:,} bytes, not {weights.size_bytes:,}"
        elif file_digest(file) != weights.sha256:
            what = f"the content of {name} is not what was built"
        else:
            continue
        raise UserError(
            f"{folder}: damaged model: {what}.\n"
            f"Delete this folder (rm -r {folder}) and run `bottega build {card.name}` to make it again."
        )
    return card
