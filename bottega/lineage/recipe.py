"""A recipe: the TOML file that names a family's tokenizers, datasets and models, as a typed, frozen object.

``load("school")`` reads a recipe shipped with the package, ``load("path/to/mine.toml")`` any other. A recipe
that loads is sound: every name it mentions exists, no model is its own ancestor, and every stage accepts its
configuration.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SerializeAsAny

from bottega.bilingual import Text
from bottega.data.sources import SourceSpec
from bottega.errors import UserError
from bottega.evals.claims import ClaimsName
from bottega.stages.base import StageConfig
from bottega.stages.knobs import TrainingConfig

if TYPE_CHECKING:
    from bottega.stages.collect import CollectConfig

Role = Literal["model", "control", "base"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def _as_source(value: object) -> object:
    return {"uri": value} if isinstance(value, str) else value


def _as_use(value: object) -> object:
    return {"dataset": value} if isinstance(value, str) else value


def _as_tuple(value: object) -> object:
    return (value,) if isinstance(value, str) else value


BothLanguages = Annotated[
    Text, BeforeValidator(lambda value: {"en": value} if isinstance(value, str) else value)
]


class RecipeInfo(_Frozen):
    """The ``[recipe]`` table."""

    name: str = Field(default="", description="the family's name; the file's name where it is left out")
    title: BothLanguages = Field(default=Text(), description="what pictures of the family are headed with")
    description: BothLanguages = Field(default=Text(), description="one line on what the family is for")
    seed: int = Field(default=0, description="the seed of every model that sets none of its own")
    world_seed: int = Field(
        default=0, description="which world the school teaches; --world-seed overrides it"
    )
    eval_cases: int = Field(
        default=200,
        gt=0,
        description="cases of each evaluation, documents included; changes no model, so nothing is rebuilt",
    )
    claims: ClaimsName = Field(
        default="school",
        description="what `bottega claims` judges: the school's claims, or their twins on real data",
    )


class DatasetSpec(_Frozen):
    """A ``[datasets.NAME]`` table: sources, frozen together once."""

    sources: tuple[Annotated[SourceSpec, BeforeValidator(_as_source)], ...] = Field(
        min_length=1,
        description='what goes in: "school:prose-en", or a table with uri, records, weight and more',
    )
    dedup: Literal["none", "exact", "near", "prompts"] = Field(
        default="exact",
        description="which duplicates are removed; `prompts` keeps one record for each prompt",
    )
    heldout: float = Field(
        default=0.01, ge=0.0, lt=1.0, description="the share of records kept out of training"
    )
    cutoff: str = Field(
        default="", description="the date of its newest text, where known; for the card, changes nothing"
    )


class DataUse(_Frozen):
    """One entry of a model's ``data``."""

    dataset: str = Field(description="a dataset of this recipe")
    sources: tuple[str, ...] = Field(
        default=(), description="only these of its sources, by URI; all of them where empty"
    )
    weight: float = Field(default=1.0, gt=0.0, description="its share of the mixture, relative to the others")
    role: Literal["main", "replay"] = Field(
        default="main",
        description="replay is what an earlier stage saw, mixed in so that it is not forgotten",
    )


class CollectedSpec(DatasetSpec):
    """A ``[datasets.NAME]`` table with ``stage = "collect"``: what a model answered, and how it was ranked.

    Keys that are not below belong to the stage and land in ``config``.
    """

    sources: tuple[Annotated[SourceSpec, BeforeValidator(_as_source)], ...] = Field(
        default=(), max_length=0, description="none: a model makes it"
    )
    stage: Literal["collect"] = Field(description="collect")
    parent: str = Field(description="the model whose answers are collected")
    data: tuple[Annotated[DataUse, BeforeValidator(_as_use)], ...] = Field(
        min_length=1, description="datasets of prompts to answer, and of comparisons to take along"
    )
    seed: int | None = Field(default=None, description="its own seed, in place of the recipe's")
    config: SerializeAsAny[StageConfig] = Field(description="the stage's own configuration")

    @property
    def knobs(self) -> CollectConfig:
        """``config``, by its type."""
        from bottega.stages.collect import CollectConfig

        assert isinstance(self.config, CollectConfig)
        return self.config


class TokenizerSpec(_Frozen):
    """A ``[tokenizers.NAME]`` table."""

    vocab_size: int = Field(
        ge=270, description="tokens in all, the 256 bytes and the control tokens included"
    )
    datasets: tuple[str, ...] = Field(
        min_length=1, description="the datasets whose training split it is learnt from"
    )


class ModelSpec(_Frozen):
    """A ``[models.NAME]`` table. Keys that are not below belong to the stage and land in ``config``."""

    stage: str = Field(description="the way it is made: pretrain, code, sft, import ...")
    role: Role = Field(
        default="model", description="model, control (shown, never served) or base (a step on the way)"
    )
    title: BothLanguages = Field(default=Text(), description="a few words for pictures and cards")
    description: BothLanguages = Field(default=Text(), description="a sentence or two on what it is for")
    parent: Annotated[tuple[str, ...], BeforeValidator(_as_tuple)] = Field(
        default=(), description="the model it is made from (or models, in a list)"
    )
    tokenizer: str | None = Field(
        default=None, description="a tokenizer of this recipe; its parent's where left out"
    )
    data: tuple[Annotated[DataUse, BeforeValidator(_as_use)], ...] = Field(
        default=(), description="what it is trained on"
    )
    evals: tuple[str, ...] = Field(default=(), description="evaluations, or lists of them from [evals]")
    chat: bool = Field(
        default=False, description="whether one can talk to it; the first such model is built first"
    )
    seed: int | None = Field(default=None, description="its own seed, in place of the recipe's")
    config: SerializeAsAny[StageConfig] = Field(description="the stage's own configuration")


class Examples(_Frozen):
    """The ``[examples]`` table: what each model is asked for its card."""

    chat: tuple[str, ...] = Field(default=(), description="requests put to models one can talk to")
    completion: tuple[str, ...] = Field(default=(), description="beginnings given to the others")


class Recipe(_Frozen):
    """A family, checked."""

    info: RecipeInfo
    tokenizers: Mapping[str, TokenizerSpec]
    datasets: Mapping[str, DatasetSpec]
    models: Mapping[str, ModelSpec]
    evals: Mapping[str, tuple[str, ...]] = Field(description="named lists of evaluations")
    examples: Examples = Examples()
    file: str = Field(description="where it was read from, for messages")

    @property
    def name(self) -> str:
        """The family's name."""
        return self.info.name

    def scaled(self, factor: float) -> Recipe:
        """The same family with every budget of tokens multiplied, in whole steps and at least one of them."""
        if factor == 1.0:
            return self
        models = {
            name: spec.model_copy(update={"config": _scaled(spec.config, factor)})
            for name, spec in self.models.items()
        }
        return self.model_copy(update={"models": MappingProxyType(models)})

    def evaluations(self, model: str) -> list[str]:
        """A model's evaluations, the lists of ``[evals]`` and the families of tasks unrolled, each once."""
        from bottega.evals.names import expand

        entries = self.models[model].evals
        return expand((name for entry in entries for name in self.evals.get(entry, (entry,))), self.datasets)

    def tokenizer_of(self, model: str) -> str | None:
        """The tokenizer of a model: its own, or its nearest ancestor's; None for an imported root."""
        spec = self.models[model]
        if spec.tokenizer is not None or not spec.parent:
            return spec.tokenizer
        return self.tokenizer_of(spec.parent[0])


def _scaled(config: StageConfig, factor: float) -> StageConfig:
    if not isinstance(config, TrainingConfig):
        return config
    steps = max(1, round(config.budget_tokens * factor / config.batch_tokens))
    return config.model_copy(update={"budget_tokens": steps * config.batch_tokens})


def shipped() -> dict[str, str]:
    """The recipes that come with the package: name -> TOML text."""
    folder = resources.files("bottega.recipes")
    files = sorted((f for f in folder.iterdir() if f.name.endswith(".toml")), key=lambda f: f.name)
    return {f.name.removesuffix(".toml"): f.read_text(encoding="utf-8") for f in files}


def load(name_or_path: str | Path) -> Recipe:
    """A shipped recipe by name, or any recipe by path. Raises UserError for whatever is wrong with it."""
    from bottega.lineage.nearest import did_you_mean

    text = str(name_or_path)
    if isinstance(name_or_path, str) and not text.endswith(".toml") and "/" not in text:
        recipes = shipped()
        if text not in recipes:
            raise UserError(
                f"no recipe is called {text!r}{did_you_mean(text, recipes)} "
                f"Shipped: {', '.join(recipes)}; any other is given by its path, ending in .toml."
            )
        return parse(recipes[text], f"{text}.toml")
    path = Path(name_or_path)
    try:
        content = path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        raise UserError(f"{path}: no such recipe file.") from None
    except IsADirectoryError:
        raise UserError(f"{path} is a folder; give the recipe's .toml file.") from None
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        raise UserError(f"{path}:{line}: not UTF-8 text; save the recipe as UTF-8.") from None
    return parse(content, str(path))


def parse(text: str, file: str) -> Recipe:
    """A recipe from TOML text; ``file`` is only for messages."""
    from bottega.lineage.recipe_errors import Faults, syntax_error

    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise syntax_error(error, file) from None
    faults = Faults(file, text)
    known = ("recipe", "tokenizers", "datasets", "models", "evals", "examples")
    for key in tables:
        if key not in known:
            faults.unknown_key((key,), known)
    info = faults.validate(RecipeInfo, tables.get("recipe", {}), ("recipe",))
    parts = {
        "tokenizers": _section(tables, "tokenizers", TokenizerSpec, faults),
        "datasets": _datasets(tables, faults),
        "models": _models(tables, faults),
    }
    lists = faults.validate_lists(tables.get("evals", {}), ("evals",))
    examples = faults.validate(Examples, tables.get("examples", {}), ("examples",))
    faults.raise_if_any()
    assert info is not None and examples is not None
    if not info.name:
        info = info.model_copy(update={"name": Path(file).stem})
    sections: dict[str, Any] = {key: MappingProxyType(value) for key, value in parts.items()}
    recipe = Recipe.model_construct(
        info=info, evals=MappingProxyType(lists), examples=examples, file=file,
        **sections,
    )  # fmt: skip
    from bottega.lineage.soundness import check

    check(recipe, faults)
    faults.raise_if_any()
    return recipe


def _section(tables: Mapping[str, Any], name: str, kind: type[BaseModel], faults: Any) -> dict[str, Any]:
    built = {}
    for key, table in faults.table(tables.get(name, {}), (name,)).items():
        spec = faults.validate(kind, table, (name, key))
        if spec is not None:
            built[key] = spec
    return built


def _datasets(tables: Mapping[str, Any], faults: Any) -> dict[str, DatasetSpec]:
    """Those that are read, and those that a model makes."""
    from bottega.stages.collect import CollectConfig

    own_keys = [
        key for key in CollectedSpec.model_fields if key not in ("config", "sources", "dedup", "heldout")
    ]
    built: dict[str, DatasetSpec] = {}
    for name, raw in faults.table(tables.get("datasets", {}), ("datasets",)).items():
        path = ("datasets", name)
        table = faults.table(raw, path)
        if "stage" not in table:
            found = faults.validate(DatasetSpec, table, path)
        else:
            knobs = {key: value for key, value in table.items() if key not in own_keys}
            config = faults.validate(CollectConfig, knobs, path, also_known=own_keys)
            own = {key: value for key, value in table.items() if key in own_keys}
            found = faults.validate(CollectedSpec, own | {"config": config or CollectConfig.parse({})}, path)
            found = found if config is not None else None
        if found is not None:
            built[name] = found
    return built


def _models(tables: Mapping[str, Any], faults: Any) -> dict[str, ModelSpec]:
    """Split each model's table into the node's keys and the stage's, each with its own schema."""
    from bottega.lineage import importing  # registers the stage "import"
    from bottega.stages import base as stages

    assert importing
    node_keys = [key for key in ModelSpec.model_fields if key != "config"]
    built = {}
    for name, raw in faults.table(tables.get("models", {}), ("models",)).items():
        path = ("models", name)
        table = faults.table(raw, path)
        stage = table.get("stage")
        if stage is None:
            faults.missing(path, "stage", table, node_keys)
            continue
        if stage not in stages.names():
            faults.unknown_name((*path, "stage"), stage, stages.names(), "stage")
            continue
        schema = stages.get(stage).Config
        config_keys = [key for key in table if key not in node_keys]
        config = faults.validate(schema, {key: table[key] for key in config_keys}, path, also_known=node_keys)
        node = {key: value for key, value in table.items() if key in node_keys}
        # A stand-in where the stage's keys are wrong: the node's own faults are found in the same pass.
        spec = faults.validate(ModelSpec, node | {"config": config or stages.StageConfig()}, path)
        if spec is not None and config is not None:
            built[name] = spec
    return built
