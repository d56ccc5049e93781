"""Calls that a worker gives back while another call of their message runs."""

import json
import threading
import time
from array import array
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from distribute_challenge import LocalCluster, compute_this
from distribute_challenge.core.messages import Problem, Reply
from distribute_challenge.core.section import Section
from distribute_challenge.errors import WorkerLostError
from distribute_challenge.execution_backends.celery.backend import CeleryExecutionBackend
from distribute_challenge.execution_backends.celery.broker.publishing import queue_keys
from distribute_challenge.serialisation import dumps_plain
from distribute_challenge.settings import DEFAULT_QUEUE
from tests.calls import wait_for
from tests.execution_backends.celery.client.messages import together
from tests.execution_backends.celery.conftest import DEADLINE, FakeWorker, Taken

Eventually = Callable[[Callable[[], bool]], None]


@compute_this
def square(x: int) -> int:
    return x * x


def answer(
    taken: Taken,
    first: int,
    outcomes: list[Any],
    *,
    ended: bool = False,
    kept: int | None = None,
    worker: str = "w",
) -> None:
    """Send outcomes as a worker would."""
    plain = dumps_plain(outcomes)
    assert plain is not None
    count = 1 if taken.batch.chunk else len(outcomes)
    reply = Reply(
        taken.batch.id,
        worker,
        time.time(),
        first=first,
        sections=[Section("values", len(outcomes), plain)] if outcomes else [],
        finishes=array("d", [time.time()] * count),
        ended=ended,
        kept=kept,
    )
    taken.push(reply.encode())


def crowd_in_a_message(
    backend: CeleryExecutionBackend, worker: FakeWorker, eventually: Eventually
) -> tuple[list[Any], Taken]:
    """Forty calls, and the message that has the first of them."""
    crowd = together(backend, worker, eventually, square, range(40))
    message = crowd[0].batch.id
    taken = worker.take()
    while taken.batch.id != message:
        taken.run()
        taken = worker.take()
    return crowd, taken


class Chunks:
    """A map of ten calls in one chunk, whose results another thread waits for."""

    def __init__(self, backend: CeleryExecutionBackend, worker: FakeWorker) -> None:
        self.results: Future[list[int]] = Future()
        threading.Thread(target=self._collect, args=[backend], daemon=True).start()
        self.first = worker.take_and_hold()

    def _collect(self, backend: CeleryExecutionBackend) -> None:
        self.results.set_result(list(square.map(range(10), batch_size=10, backend=backend)))


@pytest.fixture
def chunks(backend: CeleryExecutionBackend, worker: FakeWorker) -> Chunks:
    return Chunks(backend, worker)


SQUARES = [number * number for number in range(10)]


def test_calls_that_a_worker_gave_back_run_elsewhere_while_the_slow_one_runs(
    backend: CeleryExecutionBackend, worker: FakeWorker, eventually: Eventually
) -> None:
    crowd, taken = crowd_in_a_message(backend, worker, eventually)
    size = taken.batch.calls
    answer(taken, 0, [0, 1], kept=3)
    others = [future for future in crowd if future is not crowd[2]]
    worker.serve(others)
    assert not crowd[2].done()
    # The message came twice, and another worker ran it as a whole; then the first one ends.
    answer(taken, 0, [number * number for number in range(size)], worker="other")
    answer(taken, 2, [4], ended=True)
    assert [future.result(DEADLINE) for future in crowd] == [
        number * number for number in range(40)
    ]


def test_a_worker_may_give_calls_back_before_it_sends_any_outcome(
    backend: CeleryExecutionBackend, worker: FakeWorker, eventually: Eventually
) -> None:
    crowd, taken = crowd_in_a_message(backend, worker, eventually)
    answer(taken, 0, [], kept=2)
    worker.serve(crowd[2:])
    answer(taken, 0, [0, 1], ended=True)
    assert [future.result(DEADLINE) for future in crowd] == [
        number * number for number in range(40)
    ]


def test_calls_of_a_chunk_that_were_given_back_run_elsewhere(
    chunks: Chunks, worker: FakeWorker
) -> None:
    """The client gives out finished calls and waits for the running one; the rest go elsewhere."""
    answer(chunks.first, 0, SQUARES[:3], kept=4)
    rest = worker.take()
    assert rest.batch.chunk == 6
    rest.run()
    answer(chunks.first, 3, [9], ended=True)
    assert chunks.results.result(DEADLINE) == SQUARES


def test_a_chunk_whose_first_call_is_slow_is_divided(chunks: Chunks, worker: FakeWorker) -> None:
    answer(chunks.first, 0, [], kept=1)
    rest = worker.take()
    assert rest.batch.chunk == 9
    rest.run()
    answer(chunks.first, 0, [0], ended=True)
    assert chunks.results.result(DEADLINE) == SQUARES


def test_outcomes_before_the_slow_call_may_arrive_together_with_its_own(
    chunks: Chunks, worker: FakeWorker
) -> None:
    """It does if it could not go ahead."""
    answer(chunks.first, 0, [], kept=4)
    rest = worker.take()
    assert rest.batch.chunk == 6
    rest.run()
    answer(chunks.first, 0, SQUARES[:4], ended=True)
    assert chunks.results.result(DEADLINE) == SQUARES


def test_calls_that_neither_of_two_workers_ended_are_sent_again(
    chunks: Chunks, worker: FakeWorker
) -> None:
    """The rest is sent again."""
    answer(chunks.first, 0, [], kept=4)
    worker.take().run()
    answer(chunks.first, 0, SQUARES[:2], ended=True, worker="other")
    while not chunks.results.done():
        found = worker.connection.brpop(queue_keys(DEFAULT_QUEUE), timeout=0.1)
        if found is not None:
            Taken(worker, json.loads(found[1])).run()
    assert chunks.results.result(DEADLINE) == SQUARES


def test_two_workers_with_the_same_message_may_both_give_calls_back(
    chunks: Chunks, worker: FakeWorker
) -> None:
    """The client takes the reply of the worker that ends the slow call first."""
    answer(chunks.first, 0, SQUARES[:3], kept=4)
    worker.take().run()
    answer(chunks.first, 0, SQUARES[:2], kept=3, worker="other")
    answer(chunks.first, 2, SQUARES[2:3], worker="other")
    answer(chunks.first, 3, SQUARES[3:5], ended=True, worker="other")
    assert chunks.results.result(DEADLINE) == SQUARES


def test_cancelling_a_chunk_while_it_is_divided_cancels_its_slow_call(
    backend: CeleryExecutionBackend,
    worker: FakeWorker,
    eventually: Eventually,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its map does not hear of that call any more, and so cannot cancel it."""
    client = backend._connected()
    arguments = dumps_plain([(number,) for number in range(10)])
    assert arguments is not None
    chunk = client.submit(square(0)._task()._replace(chunk=10, arguments=arguments))
    taken = worker.take()
    batch = client._pending.sent[taken.batch.id]
    monkeypatch.setattr(client._values, "retain", lambda _: chunk.cancel(force=True))
    answer(taken, 0, SQUARES[:3], kept=4)
    eventually(lambda: batch.calls[0] is not chunk and batch.calls[0].cancelled())


def test_a_slow_call_whose_worker_dies_is_sent_again_by_itself(
    chunks: Chunks, worker: FakeWorker
) -> None:
    answer(chunks.first, 0, SQUARES[:3], kept=4)
    worker.take().run()
    chunks.first.push(
        Reply(chunks.first.batch.id, "w", time.time(), problem=Problem("lost", "it died")).encode()
    )
    again = worker.take()
    assert again.batch.chunk == 1
    again.run()
    assert chunks.results.result(DEADLINE) == SQUARES


def test_a_slow_call_whose_message_another_worker_cannot_run_is_sent_again(
    chunks: Chunks, worker: FakeWorker
) -> None:
    """It has the message, and not the values that went with it."""
    answer(chunks.first, 0, SQUARES[:3], kept=4)
    worker.take().run()
    problem = Problem("value_missing", "")
    chunks.first.push(Reply(chunks.first.batch.id, "other", time.time(), problem=problem).encode())
    again = worker.take()
    assert again.batch.chunk == 1
    again.run()
    assert chunks.results.result(DEADLINE) == SQUARES


@pytest.mark.celery
def test_short_calls_do_not_wait_for_a_long_one_in_their_message(
    cluster: LocalCluster, tmp_path: Path
) -> None:
    """Real workers run calls of `map` and of `submit`."""
    door = tmp_path / "door"
    Path(f"{door}-open").touch()
    shorts = [f"{door}-open"] * 100

    def paths() -> list[str]:
        return [*shorts, str(door), *shorts]

    results = wait_for.map(paths(), ordered=False, backend=cluster.backend, batch_size=50)
    short = [next(results) for _ in range(200)]
    door.touch()
    assert [*short, *results] == ["done"] * 201
    door.unlink()
    futures = [wait_for(path).submit(cluster.backend) for path in paths()]
    assert [future.result(DEADLINE) for future in futures if future is not futures[100]] == [
        "done"
    ] * 200
    assert not futures[100].done()
    door.touch()
    assert futures[100].result(DEADLINE) == "done"


@pytest.mark.celery
def test_results_that_are_not_plain_values_arrive_once_each(cluster: LocalCluster) -> None:
    def work(number: int) -> complex:
        if number == 3:
            time.sleep(0.5)
        return complex(number)

    function = compute_this(work)
    assert list(function.map(range(20), batch_size=20, backend=cluster.backend)) == [
        complex(n) for n in range(20)
    ]
    futures = [function(number).submit(cluster.backend) for number in [*[0] * 50, *range(20)]]
    assert [future.result(DEADLINE) for future in futures[50:]] == [complex(n) for n in range(20)]


@pytest.mark.slow
@pytest.mark.celery
def test_a_long_call_of_a_divided_chunk_that_kills_its_process_is_the_only_one_to_fail(
    cluster: LocalCluster, tmp_path: Path
) -> None:
    def work(number: int) -> int:
        import os

        if number == 3:
            time.sleep(0.5)
            os._exit(3)
        return number

    results = list(
        compute_this(work).map(range(20), batch_size=20, on_error="return", backend=cluster.backend)
    )
    assert isinstance(results[3], WorkerLostError)
    assert [result for number, result in enumerate(results) if number != 3] == [
        n for n in range(20) if n != 3
    ]
