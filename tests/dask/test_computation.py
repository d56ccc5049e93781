"""When calls are sent, and what is kept."""

import gc
import threading
import weakref
from typing import Any

import pytest
from dask._task_spec import convert_legacy_graph
from dask.utils_test import add, inc

from distribute_challenge import Future
from distribute_challenge.core.options import CallOptions
from distribute_challenge.core.running_graphs import ended_graphs_of, graphs_of
from distribute_challenge.dask.callbacks import Callbacks
from distribute_challenge.dask.calls import Calls
from distribute_challenge.dask.computation import Computation
from distribute_challenge.dask.pieces import Plan
from distribute_challenge.dask.window import Window
from distribute_challenge.errors import CallCancelledError
from tests.dask.engine import Engine


def computation(graph: dict[Any, Any], keys: list[Any], engine: Engine, window: Window) -> Any:
    plan = Plan(convert_legacy_graph(graph), keys, joined=False)
    return Computation(plan, Calls(plan, engine, CallOptions()), engine, window, Callbacks(()))


def test_a_value_is_forgotten_when_the_last_task_that_needs_it_was_sent() -> None:
    futures: list[weakref.ref[Future[Any]]] = []
    alive: list[list[bool]] = []

    def take(future: Future[Any]) -> None:
        gc.collect()
        alive.append([each() is not None for each in futures])
        futures.append(weakref.ref(future))
        future.resolve(0)

    graph = {"a": (inc, 0), "b": (inc, "a"), "c": (add, "a", "b"), "d": (inc, "c")}
    made = computation(graph, ["d"], Engine(take), Window(2))
    made.run()
    assert alive == [[], [True], [True, False], [False, False, False]]
    assert made.values(["d"]) == {"d": 0}


def test_at_most_as_many_calls_are_open_as_the_window_allows() -> None:
    out: list[Future[Any]] = []

    def take(future: Future[Any]) -> None:
        assert all(each.done() for each in out)
        out.append(future)
        threading.Thread(target=future.resolve, args=(0,)).start()

    graph = {key: (inc, number) for number, key in enumerate("abcdefgh")}
    computation(graph, list(graph), Engine(take), Window(2, most=1)).run()
    assert len(out) == 8


def test_its_progress_is_known_while_it_runs() -> None:
    """One without calls has none."""
    progress: list[tuple[int, int, int]] = []

    def take(future: Future[Any]) -> None:
        (graph,) = graphs_of(engine.sender)
        progress.append((graph.calls, graph.unsent, graph.out))
        future.resolve(0)

    engine = Engine(take)
    engine.sender = object()
    computation({"a": (inc, 0), "b": (inc, "a"), "c": (inc, "b")}, ["c"], engine, Window(2)).run()
    assert progress == [(3, 3, 0), (3, 2, 1), (3, 1, 1)]
    (ended,) = ended_graphs_of(engine.sender)
    assert (ended.name, ended.unsent, ended.results, ended.failed) == ("c", 0, 1, 0)
    computation({"a": 1}, ["a"], engine, Window(2)).run()
    assert list(ended_graphs_of(engine.sender)) == [ended]
    assert list(graphs_of(engine.sender)) == []


def test_after_an_error_the_calls_that_are_out_are_cancelled() -> None:
    futures: list[Future[Any]] = []

    def take(future: Future[Any]) -> None:
        futures.append(future)
        if len(futures) == 3:
            future.fail(ZeroDivisionError("no luck"))

    graph: dict[Any, Any] = {key: (inc, number) for number, key in enumerate("abc")}
    engine = Engine(take)
    engine.sender = object()
    with pytest.raises(ZeroDivisionError, match="no luck"):
        computation(graph, list(graph), engine, Window(2)).run()
    assert [future.cancelled() for future in futures] == [True, True, False]
    (ended,) = ended_graphs_of(engine.sender)
    assert ended.failed


def test_a_call_that_is_cancelled_ends_the_computation() -> None:
    with pytest.raises(CallCancelledError):
        computation({"a": (inc, 1)}, ["a"], Engine(Future.cancel), Window(2)).run()


def test_the_window_grows_for_short_calls_and_shrinks_for_long_ones() -> None:
    window = Window(2, most=50)
    assert window.size == 6
    window.record(6, 0.01)
    assert window.size == 50
    window.record(50, 100.0)
    assert window.size == 6
    in_place = Window(0)
    in_place.record(1, 0.0)
    assert in_place.size == 1
