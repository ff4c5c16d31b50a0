"""What each model of a family has to show, and whether it does.

The rules are in ``claims.toml`` of the school, and for real data in ``twins.toml``.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from statistics import NormalDist
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from bottega.bilingual import Text
from bottega.errors import UserError
from bottega.evals.names import is_evaluation
from bottega.evals.score import Score, resampled_sums

DRAWS = 10_000
POWER = 0.8  # how often an effect that is there, of the least size asked for, should be told from none
FLOOR = "floor:"
WIN_RATE = "win-rate"
_KINDS = {"accuracy": "task", "bits-per-byte": "bits-per-byte"}  # metric -> kind of evaluation

ClaimsName = Literal["school", "twins"]
_FILES: dict[ClaimsName, tuple[str, str]] = {
    "school": ("bottega.data.school", "claims.toml"),
    "twins": ("bottega.evals", "twins.toml"),
}
_UNSAID = Text()
STATUS_ZH = {"shown": "已证实", "not shown": "未证实", "not built": "尚未建成"}

Scores = Mapping[str, Mapping[str, Score]]  # model -> evaluation -> score, in one world
Draws = NDArray[np.float64]


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Rules(_Table):
    """The ``[verdict]`` table."""

    confidence: float
    world_seeds: int  # how many worlds a final verdict pools
    lowest: float  # a score outside these marks proves nothing
    highest: float


class Claim(_Table):
    """One ``[[claims]]`` table, as it was committed before the first family was trained."""

    id: str
    model: str
    against: str | None = None  # another model, or ``floor:NAME``
    says: str
    says_zh: str
    metric: str
    cases: tuple[str, ...]
    against_cases: tuple[str, ...] = ()  # the same model on other cases
    n: int  # for each language and world
    direction: Literal["higher", "lower"]
    effect: Literal["difference", "ratio", "kept", "value"]
    minimum_effect: float
    margin: float | None = None
    above_floors: bool
    built: bool
    twin: str = ""  # what says the same on real data

    @model_validator(mode="after")
    def _what_is_kept_may_fall_but_need_not_rise(self) -> Claim:
        sign = 1.0 if self.direction == "higher" else -1.0
        if self.effect == "kept" and sign * self.minimum_effect > 0.0:
            raise ValueError(
                f"{self.id}: of what is kept, minimum_effect is the loss that is allowed; write "
                f"{-self.minimum_effect:g}"
            )
        return self


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a claim."""

    claim: Claim
    status: Literal["shown", "not shown", "not built"]
    reason: Text = _UNSAID  # why not
    effect: float | None = None
    low: float | None = None  # of the 95% interval
    high: float | None = None
    n: int = 0  # cases in all
    enough: int | None = None  # cases in all that the least effect needs to be told from none, at ``POWER``
    provisional: Text = _UNSAID  # what the rules ask for beyond what was at hand: more cases, more worlds

    def reasons(self, provisional: Text) -> list[Text]:
        """Why it is not shown, how many cases could have shown it, and what of the rules is still open."""
        said = [self.reason] if self.reason else []
        if self.status == "not shown" and self.enough is not None:
            said.append(
                Text(
                    en=f"power {POWER:.0%} for the least effect: n = {self.enough:,}",
                    zh=f"要以 {POWER:.0%} 的功效看出最小效应：n = {self.enough:,}",
                )
            )
        if provisional:
            said.append(provisionally(provisional))
        return said


def provisionally(missing: Text) -> Text:
    """What of the rules is still open, said as such."""
    return Text(en=f"provisional: {missing.en}", zh=f"暂定：{missing.zh}")


def effect_text(value: float, effect: str, *, places: int = 2) -> str:
    """An effect, or an end of its interval, as people read it: a ratio as a factor with so many places, else
    with its sign."""
    return f"× {value:.{places}f}" if effect == "ratio" else f"{value:+.3f}"


def load_claims(name: ClaimsName = "school") -> tuple[Rules, tuple[Claim, ...]]:
    """The school's claims, or their twins on real data."""
    package, file = _FILES[name]
    return parse_claims(resources.files(package).joinpath(file).read_text(encoding="utf-8"), file)


def parse_claims(text: str, file: str = "claims.toml") -> tuple[Rules, tuple[Claim, ...]]:
    """The claims of a file's text. Raises ``UserError`` where they are not well formed."""
    try:
        tables = tomllib.loads(text)
        rules = Rules.model_validate(tables["verdict"])
        claims = tuple(Claim.model_validate(table) for table in tables["claims"])
    except (tomllib.TOMLDecodeError, KeyError, ValidationError) as error:
        raise UserError(f"{file}: {error}") from None
    ids = [claim.id for claim in claims]
    if repeated := {i for i in ids if ids.count(i) > 1}:
        raise UserError(f"{file}: the id {sorted(repeated)[0]!r} is used twice")
    return rules, claims


def judge(claims: Sequence[Claim], rules: Rules, worlds: Sequence[Scores], seed: int = 0) -> list[Verdict]:
    """A verdict on every claim, from the scores of one or more worlds."""
    return [_judge(claim, rules, worlds, seed) for claim in claims]


def evaluation_names(claim: Claim) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The evaluations of the claim's model, and those they are held against."""
    kind = _KINDS.get(claim.metric, claim.metric)
    if claim.metric == WIN_RATE:
        kind = f"{WIN_RATE}@{claim.against}"

    def named(cases: Sequence[str]) -> tuple[str, ...]:
        return tuple(case if is_evaluation(case) else f"{kind}:{case}" for case in cases)

    own = named(claim.cases)
    return own, named(claim.against_cases) or own


def _judge(claim: Claim, rules: Rules, worlds: Sequence[Scores], seed: int) -> Verdict:
    if not claim.built:
        return Verdict(
            claim, "not built", Text(en="what it measures is not built yet", zh="它衡量的东西尚未建成")
        )
    own_names, against_names = evaluation_names(claim)
    against_model = claim.model if claim.against is None else claim.against
    if claim.metric == WIN_RATE:  # the other model's answers are in the score already
        against_model = f"{FLOOR}even"
    own = _collect(worlds, claim.model, own_names)
    floor = against_model.removeprefix(FLOOR) if against_model.startswith(FLOOR) else None
    against = own if floor is not None else _collect(worlds, against_model, against_names)
    if isinstance(own, Text):
        return Verdict(claim, "not built", own)
    if isinstance(against, Text):
        return Verdict(claim, "not built", against)
    if floor is not None and not all(floor in score.floors for score in own):
        lacking = Text(en=f"the scores have no floor {floor!r}", zh=f"成绩没有基线 {floor!r}")
        return Verdict(claim, "not built", lacking)
    if floor is None and (unpaired := _unpaired(own, against)):
        return Verdict(claim, "not built", unpaired)
    mine = [_draws(score, seed + i) for i, score in enumerate(own)]
    theirs = [_draws(score, seed + i) for i, score in enumerate(against)]
    if floor is not None:
        theirs = [np.full_like(d, score.floors[floor]) for d, score in zip(theirs, own, strict=True)]
    values = [np.mean([d[0] for d in side]) for side in (mine, theirs)]  # the first is the score as it was
    resampled = [np.mean([d[1:] for d in side], axis=0) for side in (mine, theirs)]
    if claim.effect == "value":  # there is no other model: the bound itself has to lie outside the interval
        effect, spread, nothing = values[0], resampled[0], claim.minimum_effect
    elif claim.effect == "ratio":
        if not values[1] or not np.all(resampled[1]):
            zero = Text(
                en="what it is held against is 0, which no ratio can be taken of",
                zh="与之相比的是 0，求不出比值",
            )
            return Verdict(claim, "not shown", zero)
        effect, spread, nothing = values[0] / values[1], resampled[0] / resampled[1], 1.0
    else:
        effect, spread, nothing = values[0] - values[1], resampled[0] - resampled[1], 0.0
    tail = (1 - rules.confidence) / 2
    low, high = (float(q) for q in np.quantile(spread, (tail, 1 - tail)))
    why = _effect_fails(claim, float(effect), low, high, nothing) or _floors_fail(
        claim, rules, own, mine, tail
    )
    return Verdict(
        claim,
        "not shown" if why else "shown",
        why,
        float(effect),
        low,
        high,
        n=(n := sum(score.n for score in own)),
        enough=_enough(claim, n, float(np.std(spread)), nothing, tail),
        provisional=_provisional(claim, rules, own, len(worlds)),
    )


def _collect(worlds: Sequence[Scores], model: str, names: Sequence[str]) -> list[Score] | Text:
    """The scores of a model over worlds and cases, or why there are none."""
    found = []
    for scores in worlds:
        if model not in scores:
            return Text(en=f"there is no model {model}", zh=f"没有模型 {model}")
        for name in names:
            score = scores[model].get(name)
            if score is None or score.not_built:
                why = f": {score.not_built}" if score else ""
                return Text(
                    en=f"{model} has no score {name}{why}",
                    zh=f"{model} 没有成绩 {name}{why.replace(': ', '：')}",
                )
            found.append(score)
    return found or Text(en="there are no scores", zh="没有成绩")


def _unpaired(own: Sequence[Score], against: Sequence[Score]) -> Text:
    for mine, theirs in zip(own, against, strict=True):
        if mine.cases.partition("-")[0] != theirs.cases.partition("-")[0] or mine.n != theirs.n:
            return Text(
                en=f"{mine.name} and {theirs.name} were not scored on the same questions",
                zh=f"{mine.name} 和 {theirs.name} 答的不是同样的题",
            )
    return Text()


def _draws(score: Score, seed: int) -> Draws:
    """The score itself, then ``DRAWS`` bootstrap draws of it; equal seeds draw the same cases."""
    top, bottom = np.asarray(score.outcomes), np.asarray(score.sizes)
    sums = [resampled_sums(part, seed, DRAWS) for part in (top, bottom)]
    return np.concatenate([[top.sum() / bottom.sum()], sums[0] / sums[1]])


def _effect_fails(claim: Claim, effect: float, low: float, high: float, nothing: float) -> Text:
    sign = 1.0 if claim.direction == "higher" else -1.0
    if sign * effect < sign * claim.minimum_effect:
        side, zh = ("falls short of", "不到") if claim.direction == "higher" else ("is above", "高于")
        # Two that round alike may be compared, so that a ratio is told finer than in a table.
        found, least = (effect_text(v, claim.effect, places=3) for v in (effect, claim.minimum_effect))
        return Text(en=f"the effect {found} {side} {least}", zh=f"效应 {found} {zh} {least}")
    worse_end = low if claim.direction == "higher" else high
    if claim.effect == "kept":
        margin = claim.margin or 0.0
        if sign * worse_end > -margin:
            return Text()
        return Text(en=f"the interval reaches beyond the margin of {margin}", zh=f"区间超出了余量 {margin}")
    if sign * worse_end > sign * nothing:
        return Text()
    if claim.effect == "value":
        return Text(en="the interval reaches beyond the bound", zh="区间越过了界限")
    return Text(en='the interval includes "no effect"', zh="区间包含“没有效应”")


def _enough(claim: Claim, n: int, error: float, nothing: float, tail: float) -> int | None:
    """How many cases the least effect needs, by the standard error at ``n`` of them."""
    distance = claim.margin if claim.effect == "kept" else abs(claim.minimum_effect - nothing)
    if not distance:  # a bound on a value, or an effect of any size
        return None
    normal = NormalDist()
    errors = normal.inv_cdf(1 - tail) + normal.inv_cdf(POWER)
    return math.ceil(n * (errors * error / distance) ** 2)


def _floors_fail(
    claim: Claim, rules: Rules, own: Sequence[Score], mine: Sequence[Draws], tail: float
) -> Text:
    if not claim.above_floors:
        return Text()
    value = float(np.mean([d[0] for d in mine]))
    if not rules.lowest <= value <= rules.highest:
        lowest, highest = f"{rules.lowest:.0%}", f"{rules.highest:.0%}"
        return Text(
            en=f"the score {value:.1%} is not between {lowest} and {highest}",
            zh=f"成绩 {value:.1%} 不在 {lowest} 与 {highest} 之间",
        )
    low = float(np.quantile(np.mean([d[1:] for d in mine], axis=0), tail))
    for name in dict.fromkeys(name for score in own for name in score.floors):
        floor = float(np.mean([score.floors.get(name, 0.0) for score in own]))
        if low <= floor:
            return Text(
                en=f"the score's interval reaches down to the floor {name} ({floor:.1%})",
                zh=f"成绩的区间低到了基线 {name}（{floor:.1%}）",
            )
    return Text()


def _provisional(claim: Claim, rules: Rules, own: Sequence[Score], worlds: int) -> Text:
    missing = []
    if (fewest := min(score.n for score in own)) < claim.n:
        missing.append((f"{fewest} of {claim.n} cases", f"{claim.n} 题中的 {fewest} 题"))
    if worlds < rules.world_seeds:
        missing.append(
            (f"{worlds} of {rules.world_seeds} worlds", f"{rules.world_seeds} 个世界中的 {worlds} 个")
        )
    return Text(en=", ".join(en for en, _ in missing), zh="，".join(zh for _, zh in missing))
