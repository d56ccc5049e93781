"""A Redis without memory refuses new data with a clear error, and keeps what it has."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

from distribute_challenge import compute_this
from distribute_challenge.errors import BrokerFullError, BrokerUnreachableError
from distribute_challenge.execution_backends.celery.backend import CeleryExecutionBackend
from distribute_challenge.execution_backends.celery.broker import connection as connection_module
from distribute_challenge.execution_backends.celery.broker.connection import connect, translated
from distribute_challenge.execution_backends.celery.broker.publishing import queue_keys
from distribute_challenge.execution_backends.celery.client import heartbeat, publisher
from tests.execution_backends.celery.conftest import DEADLINE, FakeWorker, Server

pytestmark = pytest.mark.slow

Eventually = Callable[[Callable[[], bool]], None]


@compute_this
def square(x: int) -> int:
    return x * x


class Memory:
    """What Redis may use."""

    def __init__(self, url: str) -> None:
        self._redis = connect(url)

    def take(self) -> None:
        self._redis.config_set("maxmemory", 1)

    def give(self) -> None:
        self._redis.config_set("maxmemory", 0)


@pytest.fixture
def memory(server: Server) -> Iterator[Memory]:
    memory = Memory(server.url)
    yield memory
    memory.give()


def warm(backend: CeleryExecutionBackend, worker: FakeWorker) -> None:
    """Have the function there."""
    future = square(1).submit(backend)
    worker.take().run()
    future.result(DEADLINE)


def answered(backend: CeleryExecutionBackend, worker: FakeWorker) -> bool:
    future = square(3).submit(backend)
    worker.serve([future])
    return future.result() == 9


def test_compute_raises_at_once_when_redis_is_full(
    backend: CeleryExecutionBackend, worker: FakeWorker, memory: Memory
) -> None:
    """The error says how much memory there is and what to do. With memory, calls work again."""
    warm(backend, worker)
    memory.take()
    with pytest.raises(
        BrokerFullError,
        match=r"MB used, maxmemory is \d+ bytes\): wait until workers.*maxmemory; calls that",
    ):
        square(3).compute(backend)
    assert not backend._connected()._pending.sent
    memory.give()
    assert answered(backend, worker)


def test_compute_of_a_new_function_raises_at_once_when_redis_is_full(
    backend: CeleryExecutionBackend, memory: Memory
) -> None:
    backend.concurrency  # noqa: B018 - connects
    memory.take()
    with pytest.raises(BrokerFullError):
        square(3).compute(backend)


def test_submitting_a_detached_call_raises_at_once_when_redis_is_full(
    backend: CeleryExecutionBackend, memory: Memory
) -> None:
    """A script writes it, and Redis 6 calls that the script's fault."""
    memory.take()
    with pytest.raises(BrokerFullError, match=r"maxmemory is \d+ bytes"):
        square(3).submit(backend, detach=True)


@pytest.mark.parametrize("options", [{}, {"at_most_once": True}])
def test_submitted_calls_wait_for_memory(
    backend: CeleryExecutionBackend,
    worker: FakeWorker,
    memory: Memory,
    options: dict[str, Any],
    eventually: Eventually,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Workers make room as they go on. The user hears of it once."""
    warm(backend, worker)
    memory.take()
    future = square.with_options(**options)(3).submit(backend)
    eventually(lambda: "takes no calls" in caplog.text)
    memory.give()
    worker.serve([future])
    assert future.result() == 9
    assert caplog.text.count("takes no calls") == 1
    assert "lost the broker" not in caplog.text


def test_submitted_calls_fail_if_redis_stays_full(
    backend: CeleryExecutionBackend,
    worker: FakeWorker,
    memory: Memory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One message fails after a while, and then all others, each as its turn comes.

    Those that Redis had taken are kept.
    """
    monkeypatch.setattr(publisher, "FULL_FOR", 0.2)
    warm(backend, worker)
    kept = square(2).submit(backend)
    taken = worker.take()
    memory.take()
    began = time.monotonic()
    futures = [square(number).submit(backend) for number in range(50)]
    for future in futures:
        with pytest.raises(BrokerFullError):
            future.result(DEADLINE)
    assert time.monotonic() - began < DEADLINE / 2
    memory.give()
    taken.run()
    assert kept.result(DEADLINE) == 4
    assert answered(backend, worker)


def test_calls_that_are_not_sent_yet_fail_if_redis_stays_full(
    backend: CeleryExecutionBackend,
    worker: FakeWorker,
    memory: Memory,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """No message before them comes to an end, as workers cannot take any.

    The user hears of it first.
    """
    monkeypatch.setattr(heartbeat, "FULL_FOR", 0.2)
    warm(backend, worker)
    futures = [square(number).submit(backend) for number in range(2000)]
    client = backend._connected()
    memory.take()
    unsent = list(client._pending.outbox.calls())
    assert unsent
    for call in unsent:
        with pytest.raises(BrokerFullError):
            call.result(DEADLINE)
    assert "no memory left; calls that wait here: " in caplog.text
    assert "no worker listens" not in caplog.text
    memory.give()
    worker.serve([future for future in futures if not future.done()])
    assert answered(backend, worker)


def test_a_client_with_nothing_to_send_logs_nothing_while_redis_is_full(
    backend: CeleryExecutionBackend,
    worker: FakeWorker,
    memory: Memory,
    eventually: Eventually,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It cannot show itself meanwhile, and receives what comes."""
    monkeypatch.setattr(heartbeat, "FULL_FOR", 0.0)  # Nothing waits here that this could concern.
    future = square(3).submit(backend)
    taken = worker.take()
    replies = list(taken.replies())
    client = backend._connected()
    memory.take()
    eventually(lambda: client._lost_messages._quiet_until > 0)
    memory.give()
    for reply in replies:
        taken.push(reply)
    assert future.result(DEADLINE) == 9
    assert not caplog.records


def test_a_call_fails_after_the_broker_timeout_if_redis_refuses_its_message(
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
    worker: FakeWorker,
    server: Server,
) -> None:
    """Later, as a replica may be taking over."""
    monkeypatch.setenv("DISTRIBUTE_CHALLENGE_BROKER_TIMEOUT", "0.2")
    backend = request.getfixturevalue("backend")
    warm(backend, worker)
    for key in queue_keys("odd"):
        connect(server.url).set(key, "no list")
    future = square.with_options(queue="odd")(3).submit(backend)
    with pytest.raises(BrokerUnreachableError, match="WRONGTYPE"):
        future.result(DEADLINE)
    once = square.with_options(queue="odd", at_most_once=True)(3).submit(backend)
    with pytest.raises(BrokerUnreachableError, match="WRONGTYPE"):
        once.result(DEADLINE)


def test_a_full_broker_that_cannot_be_asked_for_its_memory_raises_broker_full_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection_module, "ANSWER_WITHIN", 0.1)
    with (
        pytest.raises(BrokerFullError, match=r"no memory left for the call: wait"),
        translated("redis://127.0.0.1:1"),
    ):
        raise redis.OutOfMemoryError("full")
