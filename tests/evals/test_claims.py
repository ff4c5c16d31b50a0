from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bottega.bilingual import Text
from bottega.errors import UserError
from bottega.evals.claims import Rules, Verdict, evaluation_names, judge, load_claims, parse_claims
from bottega.evals.score import Score, proportion_score

RULES = "[verdict]\nconfidence = 0.95\nworld_seeds = 1\nlowest = 0.02\nhighest = 0.98\n"
CLAIM: dict[str, Any] = {
    "id": "one",
    "model": "child",
    "against": "parent",
    "says": "It is better.",
    "says_zh": "它更好。",
    "metric": "accuracy",
    "cases": ["sums-en", "sums-zh"],
    "n": 200,
    "direction": "higher",
    "effect": "difference",
    "minimum_effect": 0.05,
    "above_floors": True,
    "built": True,
    "twin": "real sums",
}

ONLY_REAL = {"clumsy-rules", "replay-forgets-less", "adapters-forget-less"}  # claims of the twins alone


def toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int | float | list) else f'"{value}"'


def judged(worlds: list[dict[str, dict[str, Score]]], **changes: Any) -> Verdict:
    table = {key: value for key, value in (CLAIM | changes).items() if value is not None}
    lines = "\n".join(f"{key} = {toml(value)}" for key, value in table.items())
    rules, claims = parse_claims(f"{RULES}[[claims]]\n{lines}\n")
    (verdict,) = judge(claims, rules, worlds)
    return verdict


def score(name: str, right: int, n: int = 200, floor: float = 0.1, seed: int = 0) -> Score:
    outcomes = np.random.default_rng(seed).permutation(np.arange(n) < right).tolist()
    return proportion_score(name, outcomes, seed=0, cases="q-p").with_context({"majority": floor}, 1.0)


def world(**right: int) -> dict[str, dict[str, Score]]:
    """Each model with its right answers in both languages."""
    return {
        model: {
            f"task:sums-{lang}": score(f"task:sums-{lang}", hits, seed=10 * m + i)
            for i, lang in enumerate(("en", "zh"))
        }
        for m, (model, hits) in enumerate(right.items())
    }


def test_the_schools_claims_load_and_name_evaluations_that_exist() -> None:
    from bottega.evals.names import expand

    rules, claims = load_claims()
    assert (rules.confidence, rules.lowest, rules.highest) == (0.95, 0.02, 0.98)
    assert len({claim.id for claim in claims}) == len(claims) > 20
    for claim in claims:
        if claim.built:
            for names in evaluation_names(claim):
                assert tuple(expand(names, ("rankings",))) == names


def test_every_claim_that_can_be_judged_has_a_twin_on_real_data() -> None:
    from bottega.evals.names import dataset_of, expand
    from bottega.lineage.recipe import load

    recipe = load("open-cpu")
    assert recipe.info.claims == "twins"
    (_, claims), (rules, twins) = load_claims(), load_claims("twins")
    assert rules.world_seeds == 1
    built = [(claim.id, claim.model) for claim in claims if claim.built]
    assert [(twin.id, twin.model) for twin in twins][: len(built)] == built
    assert {twin.id for twin in twins[len(built) :]} == ONLY_REAL
    frozen = {use.dataset for model in recipe.models.values() for use in model.data}
    frozen |= {dataset_of(name) for model in recipe.models for name in recipe.evaluations(model)}
    for twin in twins:
        assert twin.built
        assert twin.model in recipe.models
        assert twin.against is None or twin.against.startswith("floor:") or twin.against in recipe.models
        for names in evaluation_names(twin):
            assert tuple(expand(names, recipe.datasets)) == names
            assert {dataset_of(name) for name in names} & set(recipe.datasets) <= frozen


def test_a_large_effect_is_shown() -> None:
    verdict = judged([world(child=120, parent=60)])
    assert verdict.status == "shown", verdict.reason.en
    assert verdict.effect == pytest.approx(0.3)
    assert verdict.low is not None and verdict.high is not None
    assert 0.2 < verdict.low < 0.3 < verdict.high < 0.4
    assert verdict.n == 400
    assert not verdict.provisional


def test_no_effect_is_not_shown() -> None:
    same = world(child=100, parent=100)
    assert judged([same], minimum_effect=0.0).reason.en == 'the interval includes "no effect"'


def test_an_effect_below_the_minimum_is_not_shown_however_sure() -> None:
    verdict = judged([world(child=120, parent=60)], minimum_effect=0.4)
    assert verdict.status == "not shown"
    assert verdict.reason == Text(en="the effect +0.300 falls short of +0.400", zh="效应 +0.300 不到 +0.400")


def test_a_ratio_that_should_be_lower_is_told_as_a_ratio() -> None:
    verdict = judged([world(child=120, parent=60)], direction="lower", effect="ratio", minimum_effect=1.0)
    assert verdict.reason.en == "the effect × 2.000 is above × 1.000"


def test_a_claim_that_is_not_shown_says_how_many_cases_it_needs() -> None:
    """Two independent shares of 0.5 over 400 cases differ by 0.0354 at one standard error."""
    few = judged([world(child=110, parent=100)], minimum_effect=0.1)
    assert few.status == "not shown" and few.enough is not None
    assert [one.en for one in few.reasons(Text())] == [
        few.reason.en,
        f"power 80% for the least effect: n = {few.enough:,}",
    ]
    finer = judged([world(child=110, parent=100)], minimum_effect=0.05)
    assert finer.enough == pytest.approx(4 * few.enough, rel=0.01), (
        "half the effect needs four times the cases"
    )
    shown = judged([world(child=120, parent=60)])
    assert shown.reasons(Text()) == []


def test_the_cases_that_a_claim_needs_show_it_in_four_of_five_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bottega.evals.claims.DRAWS", 500)
    rng = np.random.default_rng(1)

    def drawn(n: int) -> dict[str, dict[str, Score]]:
        """A true effect of a tenth, by answers that have nothing to do with each other."""
        right = {"child": 0.55, "parent": 0.45}
        return {
            model: {
                f"task:sums-{lang}": proportion_score(
                    f"task:sums-{lang}", (rng.random(n) < share).tolist(), seed=0, cases="q-p"
                )
                for lang in ("en", "zh")
            }
            for model, share in right.items()
        }

    enough = judged([drawn(200)], minimum_effect=0.1).enough
    assert enough is not None
    shown = [judged([drawn(enough // 2)], minimum_effect=0.0, above_floors=False) for _ in range(100)]
    assert 68 <= sum(verdict.status == "shown" for verdict in shown) <= 92


def test_a_score_that_does_not_clear_its_floor_is_not_shown() -> None:
    low = {
        m: {n: s.with_context({"nearest": 0.58}, 1.0) for n, s in scores.items()}
        for m, scores in world(child=120, parent=60).items()
    }
    assert "floor nearest (58.0%)" in judged([low]).reason.en
    assert judged([low], above_floors=False).status == "shown"


def test_a_score_at_the_ceiling_proves_nothing() -> None:
    assert "is not between 2% and 98%" in judged([world(child=199, parent=100)]).reason.en


def test_what_is_kept_need_not_have_gained() -> None:
    with pytest.raises(UserError, match=r"one: of what is kept, minimum_effect is the loss .* write -0\.05"):
        judged([world(child=100, parent=100)], effect="kept", minimum_effect=0.05, margin=0.1)


def test_kept_needs_its_interval_inside_the_margin() -> None:
    kept = {"effect": "kept", "minimum_effect": -0.03}
    assert judged([world(child=100, parent=100)], **kept, margin=0.2).status == "shown"
    assert judged([world(child=100, parent=100)], **kept, margin=0.001).status == "not shown"
    assert judged([world(child=80, parent=100)], **kept, margin=0.5).reason.en.startswith(
        "the effect -0.100 falls short"
    )


def test_a_model_is_held_against_itself_on_other_cases() -> None:
    few, many = score("task:icl-0", 20), score("task:icl-8", 120)
    verdict = judged(
        [{"child": {"task:icl-0": few, "task:icl-8": many}}],
        against=None,
        cases=["icl-8"],
        against_cases=["icl-0"],
    )
    assert verdict.status == "shown", verdict.reason.en
    assert verdict.effect == pytest.approx(0.5)


def bits(value: float, floor: float) -> Score:
    sizes = tuple(float(s) for s in range(50, 150))
    outcomes = tuple(value * s for s in sizes)
    name = "bits-per-byte:prose-en"
    return Score(
        name, value, value, value, 100, "bits/byte", False, 0,
        floors={"5-gram-characters": floor}, cases="d", outcomes=outcomes, sizes=sizes,
    )  # fmt: skip


def test_a_ratio_to_a_floor_is_lower_when_better() -> None:
    claim = {
        "against": "floor:5-gram-characters", "metric": "bits-per-byte", "cases": ["prose-en"],
        "direction": "lower", "effect": "ratio", "minimum_effect": 0.8, "above_floors": False,
    }  # fmt: skip
    verdict = judged([{"child": {"bits-per-byte:prose-en": bits(1.0, 2.0)}}], **claim)
    assert (verdict.status, verdict.effect) == ("shown", pytest.approx(0.5))
    verdict = judged([{"child": {"bits-per-byte:prose-en": bits(1.9, 2.0)}}], **claim)
    assert (verdict.status, verdict.effect) == ("not shown", pytest.approx(0.95))


def test_worlds_are_pooled_with_equal_weight() -> None:
    verdict = judged([world(child=120, parent=60), world(child=100, parent=100)])
    assert verdict.effect == pytest.approx(0.15)
    assert verdict.n == 800


def test_what_is_missing_is_not_built_and_says_why() -> None:
    assert judged([world(child=100, parent=50)], built=False).status == "not built"
    assert judged([world(child=100)]).reason.en == "there is no model parent"
    assert judged([world(child=100, parent=50)], cases=["poems"]).reason.en == "child has no score task:poems"
    assert judged([]).reason.en == "there are no scores"


def test_fewer_cases_or_worlds_than_the_rules_ask_make_a_verdict_provisional() -> None:
    assert judged([world(child=120, parent=60)], n=500).provisional.en == "200 of 500 cases"
    rules, claims = load_claims()
    assert isinstance(rules, Rules)
    assert rules.world_seeds == 3
    assert claims[0].n == 600


def test_other_questions_are_not_compared() -> None:
    scores = world(child=120, parent=60)
    asked = scores["parent"]["task:sums-en"]
    scores["parent"]["task:sums-en"] = proportion_score(asked.name, [True] * 200, seed=0, cases="other-p")
    assert "not scored on the same questions" in judged([scores]).reason.en


def test_a_misspelt_key_is_an_error() -> None:
    with pytest.raises(UserError, match="minimun_effect"):
        judged([], minimun_effect=0.1)


def test_a_value_has_to_keep_its_interval_beyond_the_bound() -> None:
    built = {"effect": "value", "against": None}
    found = judged([world(child=150)], minimum_effect=0.6, **built)
    assert found.status == "shown"
    assert found.effect == pytest.approx(0.75)
    near = judged([world(child=150)], minimum_effect=0.72, **built)
    assert (near.status, near.reason.en) == ("not shown", "the interval reaches beyond the bound")
    assert judged([world(child=150)], minimum_effect=0.8, **built).status == "not shown"
    lower = judged([world(child=50)], minimum_effect=0.4, direction="lower", **built)
    assert lower.status == "shown"


def test_no_ratio_is_taken_of_nothing() -> None:
    found = judged([world(child=150, parent=0)], effect="ratio", minimum_effect=1.3)
    assert found.status == "not shown"
    assert "is 0" in found.reason.en
