"""What a stage is: a named way of making a model from parents and data, with a typed configuration."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol, Self, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from bottega.errors import UserError

Role = Literal["main", "replay"]


class StageConfig(BaseModel):
    """The semantic knobs of a stage: all of them enter the fingerprint, and nothing else does."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @classmethod
    def parse(cls, values: Mapping[str, Any], where: str = "stage configuration") -> Self:
        """The configuration that ``values`` describe.

        Raises:
            UserError: a key that does not exist (with the nearest that does) or a value that does not fit.
        """
        try:
            return cls.model_validate(dict(values))
        except ValidationError as error:
            raise UserError(f"{where}: " + "; ".join(_explain(cls, e) for e in error.errors())) from None

    def effort(self, answer_tokens: float = 0.0) -> float:
        """What the stage costs, in tokens of text that a model learns from in that time: a rule of thumb.

        ``answer_tokens``: at most so many are in the answers collected for it. 0: nobody can tell before it
        has its data.
        """
        return 0.0


@dataclass(frozen=True, slots=True)
class DatasetInput:
    """A frozen dataset as a stage reads it."""

    folder: Path
    weight: float = 1.0  # its share of the rows of a batch, relative to the others
    sources: tuple[str, ...] = ()  # only these of its sources; empty for all
    role: Role = "main"  # "replay" is what an earlier stage saw: mixed in by weight, never reshaped
    name: str = ""  # the recipe's name for it, used in messages and in the card


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How to run, as against what to make: none of this enters the fingerprint."""

    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    device: str = "auto"
    compile: Literal["auto", "on", "off"] = "auto"
    threads: int | None = None
    progress: bool = True
    checkpoint_every_s: float = 120.0
    checkpoint_every_steps: int = 0  # 0: by time alone
    micros: int = 1  # parts a batch is computed in, one after the other, to save memory


@dataclass(frozen=True, slots=True)
class StageInputs:
    """Everything a stage reads and where it writes."""

    parents: tuple[Path, ...]  # model folders; empty for a stage that starts from nothing
    tokenizer: Path | None  # a tokenizer folder; None for the first parent's
    datasets: tuple[DatasetInput, ...]
    work: Path  # checkpoints and metrics; kept between attempts, so that a killed stage resumes
    out: Path  # the model folder, written at the end, whole or not at all
    run: RunOptions = field(default_factory=RunOptions)
    cache: Path | None = None  # token shards shared between stages; None for a folder inside ``work``


@dataclass(frozen=True, slots=True)
class Cost:
    """What the stage took."""

    seconds: float
    tokens: int
    steps: int
    flops: float
    device: str
    precision: str


@dataclass(frozen=True, slots=True)
class DataUse:
    """What of one dataset went in: for the card, and nothing about it is left out."""

    dataset: str
    role: Role
    weight: float
    digest: str
    records: int
    tokens: int
    text_bytes: int
    licences: dict[str, int]  # records by licence
    sources: dict[str, int]  # records by source
    overlong: dict[str, int] = field(default_factory=dict)  # policy's action -> examples
    skipped: dict[str, int] = field(default_factory=dict)  # reason -> records


@dataclass(frozen=True, slots=True)
class StageResult:
    """What a stage hands to the lineage besides the model folder."""

    cost: Cost
    metrics: dict[str, float]  # final training loss, tokens a second, parameters
    curves: Path  # metrics.jsonl of the run
    data: tuple[DataUse, ...] = ()
    report: dict[str, Any] = field(default_factory=dict)  # whatever else belongs in the card
    picture: Path | None = None  # the curves drawn, where that was possible


C_contra = TypeVar("C_contra", bound=StageConfig, contravariant=True)


class Stage(Protocol[C_contra]):
    """One way of making a model. Killed and run again with the same inputs, it resumes."""

    name: ClassVar[str]
    version: ClassVar[int]  # raised when the same configuration starts to make another model
    Config: ClassVar[type[StageConfig]]

    def run(self, config: C_contra, inputs: StageInputs, seed: int) -> StageResult:
        """Make the model, write it to ``inputs.out`` and say what it took."""
        ...


_BUILT_IN = (  # imported on demand
    *("pretrain", "code", "sft", "reward", "ppo", "grpo", "rloo", "dpo", "kto"),
    *("rejection-sampling", "expert-iteration"),
)
_MODULES = {  # of those whose module has another name
    "grpo": "ppo",
    "rloo": "ppo",
    "kto": "dpo",
    "rejection-sampling": "best",
    "expert-iteration": "best",
}
_REGISTERED: dict[str, Stage[Any]] = {}


def register(stage: Stage[Any]) -> None:
    """Make a stage known by its name; a second stage of the same name is a programming error."""
    known = _REGISTERED.get(stage.name)
    assert known is None or type(known) is type(stage), f"two stages are called {stage.name!r}"
    _REGISTERED[stage.name] = stage


def get(name: str) -> Stage[Any]:
    """The stage called ``name``.

    Raises:
        UserError: there is none; the message suggests the nearest.
    """
    if name not in _REGISTERED and name in _BUILT_IN:
        importlib.import_module(f"bottega.stages.{_MODULES.get(name, name)}")
    if name not in _REGISTERED:
        raise UserError(
            f"there is no stage {name!r}{did_you_mean(name, names())}; stages: {', '.join(names())}"
        )
    return _REGISTERED[name]


def names() -> list[str]:
    """Every stage there is."""
    return sorted({*_BUILT_IN, *_REGISTERED})


def did_you_mean(word: str, known: list[str]) -> str:
    """``", did you mean 'x'?"`` when something known is near, else nothing."""
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f", did you mean {near[0]!r}?" if near else ""


def _explain(config: type[BaseModel], error: Any) -> str:
    key = ".".join(str(part) for part in error["loc"])
    if error["type"] != "extra_forbidden":
        return f"{key}: {error['msg'].removeprefix('Value error, ')}"
    keys = list(config.model_fields)
    if len(error["loc"]) > 1:  # an unknown key of a table inside: its own keys are the ones to suggest
        keys = _keys_inside(config, error["loc"][:-1])
    return f"unknown key {key!r}{did_you_mean(str(error['loc'][-1]), keys)}"


def _keys_inside(config: type[BaseModel], path: tuple[Any, ...]) -> list[str]:
    """The keys of the table at ``path``, in which pydantic also puts the names of a union's members."""
    inner: type[BaseModel] = config
    for part in path:
        if part in inner.model_fields:
            annotation = inner.model_fields[part].annotation
            members = getattr(annotation, "__args__", (annotation,))
            inner = next(m for m in members if isinstance(m, type) and issubclass(m, BaseModel))
    return list(inner.model_fields)
