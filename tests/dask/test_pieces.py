"""How a graph is divided into calls."""

from collections.abc import Sequence
from typing import Any

import pytest
from dask._task_spec import Alias, Task, TaskRef, convert_legacy_graph
from dask.utils_test import add, inc

from distribute_challenge.dask.pieces import Plan


def plan(graph: dict[Any, Any], keys: Sequence[Any], *, joined: bool = True) -> Plan:
    return Plan(convert_legacy_graph(graph), keys, joined=joined)


def tasks(plan: Plan) -> list[list[Any]]:
    return [piece.tasks for piece in plan.pieces.values()]


def test_a_chain_is_one_piece() -> None:
    chain = {"a": 1, "b": (inc, "a"), "c": (inc, "b"), "d": (add, "c", 1)}
    made = plan(chain, ["d"])
    assert tasks(made) == [["b", "c", "d"]]
    assert made.pieces["d"].data == ["a"]
    assert made.pieces["d"].needs == ()
    assert tasks(plan(chain, ["d"], joined=False)) == [["b"], ["c"], ["d"]]


def test_a_value_that_is_asked_for_ends_a_piece() -> None:
    graph = {"a": (inc, 1), "b": (inc, "a"), "c": (inc, "b")}
    assert tasks(plan(graph, ["b", "c"])) == [["a", "b"], ["c"]]


def test_tasks_that_can_run_at_the_same_time_are_not_joined() -> None:
    graph = {"a": (inc, 1), "b": (inc, "a"), "c": (inc, 2), "d": (add, "b", "c")}
    made = plan(graph, ["d"])
    assert tasks(made) == [["a", "b"], ["c"], ["d"]]
    assert made.pieces["d"].needs == ("b", "c")


def test_a_value_with_two_users_ends_a_piece() -> None:
    graph = {"a": (inc, 1), "b": (inc, "a"), "c": (add, "a", 1), "d": (add, "b", "c")}
    assert tasks(plan(graph, ["d"])) == [["a"], ["b"], ["c"], ["d"]]


def test_pieces_come_depth_first_in_the_order_of_the_graph() -> None:
    """The inputs of one task come together, and not those of all."""
    leaves = {f"{name}{number}": (inc, 7) for name in "xy" for number in range(3)}
    graph = leaves | {number: (add, f"x{number}", f"y{number}") for number in range(3)}
    order = [key for piece in tasks(plan(graph, [2, 0, 1])) for key in piece]
    assert order == ["x0", "y0", 0, "x1", "y1", 1, "x2", "y2", 2]


def test_tasks_that_no_key_needs_are_left_out() -> None:
    assert tasks(plan({"a": (inc, 1), "b": (inc, "a"), "c": (inc, 5)}, ["b"])) == [["a", "b"]]


def test_aliases_are_no_calls_and_join_what_they_connect() -> None:
    graph = {
        "a": Task("another name", inc, 1),
        "b": Alias("b", "a"),
        "c": Alias("also another", "b"),
        "d": Task("d", inc, TaskRef("c")),
    }
    made = Plan(graph, ["d"])
    assert tasks(made) == [["a", "d"]]
    assert [key for key, _ in made.pieces["d"].nodes] == ["a", "b", "c", "d"]
    assert made.source("c").key == "a"


def test_a_key_that_is_not_there_is_an_error() -> None:
    with pytest.raises(KeyError, match="b"):
        plan({"a": 1}, ["a", "b"])
    with pytest.raises(ValueError, match=r"the task 'a' needs 'b', which is not in the graph"):
        Plan({"a": Task("a", inc, TaskRef("b"))}, ["a"])


def test_a_cycle_is_an_error() -> None:
    with pytest.raises(RuntimeError, match=r"Cycle detected in Dask: '[ab]' needs its own value"):
        plan({"a": (inc, "b"), "b": (inc, "a")}, ["a"])
    with pytest.raises(RuntimeError, match="Cycle detected"):
        Plan({"a": Alias("a", "b"), "b": Alias("b", "a")}, ["a"])
