"""What workers answer besides all outcomes at once: losses, refusals, parts, and nonsense."""

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from distribute_challenge import compute_this, settings
from distribute_challenge.errors import CallTimeoutError, VersionMismatchError, WorkerLostError
from distribute_challenge.execution_backends.celery.backend import CeleryExecutionBackend
from tests.execution_backends.celery.client.messages import square, together
from tests.execution_backends.celery.conftest import DEADLINE, FakeWorker, Taken

Eventually = Callable[[Callable[[], bool]], None]


@compute_this
def nap(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def test_a_lost_call_is_tried_three_times(
    backend: CeleryExecutionBackend, worker: FakeWorker
) -> None:
    """Then it fails, with what the worker said."""
    future = square(3).submit(backend)
    for _ in range(settings.DEFAULT_ATTEMPTS):
        worker.take().report("lost", "the worker process died (exit code 3)")
    with pytest.raises(
        WorkerLostError,
        match=r"square\(3\): the worker process died \(exit code 3\). That happened 3 times in 3 attempts",
    ):
        future.result(DEADLINE)


def test_calls_that_shared_a_message_with_a_lost_call_are_sent_again_one_by_one(
    backend: CeleryExecutionBackend, worker: FakeWorker, eventually: Eventually
) -> None:
    """The client does not know yet which call ended the process."""
    futures = together(backend, worker, eventually, square, range(30))
    lost: set[bytes] = set()
    alone: set[bytes] = set()

    def answer(taken: Taken) -> None:
        arguments = taken.batch.arguments
        if not lost and len(arguments) > 1:
            lost.update(arguments)
            taken.report("lost")
            return
        if len(arguments) == 1:
            alone.update(arguments)
        taken.run()

    worker.serve(futures, answer)
    assert [future.result() for future in futures] == [number * number for number in range(30)]
    assert lost
    assert lost <= alone


def test_a_lost_chunk_fails_at_once(backend: CeleryExecutionBackend, worker: FakeWorker) -> None:
    """Its map cuts it up; here the calls then succeed."""
    results = square.map([1, 2, 3], batch_size=3, backend=backend)
    collected: list[Any] = []
    thread = threading.Thread(target=lambda: collected.extend(results))
    thread.start()
    taken = worker.take()
    assert taken.batch.chunk == 3
    taken.report("lost")
    for _ in range(3):
        taken = worker.take()
        assert taken.batch.chunk == 1
        taken.run()
    thread.join(DEADLINE)
    assert collected == [1, 4, 9]


def test_a_call_killed_at_its_timeout_raises_call_timeout_error(
    backend: CeleryExecutionBackend, worker: FakeWorker
) -> None:
    """It is not tried again."""
    future = square.with_options(timeout=1)(3).submit(backend)
    worker.take().report("timeout", "its process was killed")
    with pytest.raises(
        CallTimeoutError, match=r"square ran longer than timeout=1 s; its process was killed"
    ):
        future.result(DEADLINE)


def test_a_version_problem_is_raised_with_the_text_of_the_worker(
    backend: CeleryExecutionBackend, worker: FakeWorker
) -> None:
    """At once, without another try."""
    future = square(3).submit(backend)
    worker.take().report("version", "the client runs 3.11, this worker 3.12")
    with pytest.raises(VersionMismatchError, match=r"3\.11.*3\.12"):
        future.result(DEADLINE)


def test_a_second_answer_to_the_same_message_is_dropped(
    backend: CeleryExecutionBackend, worker: FakeWorker
) -> None:
    """A broker may deliver twice."""
    future = square(3).submit(backend)
    taken = worker.take()
    taken.run()
    assert future.result(DEADLINE) == 9
    taken.report("lost")
    other = square(4).submit(backend)
    worker.take().run()
    assert other.result(DEADLINE) == 16
    assert future.result() == 9


def test_an_answer_that_cannot_be_read_is_logged(
    backend: CeleryExecutionBackend, worker: FakeWorker, caplog: pytest.LogCaptureFixture
) -> None:
    """It harms no call."""
    future = square(3).submit(backend)
    taken = worker.take()
    taken.push(b"nonsense")
    taken.run()
    assert future.result(DEADLINE) == 9
    assert "refused a reply" in caplog.text


def test_a_call_given_back_is_sent_again(
    backend: CeleryExecutionBackend, worker: FakeWorker, eventually: Eventually
) -> None:
    """What was finished before it stays."""
    futures = together(backend, worker, eventually, nap, [0.0, 0.3, *[0.0] * 40])
    worker.serve(futures)
    assert [future.result() for future in futures] == [0.0, 0.3, *[0.0] * 40]


def test_finished_calls_of_a_slow_message_are_answered_early(
    backend: CeleryExecutionBackend, worker: FakeWorker, eventually: Eventually
) -> None:
    """They do not wait for the rest."""
    futures = together(backend, worker, eventually, nap, [0.06, *[0.0] * 40])
    worker.serve(futures)
    assert [future.result() for future in futures] == [0.06, *[0.0] * 40]
