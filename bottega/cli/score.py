"""``bottega score``: a reward model's scores for a file of prompts and answers."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bottega.cli.build import DeviceOption
from bottega.errors import UserError

if TYPE_CHECKING:
    from bottega.data.records import Answer, Comparison, Message, Rated, Record

CHUNK = 256  # rows scored together


def add_to(app: typer.Typer) -> None:
    """Give the command line this file's verb."""
    app.command(
        epilog="Examples:\n\n`bottega score reward-model answers.jsonl`\n\n"
        "`bottega score ./my-reward-model pairs.jsonl --out scored.jsonl`\n\n"
        "A row is a prompt with its answers in any shape that training reads: messages that end with the "
        "assistant's, prompt/completion/label, prompt/chosen/rejected, prompt/answers/ranks and the like."
    )(score)


def score(
    name: Annotated[str, typer.Argument(metavar="MODEL", help="A built reward model, or its folder.")],
    file: Annotated[Path, typer.Argument(metavar="FILE", help=".jsonl, .json, .csv or .parquet, also .gz.")],
    out: Annotated[
        Path | None, typer.Option("--out", help="Where to; standard output where left out.")
    ] = None,
    raw: Annotated[
        bool, typer.Option("--raw", help="Leave the model's shift in: the classifier's own numbers.")
    ] = False,
    device: DeviceOption = "auto",
) -> None:
    """Score answers: one line of JSON for each row, in order, with a score for each of its answers.

    Scores are comparable between answers to one prompt; their mean over reference answers is 0.
    """
    import json

    from bottega.data.comparisons import Judged, JudgedCounts, encode_judged
    from bottega.evals.scoring import score_answers
    from bottega.lineage.home import Home, write_text
    from bottega.lineage.loading import load_judge
    from bottega.lineage.names import find_model
    from bottega.model.hub import is_scorer

    folder = Path(name) if Path(name).is_dir() else find_model(Home(), name, None)
    if not is_scorer(folder):
        raise UserError(f"{name} is no reward model: it gives answers and scores none.")
    scorer, tokenizer = load_judge(folder, device)
    shift = scorer.shift if raw else 0.0
    lines: list[str] = []
    rows = _rows(file)
    while chunk := list(islice(rows, CHUNK)):
        counts = JudgedCounts()
        encoded: list[tuple[list[Judged], Any]] = []
        for record in chunk:
            answers = list(_alone(record))
            context = scorer.config.max_positions
            encoded.append((list(encode_judged(tokenizer, answers, context, counts)), record))
            if counts.skipped:
                raise UserError(
                    f"{file}, row {record.origin.row}: an answer with its prompt is longer than the "
                    f"{context} tokens that the model reads; shorten it, or leave the row out."
                )
        found = iter(score_answers(scorer, [one for judged, _ in encoded for one in judged]))
        for judged, record in encoded:
            scores = [round(float(next(found)[0]) + shift, 6) for _ in judged]
            lines.append(json.dumps({"row": record.origin.row, "scores": scores}))
        if out is None:
            typer.echo("\n".join(lines))
            lines.clear()
    if out is not None:
        write_text(out, "".join(line + "\n" for line in lines))


def _rows(file: Path) -> Iterator[Record]:
    """The records of a file that have answers. Raises ``UserError`` for any other."""
    from bottega.data.sources import ReadOptions, SourceSpec, open_source

    options = ReadOptions(include_nc=True, include_unclear=True, split="all")
    for record in open_source(SourceSpec(uri=f"file:{file}", mixed=True), options):
        if not list(_answered(record)):
            kind = type(record).__name__.lower()
            raise UserError(f"{file}, row {record.origin.row}: a {kind} has no answer to score.")
        yield record


def _alone(record: Record) -> Iterator[Comparison | Rated]:
    """Each answer as a record of its own."""
    from bottega.data.records import Rated

    for messages, answer in _answered(record):
        yield Rated(messages, answer, 0.0, origin=record.origin)


def _answered(record: Record) -> Iterator[tuple[tuple[Message, ...], Answer]]:
    from bottega.data.records import Answer, Comparison, Conversation, Rated

    match record:
        case Comparison(messages, answers):
            yield from ((messages, answer) for answer in answers)
        case Rated(messages, answer):
            yield messages, answer
        case Conversation(messages) if len(messages) > 1 and messages[-1].role == "assistant":
            yield messages[:-1], Answer(messages[-1])
