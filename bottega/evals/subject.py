"""The model that an evaluation scores, and on how much."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bottega.data.tokenizer import Tokenizer
    from bottega.model.decoder import Decoder


@dataclass(frozen=True)
class Subject:
    """The model to score. ``chat``: it was taught the chat template, so requests are put in it; ``parents``:
    the models that it was made from, in their order: after the first the reward that it was trained on, and
    then the judge that chose its best step, where it has these. ``earlier``: such rewards and judges of the
    models that it goes on from."""

    model: Decoder
    tokenizer: Tokenizer
    chat: bool
    parents: tuple[str, ...] = ()
    earlier: frozenset[str] = frozenset()


@dataclass(frozen=True)
class EvalOptions:
    """On what, and on how much of it; two models scored with equal options are comparable case by case."""

    cases: int = 200  # of a task, or prompts of a source
    documents: int = 200  # for bits per byte
    document_chars: int = 8192  # of which a longer document gives its beginning
    world_seed: int = 0
    seed: int = 0  # of the bootstrap
    context: int | None = None  # tokens; the model's own by default
    max_new_tokens: int | None = None  # room for an answer; by default what the longest accepted one needs
    datasets: Mapping[str, Path] = field(default_factory=dict)  # frozen, by the recipe's names
    models: Mapping[str, Path] = field(default_factory=dict)  # built, by the recipe's names
    data: Path | None = None  # what $DATA in a URI stands for
