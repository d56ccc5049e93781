"""A cluster that is kept busy, with calls that come back when the test wants it."""

import threading
from collections import deque
from typing import Any

import pytest

from distribute_challenge import LocalCluster
from distribute_challenge.benchmarking.measuring.feeder import Feeder
from distribute_challenge.benchmarking.measuring.workload import noop
from distribute_challenge.core.futures import Future
from distribute_challenge.errors import SystemFailureError


class Cluster:
    """Calls wait here for `answer`; or each is answered at once."""

    def __init__(self, *, at_once: bool = False) -> None:
        self.waiting: deque[Future[Any]] = deque()
        self.submitted = 0
        self.most = 0
        self.at_once = at_once

    def submit(self) -> Future[Any]:
        future: Future[Any] = Future("call")
        future._stages = 100.0, 101.0, 102.0, 103.0, 104.0, "w@h/1"
        self.submitted += 1
        self.waiting.append(future)
        self.most = max(self.most, len(self.waiting))
        if self.at_once:
            self.answer()
        return future

    def answer(self, error: Exception | None = None) -> None:
        future = self.waiting.popleft()
        future.set_running_or_notify_cancel()
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)


class EnoughError(Exception):
    """Raised by a test's `watch` to end the feeding."""


def test_the_feeder_keeps_the_allowed_number_of_calls_in_flight() -> None:
    cluster = Cluster()
    feeder = Feeder(cluster.submit, 8, epoch=100.0)

    def watch() -> None:
        assert feeder.in_flight <= 8
        if cluster.submitted > 100:
            raise EnoughError
        for _ in range(5):
            cluster.answer()

    with pytest.raises(EnoughError):
        feeder.feed(60.0, watch)
    assert cluster.most == 8
    assert feeder.returned == len(feeder.calls) > 90
    assert list(feeder.calls.started)[:2] == [2.0, 2.0]


def test_feeding_ends_after_its_time_and_draining_when_all_calls_have_returned() -> None:
    cluster = Cluster()
    feeder = Feeder(cluster.submit, 3, epoch=0.0)
    feeder.feed(0.01, lambda: None)
    assert feeder.in_flight == 3
    answering = threading.Thread(target=lambda: [cluster.answer() for _ in range(3)])
    looks = []

    def watch() -> None:
        looks.append(feeder.in_flight)
        if not answering.ident:
            answering.start()

    feeder.drain(watch, patience=60.0)
    answering.join()
    assert (feeder.in_flight, feeder.returned, cluster.submitted) == (0, 3, 3)
    assert looks[0] == 3


def test_a_call_that_has_ended_before_the_feeder_waits_for_it_is_counted() -> None:
    cluster = Cluster(at_once=True)
    feeder = Feeder(cluster.submit, 1, epoch=0.0)
    feeder.feed(0.02, lambda: None)
    assert feeder.in_flight == 0
    assert feeder.returned == cluster.submitted > 1


def test_failed_calls_are_counted_by_the_first_line_of_their_error() -> None:
    cluster = Cluster()
    feeder = Feeder(cluster.submit, 4, epoch=0.0)
    feeder.feed(0.01, lambda: None)
    for error in (ValueError("bad\nand more"), ValueError("bad"), OSError("x" * 1000)):
        cluster.answer(error)
    cluster.answer()
    assert feeder.failures == {"ValueError: bad": 2, "OSError: " + "x" * 191: 1}
    assert (feeder.returned, len(feeder.calls)) == (4, 1)


def test_calls_that_never_come_back_are_an_error_that_says_how_many() -> None:
    cluster = Cluster()
    feeder = Feeder(cluster.submit, 2, epoch=0.0)
    feeder.feed(0.01, lambda: None)
    cluster.answer()
    with pytest.raises(
        SystemFailureError, match=r"1 calls are on their way and none came back for 0\.05 s"
    ):
        feeder.drain(lambda: None, patience=0.05)


def test_a_closed_feeder_records_no_calls() -> None:
    cluster = Cluster()
    feeder = Feeder(cluster.submit, 3, epoch=0.0)
    feeder.feed(0.01, lambda: None)
    assert cluster.waiting.popleft().cancel()
    feeder.close()
    cluster.answer()
    assert (len(feeder.calls), feeder.returned) == (0, 0)


def test_a_cancelled_call_is_not_counted_as_returned() -> None:
    cluster = Cluster()
    feeder = Feeder(cluster.submit, 1, epoch=0.0)
    feeder.feed(0.01, lambda: None)
    assert cluster.waiting.popleft().cancel()
    assert (feeder.in_flight, feeder.returned) == (1, 0)


@pytest.mark.slow
def test_real_calls_have_the_timelines_that_are_recorded() -> None:
    futures: list[Future[Any]] = []
    with LocalCluster(workers=1) as cluster:

        def submit() -> Future[Any]:
            futures.append(noop().submit(cluster.backend))
            return futures[-1]

        feeder = Feeder(submit, 50, epoch=0.0)
        feeder.feed(0.2, lambda: None)
        feeder.drain(lambda: None, patience=20.0)
    timelines = [future.timeline for future in futures]
    assert sorted(feeder.calls.created) == sorted(
        timeline.created for timeline in timelines if timeline
    )
    assert len(feeder.calls.workers) == 1
    assert feeder.calls.workers[0].startswith("embedded@")
