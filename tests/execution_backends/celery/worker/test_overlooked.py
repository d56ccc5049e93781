"""Workers see to detached calls for which nobody waits."""

import pytest

from distribute_challenge import compute_this
from distribute_challenge.execution_backends.celery.backend import CeleryExecutionBackend
from distribute_challenge.execution_backends.celery.broker import detached
from distribute_challenge.execution_backends.celery.worker import overlooked
from distribute_challenge.execution_backends.celery.worker.overlooked import Overlooked
from tests.execution_backends.celery.conftest import FakeWorker, Server


@compute_this
def square(x: int) -> int:
    return x * x


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """A look that counts each time."""
    for name in ("APART", "UNSEEN", "TURN"):
        monkeypatch.setattr(detached, name, -1)
    monkeypatch.setattr(overlooked, "EVERY", 1)


@pytest.fixture
def left(server: Server, worker: FakeWorker) -> list[str]:
    """Calls of a client that is gone, whose messages went to a worker that was not there any more."""
    with CeleryExecutionBackend(server.url) as backend:
        calls = [square(number).submit(backend, detach=True).id for number in range(3)]
    for _ in calls:
        worker.take()
    return calls


@pytest.mark.slow
@pytest.mark.usefixtures("left")
def test_a_lost_message_is_sent_again(worker: FakeWorker, caplog: pytest.LogCaptureFixture) -> None:
    """At the second look that misses it."""
    workers = Overlooked(worker.connection)
    workers.look()
    assert worker.waiting() == 0
    workers.look()
    assert worker.waiting() == 3
    assert caplog.text.count("was lost, and is sent again") == 3
    workers.look()
    workers.look()
    assert worker.waiting() == 3


def test_a_look_takes_no_longer_than_it_may(
    left: list[str], worker: FakeWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next goes on from there."""
    monkeypatch.setattr(overlooked, "LOOK_FOR", -1)
    workers = Overlooked(worker.connection)
    for looks, waiting in ((3, 0), (1, 1), (1, 2), (1, 3)):
        for _ in range(looks):
            workers.look()
        assert worker.waiting() == waiting


def test_not_each_of_a_worker_s_looks_is_for_them(
    left: list[str], worker: FakeWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overlooked, "EVERY", 3)
    workers = Overlooked(worker.connection)
    for _ in range(5):
        workers.look()
    assert worker.waiting() == 0
    workers.look()
    assert worker.waiting() == 3
