"""Whose turn it is in a build, and how long the whole will take."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from recipes.tiny import with_judge_of_a_file

from bottega.lineage.graph import Graph, Node
from bottega.lineage.recipe import CollectedSpec, Recipe, load
from bottega.lineage.schedule import Schedule, effort

SCHOOL = load("school")


def model(name: str) -> Node:
    return Node("model", name)


def schedule(recipe: Recipe, jobs: int) -> Schedule:
    graph = Graph(recipe)
    return Schedule(graph, graph.schedule(), jobs)


def longest_chain(plan: Schedule, left: dict[Node, float]) -> float:
    ends: dict[Node, float] = {}
    for node in plan.nodes:  # each comes after what it needs
        ends[node] = left[node] + max((ends[need] for need in plan.needs[node]), default=0.0)
    return max(ends.values())


def test_whatever_takes_time_in_the_school_has_an_effort() -> None:
    efforts = schedule(SCHOOL, 2).efforts
    collected = {name for name, spec in SCHOOL.datasets.items() if isinstance(spec, CollectedSpec)}
    takes_time = {node for node, count in efforts.items() if count}
    assert takes_time == {*map(model, SCHOOL.models), *(Node("dataset", name) for name in collected)}
    assert efforts[model("davinci")] == 4_000_000  # its budget
    assert efforts[model("text-davinci-003")] > efforts[model("text-davinci-003-no-mix")]  # it reads besides


def test_nobody_can_tell_the_effort_of_a_reward_model_of_rankings_from_a_file() -> None:
    assert effort(with_judge_of_a_file(), model("judge")) == 0.0


def test_a_model_has_all_cores_where_little_else_could_be_done_beside_it() -> None:
    assert schedule(SCHOOL, 2).alone == {model("davinci")}
    assert schedule(SCHOOL, 1).alone == frozenset()
    graph = Graph(SCHOOL)
    chain = Schedule(graph, graph.schedule(["instruct-davinci-beta"]), 2)
    assert chain.alone == {model("davinci"), model("instruct-davinci-beta")}


def test_after_the_first_chat_the_longest_chain_goes_first() -> None:
    models = [node.name for node in schedule(SCHOOL, 2).order if node.kind == "model"]
    assert models[:3] == ["davinci", "instruct-davinci-beta", "code-davinci-001"]
    assert models.index("chatgpt") < models.index("text-davinci-001") < models.index("gpt-1")
    assert sorted(models) == sorted(SCHOOL.models)


def test_a_node_begins_when_what_it_needs_is_settled_and_a_place_is_free() -> None:
    plan = schedule(SCHOOL, 2)
    instruct, code, cushman = map(model, ("instruct-davinci-beta", "code-davinci-001", "cushman-base"))
    waiting = [instruct, code, cushman]
    assert plan.next(waiting, []) == instruct
    assert plan.next([code, cushman], [instruct]) == code
    assert plan.next([cushman], [instruct, code]) is None  # no place
    assert plan.next([model("text-davinci-002")], [code]) == model("text-davinci-002")
    assert plan.next([model("code-davinci-002")], [code]) is None  # it is made from that one


def test_a_model_that_has_all_cores_is_waited_for() -> None:
    plan = schedule(SCHOOL, 2)
    davinci, cushman, prose = model("davinci"), model("cushman-base"), Node("dataset", "prose")
    assert plan.next([davinci, cushman], [Node("dataset", "prompts")]) is None  # it begins when all is free
    assert plan.next([cushman], [davinci]) is None
    assert plan.next([davinci, cushman], [prose]) is None  # cushman-base would keep it from its cores
    assert plan.next([davinci, cushman], []) == davinci


def test_a_model_that_has_all_cores_keeps_nobody_waiting_while_its_parents_are_made() -> None:
    graph = Graph(SCHOOL)
    plan = Schedule(graph, graph.schedule(["code-davinci-002", "gpt-1", "cushman-base"]), 2)
    code, parent, cushman = map(model, ("code-davinci-002", "code-davinci-001", "cushman-base"))
    assert plan.alone == {model("davinci"), code}
    assert plan.next([code, cushman], [parent]) == cushman
    assert plan.next([code, cushman], [Node("dataset", "code-instructions")]) is None


@pytest.mark.parametrize("jobs", [1, 2, 4])
@pytest.mark.parametrize("recipe", ["school", "open-cpu", "open"])
def test_every_model_has_its_turn_whichever_are_wanted(recipe: str, jobs: int) -> None:
    graph = Graph(load(recipe))
    models = list(graph.recipe.models)
    for wanted in [*([one] for one in models), *combinations(models, 2)]:
        plan = Schedule(graph, graph.schedule(wanted), jobs)
        waiting = list(plan.order)
        while waiting:
            turn = plan.next(waiting, [])
            assert turn is not None, (wanted, waiting)
            waiting.remove(turn)


def test_a_build_never_waits_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is thought to be in the way of whom."""
    monkeypatch.setattr(Schedule, "_in_the_way", lambda *_: True)
    plan = schedule(SCHOOL, 2)
    assert plan.next(plan.order, []) == plan.order[0]
    assert plan.next(plan.order[1:], plan.order[:1]) is None


@given(st.integers(1, 4), st.data())
def test_a_build_takes_its_longest_chain_at_least_and_all_one_by_one_at_most(
    jobs: int, data: st.DataObject
) -> None:
    plan = schedule(SCHOOL, jobs)
    times = st.lists(st.floats(0, 1000), min_size=len(plan.nodes), max_size=len(plan.nodes))
    left = dict(zip(plan.nodes, data.draw(times), strict=True))
    seconds = plan.seconds(left, [])
    total = sum(left.values())
    assert seconds >= max(longest_chain(plan, left), total / jobs) - 1e-6
    assert seconds <= total + 1e-6
    if jobs == 1:
        assert seconds == pytest.approx(total)


def test_time_left_begins_with_what_is_at_work() -> None:
    plan = schedule(SCHOOL, 2)
    instruct, code, cushman = map(model, ("instruct-davinci-beta", "code-davinci-001", "cushman-base"))
    assert plan.seconds({instruct: 5.0, code: 30.0, cushman: 10.0}, [instruct, code]) == 30.0
    assert plan.seconds({instruct: 25.0, code: 30.0, cushman: 10.0}, [instruct, code]) == 35.0
