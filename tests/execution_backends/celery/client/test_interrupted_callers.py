"""Callers that are interrupted at any moment, and go on: at a prompt, in a notebook."""

import random
import signal
from collections.abc import Iterator

import pytest

from distribute_challenge import compute_this
from distribute_challenge.core.futures import Future
from distribute_challenge.execution_backends.celery.backend import CeleryExecutionBackend
from distribute_challenge.execution_backends.celery.client.calls import SentBatch
from distribute_challenge.execution_backends.celery.client.direct import DirectConnection
from distribute_challenge.execution_backends.celery.client.publisher import Publisher
from tests.execution_backends.celery.conftest import FakeWorker

# What is interrupted while it has a file open, and destructors that are interrupted, are told of in
# this way.
pytestmark = [
    pytest.mark.celery,
    pytest.mark.filterwarnings(
        "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
    ),
    pytest.mark.slow,
]

# Seconds after which an interruption is repeated that came inside a destructor, where it is lost.
AGAIN = 1.0


@pytest.fixture
def moments() -> Iterator[random.Random]:
    """Random delays. A timer interrupts after each of them, as Ctrl+C does."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    yield random.Random(5)
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def check_calls_end(backend: CeleryExecutionBackend, worker: FakeWorker) -> None:
    """A call of this client is sent, and its result arrives."""
    future = compute_this(lambda x: x * x)(3).submit(backend)
    worker.serve([future])
    assert future.result() == 9


def test_a_caller_interrupted_in_submit_leaves_nothing_locked(
    moments: random.Random, backend: CeleryExecutionBackend, worker: FakeWorker
) -> None:
    """The client's threads would wait for the lock for ever."""
    square = compute_this(lambda x: x * x)
    check_calls_end(backend, worker)
    for _ in range(100):
        futures: list[Future[int]] = []
        try:
            signal.setitimer(signal.ITIMER_REAL, moments.uniform(0.0005, 0.01), AGAIN)
            while True:
                futures.append(square(len(futures)).submit(backend))
        except KeyboardInterrupt:
            signal.setitimer(signal.ITIMER_REAL, 0)
            for future in futures:
                future.cancel(force=True)
    check_calls_end(backend, worker)


@pytest.mark.parametrize("has_left", [False, True])
def test_a_caller_interrupted_as_it_sends_leaves_its_place_to_other_calls(
    has_left: bool,
    backend: CeleryExecutionBackend,
    worker: FakeWorker,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What has not left would count as a message that is out, of which there may be a few."""
    publish = Publisher.publish

    def interrupted(publisher: Publisher, batch: SentBatch, line: DirectConnection | None) -> None:
        if has_left:
            publish(publisher, batch, line)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Publisher, "publish", interrupted)
        for _ in range(20):
            with pytest.raises(KeyboardInterrupt):
                compute_this(lambda x: x * x)(3).compute(backend)
    check_calls_end(backend, worker)


def test_a_caller_interrupted_in_compute_leaves_its_place_to_other_calls(
    moments: random.Random, backend: CeleryExecutionBackend, worker: FakeWorker
) -> None:
    """The interrupt may come at any moment."""
    check_calls_end(backend, worker)
    for number in range(60):
        try:
            signal.setitimer(signal.ITIMER_REAL, moments.uniform(0.0005, 0.003), AGAIN)
            compute_this(lambda x, number=number: x + number)(1).compute(backend)
        except KeyboardInterrupt:
            signal.setitimer(signal.ITIMER_REAL, 0)
    check_calls_end(backend, worker)
