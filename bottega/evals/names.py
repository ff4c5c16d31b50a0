"""Evaluations by the names that recipes give them.

``bits-per-byte:WHAT``  held-out documents of a recipe's dataset (``DATASET`` or ``DATASET/SOURCE``), of a
                        part of the school, or of any source by its URI
``task:NAME``           a task of the school, as ``task:icl-en-8``; ``task:icl`` is all whose names begin so;
                        where programs are asked for, pass@1
``pass@K:NAME``         a task of the school that asks for programs, as ``pass@10:programs-en``, or the
                        problems of a file (MBPP, HumanEval), as ``pass@1:file:mbpp.jsonl``
``choices:URI``         multiple choice by likelihood, as ``choices:file:hellaswag.jsonl``
``last-word:URI``       the last words of passages (LAMBADA)
``clumsy:DATASET``      bits per byte of held-out answers whose requests are badly put, as the school does it;
                        with a URI in place of a dataset, ``exact:URI`` with its prompts badly put
``shots-K:DATASET``     the same after K conversations of the training split
``fill:DATASET``        the missing line of held-out code, exactly
``tokens-per-second:NAME``  how fast a task of the school, or the problems of a file, are answered
``copying``             random tokens, said a second time: whether the model copies out of its context
``pair-accuracy:DATASET-heldout``, ``brier:DATASET-heldout``  of a reward model: agreement with the held-out
                        rankings of a recipe's dataset, and its calibration; ``-unseen-labelers`` in place of
                        ``-heldout`` takes the rankings of those who ranked nothing in training
``win-rate@MODEL:NAME`` how often the answers to a task of the school are preferred to those of another model
                        of the family, as ``win-rate@text-davinci-002:preference-prompts``, by labelers who
                        take no part in training; with a reward model of the family behind a stroke, by that,
                        as ``win-rate@text-davinci-002/reward-model:preference-prompts``; then NAME may be a
                        dataset of the recipe, whose held-out prompts are answered
``balanced-accuracy:NAME``  whether what should be refused is, and what should be answered is, in all
                        languages of a task of the school, as ``balanced-accuracy:refusals``, or among the
                        held-out prompts of a dataset of both (the shapes to-refuse and to-answer)
``exact:URI``           the answers of a source's prompts, such as ``exact:file:prompts.jsonl``; where prompts
                        come with rules (IFEval), whether all are kept
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING

from bottega.errors import UserError

if TYPE_CHECKING:
    from bottega.data.school.registry import EvalTask

OF_HELDOUT = ("bits-per-byte", "clumsy", "shots-K", "fill")  # of what a recipe's dataset held out
OF_RANKINGS = ("pair-accuracy", "brier")  # of reward models
RANKED_BY = ("-heldout", "-unseen-labelers")
KINDS = (
    *OF_HELDOUT,
    *OF_RANKINGS,
    *(
        "task",
        "pass@K",
        "tokens-per-second",
        "choices",
        "last-word",
        "exact",
        "win-rate@MODEL",
        "balanced-accuracy",
    ),
)
COPYING = "copying"  # the one that is of nothing
_PASS_AT = re.compile(r"pass@(\d{1,3})")
_SHOTS = re.compile(r"shots-(\d{1,2})")
_RIVAL = re.compile(r"win-rate@([A-Za-z0-9._-]+)(?:/([A-Za-z0-9._-]+))?")


def names() -> list[str]:
    """Every evaluation that needs neither a dataset nor a URI."""
    tasks, parts = school()
    documents = [f"bits-per-byte:{name}" for name, kind in parts.items() if kind == "documents"]
    return [COPYING, *(f"task:{name}" for name in tasks), *documents]


def is_evaluation(name: str) -> bool:
    """Whether a name begins with a kind of evaluation."""
    return ":" in name and kind_of(name) in KINDS


def dataset_of(name: str) -> str | None:
    """The dataset whose held-out records an evaluation reads, if the recipe has one of that name."""
    what = name.partition(":")[2]
    if rivals_of(name) or kind_of(name) == "balanced-accuracy":
        return None if of_family(what, school()[0]) else what.partition("/")[0]
    if kind_of(name) in OF_RANKINGS:
        end = next((end for end in RANKED_BY if what.endswith(end)), None)
        return what.removesuffix(end) if end else None
    return what.partition("/")[0] if kind_of(name) in OF_HELDOUT else None


def rivals_of(name: str) -> tuple[str, ...]:
    """The model whose answers an evaluation holds a model's against, and the one that judges, if any."""
    found = _RIVAL.fullmatch(name.partition(":")[0])
    return tuple(model for model in found.groups() if model) if found else ()


def by_the_clock(name: str) -> bool:
    """Whether an evaluation takes time, which depends on when it is asked: models that are held against each
    other are then scored together."""
    return kind_of(name) == "tokens-per-second"


def tries_of(name: str) -> int | None:
    """The K of pass@K; None where an evaluation asks for no programs."""
    found = _PASS_AT.fullmatch(name.partition(":")[0])
    return int(found[1]) if found else None


def shots_of(name: str) -> int | None:
    """The K of shots-K; None where an evaluation shows no examples."""
    found = _SHOTS.fullmatch(name.partition(":")[0])
    return int(found[1]) if found else None


def kind_of(name: str) -> str:
    """The kind of evaluation, as ``KINDS`` writes it."""
    kind = _PASS_AT.sub("pass@K", _SHOTS.sub("shots-K", name.partition(":")[0]))
    return _RIVAL.sub("win-rate@MODEL", kind)


def expand(wanted: Iterable[str], datasets: Iterable[str] = ()) -> list[str]:
    """The evaluations that the names stand for, each once and in order.

    Raises:
        UserError: a name means nothing; the message suggests the nearest.
    """
    known = list(datasets)
    return list(dict.fromkeys(name for entry in wanted for name in _expand_one(entry, known)))


def single(name: str, datasets: Iterable[str] = ()) -> str:
    """The one evaluation that a name stands for. Raises ``UserError`` where there are several, or none."""
    meant = expand([name], datasets)
    if len(meant) != 1:
        raise UserError(f"{name} stands for {len(meant)} evaluations; ask for one of {', '.join(meant)}")
    return meant[0]


def _expand_one(name: str, datasets: list[str]) -> list[str]:
    tasks, parts = school()
    kind, _, what = name.partition(":")
    if name == COPYING:
        return [name]
    if kind in ("task", "tokens-per-second") and (found := of_family(what, tasks)):
        return [f"{kind}:{task}" for task in found]
    if rivals_of(name) and (found := [task for task in of_family(what, tasks) if tasks[task].mode == "chat"]):
        return [name]
    if kind == "balanced-accuracy" and of_family(what, tasks):
        return [name]
    tries = tries_of(name)
    if tries and (found := [task for task in of_family(what, tasks) if tasks[task].programs]):
        return [f"{kind}:{task}" for task in found]
    if dataset_of(name) in datasets or (kind == "bits-per-byte" and (what in parts or ":" in what)):
        return [name]
    if ":" in what and (tries or kind in ("exact", "clumsy", "choices", "last-word", "tokens-per-second")):
        return [name]
    known = [*names(), *(f"bits-per-byte:{dataset}" for dataset in datasets)]
    near = get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(f'{k}:...' for k in KINDS)}"
    raise UserError(f"there is no evaluation {name!r}; {hint}")


def of_family(name: str, tasks: Iterable[str]) -> list[str]:
    """The task of this name, or all whose names go on from it."""
    return [name] if name in tasks else [task for task in tasks if name and task.startswith(f"{name}-")]


def school() -> tuple[Mapping[str, EvalTask], Mapping[str, str]]:
    """The school's tasks, and what its parts are of."""
    import bottega.data.school  # noqa: F401  (fills the registry)
    from bottega.data.school.registry import PARTS, TASKS

    return TASKS, {name: part.kind for name, part in PARTS.items()}
