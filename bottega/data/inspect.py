"""What is in a source: everything that ``bottega data inspect SOURCE`` shows.

``inspect`` reads a source and collects; ``render`` lays the result out for a terminal. Rows that cannot be
used are counted and listed, never fatal; a file that cannot be read to its end is named as a problem beside
what came before it.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from bottega.data import licences
from bottega.data.dedup import ExactDuplicates, full_text, judgement
from bottega.data.language import language
from bottega.data.records import Comparison, Document, Labelled, Prompt, Rated, Record
from bottega.data.sources import ReadOptions, ReadReport, SourceSpec, has_own_splits, open_source
from bottega.data.splits import is_heldout, text_key
from bottega.errors import UserError

if TYPE_CHECKING:
    from rich.console import RenderableType

_ENDLESS_RECORDS = 2000  # looked at, of a source without end
_LENGTHS_KEPT = 100_000
_SAMPLE_CHARS = 600
_BAD_ROWS_SHOWN = 10


@dataclass(frozen=True)
class Quantiles:
    """Of one measure of length, over records."""

    least: int
    tenth: int
    median: int
    ninetieth: int
    most: int
    total: int


@dataclass(frozen=True)
class LicenceShare:
    """One licence's rows, and whether they are trained on without a flag."""

    name: str
    kind: licences.LicenceClass
    rows: int

    @property
    def flag(self) -> str:
        """The flag that lets it in; "" where none is needed."""
        return {"nc": "--include-nc", "unclear": "--include-unclear"}.get(self.kind, "")


@dataclass(frozen=True)
class Inspection:
    """What a source holds and what is wrong in it."""

    uri: str
    rows: int
    records: int
    complete: bool  # False: only the first ``records`` were looked at
    kinds: dict[str, int]  # Document, Conversation, ...
    shapes: dict[str, int]
    characters: Quantiles | None
    bytes: Quantiles | None
    tokens: Quantiles | None  # where a tokenizer was given
    messages: Quantiles | None  # a conversation's turns
    languages: dict[str, int]
    licences: list[LicenceShare]
    duplicates: int  # exact, after normalisation
    heldout: int  # records that the split by content would hold out
    bad_rows: int
    bad: list[str]  # where and why, the first ten
    problems: list[str]
    sample: str
    seconds: float
    pinned: str | None = None
    filtered: int = 0  # rows that `only` and `without` left out


@dataclass
class _Lengths:
    """Lengths of one measure. Beyond a bound every second one is forgotten, to bound the memory."""

    values: list[int] = field(default_factory=list)
    total: int = 0
    count: int = 0
    most: int = 0
    least: int = 1 << 62
    stride: int = 1

    def add(self, value: int) -> None:
        if self.count % self.stride == 0:
            self.values.append(value)
            if len(self.values) >= _LENGTHS_KEPT:
                self.values, self.stride = self.values[::2], self.stride * 2
        self.count += 1
        self.total += value
        self.most, self.least = max(self.most, value), min(self.least, value)

    def quantiles(self) -> Quantiles | None:
        if not self.count:
            return None
        ordered = sorted(self.values)

        def at(share: float) -> int:
            return ordered[min(int(share * len(ordered)), len(ordered) - 1)]

        return Quantiles(self.least, at(0.1), at(0.5), at(0.9), self.most, self.total)


def inspect(
    spec: SourceSpec,
    options: ReadOptions | None = None,
    *,
    count_tokens: Callable[[str], int] | None = None,
    limit: int | None = None,
) -> Inspection:
    """Read a source, at most ``limit`` records of it, and say what it holds.

    Every licence is looked at, and bad rows are listed, whatever ``options`` say. ``count_tokens`` gives a
    text's length in tokens. Raises ``UserError`` only for a source that is not there at all.
    """
    options = options or ReadOptions()
    every = replace(options, split="all", skip_bad_rows=True, include_nc=True, include_unclear=True)
    if limit is None and has_own_splits(spec):
        limit = _ENDLESS_RECORDS
    report, started = ReadReport(), time.monotonic()
    stream = open_source(spec.model_copy(update={"shuffle": 0}), every, report)
    kinds: Counter[str] = Counter()
    languages: Counter[str] = Counter()
    lengths = {name: _Lengths() for name in ("characters", "bytes", "tokens", "messages")}
    seen, duplicates, heldout, sample = ExactDuplicates(), 0, 0, ""
    problems: list[str] = []
    for record in _until_broken(stream, limit, problems):
        text = full_text(record)
        kinds[type(record).__name__] += 1
        languages[language(text)] += 1
        lengths["characters"].add(len(text))
        lengths["bytes"].add(len(text.encode()))
        if count_tokens:
            lengths["tokens"].add(count_tokens(text))
        if not isinstance(record, Document | Labelled):
            lengths["messages"].add(len(record.messages))
        duplicates += seen.add(text_key(text + judgement(record)))
        heldout += is_heldout(record, options.heldout_fraction)
        sample = sample or _sample(record)
    records = kinds.total()
    complete = limit is None or records < limit
    found = [
        LicenceShare(name, licences.classify(name), rows) for name, rows in report.licences.most_common()
    ]
    problems += _problems(report, found, records, duplicates)
    return Inspection(
        uri=spec.uri,
        rows=report.rows,
        records=records,
        complete=complete,
        kinds=dict(kinds.most_common()),
        shapes=dict(report.shapes.most_common()),
        **{name: measured.quantiles() for name, measured in lengths.items()},
        languages=dict(languages.most_common()),
        licences=found,
        duplicates=duplicates,
        heldout=heldout,
        bad_rows=report.bad_rows,
        bad=[str(bad) for bad in report.bad[:_BAD_ROWS_SHOWN]],
        problems=problems,
        sample=sample,
        seconds=time.monotonic() - started,
        pinned=report.pinned.get(spec.uri),
        filtered=report.filtered,
    )


def _until_broken(stream: Iterator[Record], limit: int | None, problems: list[str]) -> Iterator[Record]:
    taken = 0
    while limit is None or taken < limit:
        try:
            record = next(stream, None)
        except UserError as error:
            problems.append(str(error))
            return
        if record is None:
            return
        taken += 1
        yield record


def _problems(report: ReadReport, found: list[LicenceShare], records: int, duplicates: int) -> list[str]:
    problems = []
    if report.bad_rows:
        share = report.bad_rows / max(report.rows, 1)
        problems.append(f"{report.bad_rows} of {report.rows} rows ({share:.1%}) cannot be used")
    if duplicates * 20 > records:
        problems.append(
            f"{duplicates} of {records} records ({duplicates / records:.0%}) repeat an earlier one"
        )
    for kind, flag in (("nc", "--include-nc"), ("unclear", "--include-unclear")):
        names = [share.name for share in found if share.kind == kind]
        if names:
            rows = sum(share.rows for share in found if share.kind == kind)
            remedy = " or state the licence in the source" if licences.UNSTATED in names else ""
            problems.append(f"{rows} rows stay out of training ({', '.join(names)}): use {flag}{remedy}")
    return problems


def _sample(record: Record) -> str:
    """One record for the eye, cut to a screen."""
    if isinstance(record, Document):
        lines = [record.text]
    elif isinstance(record, Labelled):
        lines = [
            record.text,
            f"[{', '.join(f'{name}: {value}' for name, value in record.categories.items())}]",
        ]
    else:
        lines = [f"{message.role}: {_cut(message.content)}" for message in record.messages]
        match record:
            case Comparison(answers=answers):
                lines += [f"answer {i}: {_cut(answer.message.content)}" for i, answer in enumerate(answers)]
                lines += [f"ranking by {one.labeler}: {_order(one.tiers)}" for one in record.rankings]
            case Rated():
                lines += [f"answer: {_cut(record.answer.message.content)}", f"rating: {record.rating:g}"]
            case Prompt():
                lines += [f"check: {record.check.kind} {', '.join(record.check.accepted)}"]
    return _cut("\n".join(lines), _SAMPLE_CHARS)


def _order(tiers: tuple[tuple[int, ...], ...]) -> str:
    return " > ".join(" = ".join(map(str, tier)) for tier in tiers)


def _cut(text: str, chars: int = _SAMPLE_CHARS // 2) -> str:
    return text if len(text) <= chars else f"{text[:chars].rstrip()} …"


def render(inspection: Inspection) -> RenderableType:
    """The inspection for a terminal, by rich. Markup and control codes in the data do not act."""
    from rich.console import Group
    from rich.panel import Panel
    from rich.table import Table
    from rich.text import Text

    one = inspection
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="bold", no_wrap=True)
    facts.add_column()

    def fact(name: str, value: str) -> None:
        facts.add_row(name, Text(_printable(value)))

    scope = "" if one.complete else " (the first ones only)"
    fact("source", one.uri + (f" at {one.pinned}" if one.pinned else ""))
    fact("rows", f"{one.rows:,} read in {one.seconds:.1f} s{scope}")
    if one.filtered:
        fact("left out", f"{one.filtered:,} rows, by `only` and `without`")
    fact("records", _shares(one.kinds, one.records))
    fact("shapes", ", ".join(one.shapes) or "none")
    fact("languages", _shares(one.languages, one.records))
    for share in one.licences:
        fact(
            "licence",
            f"{share.name} ({share.kind}): {share.rows:,} rows{f', need {share.flag}' if share.flag else ''}",
        )
    fact("duplicates", f"{one.duplicates:,} exact")
    fact("held out", f"{one.heldout:,} by content")

    parts: list[Any] = [facts]
    measures = [(name, getattr(one, name)) for name in ("characters", "bytes", "tokens", "messages")]
    if any(quantiles for _, quantiles in measures):
        table = Table(
            "a record has", *("least", "10%", "median", "90%", "most", "total"), title_justify="left"
        )
        for column in table.columns[1:]:
            column.justify = "right"
        for name, q in measures:
            if q:
                values = (q.least, q.tenth, q.median, q.ninetieth, q.most, q.total)
                table.add_row(name, *(f"{value:,}" for value in values))
        parts.append(table)
    if one.sample:
        parts.append(Panel(Text(_printable(one.sample)), title="a sample", title_align="left"))
    if one.bad or one.problems:
        wrong = [*one.problems, *one.bad]
        more = one.bad_rows - len(one.bad)
        wrong += [f"and {more:,} more bad rows"] if more > 0 else []
        lines = Text("\n".join(_printable(line) for line in wrong))
        parts.append(
            Panel(lines, title="what is wrong, and where", title_align="left", border_style="yellow")
        )
    else:
        parts.append(Text("nothing wrong was found", style="green"))
    return Group(*parts)


def _shares(counts: dict[str, int], total: int) -> str:
    return (
        ", ".join(f"{name} {count:,} ({count / max(total, 1):.0%})" for name, count in counts.items())
        or "none"
    )


def _printable(text: str) -> str:
    """The text with control characters shown, so that data cannot drive the terminal."""
    return "".join(char if char.isprintable() or char in "\n\t" else f"\\x{ord(char):02x}" for char in text)
