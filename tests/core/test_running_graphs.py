"""The graphs that a process has submitted, and those that have just ended."""

import gc
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest

from distribute_challenge import Future, compute_this, gather, use_backend
from distribute_challenge.core.messages import Task
from distribute_challenge.core.running_graphs import RunningGraph, ended_graphs_of, graphs_of
from distribute_challenge.core.running_maps import MOST_ENDED
from distribute_challenge.errors import DependencyError
from distribute_challenge.execution_backends.base import ExecutionBackend
from distribute_challenge.graph.submission import Submission
from tests.forks import ended, fork


class Engine(ExecutionBackend):
    """Keeps the futures of what it gets, for the test to end."""

    concurrency = 1

    def __init__(self) -> None:
        self.futures: list[Future[Any]] = []
        self.sender = object()

    def submit(self, task: Task) -> Future[Any]:
        self.futures.append(Future(task.function.name))
        return self.futures[-1]

    @property
    def open(self) -> list[RunningGraph]:
        return list(graphs_of(self.sender))

    @property
    def ended(self) -> list[RunningGraph]:
        return list(ended_graphs_of(self.sender))


@pytest.fixture
def engine() -> Iterator[Engine]:
    engine = Engine()
    with use_backend(engine):
        yield engine


@compute_this
def add(x: Any, y: Any = 1) -> Any:
    return x + y


@compute_this
def double(x: Any) -> Any:
    return 2 * x


def test_a_graph_is_known_until_its_result_is_there(engine: Engine) -> None:
    """A call that stands in several places is one call. Another sender's graphs are not listed."""
    shared = double(3)
    future = add(shared, double(shared)).submit()
    (graph,) = engine.open
    assert (graph.name, graph.calls, graph.results) == ("add", 3, 1)
    assert graph.ended is None
    assert graph not in graphs_of(object())
    future.cancel(force=True)
    assert engine.open == []
    assert engine.ended == [graph]
    assert (graph.failed, graph.cancelled) == (0, 1)
    assert graph.ended is not None
    assert graph.ended >= graph.began


def test_a_graph_has_each_result_that_the_program_gets(engine: Engine) -> None:
    """It is named after their functions, and ends with the last of them."""
    with Submission(engine) as submission:
        first = submission.submit(double(add(1)))
        again = double(add(2))
        second = submission.submit(again)
        assert submission.submit(again) is second
        third = submission.submit(add(again))
        (graph,) = engine.open
        first.cancel(force=True)
    assert (graph.name, graph.calls, graph.results) == ("double, add", 5, 3)
    assert engine.open == [graph]
    engine.futures[1].fail(ValueError("no"))
    with pytest.raises(ValueError, match="no"):
        third.result(60)
    with pytest.raises(ValueError, match="no"):
        second.result(60)
    assert engine.ended == [graph]
    assert (graph.failed, graph.cancelled) == (2, 1)


def test_calls_that_need_no_others_are_no_graph(engine: Engine) -> None:
    """Neither is a call with futures."""
    alone = add(double(1).submit(), double(2).submit()).submit()
    with Submission(engine) as submission:
        submission.submit(double(3))
    assert (engine.open, engine.ended) == ([], [])
    alone.cancel(force=True)


def test_calls_that_are_begun_for_later_ones_are_not_counted(engine: Engine) -> None:
    """As the first wave of a map-reduce: until the later ones are there, nothing waits for them."""
    begun = double(1)
    with Submission(engine) as submission:
        submission.begin(begun, begun.prepare(engine))
        assert engine.open == []
        future = submission.submit(add(begun))
        (graph,) = engine.open
    assert (graph.name, graph.calls, graph.results) == ("add", 1, 1)
    future.cancel(force=True)


def test_a_map_over_calls_is_no_graph() -> None:
    before = list(ended_graphs_of(None))
    assert list(double.map([double(4)], backend="threads")) == [16]
    assert list(ended_graphs_of(None)) == before
    assert not [graph for graph in graphs_of(None) if graph.name == "double"]


def test_a_long_list_of_functions_is_cut(engine: Engine) -> None:
    graph = RunningGraph("any", engine)
    futures: list[Future[Any]] = [Future(name) for name in "abcda"]
    for future in futures:
        graph.add_result(future)
    assert graph.name == "a, b, c, ..."
    graph.complete()
    for future in futures:
        assert graph.ended is None
        future.resolve(1)
    assert graph.ended is not None


def test_a_graph_without_a_result_is_not_remembered(engine: Engine) -> None:
    """A call that needs itself was not submitted."""
    inner = add(1)
    circle = add(inner, [inner])
    circle.args = (*circle.args, circle)
    with pytest.raises(DependencyError):
        circle.submit()
    assert (engine.open, engine.ended) == ([], [])


def test_a_graph_is_forgotten_with_its_engine() -> None:
    engine = Engine()
    graph, sender = RunningGraph("any", engine), engine.sender
    assert graph.is_of(sender)
    del engine
    gc.collect()
    assert not graph.is_of(sender)
    assert not graph.is_of(None)
    graph.complete()


def test_a_fork_has_no_graphs_of_its_parent(engine: Engine) -> None:
    future = add(double(1)).submit()
    assert len(engine.open) == 1
    assert ended(fork(lambda: engine.open)) == 0
    future.cancel(force=True)


def test_of_many_ended_graphs_the_latest_are_remembered(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = count()
    for _ in range(MOST_ENDED + 1):
        graph = RunningGraph(f"graph {next(numbers)}", engine)
        future: Future[Any] = Future("call")
        future.resolve(1)
        graph.add_result(future)
        graph.complete()
    assert len(engine.ended) == MOST_ENDED
    assert engine.ended[-1] is graph


def test_the_calls_of_one_gather_are_one_graph(engine: Engine) -> None:
    with pytest.raises(TimeoutError):
        gather([double(add(number)) for number in range(3)], timeout=0.01)
    (graph,) = engine.ended
    assert (graph.calls, graph.results, graph.cancelled) == (6, 3, 3)
