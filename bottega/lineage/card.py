"""A model's card: card.json, which the machine reads, holds everything known of how the model came to be."""

from __future__ import annotations

import math
import platform
import time
from collections.abc import Iterable, Mapping
from operator import attrgetter
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from bottega.bilingual import Text
from bottega.errors import UserError
from bottega.evals.score import Score
from bottega.lineage.home import read_json, write_json
from bottega.lineage.recipe import Role
from bottega.training.telemetry import read_metrics

FIGURES = (  # beside the loss; a card has those that its run has
    *("score", "kl", "length", "ended", "entropy", "explained_variance"),
    *("approx_kl", "clip_fraction", "ratio", "ratio_variance"),
    *("accuracy", "margin", "grad_norm"),
)
# Of looks at held-out answers, in a run that samples.
LOOKS = ("tokens", "kl", "heldout_preference", "heldout_quality")
CURVE_POINTS = 200


class _Part(BaseModel):
    # A card written by a newer Bottega is still read by an older one, so unknown keys pass.
    model_config = ConfigDict(frozen=True, extra="ignore")


class Ancestor(_Part):
    """A parent, as it was when the model was made."""

    name: str
    fingerprint: str


class Data(_Part):
    """What of one dataset went in."""

    dataset: str
    role: str = "main"
    weight: float
    digest: str
    records: int
    tokens: int
    text_bytes: int
    licences: dict[str, int] = Field(default_factory=dict, description="licence -> records")
    sources: dict[str, int] = Field(default_factory=dict, description="source -> records")
    overlong: dict[str, int] = {}
    skipped: dict[str, int] = {}
    withheld: dict[str, int] = Field(
        default_factory=dict, description="left out for their licence -> records"
    )
    commits: dict[str, str] = Field(default_factory=dict, description="source of the hub -> commit")


class Cost(_Part):
    """What one model took, its parents not counted."""

    seconds: float
    tokens: int
    steps: int
    flops: float
    device: str
    precision: str


class Weights(_Part):
    """A file that must not change."""

    sha256: str
    size_bytes: int


class Sample(_Part):
    """A question put to the model and what it said, unedited."""

    prompt: str
    answer: str


class Trial(_Part):
    """An answer to a held-out prompt after so many steps of learning by trial, and its score."""

    step: int
    prompt: str
    answer: str
    score: float


class Card(_Part):
    """Everything known of a model."""

    name: str
    fingerprint: str
    recipe: str
    stage: str
    stage_version: int
    role: Role = "model"
    title: Text = Text()
    description: Text = Text()
    chat: bool = False
    parents: tuple[Ancestor, ...] = ()
    seed: int
    world_seed: int
    config: dict[str, Any]
    tokenizer: dict[str, str] = Field(default_factory=dict, description="its name and digest")
    data: tuple[Data, ...] = ()
    licences: dict[str, int] = Field(default_factory=dict, description="of all data, its ancestors' included")
    knowledge_cutoff: str = Field(
        default="", description="the newest text's date, ancestors included; empty: not known"
    )
    cost: Cost
    family_cost: dict[str, float] = Field(
        default_factory=dict, description="seconds, tokens, FLOPs with ancestors"
    )
    metrics: dict[str, float] = {}
    curves: dict[str, list[float]] = Field(default_factory=dict, description="tokens and figures, thinned")
    looks: dict[str, list[float]] = Field(
        default_factory=dict,
        description="held-out answers during training, after so many tokens: KL, preference, true quality",
    )
    report: dict[str, Any] = {}
    scores: dict[str, dict[str, Any]] = {}
    score_settings: dict[str, str] = Field(
        default_factory=dict, description="evaluation -> digest of what it asked, cases and data included"
    )
    samples: tuple[Sample, ...] = ()
    files: dict[str, Weights] = {}
    command: str = ""
    versions: dict[str, str] = {}
    made: str = Field(default="", description="when, in UTC")

    @property
    def version(self) -> str:
        """The short form of the fingerprint."""
        from bottega.lineage.home import VERSION_LENGTH

        return self.fingerprint[:VERSION_LENGTH]

    @property
    def speaks(self) -> bool:
        """Whether it was taught the chat template, so that it is spoken to in it."""
        return self.chat or self.stage == "sft"

    @property
    def notes(self) -> tuple[Text, ...]:
        """What a user must know of the run that made it, such as why it ended early."""
        return tuple(map(Text.of, self.report.get("notes", ())))

    @property
    def judged_by(self) -> Text:
        """Who scored the answers of a run that learned by trial."""
        return Text.of(self.report.get("judged_by", ""))

    def trials(self) -> list[tuple[Trial, Trial]]:
        """The best and the worst answer at every look of a run that learned by trial, in the order of steps;
        empty for any other."""
        at: dict[int, list[Trial]] = {}
        for row in self.report.get("samples", ()):
            trial = Trial.model_validate(row)
            at.setdefault(trial.step, []).append(trial)
        by_score = attrgetter("score")
        return [(max(at[step], key=by_score), min(at[step], key=by_score)) for step in sorted(at)]

    @property
    def kept_step(self) -> int | None:
        """The step of learning by trial whose weights these are; None for any other stage."""
        step = self.report.get("kept_step")
        return None if step is None else int(step)

    def score(self, evaluation: str) -> Score | None:
        """One score with its interval, or None where it was not measured."""
        row = self.scores.get(evaluation)
        return None if row is None else Score.from_json(row)

    def all_scores(self) -> dict[str, Score]:
        """Every score, in the order measured."""
        return {name: Score.from_json(row) for name, row in self.scores.items()}


def read_card(folder: Path) -> Card:
    """The card of a model folder. Raises UserError where there is none, or it is damaged."""
    row = read_json(folder / "card.json")
    if row is None:
        raise UserError(f"{folder} has no card.json: not a model that Bottega built or imported.")
    try:
        return Card.model_validate(row)
    except ValueError as error:
        first = str(error).splitlines()[1:3]
        raise UserError(
            f"{folder}/card.json: damaged ({' '.join(part.strip() for part in first)})."
        ) from None


def write_card(folder: Path, card: Card) -> None:
    """Write card.json and README.md, each replaced at once."""
    from bottega.lineage.home import write_text
    from bottega.lineage.readme import readme
    from bottega.model.hub import is_scorer

    write_json(folder / "card.json", card.model_dump(mode="json"))
    write_text(folder / "README.md", readme(card, scorer=is_scorer(folder)))


def versions() -> dict[str, str]:
    """What the model was made with."""
    from importlib import metadata

    packages = {name: metadata.version(name) for name in ("torch", "tokenizers", "safetensors", "numpy")}
    return {
        "bottega": own_version(),
        "python": platform.python_version(),
        **packages,
        "system": platform.platform(),
    }


def own_version() -> str:
    """Bottega's own version."""
    from importlib import metadata

    try:
        return metadata.version("bottega")
    except metadata.PackageNotFoundError:
        return "0.1.0+source"


def now() -> str:
    """The time in UTC, to the second."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def all_licences(data: Iterable[Data]) -> dict[str, int]:
    """Records by licence over all of the data; a dataset that several models read counts once."""
    by_dataset: dict[str, dict[str, int]] = {}
    for entry in data:
        known = by_dataset.setdefault(entry.digest, {})
        for licence, records in entry.licences.items():
            known[licence] = max(records, known.get(licence, 0))
    return merge_licences(by_dataset.values())


def merge_licences(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Sum counts by licence, the most frequent first."""
    total: dict[str, int] = {}
    for count in counts:
        for licence, records in count.items():
            total[licence] = total.get(licence, 0) + records
    return dict(sorted(total.items(), key=lambda pair: (-pair[1], pair[0])))


def thin_curves(metrics: Path) -> dict[str, list[float]]:
    """The loss over tokens from a metrics.jsonl, and the figures of :data:`FIGURES` that every line has,
    thinned to a few hundred points. JSON has no infinity: a step that came to that is left out."""
    rows = [row for row in read_metrics(metrics) if "loss" in row and "tokens" in row and _is_finite(row)]
    step = max(1, -(-len(rows) // CURVE_POINTS))
    kept = rows[::step] + rows[-1:] if rows and (len(rows) - 1) % step else rows[::step]
    if not kept:
        return {}
    names = ("tokens", "loss", *(name for name in FIGURES if all(name in row for row in kept)))
    return {name: [float(row[name]) for row in kept] for name in names}


def looks_of(metrics: Path) -> dict[str, list[float]]:
    """The figures of :data:`LOOKS` at the steps that looked at held-out answers."""
    rows = [row for row in read_metrics(metrics) if "heldout_preference" in row]
    return {name: [float(row[name]) for row in rows] for name in LOOKS if rows and name in rows[0]}


def _is_finite(row: Mapping[str, Any]) -> bool:
    return all(math.isfinite(row.get(name, 0.0)) for name in ("loss", *FIGURES))
