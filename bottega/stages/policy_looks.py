"""Looks at a policy's answers to held-out prompts, which tell the step whose weights are kept."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from bottega.bilingual import Text
from bottega.training.telemetry import keep_steps, read_metrics

SHOWN = 2  # best and worst answers kept at every look
EVEN = 0.5  # how often the weights before the first step are preferred to themselves


@dataclass(frozen=True, slots=True)
class Look:
    """A held-out prompt's answer, with its score and, where it can be told, how good it truly is."""

    answer: str
    score: float
    quality: float | None


class Looks:
    """Every look of a run, held against the first, and which of them was best.

    ``questions``: of the held-out prompts, in the order of the answers. ``file``: takes samples, a line
    each, where this process ``writes``.
    """

    def __init__(self, questions: Sequence[str], file: Path, *, writes: bool) -> None:
        self._questions, self._file, self._writes = questions, file, writes
        self._base: list[tuple[str, float]] | None = None  # answers before the first step, and their scores
        self.best_preference, self.best_step = EVEN, 0

    @property
    def begun(self) -> bool:
        """Whether it is known what was answered before the first step."""
        return self._base is not None

    def begin(self, looks: Sequence[Look]) -> None:
        """Take the answers before the first step, which every later look is compared with."""
        if self._writes:
            self._file.unlink(missing_ok=True)  # of a run that was killed before its first checkpoint
        self._base = [(look.answer, look.score) for look in looks]
        self._show(0, looks)

    def compare(self, step: int, looks: Sequence[Look]) -> tuple[dict[str, float], bool]:
        """Figures of a look, how often its answers are preferred to those before the first step among them,
        and whether that is more often than ever before. How good the answers truly are is told where all
        prompts come with checks; nothing learns from that."""
        assert self._base is not None
        won = [
            # The same answer in another row has another score by a rounding.
            0.5 if look.answer == text or look.score == score else float(look.score > score)
            for look, (text, score) in zip(looks, self._base, strict=True)
        ]
        preference = sum(won) / len(won)
        self._show(step, looks)
        is_better = preference > self.best_preference
        if is_better:
            self.best_preference, self.best_step = preference, step
        figures = {"heldout_score": float(torch.tensor([look.score for look in looks]).mean())}
        qualities = [look.quality for look in looks if look.quality is not None]
        if len(qualities) == len(looks):
            figures["heldout_quality"] = sum(qualities) / len(qualities)
        return figures | {"heldout_preference": preference}, is_better

    def _show(self, step: int, looks: Sequence[Look]) -> None:
        """Keep the best and the worst of a look."""
        if not (looks and self._writes):
            return
        order = torch.tensor([look.score for look in looks]).argsort().tolist()
        with self._file.open("a", encoding="utf-8") as file:
            for i in [*order[::-1][:SHOWN], *order[:SHOWN]]:
                row = {
                    "step": step,
                    "prompt": self._questions[i],
                    "answer": looks[i].answer,
                    "score": round(looks[i].score, 3),
                }
                file.write(json.dumps(row, ensure_ascii=False) + "\n")

    def state(self) -> dict[str, Any]:
        """What a checkpoint holds of it."""
        return {"base": self._base, "best": [self.best_preference, self.best_step]}

    def put_back(self, state: dict[str, Any], step: int) -> None:
        """Take over what :meth:`state` gave after ``step``; samples of later steps are dropped."""
        self._base = [(text, score) for text, score in state["base"]]
        self.best_preference, self.best_step = state["best"]
        if self._writes and self._file.exists():
            keep_steps(self._file, step)

    def samples(self) -> list[dict[str, Any]]:
        """What was answered at every look, the best and the worst."""
        return read_metrics(self._file)

    def why_kept(self) -> Text:
        """Why the weights that are kept are not the last."""
        if not self._questions:
            return Text(
                en="no prompts are held out to tell a better step: the weights are those before the first",
                zh="没有留出提示来判断哪一步更好：权重是第一步之前的",
            )
        if not self.best_step:
            return Text(
                en="at no look were the held-out answers preferred to those before the first step: the "
                "weights are those before it. Lower the learning rate, raise kl_coef, or look more often "
                "(eval_every)",
                zh="每次查看时，对留出提示的回答都不比第一步之前的更受欢迎：权重是第一步之前的。降低学习率，"
                "提高 kl_coef，或者多看几次（eval_every）",
            )
        step, share = self.best_step, f"{self.best_preference:.0%}"
        return Text(
            en=f"the answers of step {step} are preferred most ({share} of held-out prompts): its weights "
            "are kept",
            zh=f"第 {step} 步的回答最受欢迎（{share} 的留出提示）：保留它的权重",
        )
