"""Calls that no worker begins in time."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from distribute_challenge import compute_this
from distribute_challenge.errors import QueueTimeoutError
from distribute_challenge.execution_backends.celery.backend import CeleryExecutionBackend
from distribute_challenge.execution_backends.celery.broker import presence
from distribute_challenge.execution_backends.celery.broker.connection import connect
from tests.execution_backends.celery.client.messages import hold, together
from tests.execution_backends.celery.client.test_giving_back import answer
from tests.execution_backends.celery.conftest import DEADLINE, FakeWorker, Server

pytestmark = pytest.mark.slow

Eventually = Callable[[Callable[[], bool]], None]


@compute_this(queue_timeout=0.2)
def square(x: int) -> int:
    return x * x


def test_a_call_that_no_worker_begins_is_taken_back(
    backend: CeleryExecutionBackend, worker: FakeWorker
) -> None:
    """Its error tells how long it waited, that no worker serves its queue, and what to do."""
    began = time.monotonic()
    future = square.with_options(queue="gpu")(3).submit(backend)
    with pytest.raises(
        QueueTimeoutError,
        match=r"square\(3\): no worker has begun it within queue_timeout=0\.2 s \(it waited \d\.\d s\).*no worker serves the "
        r"queue 'gpu': start one with: distribute-challenge worker --queues gpu",
    ):
        future.result(DEADLINE)
    assert time.monotonic() - began >= 0.2
    assert worker.waiting("gpu") == 0


def test_a_call_that_was_never_sent_fails_after_its_queue_timeout(
    backend: CeleryExecutionBackend, worker: FakeWorker
) -> None:
    """There is a limit to how many messages are out."""
    futures = [square(number).submit(backend) for number in range(50)]
    for future in futures:
        with pytest.raises(QueueTimeoutError):
            future.result(DEADLINE)
    assert worker.waiting() == 0


def test_compute_raises_queue_timeout_error(
    backend: CeleryExecutionBackend, worker: FakeWorker
) -> None:
    with pytest.raises(QueueTimeoutError, match=r"square\(3\)"):
        square(3).compute(backend)
    assert worker.waiting() == 0


def test_the_error_counts_workers_that_are_busy(
    backend: CeleryExecutionBackend, server: Server, eventually: Eventually
) -> None:
    presence.show(connect(server.url), presence.WorkerPresence("w", 7, ["busy"]))
    client = backend._connected()
    eventually(lambda: client._counts.serving("busy") == 7)
    with pytest.raises(
        QueueTimeoutError, match="7 worker processes serve the queue 'busy': start more"
    ):
        square.with_options(queue="busy")(3).submit(backend).result(DEADLINE)


def test_each_call_of_a_map_gets_the_error(
    backend: CeleryExecutionBackend, worker: FakeWorker
) -> None:
    results = list(square.map(range(4), batch_size=2, on_error="return", backend=backend))
    assert [type(result) for result in results] == [QueueTimeoutError] * 4
    assert "square, 2 calls of a map" in str(results[0])


def test_a_call_that_a_worker_has_taken_does_not_expire(
    backend: CeleryExecutionBackend, worker: FakeWorker, eventually: Eventually
) -> None:
    """It may take any time."""
    future = square.with_options(queue_timeout=600)(3).submit(backend)
    taken = worker.take()
    hold(taken)
    client = backend._connected()
    with client._pending:
        future.task = future.task._replace(created=time.time() - 1000)
        client._queue_timeouts.watch(future)
    other = square(4).submit(backend)
    eventually(other.done)  # It fails at the same look, or a later one.
    assert not future.done()
    taken.run()
    assert future.result(DEADLINE) == 9


def test_other_calls_of_an_expired_message_are_sent_again(
    backend: CeleryExecutionBackend, worker: FakeWorker, eventually: Eventually
) -> None:
    patient = square.with_options(queue_timeout=600)
    crowd = together(backend, worker, eventually, patient, range(40))
    shared = [future for future in crowd if future.batch is crowd[0].batch]
    client = backend._connected()
    # One of them has waited for as long already.
    with client._pending:
        shared[1].task = shared[1].task._replace(created=time.time() - 1000)
        client._queue_timeouts.watch(shared[1])
    with pytest.raises(QueueTimeoutError):
        shared[1].result(DEADLINE)
    worker.serve(crowd)
    assert [future.result() for future in crowd if future is not shared[1]] == [
        n * n for n in range(40) if n != 1
    ]


def test_the_queue_timeout_of_a_lost_call_starts_again(
    backend: CeleryExecutionBackend, worker: FakeWorker, eventually: Eventually
) -> None:
    """A worker has begun it. That no worker begins it again is an error, too."""
    future: Any = square.with_options(queue_timeout=600)(3).submit(backend)
    worker.take_and_hold().report("lost", "it died")
    eventually(lambda: future.attempts != () and worker.waiting() == 1)
    client = backend._connected()
    with client._pending:
        future.attempts = (replace(future.attempts[0], ended=time.time() - 1000),)
        client._queue_timeouts.watch(future)
    with pytest.raises(QueueTimeoutError, match="no worker has begun it again"):
        future.result(DEADLINE)


def test_lost_calls_at_the_front_do_not_delay_the_timeout_of_later_calls(
    backend: CeleryExecutionBackend, worker: FakeWorker, eventually: Eventually
) -> None:
    """They stand in front of calls that were made later, and have more time."""
    crowd = together(backend, worker, eventually, square.with_options(queue_timeout=600), range(40))
    message = crowd[0].batch.id
    taken = worker.take()
    while taken.batch.id != message:
        taken = worker.take()
    client = backend._connected()
    with client._pending:
        behind = next(call for group in client._pending.outbox._turns.values() for call in group)
        behind.task = behind.task._replace(created=time.time() - 1000)
    taken.report("lost", "it died")
    eventually(lambda: crowd[0].attempts != ())
    with client._pending:
        client._queue_timeouts.watch(behind)
    eventually(behind.done)
    assert isinstance(behind.exception(), QueueTimeoutError)


def test_the_queue_timeout_of_a_call_given_back_counts_from_its_creation(
    backend: CeleryExecutionBackend, worker: FakeWorker, eventually: Eventually
) -> None:
    crowd = together(backend, worker, eventually, square.with_options(queue_timeout=600), range(40))
    message = crowd[0].batch.id
    taken = worker.take()
    while taken.batch.id != message:
        taken.run()
        taken = worker.take()
    hold(taken)
    client = backend._connected()
    with client._pending:
        for call in crowd[:3]:
            call.task = call.task._replace(created=time.time() - 1000)
        client._queue_timeouts.watch(crowd[0])
    answer(taken, 0, [0], kept=2)
    with pytest.raises(QueueTimeoutError):
        crowd[2].result(DEADLINE)
    answer(taken, 1, [1], ended=True)
    assert [crowd[0].result(DEADLINE), crowd[1].result(DEADLINE)] == [0, 1]


def test_calls_with_different_kinds_of_options_do_not_share_a_message(
    backend: CeleryExecutionBackend, worker: FakeWorker, eventually: Eventually
) -> None:
    plain = square.with_options(queue_timeout=None)
    crowd = together(backend, worker, eventually, plain, range(30))
    others = [
        function(number).submit(backend)
        for number in range(4)
        for function in (
            square.with_options(queue_timeout=60),
            plain.with_options(at_most_once=True),
        )
    ]
    seen: dict[tuple[bool, int], set[str]] = {}
    worker.serve(
        [*crowd, *others],
        lambda taken: (seen.setdefault((taken.batch.at_most_once, 0), set()), taken.run())[1],
    )
    assert {key[0] for key in seen} == {False, True}
    assert [future.result() for future in others] == [n * n for n in range(4) for _ in range(2)]


def test_every_one_of_many_waiting_callers_gets_queue_timeout_error(
    backend: CeleryExecutionBackend,
) -> None:
    """There are more callers than connections."""

    def wait(number: int) -> type[Any]:
        try:
            return type(square(number).compute(backend))
        except QueueTimeoutError as error:
            return type(error)

    with ThreadPoolExecutor(12) as pool:
        assert set(pool.map(wait, range(12))) == {QueueTimeoutError}


def test_a_call_in_time_is_not_touched(backend: CeleryExecutionBackend, worker: FakeWorker) -> None:
    values: list[int] = []
    thread = threading.Thread(
        target=lambda: values.append(square.with_options(queue_timeout=60)(3).compute(backend))
    )
    thread.start()
    worker.take().run()
    thread.join(DEADLINE)
    assert values == [9]
