"""Reports and presences as workers and clients make them, for tests."""

from typing import Any

from distribute_challenge.execution_backends.celery.broker.presence import WorkerPresence
from distribute_challenge.execution_backends.celery.broker.reports import (
    ClientReport,
    FunctionReport,
    GraphReport,
    MessageReport,
    ProcessReport,
    WorkerReport,
)

__all__ = ["NOW", "client", "function", "graph", "message", "present", "process", "worker"]

NOW = 10_000.0


def worker(name: str = "w", **fields: Any) -> WorkerReport:
    empty: dict[str, Any] = {"processes": [], "ended": [], "failures": []}
    return WorkerReport(
        name=name, **{"seen": NOW, "memory_limit": 1000, "left_out": 0, **empty, **fields}
    )


def client(name: str = "c", **fields: Any) -> ClientReport:
    empty: dict[str, Any] = {"functions": [], "maps": [], "graphs": [], "latencies": []}
    return ClientReport(name=name, **{"seen": NOW, **empty, **fields})


def process(pid: int = 1, running: str = "", began: float = 0.0) -> ProcessReport:
    return ProcessReport(pid, 100, running, began)


def message(
    began: float, took: float = 0.01, name: str = "square", pid: int = 1, state: Any = "done"
) -> MessageReport:
    return MessageReport(name, pid, began, took, state)


def function(name: str = "square", **fields: Any) -> FunctionReport:
    numbers = {"waiting": 0, "out": 0, "done": 0, "failed": 0, "seconds": 0.0}
    return FunctionReport(name, "queue", **{**numbers, **fields})


def graph(number: int = 1, name: str = "total", **fields: Any) -> GraphReport:
    ends = {"results": 1, "failed": 0, "cancelled": 0}
    calls = {"calls": 9, "waiting": 3, "out": 2}
    times = {"began": NOW - 4, "took": 4.0, "is_open": True}
    return GraphReport(number, name, **{**calls, **ends, **times, **fields})


def present(name: str, age: float = 0.0) -> WorkerPresence:
    return WorkerPresence(name, 2, ["queue"], age=age)
