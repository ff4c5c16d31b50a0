"""The report: one page with everything in it, that asks nothing of the network and trusts no text."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from recipes.tiny import TINY, tiny_options

from bottega.bilingual import Text
from bottega.cli.main import run
from bottega.evals.claims import Claim, Verdict
from bottega.lineage.card import Sample, read_card, write_card
from bottega.lineage.family import members
from bottega.lineage.home import Home
from bottega.lineage.recipe import load
from bottega.lineage.report import NODE_HEIGHT, NODE_WIDTH, write_report

EVIL = "<script>alert(1)</script><img src=x onerror=alert(2)>"
VOID = {"meta", "br", "img", "path", "polyline", "link"}


class Page(HTMLParser):
    """Open tags, text by language, links; raises on a tag that is closed but was not open."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.nodes: list[tuple[int, int]] = []
        self.feed(text)
        assert not self.open, self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)
        given = dict(attrs)
        if "node" in (given.get("class") or "").split():
            place = re.findall(r"\d+", given.get("style") or "")
            self.nodes.append((int(place[0]), int(place[1])))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture
def page(copied: Home, data: Path, tmp_path: Path) -> str:
    """The tiny family's report, with an answer that tries to be a program."""
    recipe, options = load(TINY), tiny_options(data)
    for member in members(recipe, copied, options):
        assert member.folder is not None
        card = read_card(member.folder)
        write_card(member.folder, card.model_copy(update={"samples": (Sample(prompt=EVIL, answer=EVIL),)}))
    claim = Claim(
        id="x", model="davinci", says="It reads <b>.", says_zh="它会读。", metric="accuracy",
        cases=("a",), n=10, direction="higher", effect="difference", minimum_effect=0.1, above_floors=True,
        built=True, twin="",
    )  # fmt: skip
    verdict = Verdict(claim, "not shown", Text(en="too small", zh="太小"), 0.05, -0.01, 0.11, n=20)
    out = tmp_path / "report.html"
    write_report(
        recipe, members(recipe, copied, options), out, world_seed=0, verdicts=[verdict], language="zh"
    )
    return out.read_text(encoding="utf-8")


def test_everything_is_on_the_page_in_both_languages(page: str) -> None:
    recipe = load(TINY)
    for name in recipe.models:
        assert page.count(name) >= 3
    for wanted in (
        "A tiny family",
        "小家族",
        "CC-BY-4.0",
        "它会读。",
        "-0.010 – +0.110",
        "未证实",
        "too small",
        "太小",
    ):
        assert wanted in page
    assert '<html lang="zh">' in page
    assert "bits-per-byte:prose" in page


def test_the_page_is_well_formed_and_asks_nothing_of_the_network(page: str) -> None:
    parsed = Page(page)
    assert parsed.tags.count("script") == 1
    assert not re.search(r"(src|href)=\"(?!#)", page)
    assert "url(" not in page
    assert "@import" not in page


def test_text_from_models_and_data_is_never_markup(page: str) -> None:
    assert EVIL not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert Page(page).tags.count("img") == 0
    assert "It reads &lt;b&gt;." in page


def test_a_model_shows_its_score_and_its_best_and_worst_answers_while_it_learned(
    copied: Home, data: Path, tmp_path: Path
) -> None:
    folder = copied.path("model", "davinci", copied.versions("model", "davinci")[0])
    rows = [
        {"step": step, "prompt": EVIL, "answer": f"{EVIL} {name}", "score": score}
        for step in (20, 0, 10)
        for name, score in (("second", 0.5), ("best", 1.25), ("worst", -2.0))
    ]
    judged = {"en": "the training reward itself", "zh": "训练所用的奖励本身"}
    report = {"samples": rows, "judged_by": judged, "kept_step": 10}
    curves = {"tokens": [1.0, 2.0], "loss": [0.01, 0.02], "score": [-0.5, 0.75]}
    card = read_card(folder).model_copy(update={"report": report, "curves": curves})
    write_card(folder, card)
    found = members(load(TINY), copied, tiny_options(data))
    write_report(load(TINY), found, tmp_path / "report.html", world_seed=0)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert Page(page).tags.count("details") == 1
    assert EVIL not in page
    own = page.partition('id="davinci"')[2].partition("</section>")[0]
    assert "score from -0.50 to 0.75 over 2 tokens" in own
    headings = re.findall(r'<h4><span lang="en">(.*?)</span>.*?</h4>', own)
    assert headings == ["Before the first step", "Step 10", "Step 20"]
    assert '第 10 步</span><span lang="en">, whose weights are kept' in own
    assert own.count("whose weights are kept") == 1
    assert re.findall(r"onerror=alert\(2\)&gt; (\w+)</pre>", own) == ["best", "worst"] * 3
    assert re.findall(r"> (-?\d\.\d{3})</small>", own) == ["1.250", "-2.000"] * 3
    assert "Scored by the training reward itself." in own and "训练所用的奖励本身" in own


def test_models_stand_apart_and_to_the_right_of_their_parents(page: str) -> None:
    places = Page(page).nodes
    assert len(places) == len(load(TINY).models)
    for i, (x, y) in enumerate(places):
        for other_x, other_y in places[:i]:
            assert abs(x - other_x) >= NODE_WIDTH or abs(y - other_y) >= NODE_HEIGHT


def test_lineage_writes_it(
    copied: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BOTTEGA_HOME", str(copied.root))
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", lambda url: not opened.append(url))
    assert run(["lineage", "--open", "--language", "zh"]) == 0
    written = copied.root / "families" / "tiny.html"
    assert opened == [written.as_uri()]
    assert f"Wrote {written}." in capsys.readouterr().out
    assert run(["lineage", "--html", str(tmp_path / "other.html")]) == 0
    assert Page((tmp_path / "other.html").read_text(encoding="utf-8")).nodes
