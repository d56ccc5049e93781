"""A client whose broker or cluster is not there, goes away or comes back."""

import threading
from collections.abc import Callable

import pytest

from distribute_challenge.errors import (
    BrokerUnreachableError,
    CallCancelledError,
    ClusterStartError,
)
from distribute_challenge.execution_backends.celery.backend import CeleryExecutionBackend
from distribute_challenge.execution_backends.celery.client.client import Client
from tests.execution_backends.celery.client.messages import square
from tests.execution_backends.celery.conftest import DEADLINE, FakeWorker, Server

Eventually = Callable[[Callable[[], bool]], None]


def test_a_cluster_that_dies_as_a_client_connects_gives_its_own_reason(server: Server) -> None:
    """And not that of its broker, which is gone with it."""

    def check() -> None:
        raise ClusterStartError("it died")

    server.stop()
    with pytest.raises(ClusterStartError, match="it died"):
        Client(server.url, check=check)
    with pytest.raises(BrokerUnreachableError, match="no Redis answers"):
        Client(server.url)


def test_a_dead_cluster_fails_all_calls(server: Server, worker: FakeWorker) -> None:
    """With the reason; so does the next call of the same client."""
    dead = threading.Event()

    def check() -> None:
        if dead.is_set():
            raise ClusterStartError("it died")

    client = Client(server.url, check=check)
    backend = CeleryExecutionBackend(server.url)
    backend._client = client
    futures = [square(number).submit(backend) for number in range(50)]
    worker.take()
    dead.set()
    for future in futures:  # Sent or not.
        with pytest.raises(ClusterStartError, match="it died"):
            future.result(DEADLINE)
    with pytest.raises(ClusterStartError, match="it died"):
        client.submit(square(3)._task())
    client.close()
    # The backend itself connects anew.
    again = square(4).submit(backend)
    worker.serve([again])
    assert again.result() == 16
    backend.close()


def test_a_broker_that_is_not_there_is_an_error_at_the_first_call() -> None:
    """And not a hang."""
    backend = CeleryExecutionBackend("redis://:secret@127.0.0.1:1")
    with pytest.raises(BrokerUnreachableError, match="no Redis answers") as caught:
        square(3).compute(backend)
    assert "secret" not in str(caught.value)


def test_a_call_that_is_waited_for_fails_at_once_when_the_broker_went_away(
    backend: CeleryExecutionBackend, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    """At once, at the caller's line."""
    backend.concurrency  # noqa: B018 - connects
    server.stop()
    with pytest.raises(BrokerUnreachableError, match="no Redis answers"):
        square(3).compute(backend)


def test_submitted_calls_wait_for_a_broker_that_comes_back(
    backend: CeleryExecutionBackend,
    server: Server,
    eventually: Eventually,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The user is told meanwhile."""
    backend.concurrency  # noqa: B018 - connects
    server.stop()
    future = square(3).submit(backend)
    eventually(lambda: "cannot send to" in caplog.text and "lost the broker" in caplog.text)
    assert not future.cancel()
    server.start()
    with FakeWorker(server.url) as worker:
        worker.take().run()
    assert future.result(DEADLINE) == 9


def test_closing_does_not_need_the_broker(backend: CeleryExecutionBackend, server: Server) -> None:
    """It may be gone."""
    future = square(3).submit(backend)
    server.stop()
    backend.close()
    with pytest.raises(CallCancelledError):
        future.result(DEADLINE)


def test_closing_ends_the_attempts_to_send(
    backend: CeleryExecutionBackend,
    server: Server,
    eventually: Eventually,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """To a broker that may never come back."""
    backend.concurrency  # noqa: B018 - connects
    server.stop()
    future = square(3).submit(backend)
    eventually(lambda: "cannot send to" in caplog.text)
    backend.close()
    with pytest.raises(CallCancelledError):
        future.result(DEADLINE)


def test_a_sent_call_cannot_be_taken_back_while_the_broker_is_away(
    backend: CeleryExecutionBackend, server: Server, worker: FakeWorker, eventually: Eventually
) -> None:
    """So it is not cancelled, as it may run."""
    future = square(3).submit(backend)
    eventually(lambda: worker.waiting() == 1)
    server.stop()
    assert not future.cancel()
