"""Workers see to detached calls that no client waits for."""

from collections.abc import Callable

import pytest

from distribute_challenge import compute_this
from distribute_challenge.execution_backends.celery.backend import CeleryExecutionBackend
from distribute_challenge.execution_backends.celery.broker import detached
from distribute_challenge.execution_backends.celery.broker.keys import UNACKED
from distribute_challenge.execution_backends.celery.worker import reaper
from distribute_challenge.execution_backends.celery.worker.gate import Gate
from distribute_challenge.execution_backends.celery.worker.reaper import Reaper
from distribute_challenge.execution_backends.celery.worker.unacked import UnackedMessages
from distribute_challenge.security import Keyring
from tests.execution_backends.celery.conftest import FakeWorker, Server
from tests.secret import KEYRING, SECRET

LEASE = 7.0


@compute_this
def square(x: int) -> int:
    return x * x


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """A look that counts each time."""
    for name in ("APART", "UNSEEN", "TURN"):
        monkeypatch.setattr(detached, name, -1)
    monkeypatch.setattr(reaper, "DETACHED_EVERY", 1)
    # A busy machine is no reason to look later.
    monkeypatch.setattr(reaper, "DETACHED_FOR", 60)
    monkeypatch.setattr(reaper, "GAP", 1e6)


def looks_of(worker: FakeWorker) -> Callable[[], None]:
    """The looks of a worker that has looked all the time."""
    gate = Gate(Keyring(SECRET), lambda batch, problem: None)
    unacked = UnackedMessages(worker.connection, UNACKED, LEASE, KEYRING)
    made = Reaper(
        worker.connection, unacked, gate, unacked_key=UNACKED, lease=LEASE, give_up=lambda: True
    )
    made._claim()
    made._from = 0.0
    return made.reap


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
def test_a_lost_message_of_a_detached_call_is_sent_again_at_the_second_look(
    worker: FakeWorker, caplog: pytest.LogCaptureFixture
) -> None:
    """The second look that misses it sends it."""
    look = looks_of(worker)
    look()
    assert worker.waiting() == 0
    look()
    assert worker.waiting() == 3
    assert caplog.text.count("was lost, and is sent again") == 3
    look()
    look()
    assert worker.waiting() == 3


def test_a_look_at_detached_calls_has_a_time_limit(
    left: list[str], worker: FakeWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next goes on from there."""
    monkeypatch.setattr(reaper, "DETACHED_FOR", -1)
    look = looks_of(worker)
    for times, waiting in ((3, 0), (1, 1), (1, 2), (1, 3)):
        for _ in range(times):
            look()
        assert worker.waiting() == waiting


def test_only_every_nth_look_of_a_worker_is_at_detached_calls(
    left: list[str], worker: FakeWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reaper, "DETACHED_EVERY", 3)
    look = looks_of(worker)
    for _ in range(5):
        look()
    assert worker.waiting() == 0
    look()
    assert worker.waiting() == 3
