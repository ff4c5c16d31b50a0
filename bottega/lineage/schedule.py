"""When each node of a build has its turn and how long the whole will take, by what each is likely to cost."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from bottega.lineage.graph import Graph, Node
from bottega.lineage.recipe import CollectedSpec, Recipe


def effort(recipe: Recipe, node: Node) -> float:
    """What a node costs, in tokens of text that a model learns from in that time: a rule of thumb, by which
    builds are ordered and tell the time left.

    0 for what takes next to no time, and for a model whose data alone tells, such as a reward model of
    rankings from a file.
    """
    if node.kind == "tokenizer":
        return 0.0
    if node.kind == "dataset":
        dataset = recipe.datasets[node.name]
        return dataset.knobs.effort() if isinstance(dataset, CollectedSpec) else 0.0
    spec = recipe.models[node.name]
    data = (recipe.datasets.get(use.dataset) for use in spec.data)
    return spec.config.effort(sum(one.knobs.answer_tokens for one in data if isinstance(one, CollectedSpec)))


@dataclass
class Schedule:
    """The turns of the nodes of a build of which ``jobs`` run side by side.

    The way to the first chat comes as it is; then what the most work follows one after the other, for a build
    takes no less time than its longest chain. A model has all cores to itself (it is ``alone``) where the
    work that could be done beside it would not keep the other cores busy for as long.
    """

    graph: Graph
    nodes: Sequence[Node]  # in an order that would do one by one
    jobs: int
    order: list[Node] = field(init=False)
    alone: frozenset[Node] = field(init=False)
    efforts: dict[Node, float] = field(init=False)
    needs: dict[Node, tuple[Node, ...]] = field(init=False)
    _before: dict[Node, frozenset[Node]] = field(init=False)  # all that has to be settled, however indirectly

    def __post_init__(self) -> None:
        among = set(self.nodes)
        self.efforts = {node: effort(self.graph.recipe, node) for node in self.nodes}
        self.needs = {node: tuple(n for n in self._needs(node) if n in among) for node in self.nodes}
        self._before = {}
        for node in self.nodes:  # each comes after what it needs
            needs = self.needs[node]
            self._before[node] = frozenset(needs).union(*(self._before.get(need, ()) for need in needs))
        self.order = self._most_urgent_first()
        self.alone = frozenset(filter(self._is_alone, self.nodes)) if self.jobs > 1 else frozenset()

    def next(self, waiting: Sequence[Node], running: Collection[Node]) -> Node | None:
        """The node of ``waiting``, which are in :attr:`order`, that may begin now; None while none may.

        What is neither waiting nor running is settled: it stands, or nothing will come of it.
        """
        if len(running) >= self.jobs or any(node in self.alone for node in running):
            return None
        unsettled = {*waiting, *running}
        ready = [node for node in waiting if unsettled.isdisjoint(self.needs[node])]
        for node in ready:
            if node in self.alone and running:
                return None  # it begins as soon as it can have all cores
            if not self._in_the_way(node, waiting, unsettled):
                return node
        return ready[0] if ready and not running else None  # a build never waits for nothing

    def seconds(self, left: Mapping[Node, float], running: Iterable[Node]) -> float:
        """How long the build still takes where each unsettled node takes as long as ``left`` says, if
        ``running`` are at work now and the rest begin by turns."""
        now = 0.0
        ends = {node: left[node] for node in running}
        waiting = [node for node in self.order if node in left and node not in ends]
        while ends or waiting:
            while (node := self.next(waiting, ends)) is not None:
                waiting.remove(node)
                ends[node] = now + left[node]
            if not ends:  # nothing that waits can begin
                break
            first = min(ends, key=lambda node: ends[node])
            now = max(now, ends.pop(first))
        return now

    def _needs(self, node: Node) -> tuple[Node, ...]:
        """What has to stand before a node is built and, if it is a model, evaluated."""
        evaluated = self.graph.read_by_evaluations(node.name) if node.kind == "model" else []
        return (*self.graph.needs[node], *evaluated)

    def _most_urgent_first(self) -> list[Node]:
        longest: dict[Node, float] = {}
        needed_by: dict[Node, list[Node]] = {node: [] for node in self.nodes}
        for node in self.nodes:
            for need in self.needs[node]:
                needed_by[need].append(node)
        for node in reversed(self.nodes):  # each comes after what it needs
            after = max((longest[other] for other in needed_by[node]), default=0.0)
            longest[node] = self.efforts[node] + after
        models = self.graph.recipe.models
        chats = [i for i, n in enumerate(self.nodes) if n.kind == "model" and models[n.name].chat]
        first = chats[0] + 1 if chats else 0
        rest = sorted(self.nodes[first:], key=lambda node: -longest[node])
        return [*self.nodes[:first], *rest]

    def _is_alone(self, node: Node) -> bool:
        beside = sum(
            count
            for other, count in self.efforts.items()
            if other != node and other not in self._before[node] and node not in self._before[other]
        )
        return node.kind == "model" and beside < (self.jobs - 1) * self.efforts[node]

    def _in_the_way(self, node: Node, waiting: Sequence[Node], unsettled: set[Node]) -> bool:
        """Whether a model would keep one that is to be alone from its cores, which waits for data alone."""
        if node.kind != "model" or node in self.alone:
            return False
        return any(
            one in waiting
            and not any(need.kind == "model" and need in unsettled for need in self._before[one])
            for one in self.alone
        )
