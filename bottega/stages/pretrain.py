"""Pretraining: a model from nothing, by predicting the next token of documents."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from bottega.stages.base import StageConfig, StageInputs, StageResult, register
from bottega.stages.knobs import ShapeKnob, TrainingConfig, explicit_shape

if TYPE_CHECKING:
    from bottega.data.packing import RowPlan
    from bottega.data.tokenizer import Tokenizer
    from bottega.stages.prepare import Prepared


class PretrainConfig(TrainingConfig):
    """The knobs of pretraining."""

    shape: ShapeKnob
    primer_fraction: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="share of the steps, the first ones, that read random tokens, every stretch twice: from "
        "them a small model learns to copy out of its context",
    )


class Pretrain:
    """Make a model of a shape and a tokenizer, and teach it documents."""

    name: ClassVar[str] = "pretrain"
    version: ClassVar[int] = 1
    Config: ClassVar[type[StageConfig]] = PretrainConfig

    def run(self, config: PretrainConfig, inputs: StageInputs, seed: int) -> StageResult:
        """Train from random weights on windows over the documents, each token once an epoch."""
        from bottega.stages.learning import (
            device_of,
            finish,
            first_alone,
            learn,
            new_model,
            no_parents,
            tokenizer_of,
        )
        from bottega.stages.prepare import prepare

        no_parents(inputs, self.name)
        tokenizer = tokenizer_of(inputs)
        data = first_alone(inputs, lambda: prepare(inputs, tokenizer, main=("documents",)))
        shape = explicit_shape(config.shape, tokenizer.vocab_size, config.context)
        model = new_model(shape, seed, device_of(inputs))
        plan = _plan(data, tokenizer, config, seed)
        trained = learn(model, plan, config, inputs, seed=seed, budget_tokens=config.budget_tokens)
        report = {"epochs": plan.epochs(trained.steps)}
        return finish(model, tokenizer, trained, inputs, data=data.use, report=report)


def _plan(data: Prepared, tokenizer: Tokenizer, config: PretrainConfig, seed: int) -> RowPlan:
    """The documents by their weights, with the primer before and among them where one is asked for."""
    from bottega.data.packing import DocumentPlan, InTurnPlan
    from bottega.stages.mixing import primer, with_primer

    sources = [(part.shards, part.weight) for part in data.documents]
    documents = DocumentPlan(sources, config.context, config.batch_rows, seed)
    plan = with_primer(documents, config, tokenizer, seed)
    steps = config.steps_for(config.primer_fraction)
    return InTurnPlan(primer(tokenizer, config, seed), steps, plan) if steps else plan


register(Pretrain())
