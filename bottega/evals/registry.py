"""Running evaluations by the names that :mod:`bottega.evals.names` explains."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from bottega.data.records import Conversation, Document, Prompt
from bottega.errors import UserError
from bottega.evals.heldout import (
    as_prompt,
    asked_of,
    counted_texts,
    either_way,
    heldout_of,
    heldout_prompts,
    records_of,
    rows_of,
)
from bottega.evals.names import (
    COPYING,
    OF_RANKINGS,
    dataset_of,
    kind_of,
    of_family,
    rivals_of,
    school,
    shots_of,
    single,
    tries_of,
)
from bottega.evals.prompting import Mode
from bottega.evals.score import Score, missing_score
from bottega.evals.subject import EvalOptions, Subject

if TYPE_CHECKING:
    from bottega.data.school.registry import EvalTask
    from bottega.data.tokenizer import Tokenizer
    from bottega.model.scorer import Scorer

NGRAM_FLOOR = "5-gram-characters"
FLOOR_CHARS = 1_000_000  # of training text that this floor is made of
EDITION = 4  # raised when other cases are asked, or the same come to be scored otherwise
ANSWERS = 4  # to a dataset's prompt, where answers are held against each other: there are few prompts


def score(name: str, subject: Subject, options: EvalOptions) -> Score:
    """Run one evaluation, floors and ceiling beside it. Raises ``UserError`` for an unknown name."""
    name = single(name, options.datasets)
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
    if kind_of(name) in OF_RANKINGS:
        return missing_score(name, "it is of reward models, and this one scores no answers")
    if dataset_of(name) is not None:
        return _bits(name, kind, what, subject, options)
    if kind == "task":
        return _task(name, what, subject, options)
    if tries := tries_of(name):
        programs = _problems if ":" in what else _task
        return programs(name, what, subject, options, k=tries)
    if kind in ("choices", "last-word"):
        return _likelihoods(name, kind, what, subject, options)
    return _speed(name, what, [subject], options)[0]


def score_judge(name: str, scorer: Scorer, tokenizer: Tokenizer, options: EvalOptions) -> Score:
    """Run one evaluation of a reward model. Raises ``UserError`` for an unknown name."""
    from bottega.data.frozen import FrozenDataset
    from bottega.evals.rankings import brier, of_labelers, pair_accuracy, read_rankings

    name = single(name, options.datasets)
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
        tasks = of_family(what, TASKS)
        prompts = [p for task in tasks for p in TASKS[task].asked(world(options.world_seed), options.cases)]
    elif judges:
        prompts = heldout_prompts(what, options)
    else:
        raise UserError(
            f"{name}: the school's labelers judge by checks, which a dataset's prompts need not have; name a "
            f"reward model to judge by, as {name.partition(':')[0]}/reward-model:{what}"
        )
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


def _refusals(name: str, what: str, subject: Subject, options: EvalOptions) -> Score:
    from bottega.evals.refusals import balanced_accuracy

    if dataset_of(name) is not None:
        cases = either_way(what, options)
        mode: Mode = "chat" if subject.chat else "plain"
    else:
        tasks = [_of_task(task, subject, options) for task in of_family(what, school()[0])]
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


def score_together(name: str, subjects: Sequence[Subject], options: EvalOptions) -> list[Score]:
    """Run one evaluation by the clock for several models in turns. Raises ``UserError`` as ``score`` does."""
    name = single(name, options.datasets)
    return _speed(name, name.partition(":")[2], subjects, options)


def _source(name: str, uri: str, subject: Subject, options: EvalOptions, *, clumsy: bool) -> Score:
    """The prompts of a source, as they stand or badly put."""
    from bottega.evals.variants import badly_put

    given = (prompt for prompt in map(as_prompt, asked_of(uri, options)) if prompt is not None)
    prompts = list(islice(given, options.cases))
    if clumsy:
        prompts = [replace(p, messages=badly_put(p.messages, i)) for i, p in enumerate(prompts)]
    return _exact(name, prompts, "chat" if subject.chat else "plain", subject, options)


def _bits(name: str, kind: str, what: str, subject: Subject, options: EvalOptions) -> Score:
    from bottega.evals.bits import answer_bits_per_byte, bits_per_byte

    model, tokenizer = subject.model, subject.tokenizer
    context = options.context or model.config.max_positions
    heldout = heldout_of(what, options)
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

    k = shots_of(kind)
    if k is None:
        return [replace(talk, messages=badly_put(talk.messages, i)) for i, talk in enumerate(talks)]
    shown = [
        record
        for record in records_of(what, options, "train", k * len(talks), lambda record: 1)
        if isinstance(record, Conversation)
    ]
    if len(shown) < k:
        raise UserError(f"{kind}:{what}: there are {len(shown)} conversations to show, {k} are needed")
    several = [[shown[(i * k + j) % len(shown)] for j in range(k)] for i in range(len(talks))]
    return [after_examples(talk, examples) for talk, examples in zip(talks, several, strict=True)]


def _fill(name: str, what: str, subject: Subject, options: EvalOptions) -> Score:
    from bottega.evals.variants import line_missing

    documents = [record for record in heldout_of(what, options) if isinstance(record, Document)]
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
    train = records_of(
        what, options, "train", FLOOR_CHARS, lambda record: sum(map(len, counted_texts(record)))
    )
    sides = (
        [text for record in side for text in counted_texts(record)]
        for side in (train, heldout_of(what, options))
    )
    return ngram_bits_per_byte(*sides)


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

    prompts = [problem_of(row, chat=subject.chat) for row in rows_of(uri, options)]
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

    model, tokenizer, rows = subject.model, subject.tokenizer, rows_of(uri, options)
    context = options.context or model.config.max_positions
    if kind == "choices":
        questions = [choice_of(row) for row in rows]
        return multiple_choice(model, tokenizer, questions, context, name=name, seed=options.seed)
    if missing := next((row for row in rows if not isinstance(row.get("text"), str)), None):
        raise UserError(f"{name}: a row has no `text`; it has {', '.join(missing)}")
    passages = [row["text"] for row in rows]
    return last_word(model, tokenizer, passages, context, name=name, seed=options.seed)


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
