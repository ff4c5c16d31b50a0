from __future__ import annotations

import pytest

from bottega import stages
from bottega.errors import UserError
from bottega.stages.base import StageConfig

GOOD = {"shape": "13.8M", "budget_tokens": 1000}


@pytest.mark.parametrize("name", ["pretrain", "code", "sft"])
def test_every_stage_is_found_by_its_name(name: str) -> None:
    stage = stages.get(name)
    assert stage.name == name
    assert stage.version >= 1


def test_a_misspelt_stage_is_met_with_the_nearest() -> None:
    with pytest.raises(UserError, match="no stage 'pretrian', did you mean 'pretrain'"):
        stages.get("pretrian")


def test_a_misspelt_key_is_met_with_the_nearest() -> None:
    with pytest.raises(
        UserError, match=r"tiny\.toml \[models\.a\]: unknown key 'budget_token', did you mean 'budget_tokens'"
    ):
        stages.get("pretrain").Config.parse({**GOOD, "budget_token": 5}, "tiny.toml [models.a]")


def test_a_misspelt_key_of_an_inner_table_is_met_with_the_nearest_of_that_table() -> None:
    with pytest.raises(UserError, match=r"unknown key .lora\.ranks., did you mean 'rank'"):
        stages.get("sft").Config.parse({"budget_tokens": 5, "lora": {"ranks": 3}})


def test_a_value_out_of_range_is_named() -> None:
    with pytest.raises(UserError, match="fim_rate: Input should be less than or equal to 1"):
        stages.get("code").Config.parse({"budget_tokens": 5, "fim_rate": 1.5})


def test_a_missing_budget_is_named() -> None:
    with pytest.raises(UserError, match="budget_tokens: Field required"):
        stages.get("sft").Config.parse({})


@pytest.mark.parametrize("name", ["pretrain", "code", "sft"])
def test_every_knob_says_in_one_line_what_it_does(name: str) -> None:
    config: type[StageConfig] = stages.get(name).Config
    for key, field in config.model_fields.items():
        assert field.description, key
        assert "\n" not in field.description, key


def test_a_configuration_cannot_change_once_read() -> None:
    config = stages.get("pretrain").Config.parse(GOOD)
    with pytest.raises(ValueError, match="frozen"):
        config.context = 3  # type: ignore[attr-defined]


def test_adapters_are_trained_by_adamw_unless_the_recipe_says_otherwise() -> None:
    parse = stages.get("sft").Config.parse
    assert parse({"budget_tokens": 5}).model_dump()["optimizer"] == "muon"
    assert parse({"budget_tokens": 5, "lora": {}}).model_dump()["optimizer"] == "adamw"
    assert parse({"budget_tokens": 5, "lora": {}, "optimizer": "muon"}).model_dump()["optimizer"] == "muon"


@pytest.mark.parametrize(("context", "nearest"), [(600, 8400), (10_000, 10_000)])
def test_a_batch_is_whole_rows_and_is_never_rounded_in_silence(context: int, nearest: int) -> None:
    message = f"batch_tokens: 8192 is not a multiple of context = {context}; the nearest is {nearest}"
    with pytest.raises(UserError, match=message):
        stages.get("sft").Config.parse({"budget_tokens": 5, "context": context})
