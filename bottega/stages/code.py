"""Code: a model goes on with programs, some with the middle taken out, and with what it read before."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from bottega.stages.base import StageConfig, StageInputs, StageResult, register
from bottega.stages.knobs import MixtureConfig


class CodeConfig(MixtureConfig):
    """The knobs of code training."""

    fim_rate: float = Field(
        0.5, ge=0, le=1, description="share of the code documents turned round for infilling"
    )
    fim_spm_rate: float = Field(
        0.5,
        ge=0,
        le=1,
        description="share of those that put the suffix first (SPM); the others put the prefix (PSM)",
    )
    fim_line_rate: float = Field(
        0.5,
        ge=0,
        le=1,
        description="share of those whose middle is one whole line; the others are cut anywhere",
    )


class Code:
    """Go on training a parent on code documents, on conversations where the data has them, and on replay."""

    name: ClassVar[str] = "code"
    version: ClassVar[int] = 1
    Config: ClassVar[type[StageConfig]] = CodeConfig

    def run(self, config: CodeConfig, inputs: StageInputs, seed: int) -> StageResult:
        """Train on. Documents of the main datasets are turned round; those of replay are left as they are."""
        from bottega.stages.learning import finish, first_alone, learn, parent_of, tokenizer_of
        from bottega.stages.mixing import mix
        from bottega.stages.prepare import FillInTheMiddle, prepare

        tokenizer = tokenizer_of(inputs)
        model = parent_of(inputs, self.name, config.context)
        fim = FillInTheMiddle(config.fim_rate, config.fim_spm_rate, config.fim_line_rate, seed)
        data = first_alone(
            inputs, lambda: prepare(inputs, tokenizer, main=("documents", "conversations"), fim=fim)
        )
        plan = mix(data, config, tokenizer, seed)
        trained = learn(model, plan.rows, config, inputs, seed=seed, budget_tokens=config.budget_tokens)
        return finish(model, tokenizer, trained, inputs, data=plan.use, report=plan.report(trained.steps))


register(Code())
