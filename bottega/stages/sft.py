"""Supervised fine-tuning: a model learns to give the assistant's turns of conversations."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from bottega.errors import UserError
from bottega.stages.base import StageConfig, StageInputs, StageResult, register
from bottega.stages.knobs import MixtureConfig

if TYPE_CHECKING:
    from bottega.model.decoder import Decoder

ADAPTER_FOLDER = "adapter"


class LoraConfig(BaseModel):
    """Low-rank adaptation (2106.09685): only the adapters are trained, then merged into the weights."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rank: int = Field(16, ge=1, description="inner width of the adapters")
    alpha: float = Field(32.0, gt=0, description="the adapters' output is multiplied by alpha / rank")
    targets: tuple[str, ...] = Field(
        ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"),
        min_length=1,
        description="the projections that get an adapter",
    )


class SftConfig(MixtureConfig):
    """The knobs of supervised fine-tuning."""

    lr: float = Field(1e-3, gt=0, description="peak learning rate of AdamW")
    muon_lr: float = Field(5e-3, gt=0, description="peak learning rate of Muon, where it is the optimizer")
    optimizer: Literal["adamw", "muon"] = Field(
        "muon",
        description="adamw, or muon for hidden matrices and adamw for the rest; adapters default to adamw",
    )
    lora: LoraConfig | None = Field(
        None, description="train adapters of this size; left out, all weights are trained"
    )
    from_scratch: bool = Field(
        False,
        description="a control: the parent's shape with fresh random weights",
    )

    @model_validator(mode="before")
    @classmethod
    def _adapters_by_adamw(cls, values: Any) -> Any:
        """Muon evens out the singular values of an update, which two thin factors have no use for."""
        if isinstance(values, dict) and values.get("lora") is not None:
            return {"optimizer": "adamw", **values}
        return values


class Sft:
    """Fine-tune a parent on conversations; the loss counts the assistant's turns and their end marks."""

    name: ClassVar[str] = "sft"
    version: ClassVar[int] = 1
    Config: ClassVar[type[StageConfig]] = SftConfig

    def run(self, config: SftConfig, inputs: StageInputs, seed: int) -> StageResult:
        """Train on conversations, and on the documents of replay datasets where there are any."""
        from bottega.stages.learning import finish, first_alone, learn, new_model, parent_of, tokenizer_of
        from bottega.stages.mixing import mix
        from bottega.stages.prepare import prepare

        if config.lora is not None and config.from_scratch:
            raise UserError(
                f"{inputs.out.name}: adapters on random weights learn little; drop `lora` or `from_scratch`"
            )
        tokenizer = tokenizer_of(inputs)
        model = parent_of(inputs, self.name, config.context)
        if config.from_scratch:
            model = new_model(model.config, seed, next(model.parameters()).device)
        data = first_alone(inputs, lambda: prepare(inputs, tokenizer, main=("conversations",)))
        plan = mix(data, config, tokenizer, seed)
        if config.lora is not None:
            _adapt(model, config.lora, seed)
        trained = learn(model, plan.rows, config, inputs, seed=seed, budget_tokens=config.budget_tokens)
        adapter = _merge(model, inputs.work) if config.lora is not None else None
        return finish(
            model,
            tokenizer,
            trained,
            inputs,
            data=plan.use,
            report=plan.report(trained.steps),
            beside={} if adapter is None else {ADAPTER_FOLDER: adapter},
        )


def _adapt(model: Decoder, lora: LoraConfig, seed: int) -> None:
    from bottega.model.lora import add_lora

    add_lora(model, rank=lora.rank, alpha=lora.alpha, targets=lora.targets, seed=seed)


def _merge(model: Decoder, work: Path) -> Path:
    """Keep the adapter on its own, then fold it into the weights."""
    from bottega.model.lora import merge_lora, save_adapter
    from bottega.training.distributed import join_world

    folder = work / ADAPTER_FOLDER
    join_world(next(model.parameters()).device).on_first(lambda: save_adapter(model, folder))
    merge_lora(model)
    return folder


register(Sft())
