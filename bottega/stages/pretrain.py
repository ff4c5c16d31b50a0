"""Pretraining: a model from nothing, by predicting the next token of documents."""

from __future__ import annotations

from typing import ClassVar

from bottega.stages.base import StageConfig, StageInputs, StageResult, register
from bottega.stages.knobs import ShapeKnob, TrainingConfig, explicit_shape


class PretrainConfig(TrainingConfig):
    """The knobs of pretraining."""

    shape: ShapeKnob


class Pretrain:
    """Make a model of a shape and a tokenizer, and teach it documents."""

    name: ClassVar[str] = "pretrain"
    version: ClassVar[int] = 1
    Config: ClassVar[type[StageConfig]] = PretrainConfig

    def run(self, config: PretrainConfig, inputs: StageInputs, seed: int) -> StageResult:
        """Train from random weights on windows over the documents, each token once an epoch."""
        from bottega.data.packing import DocumentPlan
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
        plan = DocumentPlan(
            [(d.shards, d.weight) for d in data.documents], config.context, config.batch_rows, seed
        )
        trained = learn(model, plan, config, inputs, seed=seed)
        report = {"epochs": plan.epochs(trained.steps)}
        return finish(model, tokenizer, trained, inputs, data=data.use, report=report)


register(Pretrain())
