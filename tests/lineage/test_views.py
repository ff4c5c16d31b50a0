"""What people look at: the overview of a build, the tree, the picture, the model card."""

from __future__ import annotations

import io
import json
from itertools import combinations
from pathlib import Path

import pytest
from recipes.tiny import TINY, tiny_options, with_judge_of_a_file
from rich.console import Console

from bottega.errors import UserError
from bottega.evals.score import proportion_score
from bottega.lineage.card import Card, Cost, Data, all_licences, read_card, thin_curves
from bottega.lineage.family import Member, members
from bottega.lineage.graph import Graph, Node
from bottega.lineage.home import Home
from bottega.lineage.overview import Overview, read_pace
from bottega.lineage.picture import CARD_WIDTH, draw_family, label, layout
from bottega.lineage.readme import duration, quantity, readme
from bottega.lineage.recipe import Recipe, load
from bottega.lineage.tree import tree

RECIPE = load(TINY)
DAVINCI, CHAT = Node("model", "davinci"), Node("model", "text-davinci")
CODE, SCRATCH = Node("model", "code-davinci"), Node("model", "text-davinci-scratch")


def running(tmp_path: Path, tokens: int, **more: int) -> Path:
    """A run folder as it looks in the middle of training."""
    folder = tmp_path / "run"
    (folder / "work" / "train").mkdir(parents=True)
    rows = [
        {"step": step, "tokens": step * 512, "loss": 4.0 - step / 10, "tokens_per_s": 1024.0, **more}
        for step in range(1, tokens // 512 + 1)
    ]
    text = (
        "".join(json.dumps(row) + "\n" for row in rows) + '{"step": 99, "tok'
    )  # killed in the middle of a line
    (folder / "work" / "train" / "metrics.jsonl").write_text(text, encoding="utf-8")
    return folder


def test_the_pace_is_the_last_whole_line(tmp_path: Path) -> None:
    pace = read_pace(running(tmp_path, 2048))
    assert pace is not None
    assert (pace.tokens, pace.figures["loss"], pace.tokens_per_s) == (2048, 3.6, 1024.0)


def test_a_model_whose_recipe_names_no_tokens_is_told_by_its_steps(tmp_path: Path) -> None:
    pace = read_pace(running(tmp_path, 2048, steps=10))
    assert pace is not None and pace.whole == 5120
    overview, console = planned(load("school"))
    judge = Node("model", "reward-model")
    overview.begin(judge, tmp_path / "run")
    console.print(overview._render())
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    line = next(line for line in shown.splitlines() if line.split()[:2] == ["▶", "reward-model"])
    assert "loss 3.600  1,024 tokens/s  3 s left" in line  # (5120 - 2048) / 1024


def test_a_guess_of_tokens_follows_answers_that_grow(tmp_path: Path) -> None:
    overview, console = planned(load("school"))
    run = running(tmp_path, 512, steps=10)
    overview.begin(Node("model", "text-davinci-003"), run)
    overview._render()
    row = {"step": 5, "tokens": 6000, "loss": 0.1, "tokens_per_s": 1000.0, "steps": 10}
    (run / "work" / "train" / "metrics.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    console.print(overview._render())
    assert "1,000 tokens/s  6 s left" in console.file.getvalue()  # type: ignore[attr-defined]


def test_a_dataset_that_is_collected_says_how_many_prompts_are_answered(tmp_path: Path) -> None:
    overview, console = planned(load("school"))
    rankings = Node("dataset", "rankings")
    overview.begin(rankings, tmp_path)
    (tmp_path / "work").mkdir()
    for number in range(3):
        (tmp_path / "work" / f"train-{number:05d}.jsonl").touch()
    console.print(overview._render())
    assert "▶ dataset rankings 384 of 37,280 prompts answered" in console.file.getvalue()  # type: ignore[attr-defined]


def test_there_is_no_pace_before_the_first_step(tmp_path: Path) -> None:
    assert read_pace(None) is None
    assert read_pace(tmp_path) is None


def planned(recipe: Recipe, width: int = 120, jobs: int = 1) -> tuple[Overview, Console]:
    """The overview of a build that begins, and the terminal that it is shown in."""
    console = Console(file=io.StringIO(), force_terminal=True, width=width, color_system=None)
    overview = Overview(recipe, console, jobs)
    overview.plan(Graph(recipe).schedule())
    return overview, console


def test_the_live_overview_shows_done_running_and_waiting_with_time_left(tmp_path: Path) -> None:
    overview, console = planned(RECIPE)
    overview.found(DAVINCI)
    overview.begin(CHAT, running(tmp_path, 2048))
    console.print(overview._render())
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    lines = {line.split()[1]: line for line in shown.splitlines() if "davinci" in line}
    assert lines["davinci"].startswith("✓")
    assert lines["text-davinci"].startswith("▶")
    assert "loss 3.600  1,024 tokens/s  6 s left" in lines["text-davinci"]  # (8192 - 2048) / 1024
    assert lines["code-davinci"].startswith("·")
    assert "about 22 s left" in shown  # (3 x 8192 - 2048) / 1024


def test_time_left_is_a_floor_while_a_model_waits_whose_effort_nobody_knows(tmp_path: Path) -> None:
    overview, console = planned(with_judge_of_a_file())
    overview.begin(DAVINCI, running(tmp_path, 2048))
    console.print(overview._render())
    assert " so far, more than " in console.file.getvalue()  # type: ignore[attr-defined]
    overview.skipped(Node("model", "judge"), DAVINCI)
    console.print(overview._render())
    assert " so far, about " in console.file.getvalue()  # type: ignore[attr-defined]


def test_time_left_counts_what_runs_beside_and_what_comes_by_turns(tmp_path: Path) -> None:
    overview, _ = planned(RECIPE, jobs=2)
    overview.found(DAVINCI)
    overview.begin(CHAT, running(tmp_path, 2048))
    overview.begin(CODE, None)  # as fast as the other, as soon as it has begun
    assert overview._seconds_left() == pytest.approx(6 + 8, abs=0.5)  # the rest of chat, then scratch
    overview.done(CODE, "")
    overview._lines[CODE].seconds = 8.0
    assert overview._seconds_left() == pytest.approx(8)  # scratch begins at once
    overview.begin(SCRATCH, None)
    overview._lines[SCRATCH].begun -= 7.0  # it is slow to tell of its pace
    assert overview._seconds_left() == pytest.approx(6, abs=0.5)
    overview.done(SCRATCH, "")
    overview.evaluating(CHAT, "bits-per-byte:code")
    overview._lines[CHAT].begun -= 100.0
    assert overview._seconds_left() is None  # over what its effort comes to


def test_the_slow_first_step_of_a_model_says_nothing_of_the_time_left(tmp_path: Path) -> None:
    overview, _ = planned(RECIPE)
    overview.begin(DAVINCI, None)
    overview.done(DAVINCI, "")
    overview._lines[DAVINCI].seconds = 8.0  # at 1,024 tokens a second
    expected = overview._seconds_left()
    run = running(tmp_path, 512)
    row = {"step": 1, "tokens": 256, "loss": 4.0, "tokens_per_s": 1.0}
    (run / "work" / "train" / "metrics.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    overview.begin(CHAT, run)
    assert overview._seconds_left() == pytest.approx(expected, abs=0.5)


def test_time_left_is_known_while_the_only_model_so_far_is_evaluated() -> None:
    overview, _ = planned(RECIPE)
    overview.begin(DAVINCI, None)
    assert overview._seconds_left() is None
    overview._lines[DAVINCI].begun -= 8.0
    overview.evaluating(DAVINCI, "bits-per-byte:prose")
    efforts = overview._schedule.efforts
    waiting = sum(efforts.values()) - efforts[DAVINCI]
    assert overview._seconds_left() == pytest.approx(8.0 * waiting / efforts[DAVINCI], rel=0.1)


def test_time_left_counts_answers_that_are_collected(tmp_path: Path) -> None:
    overview, _ = planned(load("school"), jobs=2)
    for node in overview._lines:
        overview.found(node)
    rankings, work = Node("dataset", "rankings"), tmp_path / "work"
    work.mkdir()
    (work / "train-00000.jsonl").touch()  # of a build that was interrupted
    overview.begin(rankings, tmp_path)
    line = overview._lines[rankings]
    line.begun -= 10.0
    davinci = overview._lines[Node("model", "davinci")]
    davinci.state, davinci.begun = "built", 1.0
    davinci.seconds = 1000.0  # 4M tokens on both cores: 2,000 a second on each
    assert overview._seconds_left() == pytest.approx(
        overview._schedule.efforts[rankings] / 2000 - 10, abs=0.5
    )
    for number in (1, 2):
        (work / f"train-{number:05d}.jsonl").touch()
    assert overview._seconds_left() == pytest.approx(10 / 256 * (37_280 - 384), rel=0.05)


@pytest.mark.parametrize("width", [80, 100, 118])
def test_every_model_keeps_to_its_line_in_a_terminal_of_any_width(tmp_path: Path, width: int) -> None:
    school = load("school")
    overview, console = planned(school, width)
    overview.begin(Node("model", "davinci"), running(tmp_path, 2048))
    console.print(overview._render())
    lines = [line for line in console.file.getvalue().splitlines() if line[:1] in "▶·"]  # type: ignore[attr-defined]
    assert len(lines) == len(school.models)
    assert all(
        line[3:].startswith(name[:8]) for line, name in zip(lines, overview_order(school), strict=True)
    )
    assert "loss 3.600  1,024 tokens/s" in lines[0]


def overview_order(school: Recipe) -> list[str]:
    return [node.name for node in Graph(school).schedule() if node.kind == "model"]


def test_without_a_terminal_a_build_is_told_in_lines(tmp_path: Path) -> None:
    console = Console(file=io.StringIO(), width=200)
    with Overview(RECIPE, console) as overview:
        overview.plan([DAVINCI, CHAT])
        overview.found(DAVINCI)
        overview.begin(CHAT, None)
        overview.done(CHAT, "8.2k tokens in 1 s")
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert lines == [
        "[1/2, 0 s] building model text-davinci (sft from davinci, 8.2k tokens)",
        "[2/2, 0 s] built model text-davinci: 8.2k tokens in 1 s",
        "text-davinci stands. Talk to it while the rest is built: bottega chat text-davinci",
    ]


def test_the_tree_hangs_every_model_under_its_parent(family: Path, data: Path) -> None:
    found = members(RECIPE, Home(family), tiny_options(data))
    root = tree(RECIPE, found)
    (davinci,) = root.children
    assert [child.label.plain.split()[1] for child in davinci.children] == [  # type: ignore[union-attr]
        "code-davinci",
        "text-davinci",
        "text-davinci-scratch",
    ]


def test_no_two_cards_of_the_picture_overlap_and_children_are_to_the_right() -> None:
    found = [Member(name, spec, "waiting", None, None, None) for name, spec in load("school").models.items()]
    boxes = layout(found)
    assert set(boxes) == {member.name for member in found}
    for one, other in combinations(boxes.values(), 2):
        apart_x = one.x + CARD_WIDTH <= other.x or other.x + CARD_WIDTH <= one.x
        apart_y = one.y + one.height <= other.y or other.y + other.height <= one.y
        assert apart_x or apart_y
    for member in found:
        for parent in member.spec.parent:
            assert boxes[parent].x + CARD_WIDTH < boxes[member.name].x


@pytest.mark.parametrize(
    ("evaluation", "shown"),
    [
        ("bits-per-byte:prose-en", "prose-en bits/byte"),
        ("task:icl-en-8", "icl-en-8"),
        ("copying", "copying"),
        ("choices:file:$DATA/eval/hellaswag-dev.jsonl.gz", "hellaswag-dev"),
        ("win-rate@chatgpt-sft:conversation-prompts", "conversation over chatgpt-sft"),
        ("win-rate@text-davinci-002/second-judge:preference-prompts", "by second-judge"),
    ],
)
def test_the_picture_names_an_evaluation_shortly(evaluation: str, shown: str) -> None:
    assert label(proportion_score(evaluation, [True], seed=0)) == shown


def test_drawing_chinese_says_nothing_of_fonts(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    recipe = load("school")
    found = [Member(name, spec, "waiting", None, None, None) for name, spec in recipe.models.items()]
    draw_family(recipe, found, tmp_path / "family.png")
    assert not caplog.records


def test_an_only_child_stands_level_with_its_parent() -> None:
    found = [Member(name, spec, "waiting", None, None, None) for name, spec in load("school").models.items()]
    boxes = layout(found)
    assert boxes["code-davinci-002"].middle == pytest.approx(boxes["text-davinci-002"].middle)


def test_a_model_card_has_header_scores_licences_lineage_and_chinese(family: Path) -> None:
    home = Home(family)
    card = read_card(home.path("model", "code-davinci", home.versions("model", "code-davinci")[0]))
    text = readme(card)
    assert text.startswith("---\nlanguage: [en, zh]\nlicense: other\n")
    assert "base_model: davinci" in text
    assert (
        f"**Lineage:** davinci `{card.parents[0].fingerprint[:12]}` → *code* → code-davinci `{card.version}`"
        in text
    )
    assert "| bits-per-byte:prose |" in text
    assert "**Every licence that went in, ancestors included:** CC0-1.0, MIT." in text or (
        "**Every licence that went in, ancestors included:** MIT, CC0-1.0." in text
    )
    assert "## 中文摘要" in text
    assert "![Training curves](curves.png)" in text


def test_a_card_survives_writing_and_reading(family: Path) -> None:
    home = Home(family)
    folder = home.path("model", "davinci", home.versions("model", "davinci")[0])
    card = read_card(folder)
    assert Card.model_validate_json(card.model_dump_json()) == card


def test_a_damaged_card_is_named(tmp_path: Path) -> None:
    (tmp_path / "card.json").write_text('{"name": "x"}', encoding="utf-8")
    with pytest.raises(UserError, match=r"card\.json: damaged"):
        read_card(tmp_path)


def test_a_folder_without_a_card_is_said_to_be_no_model(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not a model that Bottega built"):
        read_card(tmp_path)


def test_licences_of_a_dataset_read_by_two_models_count_once() -> None:
    def used(digest: str, licences: dict[str, int]) -> Data:
        return Data(
            dataset="d", weight=1, digest=digest, records=1, tokens=1, text_bytes=1, licences=licences
        )

    assert all_licences(
        [used("x", {"MIT": 3}), used("x", {"MIT": 3}), used("y", {"MIT": 1, "CC0-1.0": 9})]
    ) == {
        "CC0-1.0": 9,
        "MIT": 4,
    }


def test_curves_are_thinned_and_keep_their_ends(tmp_path: Path) -> None:
    file = tmp_path / "metrics.jsonl"
    rows = ({"step": n, "tokens": n, "loss": float(n)} for n in range(1, 1002))
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    curves = thin_curves(file)
    assert curves["tokens"][0] == 1
    assert curves["tokens"][-1] == 1001
    assert len(curves["tokens"]) <= 201


def test_curves_of_learning_from_preference_have_its_figures_and_are_drawn(
    family: Path, tmp_path: Path
) -> None:
    """CORRECTNESS 28: what is logged at every step is drawn into the card."""
    from bottega.lineage.curves import draw_curves

    file = tmp_path / "metrics.jsonl"
    figures = {"score": 0.5, "kl": 0.1, "entropy": 1.0, "heldout_score": 0.0}
    rows = ({"step": n, "tokens": n, "loss": 0.0, **figures} for n in range(1, 9))
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    curves = thin_curves(file)
    assert set(curves) == {"tokens", "loss", "score", "kl", "entropy"}
    home = Home(family)
    card = read_card(home.path("model", "davinci", home.versions("model", "davinci")[0]))
    draw_curves(card.model_copy(update={"curves": curves}), tmp_path / "curves.svg")
    drawn = (tmp_path / "curves.svg").read_text(encoding="utf-8")
    assert drawn.count('id="axes_') == 3  # a policy's loss says nothing


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0.4, "0 s"), (59.6, "1 min 00 s"), (185, "3 min 05 s"), (7800, "2 h 10 min")]
)
def test_durations_read_naturally(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown


@pytest.mark.parametrize(
    ("count", "shown"), [(950, "950"), (12_300, "12.3k"), (4_500_000, "4.5M"), (1.2e9, "1.2B")]
)
def test_quantities_read_naturally(count: float, shown: str) -> None:
    assert quantity(count) == shown


def test_costs_are_shown_for_the_model_and_its_ancestors(family: Path) -> None:
    home = Home(family)
    card = read_card(home.path("model", "text-davinci", home.versions("model", "text-davinci")[0]))
    assert isinstance(card.cost, Cost)
    assert "| tokens | 8.2k | 24.6k |" in readme(card)
