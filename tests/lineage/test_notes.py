"""What a user must know of a run is told where the user looks: in the build, in the README, in the report."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import pytest
from recipes.tiny import TINY, tiny_options
from rich.console import Console

from bottega.lineage.build import build
from bottega.lineage.card import Card, Data, read_card, write_card
from bottega.lineage.family import members
from bottega.lineage.graph import Node
from bottega.lineage.home import Home
from bottega.lineage.left_out import left_out
from bottega.lineage.overview import Overview
from bottega.lineage.readme import readme
from bottega.lineage.recipe import Recipe, load, parse
from bottega.lineage.report import write_report

from .noting import NOTES

FIRST, SECOND = NOTES


def noting_family() -> Recipe:
    """The tiny family, of which one model's stage leaves notes."""
    text = TINY.read_text(encoding="utf-8")
    old = 'stage = "sft"\nparent = "davinci"\nchat = true'
    assert text.count(old) == 1
    return parse(text.replace(old, old.replace("sft", "noting")), str(TINY))


def built(recipe: Recipe, home: Home, data: Path, *, jobs: int, terminal: bool = False) -> list[str]:
    """What a build of it shows, line by line."""
    console = Console(file=io.StringIO(), force_terminal=terminal, color_system=None, width=200)
    with Overview(recipe, console) as overview:
        report = build(recipe, home, tiny_options(data), overview, models=["text-davinci"], jobs=jobs)
    assert not report.failed, report.failed
    return console.file.getvalue().splitlines()  # type: ignore[attr-defined,no-any-return]


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_build_tells_the_notes_of_a_run_after_its_model(jobs: int, data: Path, tmp_path: Path) -> None:
    shown = built(noting_family(), Home(tmp_path), data, jobs=jobs)
    (at,) = (i for i, line in enumerate(shown) if "built model text-davinci:" in line)
    told = [line for line in shown[at:] if line.startswith("  text-davinci: ")]
    assert told == [f"  text-davinci: {FIRST}", f"  text-davinci: {SECOND}"]
    assert not any(FIRST in line for line in shown[:at])


def test_a_terminal_keeps_the_notes_above_the_overview_and_a_model_that_stands_has_none(
    data: Path, tmp_path: Path
) -> None:
    shown = built(noting_family(), Home(tmp_path), data, jobs=1, terminal=True)
    assert any(f"text-davinci: {FIRST}" in line for line in shown)
    again = built(noting_family(), Home(tmp_path), data, jobs=1)
    assert not any(FIRST in line for line in again)


def test_notes_stand_in_the_readme_and_on_the_model_in_the_report(
    copied: Home, data: Path, tmp_path: Path
) -> None:
    recipe = load(TINY)
    folder = copied.path("model", "davinci", copied.versions("model", "davinci")[0])
    notes = [
        FIRST,
        {"en": "the <b>rate</b>\nis too high", "zh": "学习率<b>太高</b>"},
    ]  # of an older card, of today
    write_card(folder, read_card(folder).model_copy(update={"report": {"notes": notes}}))
    text = (folder / "README.md").read_text(encoding="utf-8")
    training = text.partition("## Training")[2].partition("## Data")[0]
    assert f"\n- {FIRST}\n- the &lt;b>rate&lt;/b> is too high\n" in training
    found = members(recipe, copied, tiny_options(data))
    write_report(recipe, found, tmp_path / "report.html", world_seed=0)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    own = page.partition('id="davinci"')[2].partition("</section>")[0]
    assert f'<ul class="notes"><li><span lang="en">{FIRST}</span><span lang="zh">{FIRST}</span></li>' in own
    assert '<span lang="en">the &lt;b&gt;rate&lt;/b&gt;' in own
    assert '<span lang="zh">学习率&lt;b&gt;太高&lt;/b&gt;</span>' in own
    assert page.count('class="notes"') == 1


def used(dataset: str = "talks", records: int = 97, **more: dict[str, int]) -> Data:
    return Data.model_validate(
        {"dataset": dataset, "weight": 1, "digest": dataset, "records": records, "tokens": 1, "text_bytes": 1}
        | more
    )


def with_data(family: Path, *data: Data, stage: str = "sft") -> Card:
    home = Home(family)
    card = read_card(home.path("model", "davinci", home.versions("model", "davinci")[0]))
    return card.model_copy(update={"data": data, "stage": stage})


def test_a_readme_counts_what_was_left_out_of_each_dataset_with_the_reasons(family: Path) -> None:
    ties = used("rankings", skipped={"all answers tied": 1_003})
    talks = used(
        skipped={"comparison": 2, "identical answers": 1}, overlong={"dropped": 5, "without_loss": 1}
    )
    cut = used("cut", overlong={"truncated": 7})
    pieces = used("pieces", overlong={"split": 4, "without_loss": 9})  # pieces, not records
    text = readme(with_data(family, ties, talks, cut, pieces, used("whole")))
    data = text.partition("## Data")[2].partition("## Use")[0]
    assert "1,003 of 1,100 records of rankings were left out: all answers tied." in data
    assert (
        "9 of 100 records of talks were left out: comparisons, which this stage does not learn from (2), "
        "identical answers (1), longer than the context (5), nothing to learn within the context (1)." in data
    )
    assert "\n\n7 records of cut were cut off at the context." in data
    assert "\n\n4 records of pieces were cut into pieces of the context." in data
    assert data.count("left out") == 2


def test_demonstrations_that_a_reward_model_is_set_by_are_not_left_out(family: Path) -> None:
    assert not left_out(with_data(family, used(skipped={"conversation": 50}), stage="reward"))
    assert left_out(with_data(family, used(skipped={"conversation": 50}), stage="ppo"))


@pytest.mark.parametrize(("overlong", "much"), [(5, False), (6, True)])
def test_more_than_a_twentieth_left_out_is_much(family: Path, overlong: int, much: bool) -> None:
    (account,) = left_out(with_data(family, used(records=100, overlong={"dropped": overlong})))
    assert account.is_much is much


def test_a_build_says_it_where_much_of_a_dataset_was_left_out(data: Path, tmp_path: Path) -> None:
    longer = tmp_path / "data"
    shutil.copytree(data, longer)
    talk = [{"role": "user", "content": "Say it. " * 40}, {"role": "assistant", "content": "It."}]
    with (longer / "chats.jsonl").open("a", encoding="utf-8") as file:
        file.writelines(json.dumps({"messages": talk}) + "\n" for _ in range(60))
    home = Home(tmp_path / "home")
    shown = built(load(TINY), home, longer, jobs=1)
    (line,) = (line for line in shown if "built model text-davinci:" in line)
    card = read_card(home.path("model", "text-davinci", home.versions("model", "text-davinci")[0]))
    (account,) = left_out(card)
    assert account.count == card.data[0].overlong["dropped"] > 40  # some of the sixty are held out
    assert line.endswith(
        f"; {account.count} of {card.data[0].records} records of chats were left out: longer than the context"
    )
    (reader,) = (line for line in shown if "built model davinci:" in line)
    assert "left out" not in reader


def test_a_terminal_says_above_its_table_what_the_line_of_a_model_has_no_room_for() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, color_system=None, width=100)
    node = Node("model", "text-davinci")
    with Overview(load(TINY), console) as overview:
        overview.plan([node])
        overview.done(node, "8.2k tokens in 1 s; 14 of 111 records of chats were left out: too long")
    told = console.file.getvalue()  # type: ignore[attr-defined]
    assert "  text-davinci: 14 of 111 records of chats were left out: too long" in told
    console.file = io.StringIO()
    console.print(overview._render())
    assert "8.2k tokens in 1 s" in console.file.getvalue()
    assert "left out" not in console.file.getvalue()
