"""Which answers pass the checks of their prompts, programs in the sandbox and all else by rule."""

from __future__ import annotations

from collections.abc import Sequence

from bottega.data.records import Prompt
from bottega.evals.checks import is_correct
from bottega.evals.programs import program_of


def qualities(prompts: Sequence[Prompt], texts: Sequence[str], ended: Sequence[bool]) -> list[float]:
    """How good each answer truly is, from 0 to 1, as the school judges it."""
    from bottega.data.school.judging import quality

    return [
        quality(prompt, text, correct=right, ended=end)
        for prompt, text, right, end in zip(prompts, texts, passes(prompts, texts), ended, strict=True)
    ]


def passes(prompts: Sequence[Prompt], answers: Sequence[str]) -> list[bool]:
    """Whether each answer, an assistant's turn, passes the check of its prompt."""
    programs = [i for i, prompt in enumerate(prompts) if prompt.check.kind == "tests"]
    found = [
        prompt.check.kind != "tests" and is_correct(answer, prompt.check)
        for prompt, answer in zip(prompts, answers, strict=True)
    ]
    if programs:
        from bottega.sandbox.run import Sandbox

        with Sandbox() as sandbox:
            verdicts = sandbox.judge(
                [(program_of(prompts[i], answers[i], "chat"), prompts[i].check.tests) for i in programs]
            )
        for i, verdict in zip(programs, verdicts, strict=True):
            found[i] = verdict.passed
    return found
