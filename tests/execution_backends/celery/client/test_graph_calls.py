"""The unfinished calls of graphs, found from the calls of a client."""

from collections.abc import Iterator
from typing import Any

import pytest

from distribute_challenge import Future, compute_this, use_backend
from distribute_challenge.core import clock
from distribute_challenge.core.messages import Task
from distribute_challenge.core.running_graphs import RunningGraph, graphs_of
from distribute_challenge.execution_backends.base import ExecutionBackend
from distribute_challenge.execution_backends.celery.client import graph_calls as module
from distribute_challenge.execution_backends.celery.client.calls import Call
from distribute_challenge.execution_backends.celery.client.graph_calls import GraphCalls
from distribute_challenge.settings import DEFAULT_QUEUE


class Engine(ExecutionBackend):
    """Keeps the calls that it gets, and their options."""

    concurrency = 1
    honours = ExecutionBackend.honours | {"queue"}

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.sender = self

    def submit(self, task: Task) -> Future[Any]:
        self.calls.append(Call(task, lambda call, force=False: True))
        return self.calls[-1]

    def graph(self) -> RunningGraph:
        (graph,) = graphs_of(self)
        return graph

    def counted(self) -> GraphCalls:
        counting = GraphCalls(self)
        counting.count(lambda: self.calls)
        return counting


@pytest.fixture
def engine() -> Iterator[Engine]:
    engine = Engine()
    with use_backend(engine):
        yield engine


@compute_this
def inc(x: Any) -> Any:
    return x + 1


@compute_this(queue="others")
def total(values: Any) -> Any:
    return sum(values)


def test_calls_of_a_graph_are_counted_from_those_that_wait_to_be_sent(engine: Engine) -> None:
    """A call that others share counts once, and so do those that need it."""
    shared = inc(0)
    future = total([inc(shared), inc(shared), inc(inc(5))]).submit()
    graph = engine.graph()
    assert graph.calls == 6
    counted = engine.counted()
    assert counted.waiting == {graph.number: 6}
    assert counted.out == {}
    assert counted.held == {("inc", DEFAULT_QUEUE): 3, ("total", "others"): 1}
    engine.calls[0].batch = object()  # type: ignore[assignment] # it was sent
    engine.calls[1].resolve(6)
    counted = engine.counted()
    assert (counted.waiting, counted.out) == ({graph.number: 3}, {graph.number: 1})
    future.cancel(force=True)


def test_a_call_that_has_waited_counts_as_the_client_s(engine: Engine, eventually: Any) -> None:
    future = total([inc(inc(0))]).submit()
    engine.calls[0].resolve(1)
    eventually(lambda: len(engine.calls) == 2)
    counted = engine.counted()
    assert counted.waiting == {engine.graph().number: 2}
    assert counted.held == {("total", "others"): 1}
    engine.calls[1].batch = object()  # type: ignore[assignment] # it was sent
    assert engine.counted().out == {engine.graph().number: 1}
    future.cancel(force=True)


def test_a_future_that_the_program_knows_is_in_no_graph(engine: Engine) -> None:
    """What needs it waits nevertheless, in a graph or not."""
    known = inc(0).submit()
    alone = inc(known).submit()
    future = total([inc(known)]).submit()
    counted = engine.counted()
    assert counted.waiting == {engine.graph().number: 2}
    assert counted.held == {("inc", DEFAULT_QUEUE): 2, ("total", "others"): 1}
    alone.cancel(force=True)
    future.cancel(force=True)


def test_calls_of_other_engines_are_not_counted(engine: Engine) -> None:
    other = Engine()
    future = total([inc(0)]).submit(other)
    counting = GraphCalls(engine)
    counting.count(lambda: other.calls)
    assert counting.held == {}
    future.cancel(force=True)


def test_a_long_count_is_not_repeated_soon(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes at most a fiftieth of the time."""
    now = [100.0]
    monkeypatch.setattr(clock, "monotonic", lambda: now[0])
    future = total([inc(0)]).submit()
    counting, asked = GraphCalls(engine), []

    def calls() -> list[Call]:
        asked.append(now[0])
        now[0] += 0.1
        return engine.calls

    for now[0] in (100.0, 105.0, 105.2):
        counting.count(calls)
    assert asked == [100.0, 105.2]
    assert sum(counting.waiting.values()) == 2
    counting.forget()
    assert not counting.waiting
    assert module.REST == 50
    future.cancel(force=True)
