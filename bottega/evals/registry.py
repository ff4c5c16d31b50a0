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
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from bottega.data.records import Check, Conversation, Document, Prompt, Record, prompt_of
from bottega.errors import UserError
from bottega.evals.prompting import Mode
from bottega.evals.score import Score, missing_score

if TYPE_CHECKING:
    from bottega.data.school.registry import EvalTask
    from bottega.data.tokenizer import Tokenizer
    from bottega.model.decoder import Decoder
    from bottega.model.scorer import Scorer

NGRAM_FLOOR = "5-gram-characters"
FLOOR_CHARS = 1_000_000  # of training text that this floor is made of
Split = Literal["train", "heldout"]
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
EDITION = 4  # raised when other cases are asked, or the same come to be scored otherwise
ANSWERS = 4  # to a dataset's prompt, where answers are held against each other: there are few prompts
COPYING = "copying"  # the one that is of nothing
_PASS_AT = re.compile(r"pass@(\d{1,3})")
_SHOTS = re.compile(r"shots-(\d{1,2})")
_RIVAL = re.compile(r"win-rate@([A-Za-z0-9._-]+)(?:/([A-Za-z0-9._-]+))?")


@dataclass(frozen=True)
class Subject:
    """The model to score. ``chat``: it was taught the chat template, so requests are put in it; ``parents``:
    the models that it was made from, in their order: after the first the reward that it was trained on, and
    then the judge that chose its best step, where it has these. ``earlier``: such rewards and judges of the
    models that it goes on from."""

    model: Decoder
    tokenizer: Tokenizer
    chat: bool
    parents: tuple[str, ...] = ()
    earlier: frozenset[str] = frozenset()


@dataclass(frozen=True)
class EvalOptions:
    """On what, and on how much of it; two models scored with equal options are comparable case by case."""

    cases: int = 200  # of a task, or prompts of a source
    documents: int = 200  # for bits per byte
    document_chars: int = 8192  # of which a longer document gives its beginning
    world_seed: int = 0
    seed: int = 0  # of the bootstrap
    context: int | None = None  # tokens; the model's own by default
    max_new_tokens: int | None = None  # room for an answer; by default what the longest accepted one needs
    datasets: Mapping[str, Path] = field(default_factory=dict)  # frozen, by the recipe's names
    models: Mapping[str, Path] = field(default_factory=dict)  # built, by the recipe's names
    data: Path | None = None  # what $DATA in a URI stands for


def names() -> list[str]:
    """Every evaluation that needs neither a dataset nor a URI."""
    tasks, parts = _school()
    documents = [f"bits-per-byte:{name}" for name, kind in parts.items() if kind == "documents"]
    return [COPYING, *(f"task:{name}" for name in tasks), *documents]


def is_evaluation(name: str) -> bool:
    """Whether a name begins with a kind of evaluation."""
    return ":" in name and _kind_of(name) in KINDS


def dataset_of(name: str) -> str | None:
    """The dataset whose held-out records an evaluation reads, if the recipe has one of that name."""
    what = name.partition(":")[2]
    if rivals_of(name) or _kind_of(name) == "balanced-accuracy":
        return None if _of_family(what, _school()[0]) else what.partition("/")[0]
    if _kind_of(name) in OF_RANKINGS:
        end = next((end for end in RANKED_BY if what.endswith(end)), None)
        return what.removesuffix(end) if end else None
    return what.partition("/")[0] if _kind_of(name) in OF_HELDOUT else None


def rivals_of(name: str) -> tuple[str, ...]:
    """The model whose answers an evaluation holds a model's against, and the one that judges, if any."""
    found = _RIVAL.fullmatch(name.partition(":")[0])
    return tuple(model for model in found.groups() if model) if found else ()


def _kind_of(name: str) -> str:
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


def score(name: str, subject: Subject, options: EvalOptions) -> Score:
    """Run one evaluation, floors and ceiling beside it. Raises ``UserError`` for an unknown name."""
    (name,) = _single(name, options)
    kind, _, what = name.partition(":")
    if name == COPYING:
        from bottega.evals.copying import copying

        return copying(subject.model, subject.tokenizer, options.cases, seed=options.seed)
    if kind == "fill":
        return _fill(name, what, subject, options)
    if kind == "exact" or (kind == "clumsy" and dataset_of(name) not in options.datasets):
        return _source(name, what, subject, options, clumsy=kind == "clumsy")
    if rivals_of(name):
        return _win_rate(name, what, subject, options)
    if kind == "balanced-accuracy":
        return _refusals(name, what, subject, options)
    if _kind_of(name) in OF_RANKINGS:
        return missing_score(name, "it is of reward models, and this one scores no answers")
    if dataset_of(name) is not None:
        return _bits(name, kind, what, subject, options)
    if kind == "task":
        return _task(name, what, subject, options)
    if at := _PASS_AT.fullmatch(kind):
        programs = _problems if ":" in what else _task
        return programs(name, what, subject, options, k=int(at[1]))
    if kind in ("choices", "last-word"):
        return _likelihoods(name, kind, what, subject, options)
    return _speed(name, what, [subject], options)[0]


def score_judge(name: str, scorer: Scorer, tokenizer: Tokenizer, options: EvalOptions) -> Score:
    """Run one evaluation of a reward model. Raises ``UserError`` for an unknown name."""
    from bottega.data.frozen import FrozenDataset
    from bottega.evals.rankings import brier, of_labelers, pair_accuracy, read_rankings

    (name,) = _single(name, options)
    kind, _, what = name.partition(":")
    dataset = dataset_of(name)
    if kind not in OF_RANKINGS or dataset is None:
        return missing_score(name, "it asks for answers, and a reward model gives none")
    folder = options.datasets[dataset]
    strangers = what.endswith("-unseen-labelers")
    chosen = of_labelers(FrozenDataset(folder).records("heldout"), _labelers(folder), strangers=strangers)
    context = options.context or scorer.config.max_positions
    rankings = read_rankings(scorer, tokenizer, chosen, context, options.cases)
    measure = pair_accuracy if kind == "pair-accuracy" else brier
    return measure(rankings, name=name, seed=options.seed)


@lru_cache(maxsize=8)
def _labelers(folder: Path) -> frozenset[str]:
    """Who ranked what a dataset's models learn from."""
    from bottega.data.frozen import FrozenDataset
    from bottega.evals.rankings import labelers_of

    return labelers_of(FrozenDataset(folder).records("train"))


def _win_rate(name: str, what: str, subject: Subject, options: EvalOptions) -> Score:
    from bottega.data.school.registry import TASKS, world
    from bottega.data.tokenizer import Tokenizer
    from bottega.evals.preferred import win_rate
    from bottega.model.hub import load_model, load_scorer

    rival, *judges = rivals_of(name)
    for model in (rival, *judges):
        if model not in options.models:
            return missing_score(name, f"the model {model} is not built", unit="win rate")
        if Tokenizer.load(options.models[model]).digest != subject.tokenizer.digest:
            raise UserError(
                f"{name}: {model} has another tokenizer than the model that is scored: it would read other "
                "tokens than were said. Name models of one family."
            )
    weight = subject.model.output_weight
    other = load_model(options.models[rival], dtype=weight.dtype, device=weight.device).eval()
    scorers = [load_scorer(options.models[one], dtype=weight.dtype, device=weight.device) for one in judges]
    if dataset_of(name) is None:
        tasks = _of_family(what, TASKS)
        prompts = [p for task in tasks for p in TASKS[task].asked(world(options.world_seed), options.cases)]
    else:
        prompts = _heldout_prompts(name, what, options)
    return win_rate(
        subject.model,
        other,
        subject.tokenizer,
        prompts,
        name=name,
        world_seed=options.world_seed,
        judge=scorers[0].eval() if scorers else None,
        judged_by=_role_of(judges[0], subject) if judges else "",
        checked=dataset_of(name) is None,
        answers=1 if dataset_of(name) is None else ANSWERS,
        context=options.context,
        seed=options.seed,
    )


def _role_of(judge: str, subject: Subject) -> str:
    """What a judge is to the model that is scored."""
    used = subject.parents[1:]
    if judge in used[:1]:
        return f"{judge}, the reward it was trained on"
    if judge in used:
        return f"{judge}, the reward model that chose its best step"
    if judge in subject.earlier:
        return f"{judge}, a reward model that a model it goes on from was trained with"
    return f"{judge}, a reward model its training did not use"


def _heldout_prompts(name: str, what: str, options: EvalOptions) -> list[Prompt]:
    """What the held-out records of a dataset ask, without a check."""
    from bottega.data.frozen import FrozenDataset
    from bottega.data.splits import evenly

    if len(rivals_of(name)) < 2:
        raise UserError(
            f"{name}: the school's labelers judge by checks, which a dataset's prompts need not have; name a "
            f"reward model to judge by, as {name.partition(':')[0]}/reward-model:{what}"
        )
    dataset, _, uri = what.partition("/")
    records = FrozenDataset(options.datasets[dataset]).records("heldout", source=uri or None)
    # Each once: to the same prompt the same is answered.
    asked = {prompt_of(record): record.origin for record in records}
    return evenly([Prompt(m, Check("no-refusal"), origin) for m, origin in asked.items() if m], options.cases)


def _refusals(name: str, what: str, subject: Subject, options: EvalOptions) -> Score:
    from bottega.evals.refusals import balanced_accuracy

    if dataset_of(name) is not None:
        cases = _either_way(what, options)
        mode: Mode = "chat" if subject.chat else "plain"
    else:
        tasks = [_of_task(task, subject, options) for task in _of_family(what, _school()[0])]
        cases, mode = [case for _, cases, _ in tasks for case in cases], tasks[0][2]
    return balanced_accuracy(
        subject.model,
        subject.tokenizer,
        cases,
        mode,
        name=name,
        context=options.context,
        max_new_tokens=options.max_new_tokens,
        seed=options.seed,
    )


def _either_way(dataset: str, options: EvalOptions) -> list[Prompt]:
    """The held-out prompts of a dataset that say whether they are to be refused, as many of each side."""
    from bottega.data.frozen import FrozenDataset
    from bottega.data.splits import evenly

    records = FrozenDataset(options.datasets[dataset]).records("heldout")
    prompts = [record for record in records if isinstance(record, Prompt)]
    sides = ([one for one in prompts if one.check.kind == kind] for kind in ("refusal", "no-refusal"))
    return [one for side in sides for one in evenly(side, options.cases)]


def by_the_clock(name: str) -> bool:
    """Whether an evaluation takes time, which depends on when it is asked: models that are held against each
    other are then scored together."""
    return _kind_of(name) == "tokens-per-second"


def score_together(name: str, subjects: Sequence[Subject], options: EvalOptions) -> list[Score]:
    """Run one evaluation by the clock for several models in turns. Raises ``UserError`` as ``score`` does."""
    (name,) = _single(name, options)
    return _speed(name, name.partition(":")[2], subjects, options)


def _source(name: str, uri: str, subject: Subject, options: EvalOptions, *, clumsy: bool) -> Score:
    """The prompts of a source, as they stand or badly put."""
    from bottega.evals.variants import badly_put

    given = (prompt for prompt in map(as_prompt, _asked(uri, options)) if prompt is not None)
    prompts = list(islice(given, options.cases))
    if clumsy:
        prompts = [replace(p, messages=badly_put(p.messages, i)) for i, p in enumerate(prompts)]
    return _exact(name, prompts, "chat" if subject.chat else "plain", subject, options)


def _asked(uri: str, options: EvalOptions) -> Iterator[Record]:
    """The records of a source; where a dataset of the family has it, only what that held out."""
    from bottega.data.frozen import FrozenDataset

    for folder in options.datasets.values():
        dataset = FrozenDataset(folder)
        if any(source.uri == uri for source in dataset.manifest.sources):
            return dataset.records("heldout", source=uri)
    return _read(uri, options, "all")


def as_prompt(record: Record) -> Prompt | None:
    """A prompt with its check; a conversation that ends in an answer asks for exactly that, or for the result
    it is marked to end in."""
    if isinstance(record, Prompt):
        return record
    if isinstance(record, Conversation) and record.messages[-1].role == "assistant":
        *before, answer = record.messages
        return Prompt(tuple(before), _check_of(answer.content), record.origin) if before else None
    return None


def _check_of(answer: str) -> Check:
    """That the whole answer is given, or its last line's result where it is marked as GSM8K does."""
    _, mark, result = answer.rpartition("\n#### ")
    if not mark or "\n" in result.strip():
        return Check("exact", (answer,))
    return Check("final", tuple(dict.fromkeys((result.strip(), result.strip().replace(",", "")))))


def _single(name: str, options: EvalOptions) -> list[str]:
    meant = expand([name], options.datasets)
    if len(meant) != 1:
        raise UserError(f"{name} stands for {len(meant)} evaluations; ask for one of {', '.join(meant)}")
    return meant


def _expand_one(name: str, datasets: list[str]) -> list[str]:
    tasks, parts = _school()
    kind, _, what = name.partition(":")
    if name == COPYING:
        return [name]
    if kind in ("task", "tokens-per-second") and (found := _of_family(what, tasks)):
        return [f"{kind}:{task}" for task in found]
    if rivals_of(name) and (
        found := [task for task in _of_family(what, tasks) if tasks[task].mode == "chat"]
    ):
        return [name]
    if kind == "balanced-accuracy" and _of_family(what, tasks):
        return [name]
    at = _PASS_AT.fullmatch(kind)
    if at and int(at[1]) and (found := [task for task in _of_family(what, tasks) if tasks[task].programs]):
        return [f"{kind}:{task}" for task in found]
    if dataset_of(name) in datasets or (kind == "bits-per-byte" and (what in parts or ":" in what)):
        return [name]
    if ":" in what and (
        kind in ("exact", "clumsy", "choices", "last-word", "tokens-per-second") or (at and int(at[1]))
    ):
        return [name]
    known = [*names(), *(f"bits-per-byte:{dataset}" for dataset in datasets)]
    near = get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(f'{k}:...' for k in KINDS)}"
    raise UserError(f"there is no evaluation {name!r}; {hint}")


def _of_family(name: str, tasks: Iterable[str]) -> list[str]:
    """The task of this name, or all whose names go on from it."""
    return [name] if name in tasks else [task for task in tasks if name and task.startswith(f"{name}-")]


def _school() -> tuple[Mapping[str, EvalTask], Mapping[str, str]]:
    import bottega.data.school  # noqa: F401  (fills the registry)
    from bottega.data.school.registry import PARTS, TASKS

    return TASKS, {name: part.kind for name, part in PARTS.items()}


def _bits(name: str, kind: str, what: str, subject: Subject, options: EvalOptions) -> Score:
    from bottega.evals.bits import answer_bits_per_byte, bits_per_byte

    model, tokenizer = subject.model, subject.tokenizer
    context = options.context or model.config.max_positions
    heldout = _heldout(what, options)
    texts = [record.text for record in heldout if isinstance(record, Document)]
    talks = [record for record in heldout if isinstance(record, Conversation)]
    if kind != "bits-per-byte":
        if texts or not talks:
            raise UserError(f"{name}: only conversations can be asked otherwise, and {what} is none")
        talks = _asked_otherwise(kind, what, talks, options)
    if talks and not texts:
        result = answer_bits_per_byte(
            model, tokenizer, talks, context, chat=subject.chat, name=name, seed=options.seed
        )
    else:
        result = bits_per_byte(model, tokenizer, texts, context, name=name, seed=options.seed)
    dataset = options.datasets.get(what.partition("/")[0])
    floor = _ngram_floor(
        what, dataset, options.world_seed, options.data, options.documents, options.document_chars
    )
    return result.with_context({NGRAM_FLOOR: floor}, ceiling=None)


def _asked_otherwise(
    kind: str, what: str, talks: list[Conversation], options: EvalOptions
) -> list[Conversation]:
    """The conversations badly put, or each after as many others as ``kind`` says."""
    from bottega.evals.variants import after_examples, badly_put

    shots = _SHOTS.fullmatch(kind)
    if shots is None:
        return [replace(talk, messages=badly_put(talk.messages, i)) for i, talk in enumerate(talks)]
    k = int(shots[1])
    shown = [
        record
        for record in _records(what, options, "train", k * len(talks), lambda record: 1)
        if isinstance(record, Conversation)
    ]
    if len(shown) < k:
        raise UserError(f"{kind}:{what}: there are {len(shown)} conversations to show, {k} are needed")
    several = [[shown[(i * k + j) % len(shown)] for j in range(k)] for i in range(len(talks))]
    return [after_examples(talk, examples) for talk, examples in zip(talks, several, strict=True)]


def _fill(name: str, what: str, subject: Subject, options: EvalOptions) -> Score:
    from bottega.evals.variants import line_missing

    documents = [record for record in _heldout(what, options) if isinstance(record, Document)]
    gaps = (line_missing(document, i) for i, document in enumerate(documents))
    prompts = [gap for gap in gaps if gap is not None]
    return _exact(name, prompts, "fill", subject, options).with_context({}, ceiling=1.0)


@lru_cache(maxsize=64)
def _ngram_floor(
    what: str, dataset: Path | None, world_seed: int, data: Path | None, documents: int, document_chars: int
) -> float:
    """What a 5-gram model of characters makes of the same texts, after the beginning of the same training
    text; of conversations, it reads and is asked for the answers alone."""
    from bottega.data.school.floors import ngram_bits_per_byte

    datasets = {} if dataset is None else {what.partition("/")[0]: dataset}
    options = EvalOptions(
        world_seed=world_seed,
        data=data,
        datasets=datasets,
        documents=documents,
        document_chars=document_chars,
    )
    train = _records(what, options, "train", FLOOR_CHARS, lambda record: sum(map(len, _counted(record))))
    sides = (
        [text for record in side for text in _counted(record)] for side in (train, _heldout(what, options))
    )
    return ngram_bits_per_byte(*sides)


def _heldout(what: str, options: EvalOptions) -> list[Document | Conversation]:
    """The held-out records to score; of a long document, its beginning."""
    records = _records(what, options, "heldout", options.documents, lambda record: 1)
    return [
        replace(record, text=record.text[: options.document_chars])
        if isinstance(record, Document)
        else record
        for record in records
    ]


def _counted(record: Document | Conversation) -> list[str]:
    """The texts of a record whose bytes count."""
    from bottega.evals.bits import answers

    return [record.text] if isinstance(record, Document) else answers(record)


def _records(
    what: str,
    options: EvalOptions,
    split: Split,
    amount: int,
    size: Callable[[Document | Conversation], int],
) -> list[Document | Conversation]:
    """The first records with text of every source, in the proportions of the whole, ``amount`` in all."""
    streams = _streams(what, options, split)
    total = sum(share for share, _ in streams)
    found: list[Document | Conversation] = []
    for share, records in streams:
        left = max(1, round(amount * share / total))
        for record in records:
            if left <= 0:
                break
            if isinstance(record, Document | Conversation) and any(_counted(record)):
                found.append(record)
                left -= size(record)
    return found


def _streams(what: str, options: EvalOptions, split: Split) -> list[tuple[int, Iterator[Record]]]:
    """The records of every source with its share of the whole."""
    from bottega.data.frozen import FrozenDataset

    name, _, uri = what.partition("/")
    if name not in options.datasets:
        return [(1, _read(what if ":" in what else f"school:{what}", options, split))]
    dataset = FrozenDataset(options.datasets[name])
    sources = [(i, s) for i, s in enumerate(dataset.manifest.sources) if not uri or s.uri == uri]
    if not sources:
        raise UserError(f"bits-per-byte:{what}: the dataset {name} has no source {uri!r}")
    sizes = [s.train.bytes if split == "train" else s.heldout.records for _, s in sources]
    return [(n, dataset.records(split, source=i)) for (i, _), n in zip(sources, sizes, strict=True) if n]


def _read(uri: str, options: EvalOptions, split: Literal["train", "heldout", "all"]) -> Iterator[Record]:
    import bottega.data.school  # noqa: F401  (registers its URIs)
    from bottega.data.sources import ReadOptions, SourceSpec, open_source

    # Nothing is trained on them, so that their licences keep no rows out.
    read = ReadOptions(
        split=split, world_seed=options.world_seed, data=options.data, include_nc=True, include_unclear=True
    )
    return open_source(SourceSpec(uri=uri), read)


def _task(name: str, task_name: str, subject: Subject, options: EvalOptions, k: int = 1) -> Score:
    from bottega.evals.programs import TASK_STOPS

    task, cases, mode = _of_task(task_name, subject, options)
    if task.programs:
        return _programs(name, cases, mode, subject, options, k, TASK_STOPS)
    result = _exact(name, cases, mode, subject, options, stop=task.stop)
    return result.with_context(_task_floors(task_name, options.world_seed, options.cases), ceiling=1.0)


def _problems(name: str, uri: str, subject: Subject, options: EvalOptions, k: int) -> Score:
    from bottega.evals.programs import ROW_STOPS

    prompts, mode = _problems_of(uri, subject, options)
    return _programs(name, prompts, mode, subject, options, k, ROW_STOPS)


def _problems_of(uri: str, subject: Subject, options: EvalOptions) -> tuple[list[Prompt], Mode]:
    """The programming problems of a source, and how they are put to this model."""
    from bottega.evals.programs import problem_of

    prompts = [problem_of(row, chat=subject.chat) for row in _rows(uri, options)]
    return prompts, "chat" if subject.chat else "completion"


def _programs(
    name: str,
    prompts: list[Prompt],
    mode: Mode,
    subject: Subject,
    options: EvalOptions,
    k: int,
    stop: tuple[str, ...],
) -> Score:
    from bottega.evals.programs import pass_at_k

    return pass_at_k(
        subject.model,
        subject.tokenizer,
        prompts,
        mode,
        k=k,
        name=name,
        stop=stop,
        context=options.context,
        max_new_tokens=options.max_new_tokens,
        seed=options.seed,
    ).with_context({}, ceiling=1.0)


def _likelihoods(name: str, kind: str, uri: str, subject: Subject, options: EvalOptions) -> Score:
    from bottega.evals.choices import choice_of, last_word, multiple_choice

    model, tokenizer, rows = subject.model, subject.tokenizer, _rows(uri, options)
    context = options.context or model.config.max_positions
    if kind == "choices":
        questions = [choice_of(row) for row in rows]
        return multiple_choice(model, tokenizer, questions, context, name=name, seed=options.seed)
    if missing := next((row for row in rows if not isinstance(row.get("text"), str)), None):
        raise UserError(f"{name}: a row has no `text`; it has {', '.join(missing)}")
    passages = [row["text"] for row in rows]
    return last_word(model, tokenizer, passages, context, name=name, seed=options.seed)


def _rows(uri: str, options: EvalOptions) -> list[dict[str, Any]]:
    """The first rows of a source, as they stand."""
    from bottega.data.sources import ReadOptions, SourceSpec, raw_rows

    return list(islice(raw_rows(SourceSpec(uri=uri), ReadOptions(data=options.data)), options.cases))


def _of_task(name: str, subject: Subject, options: EvalOptions) -> tuple[EvalTask, list[Prompt], Mode]:
    """A task of the school, its cases, and how they are put to this model."""
    from bottega.data.school.registry import TASKS, world

    task = TASKS[name]
    cases = task.asked(world(options.world_seed), options.cases)
    return task, cases, task.mode if task.mode != "chat" or subject.chat else "plain"


def _speed(name: str, what: str, subjects: Sequence[Subject], options: EvalOptions) -> list[Score]:
    from bottega.evals.speed import Runner, tokens_per_second

    runners = []
    for subject in subjects:
        if ":" in what:
            cases, mode = _problems_of(what, subject, options)
        else:
            _, cases, mode = _of_task(what, subject, options)
        runners.append(Runner(subject.model, subject.tokenizer, cases, mode))
    return tokens_per_second(runners, name=name, context=options.context, seed=options.seed)


@lru_cache(maxsize=256)
def _task_floors(task_name: str, world_seed: int, cases: int) -> Mapping[str, float]:
    """The floors of a task, which are the same for every model."""
    from bottega.data.school.floors import floors
    from bottega.data.school.registry import TASKS, world

    task = TASKS[task_name]
    return floors(task, world(world_seed), task.asked(world(world_seed), cases))


def _exact(
    name: str, prompts: list[Prompt], mode: Mode, subject: Subject, options: EvalOptions, *, stop: str = "\n"
) -> Score:
    from bottega.evals.tasks import exact_match

    return exact_match(
        subject.model,
        subject.tokenizer,
        prompts,
        mode,
        name=name,
        stop=stop,
        context=options.context,
        max_new_tokens=options.max_new_tokens,
        seed=options.seed,
    )
