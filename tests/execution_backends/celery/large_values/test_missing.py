"""Large values that a worker does not find."""

from collections.abc import Callable
from typing import Any

import numpy
import pytest

from distribute_challenge import compute_this
from distribute_challenge.core.messages import Reply
from distribute_challenge.errors import (
    BrokerUnreachableError,
    CallCancelledError,
    ValueLostError,
)
from distribute_challenge.execution_backends import policy
from distribute_challenge.execution_backends.celery.backend import CeleryExecutionBackend
from distribute_challenge.execution_backends.celery.broker import connection as connection_module
from tests.execution_backends.celery.conftest import DEADLINE, FakeWorker, Taken
from tests.execution_backends.celery.large_values.helpers import ARRAY, Place, mapped, total
from tests.stores.shared_memory.files import values_below

Eventually = Callable[[Callable[[], bool]], None]


@pytest.mark.usefixtures("sees")
def test_a_value_that_a_worker_misses_is_sent_to_it(
    backend: CeleryExecutionBackend,
    worker: FakeWorker,
    place: Place,
    eventually: Eventually,
    strange: None,
) -> None:
    """The call is sent again, and the receiver is free meanwhile."""
    future = total(ARRAY, ARRAY + 1).submit(backend)
    assert (len(place.memory), len(place.redis)) == (2, 0)
    worker.serve([future])
    assert future.result() == ARRAY.sum() + (ARRAY + 1).sum()
    eventually(lambda: place.is_empty)


@pytest.fixture
def strange(backend: CeleryExecutionBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker has said that it sees shared memory, and does not."""
    backend.depot()
    monkeypatch.setattr(
        "distribute_challenge.stores.shared_memory.SharedMemoryStore.attach", lambda path: None
    )


@pytest.mark.usefixtures("sees", "strange")
def test_calls_of_a_message_that_miss_no_value_run_once(
    backend: CeleryExecutionBackend, worker: FakeWorker, eventually: Eventually
) -> None:
    """They run once. The others run when their value is there."""
    runs: list[Any] = []
    small = numpy.ones(3)

    @compute_this
    def note(x: Any) -> int:
        return len(x)

    futures = [note(ARRAY if number % 7 == 6 else small).submit(backend) for number in range(60)]

    def answer(taken: Taken) -> None:
        for frame in taken.replies():
            reply = Reply.decode(frame)
            runs.append((len(reply.finishes), reply.problem and reply.problem.kind))
            taken.push(frame)

    worker.serve(futures, answer)
    assert [future.result() for future in futures] == [
        50_000 if number % 7 == 6 else 3 for number in range(60)
    ]
    assert sum(count for count, _ in runs) == 60
    assert "value_missing" in {problem for _, problem in runs}


@pytest.mark.slow
@pytest.mark.usefixtures("sees", "strange")
def test_a_value_that_a_function_or_a_chunk_misses_is_brought_to_the_worker(
    backend: CeleryExecutionBackend, worker: FakeWorker
) -> None:
    array = ARRAY
    function = compute_this(lambda x: float(array[0] + x))
    future = function(1).submit(backend)
    worker.serve([future])
    assert future.result() == 1
    assert (
        mapped(worker, total.map([ARRAY + 2] * 3, batch_size=3, backend=backend))
        == [(ARRAY + 2).sum()] * 3
    )


@pytest.mark.usefixtures("sees", "strange")
def test_a_value_that_is_gone_fails_its_call(
    backend: CeleryExecutionBackend, worker: FakeWorker, place: Place
) -> None:
    future = total(ARRAY).submit(backend)
    for path in values_below(place.path):
        path.unlink()
    worker.serve([future])
    with pytest.raises(ValueLostError):
        future.result()


@pytest.mark.usefixtures("sees")
def test_a_worker_that_misses_a_value_again_and_again_fails_its_call(
    backend: CeleryExecutionBackend, worker: FakeWorker, place: Place, eventually: Eventually
) -> None:
    future = total(ARRAY).submit(backend)
    worker.serve([future], lambda taken: taken.report("value_missing", place.memory[0]))
    with pytest.raises(ValueLostError, match=f"put into their store {policy.MOST_MISSES} times"):
        future.result()
    eventually(lambda: place.is_empty)


@pytest.mark.usefixtures("sees")
def test_a_message_reported_twice_as_missing_a_value_is_sent_again_once(
    backend: CeleryExecutionBackend, worker: FakeWorker, place: Place, eventually: Eventually
) -> None:
    """A broker may deliver twice."""
    future = total(ARRAY).submit(backend)
    taken = worker.take()
    for _ in range(2):
        taken.report("value_missing", place.memory[0])
    worker.serve([future])
    eventually(lambda: place.is_empty)
    assert worker.waiting() == 0


@pytest.mark.usefixtures("sees")
def test_bringing_a_value_waits_for_a_broker_that_comes_back(
    backend: CeleryExecutionBackend,
    worker: FakeWorker,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    eventually: Eventually,
) -> None:
    """A client that is closed stops waiting."""
    depot = backend.depot()
    provide, attempts = depot.provide_everywhere, []

    def fail_first(keys: Any) -> None:
        attempts.append(keys)
        if len(attempts) == 1:
            raise BrokerUnreachableError("away")
        provide(keys)

    monkeypatch.setattr(depot, "provide_everywhere", fail_first)
    monkeypatch.setattr(connection_module, "RECONNECT_PAUSE", 0.01)
    future = total(ARRAY).submit(backend)
    worker.take().report("value_missing", "0" * 32)
    with pytest.raises(ValueLostError):
        future.result(DEADLINE)
    assert "cannot send large values, trying again: away" in caplog.text
    monkeypatch.setattr(connection_module, "RECONNECT_PAUSE", 2 * DEADLINE)
    attempts.clear()
    future = total(ARRAY).submit(backend)
    worker.take().report("value_missing", "0" * 32)
    eventually(lambda: len(attempts) == 1)
    backend.close()
    with pytest.raises(CallCancelledError):
        future.result(DEADLINE)
