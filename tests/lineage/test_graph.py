"""Order, ancestors and cycles."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from recipes.tiny import TINY

from bottega.lineage.graph import Graph, Node, find_cycle
from bottega.lineage.recipe import load, parse


def model(name: str) -> Node:
    return Node("model", name)


def test_ancestors_reach_through_tokenizers_to_datasets() -> None:
    graph = Graph(load(TINY))
    assert graph.ancestors(model("davinci")) == {
        Node("dataset", "prose"),
        Node("dataset", "chats"),
        Node("tokenizer", "tiny"),
    }


def test_descendants_of_a_dataset_are_all_that_read_it() -> None:
    graph = Graph(load(TINY))
    assert graph.descendants(Node("dataset", "code")) == {model("code-davinci")}


def test_every_node_is_scheduled_once_and_after_what_it_needs() -> None:
    graph = Graph(load(TINY))
    order = graph.schedule()
    assert sorted(order) == sorted(graph.needs)
    for node in order:
        assert all(order.index(need) < order.index(node) for need in graph.needs[node])


def test_the_first_chat_model_is_built_before_what_it_does_not_need_and_controls_come_last() -> None:
    order = [node.name for node in Graph(load(TINY)).schedule() if node.kind == "model"]
    assert order == ["davinci", "text-davinci", "code-davinci", "text-davinci-scratch"]


def test_of_two_chat_models_the_one_with_fewer_ancestors_comes_first() -> None:
    text = TINY.read_text(encoding="utf-8")
    text = text.replace('stage = "code"', 'stage = "code"\nchat = true')
    text = text.replace(
        '[models.text-davinci]\nstage = "sft"\nparent = "davinci"',
        '[models.text-davinci]\nstage = "sft"\nparent = "code-davinci"',
    )
    order = [node.name for node in Graph(parse(text, "t.toml")).schedule() if node.kind == "model"]
    assert order.index("code-davinci") < order.index("text-davinci")


def test_what_a_model_on_the_way_is_scored_on_is_built_before_it() -> None:
    text = TINY.read_text(encoding="utf-8")
    prose = '[datasets.last]\nsources = [{ uri = "school:prose-en", records = 50 }]\n\n[datasets.prose]'
    text = text.replace("[datasets.prose]", prose, 1)
    text = text.replace("[evals]\n", '[evals]\nlast = ["bits-per-byte:last"]\n', 1)
    text = text.replace('evals = ["text"]', 'evals = ["last"]', 1)
    graph = Graph(parse(text, "t.toml"))
    order = graph.schedule()
    assert order.index(Node("dataset", "last")) < order.index(model("davinci"))
    child = next(name for name in graph.recipe.models if model("davinci") in graph.ancestors(model(name)))
    for wanted in ([child], [child, "davinci"]):
        order = graph.schedule(wanted)
        assert (
            order.index(Node("dataset", "last")) < order.index(model("davinci")) < order.index(model(child))
        )


def test_models_that_are_held_against_each_other_do_not_wait_for_each_other() -> None:
    text = (TINY.parent / "preference.toml").read_text(encoding="utf-8")
    talker = '[models.talker]\nstage = "sft"'
    text = text.replace(talker, talker + '\nevals = ["win-rate@improved:preference-prompts"]', 1)
    graph = Graph(parse(text, "p.toml"))
    assert model("improved") not in graph.read_by_evaluations("talker")
    assert {model("talker"), model("judge"), model("stranger")} <= set(graph.read_by_evaluations("improved"))


def test_only_what_a_target_needs_is_scheduled() -> None:
    assert Graph(load(TINY)).schedule(["davinci"]) == [
        Node("dataset", "prose"),
        Node("dataset", "chats"),
        Node("tokenizer", "tiny"),
        model("davinci"),
    ]


def test_a_diamond_is_no_cycle() -> None:
    assert find_cycle({"a": ["b", "c"], "b": ["d"], "c": ["d"], "d": []}) is None


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=25))
def test_a_cycle_is_found_exactly_where_there_is_one(edges: list[tuple[int, int]]) -> None:
    parents: dict[str, list[str]] = {str(n): [] for n in range(10)}
    for child, parent in edges:
        parents[str(child)].append(str(parent))
    cycle = find_cycle(parents)
    # Kahn's count: leaves are taken away until none is left, or none can be.
    left = dict(parents)
    while leaves := [name for name, above in left.items() if not any(p in left for p in above)]:
        for name in leaves:
            del left[name]
    assert (cycle is None) == (not left)
    if cycle:
        assert cycle[0] == cycle[-1]
        assert all(after in parents[before] for before, after in pairwise(cycle))
