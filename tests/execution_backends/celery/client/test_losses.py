"""Calls whose worker died: how often they are tried, and what their error tells."""

import os
import pickle
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from distribute_challenge import LocalCluster, compute_this, settings
from distribute_challenge.core.messages import FunctionPayload, Task
from distribute_challenge.core.options import CallOptions
from distribute_challenge.core.references import Reference
from distribute_challenge.errors import Attempt, CallTimeoutError, ValueLostError, WorkerLostError
from distribute_challenge.execution_backends.celery.backend import CeleryExecutionBackend
from distribute_challenge.execution_backends.loss_report import described, history
from distribute_challenge.execution_backends.policy import MOST_MISSES
from distribute_challenge.serialisation import parcels
from tests.execution_backends.celery.client.messages import together
from tests.execution_backends.celery.client.test_giving_back import answer, crowd_in_a_message
from tests.execution_backends.celery.conftest import DEADLINE, FakeWorker, Server, Taken

Eventually = Callable[[Callable[[], bool]], None]

FACTS = {
    "host": "w1",
    "pid": 77,
    "signal": "SIGKILL",
    "memory": 3_900_000_000,
    "limit": 4_000_000_000,
    "out_of_memory": True,
    "log": ["one line", "another line"],
    "crash": "Fatal Python error: Segmentation fault\n  in f",
}


@compute_this
def square(x: int, y: int = 0) -> int:
    return x * x


@compute_this(at_most_once=True)
def once(x: int) -> int:
    return x * x


@compute_this
def die_at_hundreds(number: int) -> int:
    if number % 100 == 50:
        os._exit(3)
    return number


# --- how often


@pytest.mark.slow
@pytest.mark.celery
def test_only_the_calls_of_a_map_that_kill_their_worker_fail(cluster: LocalCluster) -> None:
    """Each is begun three times at most, and harms no other."""
    results = list(die_at_hundreds.map(range(300), on_error="return", backend=cluster.backend))
    for number, result in enumerate(results):
        if number % 100 == 50:
            assert isinstance(result, WorkerLostError)
            assert f"die_at_hundreds({number}): " in str(result)
            assert len(result.attempts) == 3
        else:
            assert result == number


def test_the_environment_variable_sets_the_number_of_attempts(
    server: Server, worker: FakeWorker, clean_environment: pytest.MonkeyPatch
) -> None:
    clean_environment.setenv(settings.ATTEMPTS_VARIABLE, "1")
    with CeleryExecutionBackend(server.url) as backend:
        future = square(3).submit(backend)
        worker.take().report("lost", "it died")
        with pytest.raises(
            WorkerLostError, match=r"square\(3\): it died\. That happened 1 times in 1 attempts"
        ):
            future.result(DEADLINE)


def test_an_attempt_in_a_shared_message_counts_for_the_call_to_blame(
    backend: CeleryExecutionBackend, worker: FakeWorker, eventually: Eventually
) -> None:
    """The call to blame is begun three times in all."""
    futures = together(backend, worker, eventually, square, range(30))
    blamed: list[int] = []

    def serve(taken: Taken) -> None:
        numbers = [pickle.loads(blob)[0][0] for blob in taken.batch.arguments]
        if 2 in numbers:
            blamed.append(len(numbers))
            taken.report("lost", "it died")
        else:
            taken.run()

    worker.serve(futures, serve)
    error = futures[2].exception()
    assert isinstance(error, WorkerLostError)
    assert [attempt.calls for attempt in error.attempts] == blamed
    assert blamed[0] > 1
    assert blamed[1:] == [1, 1]
    assert f"one of {blamed[0]} calls in its message" in str(error)
    assert [future.result() for number, future in enumerate(futures) if number != 2] == [
        number * number for number in range(30) if number != 2
    ]


# --- at most once


def test_a_call_that_may_run_once_is_not_tried_again(
    backend: CeleryExecutionBackend, worker: FakeWorker
) -> None:
    future = once(3).submit(backend)
    worker.take().report("lost", "it died", **FACTS)
    with pytest.raises(
        WorkerLostError, match=r"once\(3\): it died, likely out of memory\. It may have run"
    ):
        future.result(DEADLINE)
    assert worker.waiting() == 0


def test_calls_that_a_worker_gave_back_are_sent_again_although_at_most_once(
    backend: CeleryExecutionBackend, worker: FakeWorker, eventually: Eventually
) -> None:
    """They are safe to send again; those that it kept are not."""
    crowd = together(backend, worker, eventually, once, range(40))
    message = crowd[0].batch.id
    taken = worker.take()
    while taken.batch.id != message:
        taken.run()
        taken = worker.take()
    answer(taken, 0, [0, 1], kept=4)
    taken.report("lost", "it died")
    worker.serve(crowd)
    assert [isinstance(future.exception(), WorkerLostError) for future in crowd[:5]] == [
        False,
        False,
        True,
        True,
        False,
    ]


@pytest.mark.parametrize("kind", ["lost", "timeout"])
def test_a_chunk_that_may_run_once_keeps_the_outcomes_that_it_has(
    backend: CeleryExecutionBackend, worker: FakeWorker, kind: str
) -> None:
    """All its other calls fail, and none is sent again but those that were given back."""
    results: list[Any] = []
    calls = once.map(range(6), batch_size=6, on_error="return", backend=backend)
    thread = threading.Thread(target=lambda: results.extend(calls))
    thread.start()
    taken = worker.take()
    answer(taken, 0, [0, 1], kept=4)
    rest = worker.take()
    assert rest.batch.chunk == 2
    answer(taken, 2, [4])
    taken.report(kind, "it died")
    rest.report(kind, "it died, too")
    thread.join(DEADLINE)
    assert results[:3] == [0, 1, 4]
    assert [isinstance(result, WorkerLostError) for result in results[3:]] == [True] * 3
    assert worker.waiting() == 0


def test_an_at_most_once_message_that_was_never_begun_is_sent_again(
    backend: CeleryExecutionBackend, worker: FakeWorker
) -> None:
    future = once(3).submit(backend)
    worker.take().report("function_missing")
    worker.take().report("expired")
    worker.take().run()
    assert future.result(DEADLINE) == 9


def test_a_call_whose_process_was_killed_for_another_may_have_run(
    backend: CeleryExecutionBackend, worker: FakeWorker
) -> None:
    """The other call was cancelled, and did not stop by itself."""
    future = once(3).submit(backend)
    worker.take().report("cancelled")
    with pytest.raises(WorkerLostError, match="may have run"):
        future.result(DEADLINE)


# --- other problems


def test_a_message_that_expired_in_its_queue_is_sent_again(
    backend: CeleryExecutionBackend, worker: FakeWorker
) -> None:
    """The client repeats this as often as it takes: calls before it may run for days."""
    future = square(3).submit(backend)
    for _ in range(5):
        worker.take().report("expired")
    worker.take().run()
    assert future.result(DEADLINE) == 9


def test_a_function_that_no_worker_ever_finds_is_an_error(
    backend: CeleryExecutionBackend, worker: FakeWorker
) -> None:
    future = square(3).submit(backend)
    for _ in range(MOST_MISSES):
        worker.take().report("function_missing")
    with pytest.raises(ValueLostError, match="do not find the function"):
        future.result(DEADLINE)


def test_a_call_that_exceeds_its_timeout_in_a_shared_message_is_identified(
    backend: CeleryExecutionBackend, worker: FakeWorker, eventually: Eventually
) -> None:
    futures = together(backend, worker, eventually, square.with_options(timeout=1), range(30))

    def serve(taken: Taken) -> None:
        if 2 in [pickle.loads(blob)[0][0] for blob in taken.batch.arguments]:
            taken.report("timeout", "its process was killed")
        else:
            taken.run()

    worker.serve(futures, serve)
    assert [number for number, future in enumerate(futures) if future.exception()] == [2]
    assert isinstance(futures[2].exception(), CallTimeoutError)


def test_calls_missing_between_two_replies_are_sent_again(
    backend: CeleryExecutionBackend, worker: FakeWorker, eventually: Eventually
) -> None:
    """A reply that comes without the one before it is not the whole answer."""
    crowd, taken = crowd_in_a_message(backend, worker, eventually)
    answer(taken, 3, [9], kept=4)
    answer(taken, 3, [9], ended=True)
    worker.serve(crowd)
    assert [future.result(DEADLINE) for future in crowd] == [
        number * number for number in range(40)
    ]


# --- what the error tells


def test_a_worker_lost_error_has_all_known_facts_as_text_and_attributes(
    backend: CeleryExecutionBackend, worker: FakeWorker
) -> None:
    """It has it as text, and as attributes that survive a pickle."""
    future = square(3, y=4).submit(backend)
    worker.take().report("lost", "first death", host="w0", exit_code=3)
    worker.take().report("lost", "second death", worker_lost=True)
    worker.take().report("lost", "third death", **FACTS)
    error = future.exception(DEADLINE)
    assert isinstance(error, WorkerLostError)
    for text in (
        "square(3, y=4): third death, likely out of memory. That happened 3 times in 3 attempts",
        "fake@test/1: first death\n     host w0, exit code 3\n",
        "fake@test/1: second death\n",
        (
            "host w1, process 77, signal SIGKILL, memory at the end 3.9 GB of 4.0 GB, likely out of "
            "memory"
        ),
        "Where it crashed:\n  Fatal Python error: Segmentation fault\n    in f\n",
        "Last lines of the worker's log:\n  one line\n  another line",
    ):
        assert text in str(error)
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == str(error)
    assert again.attempts == error.attempts
    assert [attempt.worker for attempt in again.attempts] == ["fake@test/1"] * 3
    assert all(attempt.sent <= attempt.ended <= time.time() for attempt in again.attempts)


def test_the_memory_of_a_dead_process_is_shown_without_a_limit_too() -> None:
    assert (
        "memory at the end 12 bytes\n"
        in history([Attempt("w", 0.0, 1.0, "it died", facts={"memory": 12})]) + "\n"
    )


class Awkward:
    def __repr__(self) -> str:
        raise RuntimeError("no")


def task(arguments: bytes, chunk: int = 0) -> Task:
    return Task(FunctionPayload("", b"", "f"), arguments, CallOptions(), 0.0, chunk)


@pytest.mark.parametrize(
    ("value", "chunk", "text"),
    [
        (((1, "a"), {"b": [2]}), 0, "f(1, 'a', b=[2])"),
        ([(1, 2)], 1, "f(1, 2)"),
        ([(1,), (2,)], 2, "f, 2 calls of a map"),
        (((list(range(1000)),), {}), 0, "f([0, 1, 2, 3, 4, 5, ...])"),
        (((Awkward(),), {}), 0, "f(<Awkward>)"),
        (((1, 2), "no mapping"), 0, "f(...)"),
    ],
)
def test_a_call_is_shown_as_it_was_written(value: Any, chunk: int, text: str) -> None:
    """It is shown in short, and without an error."""
    assert described(task(pickle.dumps(value), chunk)).startswith(text)


def test_many_arguments_are_cut() -> None:
    text = described(task(pickle.dumps((tuple("argument" for _ in range(100)), {}))))
    assert text.endswith("...)")
    assert len(text) < 350


def test_arguments_that_cannot_be_read_are_not_shown() -> None:
    assert described(task(b"nonsense")) == "f(...)"


def test_large_arguments_are_shown_by_their_size() -> None:
    """They may be gone."""
    parcel = parcels._sealed(b"", [Reference("k", 81_000_000), Reference("l", 1_000)])
    assert described(task(parcel)) == "f(arguments with large values, 81.0 MB)"
