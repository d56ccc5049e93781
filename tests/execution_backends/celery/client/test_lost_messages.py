"""Messages that vanish from Redis: their calls are sent again, or fail where that is not allowed."""

import json
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from distribute_challenge import compute_this
from distribute_challenge.errors import TaskLostError
from distribute_challenge.execution_backends.celery.backend import CeleryExecutionBackend
from distribute_challenge.execution_backends.celery.broker.connection import connect
from distribute_challenge.execution_backends.celery.broker.publishing import queue_keys
from distribute_challenge.execution_backends.celery.client import client as client_module
from distribute_challenge.execution_backends.celery.client import (
    lost_messages as lost_messages_module,
)
from distribute_challenge.execution_backends.celery.client.calls import SentBatch
from distribute_challenge.execution_backends.celery.client.lost_messages import AFTER_FULL
from distribute_challenge.execution_backends.policy import MOST_LOSSES
from distribute_challenge.settings import DEFAULT_QUEUE
from tests.execution_backends.celery.client.test_giving_back import answer
from tests.execution_backends.celery.conftest import DEADLINE, FakeWorker, Server, Taken

Eventually = Callable[[Callable[[], bool]], None]


@compute_this
def square(x: int) -> int:
    return x * x


@compute_this(at_most_once=True)
def once(x: int) -> int:
    return x * x


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client looks for lost messages all the time, and believes soon that they are."""
    monkeypatch.setattr(client_module, "LONGEST_WAIT", 0.02)
    monkeypatch.setattr(lost_messages_module, "GRACE", 0.05)
    monkeypatch.setattr(lost_messages_module, "APART", 0.1)


@pytest.mark.usefixtures("hasty")
def test_a_call_whose_message_vanished_is_sent_again(
    backend: CeleryExecutionBackend, worker: FakeWorker
) -> None:
    """A worker took it, say, and was killed before it wrote that down."""
    future = square(3).submit(backend)
    lost = worker.take()
    again = worker.take_and_hold()
    assert again.batch.id != lost.batch.id
    again.run()
    assert future.result(DEADLINE) == 9


def test_a_reply_that_arrives_before_its_message_counts_as_lost_is_used(
    backend: CeleryExecutionBackend, worker: FakeWorker
) -> None:
    """The message was not to be found, as its reply was on the way."""
    future = square(3).submit(backend)
    client = backend._connected()
    taken = worker.take()
    batch = client._pending.sent[taken.batch.id]
    taken.run()
    assert future.result(DEADLINE) == 9
    client._recovery.replace(batch)
    assert future.attempts == ()
    assert worker.waiting() == 0


@pytest.mark.usefixtures("hasty")
def test_a_call_whose_message_is_lost_three_times_fails_with_its_attempts(
    backend: CeleryExecutionBackend, worker: FakeWorker
) -> None:
    future = square(3).submit(backend)
    for _ in range(MOST_LOSSES):
        worker.take()
    with pytest.raises(
        TaskLostError,
        match=r"square\(3\): its message is gone from Redis.*happened 3 times.*FLUSHALL",
    ) as caught:
        future.result(DEADLINE)
    assert len(caught.value.attempts) == 3
    assert worker.waiting() == 0


@pytest.mark.usefixtures("hasty")
def test_a_call_that_may_run_once_is_not_sent_again(
    backend: CeleryExecutionBackend, worker: FakeWorker
) -> None:
    """Its error says what to do."""
    future = once(3).submit(backend)
    taken = worker.take()
    assert taken.batch.at_most_once
    with pytest.raises(
        TaskLostError, match=r"once\(3\).*may have run, and at_most_once=True forbids"
    ):
        future.result(DEADLINE)
    assert worker.waiting() == 0


@pytest.mark.usefixtures("hasty")
def test_calls_that_wait_or_run_are_not_lost(
    backend: CeleryExecutionBackend, worker: FakeWorker, eventually: Eventually
) -> None:
    """They are not, however often the client looks."""
    running = square(3).submit(backend)
    taken = worker.take_and_hold()
    waiting = square(4).submit(backend)
    eventually(lambda: waiting.batch is not None and waiting.batch.pushed is not None)  # type: ignore[attr-defined]
    client = backend._connected()
    looks = threading.Semaphore(0)
    look = client._lost_messages.find

    def counted(*arguments: Any) -> list[SentBatch]:
        looks.release()
        return look(*arguments)

    client._lost_messages.find = counted  # type: ignore[method-assign]
    end = time.monotonic() + 5 * lost_messages_module.APART
    while time.monotonic() < end:
        assert looks.acquire(timeout=DEADLINE)
    taken.run()
    worker.take_and_hold().run()
    assert [running.result(DEADLINE), waiting.result(DEADLINE)] == [9, 16]
    assert worker.waiting() == 0


@pytest.mark.usefixtures("hasty")
def test_the_lost_message_of_a_direct_call_is_sent_again(
    backend: CeleryExecutionBackend, worker: FakeWorker
) -> None:
    values: list[int] = []
    thread = threading.Thread(target=lambda: values.append(square(3).compute(backend)))
    thread.start()
    worker.take()
    worker.take_and_hold().run()
    thread.join(DEADLINE)
    assert values == [9]


@pytest.mark.usefixtures("hasty")
def test_a_chunk_is_sent_again_as_a_whole(
    backend: CeleryExecutionBackend, worker: FakeWorker
) -> None:
    values: list[int] = []
    thread = threading.Thread(
        target=lambda: values.extend(square.map(range(5), batch_size=5, backend=backend))
    )
    thread.start()
    worker.take()
    again = worker.take_and_hold()
    assert again.batch.chunk == 5
    again.run()
    thread.join(DEADLINE)
    assert values == [0, 1, 4, 9, 16]


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("function", [square, once])
def test_calls_of_a_map_whose_messages_stay_lost_fail_one_by_one(
    function: Any, backend: CeleryExecutionBackend, worker: FakeWorker, eventually: Eventually
) -> None:
    """A map with `on_error="return"` goes on."""
    values: list[Any] = []
    calls = function.map(range(4), batch_size=2, on_error="return", backend=backend)
    thread = threading.Thread(target=lambda: values.extend(calls))
    thread.start()

    def serve() -> bool:
        found = worker.connection.brpop(queue_keys(DEFAULT_QUEUE), timeout=0.02)
        if found is not None:
            taken = Taken(worker, json.loads(found[1]))
            if pickled(taken.batch.arguments[0]) == [(2,), (3,)]:
                taken.run()
        return not thread.is_alive()

    eventually(serve)
    assert [type(value) for value in values] == [TaskLostError, TaskLostError, int, int]


@pytest.mark.usefixtures("hasty")
def test_the_slow_call_of_a_divided_chunk_is_sent_again_by_itself(
    backend: CeleryExecutionBackend, worker: FakeWorker
) -> None:
    """Its worker gave the others back, and vanished."""
    values: list[int] = []
    thread = threading.Thread(
        target=lambda: values.extend(square.map(range(5), batch_size=5, backend=backend))
    )
    thread.start()
    divided = worker.take_and_hold()
    answer(divided, 0, [0, 1], kept=3)
    sizes = []
    for number in range(2):
        taken = worker.take_and_hold()
        if number == 0:
            divided.vanish()
        sizes.append(taken.batch.chunk)
        taken.run()
    thread.join(DEADLINE)
    assert values == [0, 1, 4, 9, 16]
    assert sizes == [2, 1]


def pickled(blob: Any) -> Any:
    import pickle

    return pickle.loads(blob)


@pytest.mark.usefixtures("hasty")
def test_a_call_whose_reply_cannot_be_read_is_sent_again(
    backend: CeleryExecutionBackend, worker: FakeWorker, caplog: pytest.LogCaptureFixture
) -> None:
    """It is as if it had never come."""
    future = square(3).submit(backend)
    worker.take().push(b"DCF1 garbage")
    worker.take_and_hold().run()
    assert future.result(DEADLINE) == 9
    assert caplog.text.count("refused a reply (its frame is broken") == 1


@pytest.mark.slow
def test_no_call_hangs_when_redis_is_emptied(
    backend: CeleryExecutionBackend, worker: FakeWorker
) -> None:
    """All have their values, also those whose function was there before."""
    warm = square(1).submit(backend)
    worker.take().run()
    assert warm.result(DEADLINE) == 1
    futures = [square(number).submit(backend) for number in range(50)]
    worker.connection.flushall()
    worker.functions = type(worker.functions)(
        worker.functions._fetch
    )  # A worker that never had the function.
    worker.serve(futures)
    assert [future.result() for future in futures] == [number * number for number in range(50)]


@pytest.mark.usefixtures("hasty")
def test_no_message_counts_as_lost_while_redis_is_full(
    backend: CeleryExecutionBackend, worker: FakeWorker, server: Server, eventually: Eventually
) -> None:
    """A worker cannot write down what it has."""
    future = square(3).submit(backend)
    taken = worker.take()
    redis = connect(server.url)
    redis.config_set("maxmemory", 1)
    lost = backend._connected()._lost_messages
    eventually(lambda: lost._quiet_until > time.monotonic() + AFTER_FULL / 2)
    redis.config_set("maxmemory", 0)
    taken.run()
    assert future.result(DEADLINE) == 9
    assert worker.waiting() == 0
