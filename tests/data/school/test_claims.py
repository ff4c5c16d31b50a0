"""The claims are complete, and what they name is there."""

from __future__ import annotations

import tomllib
from importlib.resources import files

import pytest

import bottega.data.school  # noqa: F401
from bottega.data.school.registry import PARTS, TASKS

CLAIMS = tomllib.loads(files("bottega.data.school").joinpath("claims.toml").read_text("utf-8"))
MODELS = [
    "gpt-1",
    "davinci",
    "code-cushman-001",
    "code-davinci-001",
    "instruct-davinci-beta",
    "text-davinci-001",
    "code-davinci-002",
    "text-davinci-002",
    "reward-model",
    "text-davinci-003",
    "chatgpt",
    "moderation",
    "gpt-4",
]


def test_every_model_of_the_design_has_a_claim() -> None:
    assert set(MODELS) <= {claim["model"] for claim in CLAIMS["claims"]}


def test_names_are_unique() -> None:
    names = [claim["id"] for claim in CLAIMS["claims"]]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("claim", CLAIMS["claims"], ids=lambda claim: claim["id"])
def test_a_claim_is_complete(claim: dict[str, object]) -> None:
    needed = {
        "id", "model", "says", "says_zh", "metric", "cases", "n", "direction", "effect", "minimum_effect",
        "above_floors", "built", "twin",
    }  # fmt: skip
    assert needed <= set(claim)
    assert claim["direction"] in ("higher", "lower")
    assert claim["effect"] in ("difference", "ratio", "kept", "value")
    assert ("margin" in claim) == (claim["effect"] == "kept")
    assert "against" in claim or "against_cases" in claim or claim["effect"] == "value"


@pytest.mark.parametrize("claim", [c for c in CLAIMS["claims"] if c["built"]], ids=lambda claim: claim["id"])
def test_what_a_built_claim_measures_is_there(claim: dict[str, list[str]]) -> None:
    for name in (*claim["cases"], *claim.get("against_cases", [])):
        if claim["metric"] in ("pair-accuracy", "brier"):  # of the rankings that the family collects
            assert name in ("rankings-heldout", "rankings-unseen-labelers")
            continue
        known = PARTS if claim["metric"] == "bits-per-byte" else TASKS
        assert any(one == name or one in (f"{name}-en", f"{name}-zh") for one in known), name
