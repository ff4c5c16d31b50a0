"""A miniature family that builds in seconds: its data, its options, and an observer that remembers."""

from __future__ import annotations

import json
from pathlib import Path

from bottega.lineage.graph import Node
from bottega.lineage.options import BuildOptions
from bottega.lineage.recipe import Recipe, parse

TINY = Path(__file__).with_name("tiny.toml")
COLOURS = ("red", "green", "blue", "white", "grey", "black")
THINGS = ("stone", "river", "house", "tree", "road", "boat", "bird", "hill")
ANIMALS = ("cat", "dog", "fox", "owl", "hen", "cow")


def write_data(folder: Path) -> None:
    """prose, code and chats: a few hundred short records each."""
    folder.mkdir(parents=True, exist_ok=True)
    pairs = [(colour, thing, animal) for colour in COLOURS for thing in THINGS for animal in ANIMALS]
    prose = [{"text": f"The {t} is {c}. The {a} sits by the {t}. 石头是{c}的。"} for c, t, a in pairs]
    code = [{"text": f"def {t}_{a}(x):\n    return '{c}' * x\n"} for c, t, a in pairs]
    chats = [
        {
            "messages": [
                {"role": "user", "content": f"What is the colour of the {t} of the {a}? It is {c}."},
                {"role": "assistant", "content": f"It is {c}."},
            ]
        }
        for c, t, a in pairs
    ]
    for name, rows in (("prose", prose), ("code", code), ("chats", chats)):
        lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (folder / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")


def with_judge_of_a_file() -> Recipe:
    """The family with a reward model of rankings that nobody has seen yet."""
    rankings = '\n[datasets.rankings]\nsources = ["file:$DATA/rankings.jsonl"]\n'
    judge = '\n[models.judge]\nstage = "reward"\nparent = "text-davinci"\ndata = ["rankings"]\n'
    return parse(TINY.read_text(encoding="utf-8") + rankings + judge, str(TINY))


class Heard:
    """An observer that remembers."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str]] = []

    def of(self, kind: str) -> list[str]:
        """What was heard of one kind, in order."""
        return [what for event, what in self.events if event == kind]

    def plan(self, nodes: list[Node]) -> None:
        self.events += [("plan", str(node)) for node in nodes]

    def found(self, node: Node) -> None:
        self.events.append(("found", str(node)))

    def begin(self, node: Node, run: Path | None) -> None:
        self.events.append(("begin", str(node)))

    def evaluating(self, node: Node, evaluation: str) -> None:
        self.events.append(("evaluating", f"{node.name} {evaluation}"))

    def done(self, node: Node, note: str) -> None:
        self.events.append(("done", str(node)))

    def failed(self, node: Node, error: BaseException) -> None:
        self.events.append(("failed", str(node)))

    def skipped(self, node: Node, because: Node) -> None:
        self.events.append(("skipped", str(node)))

    def say(self, text: str) -> None:
        self.events.append(("say", text))


def tiny_options(data: Path) -> BuildOptions:
    """How tests build: one thread, nothing compiled."""
    return BuildOptions(
        data=data, threads=1, compile="off", precision="float32", device="cpu", command="bottega build --all"
    )
