"""Takes the measurements: where the time of calls goes.

All times are microseconds for each call. The names of figures are those of `catalogue.figure_of`,
without the measurement.
"""

import os
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import fmean, median
from typing import Any

from benchmarks.self.functions import same
from benchmarks.self.where import marks
from benchmarks.self.where.costs import MICRO, Costs
from benchmarks.self.where.instruments import install_in_client
from benchmarks.self.where.marks import Mark, Place, record
from benchmarks.self.where.stages import (
    SPANS,
    STAGES,
    Taken,
    cpu_of_spans,
    middle_half,
    stages_of_calls,
)
from distribute_challenge import LocalCluster
from distribute_challenge.cluster import embedded
from distribute_challenge.core.futures import Future
from distribute_challenge.execution_backends.celery.client.client import Client

__all__ = ["mapped", "round_trip", "submitted"]

TOP = Path(__file__).parents[3]
WORKER = "benchmarks.self.where.worker"
ROUND_TRIPS = 2_000
SUBMITTED = 100_000
MAPPED = 1_000_000
WARM_UP = 200
WARM_UP_OF_MANY = 10_000
LOOKED_AT = 10_000  # Timelines of `submit`, at equal distances.
NANO = 1e9


def round_trip(workers: int) -> dict[str, float]:
    """Measure ``compute()`` of a call that does nothing: without marks, and with them."""
    with LocalCluster(workers) as cluster:
        _round_trips(WARM_UP)
        costs = Costs.of_cluster(cluster.broker_url, workers)
        unmarked = _round_trips(ROUND_TRIPS)
        found = costs.for_each(ROUND_TRIPS)
    with tempfile.TemporaryDirectory() as name, _marked(Path(name)) as futures:
        with LocalCluster(workers) as cluster:
            _round_trips(WARM_UP)
            costs = Costs.of_cluster(cluster.broker_url, workers)
            futures.clear()
            began = time.perf_counter_ns()
            times = _round_trips(ROUND_TRIPS)
            marked = costs.for_each(ROUND_TRIPS)
        seen = [mark for mark in marks.read(Path(name)) if mark.wall >= began]
    calls = stages_of_calls(seen)
    if not calls:
        raise RuntimeError(
            "no call has all marks: a function that `instruments` patches is not on its way any more"
        )
    found |= {f"marked.{key}": value for key, value in marked.items() if key.endswith(".cpu")}
    return {
        "whole": MICRO * median(times),
        "unmarked": MICRO * median(unmarked),
        "typical": MICRO * _mean_of_middle(times),
        "marked": len(calls) / ROUND_TRIPS,
        **_stages(calls),
        **_explained(seen, calls),
        **_timeline(futures),
        **found,
    }


def submitted(workers: int) -> dict[str, float]:
    """Measure ``submit()`` one by one, and then all results."""
    with LocalCluster(workers) as cluster:
        assert sum(same.map(range(WARM_UP_OF_MANY))) == sum(range(WARM_UP_OF_MANY))
        costs = Costs.of_cluster(cluster.broker_url, workers)
        began = time.perf_counter()
        futures = [same(number).submit() for number in range(SUBMITTED)]
        total = sum(future.result() for future in futures)
        seconds = time.perf_counter() - began
        found = costs.for_each(SUBMITTED)
    assert total == sum(range(SUBMITTED))
    looked_at = futures[:: max(1, SUBMITTED // LOOKED_AT)]
    return {"whole": MICRO * seconds / SUBMITTED, **_timeline(looked_at), **found}


def mapped(workers: int) -> dict[str, float]:
    """Measure ``map`` with all results kept in a list."""
    with LocalCluster(workers) as cluster:
        assert sum(same.map(range(WARM_UP_OF_MANY))) == sum(range(WARM_UP_OF_MANY))
        costs = Costs.of_cluster(cluster.broker_url, workers)
        began = time.perf_counter()
        results = list(same.map(range(MAPPED)))
        seconds = time.perf_counter() - began
        found = costs.for_each(MAPPED)
    assert results == list(range(MAPPED))
    return {"whole": MICRO * seconds / MAPPED, **found}


def _round_trips(count: int) -> list[float]:
    times = []
    for number in range(count):
        began = time.perf_counter()
        record(Place.CALL_BEGINS)
        result = same(number).compute()
        record(Place.CALL_ENDS)
        times.append(time.perf_counter() - began)
        assert result == number
    return times


@contextmanager
def _marked(folder: Path) -> Iterator[list[Future[Any]]]:
    """Let this process, and the workers that it starts in the block, mark where they are.

    It cannot be undone: this process makes no other measurement.

    Yields:
        A list that gets the future of each ``compute()``.
    """
    os.environ[marks.FOLDER_VARIABLE] = str(folder)
    os.environ["PYTHONPATH"] = str(TOP)
    embedded.WORKER_MODULE = WORKER
    futures: list[Future[Any]] = []
    send_now = Client.send_now

    def remembering(self: Client, task: Any) -> Any:
        future = send_now(self, task)
        futures.append(future)
        return future

    Client.send_now = remembering  # type: ignore[method-assign]
    install_in_client()
    marks.start(folder, "client")
    yield futures


def _mean_of_middle(times: Sequence[float]) -> float:
    quarter = len(times) // 4
    return fmean(sorted(times)[quarter : len(times) - quarter])


def _stages(calls: Sequence[Sequence[Taken]]) -> dict[str, float]:
    """Return how long each stage took: the median, and the mean of calls of middling length.

    The median CPU time is given for stages that one thread has from beginning to end.
    """
    found = {}
    middle = zip(*middle_half(calls), strict=True)
    for stage, taken, typical in zip(STAGES, zip(*calls, strict=True), middle, strict=True):
        found[f"stage.{stage.name}.wall"] = MICRO / NANO * median(each.wall for each in taken)
        found[f"stage.{stage.name}.typical"] = MICRO / NANO * fmean(each.wall for each in typical)
        cpu = [each.cpu for each in taken if each.cpu is not None]
        if len(cpu) == len(taken):
            found[f"stage.{stage.name}.cpu"] = MICRO / NANO * median(cpu)
    return found


def _explained(seen: Sequence[Mark], calls: Sequence[Sequence[Taken]]) -> dict[str, float]:
    """Return the mean CPU time of each span, and that of each process in its stages."""
    spans = cpu_of_spans(seen)
    found = {
        f"span.{span.name}.cpu": MICRO / NANO * spans[span.name] / ROUND_TRIPS for span in SPANS
    }
    in_stages: defaultdict[str, float] = defaultdict(float)
    for stage, taken in zip(STAGES, zip(*calls, strict=True), strict=True):
        in_stages[stage.role] += fmean(each.cpu or 0 for each in taken)
    return found | {f"in_stages.{role}.cpu": MICRO / NANO * cpu for role, cpu in in_stages.items()}


def _timeline(futures: Sequence[Future[Any]]) -> dict[str, float]:
    """Return the median times between the moments that the library itself records of each call."""
    timelines = [each.timeline for each in futures if each.timeline is not None]
    return {
        "timeline.unsent": MICRO * median(each.sent - each.created for each in timelines),
        "timeline.waiting": MICRO * median(each.started - each.sent for each in timelines),
        "timeline.running": MICRO * median(each.running for each in timelines),
        "timeline.returning": MICRO * median(each.returning for each in timelines),
    }
