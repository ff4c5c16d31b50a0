"""Programs judged by their tests: pass@k, the chance that one of k tries passes them all."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from math import comb
from typing import TYPE_CHECKING, Any

from bottega.data.records import Check, Message, Prompt
from bottega.errors import UserError
from bottega.evals.prompting import TEMPLATES, Mode, request_text
from bottega.evals.score import Example, Score, proportion_score, ratio_score
from bottega.evals.tasks import cases_digest, said_to, too_long

if TYPE_CHECKING:
    from bottega.data.tokenizer import Tokenizer
    from bottega.model.decoder import Decoder

PROGRAM_TOKENS = 256  # room for a program, at most half of the context
TRIES_PER_K = 2  # tries for each k above 1: more than k, so that luck weighs less
TEMPERATURE = 0.8  # of several tries; a single one takes the likeliest tokens

TASK_STOPS = ("\n\n",)  # where a completed program of the school ends
# Where a completed program of a benchmark ends: at its own tests, or at the next thing at the margin.
ROW_STOPS = ("\nassert", '\n"""', "\nprint", "\nif __name__", "\n# ", "\n```")

_FENCE = re.compile(r"```[a-zA-Z]*\n(.*?)(?:```|\Z)", re.DOTALL)
_CODE_LINE = re.compile(r"^(?:def |class |import |from |@|[A-Za-z_]\w* *=)", re.MULTILINE)


def chance_of_passing(tries: int, passed: int, k: int) -> float:
    """pass@k, unbiased, from ``passed`` of ``tries``: 1 - C(n - c, k) / C(n, k) (2107.03374)."""
    if not 1 <= k <= tries or not 0 <= passed <= tries:
        raise UserError(f"pass@{k} cannot be estimated from {passed} of {tries} tries")
    return 1.0 - comb(tries - passed, k) / comb(tries, k)


def pass_at_k(
    model: Decoder,
    tokenizer: Tokenizer,
    prompts: Sequence[Prompt],
    mode: Mode,
    *,
    k: int = 1,
    name: str = "pass@1",
    stop: tuple[str, ...] = TASK_STOPS,
    context: int | None = None,
    max_new_tokens: int | None = None,
    keep_examples: int = 8,
    seed: int = 0,
) -> Score:
    """pass@k over the prompts, whose checks are tests; the tests run in the sandbox.

    For k = 1 each prompt is tried once, greedily, and the interval is Wilson's; else it is tried
    ``TRIES_PER_K`` x k times at ``TEMPERATURE``, and the interval a bootstrap over prompts. A prompt without
    room for an answer in the context counts as failed, and in ``details["too_long"]``.

    Raises:
        UserError: there are no prompts, one has no tests, or programs cannot be confined on this system.
    """
    from bottega.engine.requests import Sampling
    from bottega.sandbox.run import Sandbox

    if not prompts:
        raise UserError(f"{name}: there are no prompts to score")
    if any(prompt.check.kind != "tests" for prompt in prompts):
        raise UserError(f"{name}: a prompt has no tests to judge its programs by")
    context = context or model.config.max_positions
    room = min(max_new_tokens or PROGRAM_TOKENS, context // 2)
    tries = 1 if k == 1 else TRIES_PER_K * k
    said = said_to(
        model,
        tokenizer,
        prompts,
        mode,
        room,
        context,
        stop=() if mode == "chat" else stop,
        samplings=None
        if k == 1
        else [Sampling(temperature=TEMPERATURE, seed=seed + i) for i in range(len(prompts))],
        tries=tries,
    )
    answers = [(i, answer) for i, found in said.items() for answer in found]
    with Sandbox() as sandbox:
        verdicts = sandbox.judge(
            [(program_of(prompts[i], a, mode), prompts[i].check.tests) for i, a in answers]
        )
    passed = [0] * len(prompts)
    first: dict[int, tuple[str, bool]] = {}
    for (i, answer), verdict in zip(answers, verdicts, strict=True):
        passed[i] += verdict.passed
        first.setdefault(i, (answer, verdict.passed))
    details = {"tries": float(tries), **too_long(prompts, said)}
    more = {
        "template": TEMPLATES[mode],
        "cases": cases_digest(prompts),
        "details": details,
        "examples": tuple(
            Example(request_text(prompts[i]), answer, (prompts[i].check.tests,), right)
            for i, (answer, right) in list(first.items())[:keep_examples]
        ),
    }
    if tries == 1:
        return proportion_score(name, [count > 0 for count in passed], seed=seed, **more)
    chances = [chance_of_passing(tries, count, k) for count in passed]
    return ratio_score(
        name, chances, [1.0] * len(chances), "accuracy", higher_is_better=True, seed=seed, **more
    )


def problem_of(row: Mapping[str, Any], *, chat: bool) -> Prompt:
    """A programming problem from the fields of a row, put as a request or as the beginning of a file.

    Known are MBPP (``text`` or ``prompt`` with ``test_list``) and HumanEval (``prompt``, ``test``,
    ``entry_point``). Raises ``UserError`` for any other row.
    """
    text = row.get("text") or row.get("prompt")
    if isinstance(text, str) and isinstance(row.get("test_list"), Sequence):
        shown = "\n".join(row["test_list"])
        tests = f"{row.get('test_setup_code') or ''}\n{shown}\n"
        asked = f"{text}\n\nThe code has to pass these tests:\n{shown}"
        begun = f'"""\n{text}\n{row["test_list"][0]}\n"""\n'
        return Prompt((Message("user", asked if chat else begun),), Check("tests", tests=tests))
    if isinstance(text, str) and {"test", "entry_point"} <= row.keys():
        tests = f"{row['test']}\n\ncheck({row['entry_point']})\n"
        asked = f"Complete this function.\n\n```python\n{text}```"
        return Prompt((Message("user", asked if chat else text),), Check("tests", tests=tests))
    raise UserError(
        f"a row has the fields {', '.join(row)}; known are text or prompt with test_list, and prompt, "
        "test and entry_point"
    )


def program_of(prompt: Prompt, answer: str, mode: Mode) -> str:
    """The program in an answer.

    A completion goes on from its prompt; in chat it is what stands in the first fence, or from the first line
    of code on.
    """
    if mode == "completion":
        return request_text(prompt) + answer
    if fenced := _FENCE.search(answer):
        return fenced[1]
    begins = _CODE_LINE.search(answer)
    return answer[begins.start() :] if begins else answer
