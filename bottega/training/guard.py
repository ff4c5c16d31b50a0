"""Rails for learning by trial: when a policy runs away, training ends and says why."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from bottega.bilingual import Text

PATIENCE = 3  # steps in a row beyond a limit


@dataclass(frozen=True)
class Limits:
    """Beyond which a policy has run away; 0 switches one off."""

    max_kl: float = 0.0  # nats an answer, to the reference
    min_entropy: float = 0.0  # nats a token
    min_score_spread: float = 0.0  # standard deviation of a step's scores
    min_ended: float = 0.0  # share of answers that ended
    max_growth: float = 0.0  # length of the answers, by that at the start


class Guard:
    """Looks at every step's figures; ``strikes`` are the steps in a row that each limit was passed."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.strikes: dict[str, int] = {}

    def reason_to_stop(self, figures: Mapping[str, float]) -> Text | None:
        """Why to stop, or None. ``figures``: kl, entropy, score_spread, ended and growth of a
        step.

        A figure that is not finite is a reason at once, one beyond its limit after :data:`PATIENCE` steps.
        """
        limits = self._limits
        for name, value in figures.items():
            if not math.isfinite(value):
                return Text(
                    en=f"{name} is {value}: lower the learning rate", zh=f"{name} 是 {value}：请降低学习率"
                )
        checks = (
            ("kl", figures["kl"] > limits.max_kl > 0, limits.max_kl, _KL),
            ("entropy", figures["entropy"] < limits.min_entropy, limits.min_entropy, _ENTROPY),
            (
                "score_spread",
                figures["score_spread"] < limits.min_score_spread,
                limits.min_score_spread,
                _SPREAD,
            ),
            ("ended", figures["ended"] < limits.min_ended, limits.min_ended, _ENDED),
            ("growth", figures.get("growth", 0.0) > limits.max_growth > 0, limits.max_growth, _GROWTH),
        )
        for name, beyond, limit, (what, remedy) in checks:
            self.strikes[name] = self.strikes.get(name, 0) + 1 if beyond else 0
            if self.strikes[name] >= PATIENCE:
                found = f"{figures[name]:.4g}"
                return Text(
                    en=f"{what.en} has been {found} and beyond its limit of {limit:g} for {PATIENCE} steps: "
                    f"{remedy.en}",
                    zh=f"{what.zh}是 {found}，连续 {PATIENCE} 步越过界限 {limit:g}：{remedy.zh}",
                )
        return None


# Of each limit: what has passed it, and what to do.
_KL = (
    Text(en="the KL to the reference", zh="与参考模型的 KL "),
    Text(en="raise kl_coef or lower the learning rate", zh="提高 kl_coef，或者降低学习率"),
)
_ENTROPY = (
    Text(en="the entropy", zh="熵"),
    Text(
        en="the policy says always the same; raise kl_coef or lower the learning rate",
        zh="策略总说同样的话；提高 kl_coef，或者降低学习率",
    ),
)
_SPREAD = (
    Text(en="the spread of the scores", zh="得分的离散程度"),
    Text(
        en="there is nothing left to learn from; use other prompts or stop earlier",
        zh="已经没有可学的了；换些提示，或者早些停下",
    ),
)
_GROWTH = (
    Text(en="the answers' length by that at the start", zh="回答的长度与开始时之比"),
    Text(
        en="the reward likes long answers; raise kl_coef, or train the reward model on answers of equal "
        "length",
        zh="奖励偏爱长回答；提高 kl_coef，或者用长度相当的回答训练奖励模型",
    ),
)
_ENDED = (
    Text(en="the share of answers that end", zh="写到结尾的回答所占的比例"),
    Text(en="lower no_end_score, or raise max_new_tokens", zh="降低 no_end_score，或者提高 max_new_tokens"),
)
