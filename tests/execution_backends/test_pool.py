"""Calls that wait for a worker of a pool."""

import re
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import wait
from pathlib import Path

import pytest

from distribute_challenge import compute_this
from distribute_challenge.errors import CallCancelledError, QueueTimeoutError
from distribute_challenge.execution_backends.pools import ThreadsExecutionBackend, threads
from distribute_challenge.execution_backends.pools.pool import SPARE_LIMITS, Pool, PoolCall
from tests.calls import wait_for

Eventually = Callable[[Callable[[], bool]], None]
TIMEOUT = 60  # Seconds after which a test would rather fail than wait.

limited = compute_this(abs, queue_timeout=0.05)


@pytest.fixture
def backend() -> Iterator[ThreadsExecutionBackend]:
    with ThreadsExecutionBackend(1) as backend:
        yield backend


@pytest.fixture
def busy(
    backend: ThreadsExecutionBackend, tmp_path: Path, eventually: Eventually
) -> Iterator[Path]:
    door = tmp_path / "door"
    future = wait_for(str(door)).submit(backend)
    eventually(future.running)
    yield door
    door.touch()
    wait([future])


def test_calls_with_different_queue_times_are_each_taken_back_in_time(
    backend: ThreadsExecutionBackend, busy: Path
) -> None:
    """A call made after others with more time is, too. Cancelled calls are passed over."""
    patient = limited.with_options(queue_timeout=60)(-1).submit(backend)
    cancelled = limited(-1).submit(backend)
    assert cancelled.cancel()
    with pytest.raises(QueueTimeoutError, match="the one worker of this pool is busy"):
        limited(-1).submit(backend).result(TIMEOUT)
    with pytest.raises(QueueTimeoutError):
        limited(-2).submit(backend).result(TIMEOUT)
    busy.touch()
    assert patient.result(TIMEOUT) == 1


def test_the_thread_that_looks_after_queue_times_ends_with_the_last_of_them(
    backend: ThreadsExecutionBackend, busy: Path, eventually: Eventually
) -> None:
    """The next queue timeout starts another one."""
    for _ in range(2):
        assert isinstance(limited(-1).submit(backend).exception(TIMEOUT), QueueTimeoutError)
        eventually(lambda: backend._pool._watcher is None)


def test_calls_that_begin_within_their_queue_timeout_leave_few_timers(
    backend: ThreadsExecutionBackend,
) -> None:
    """Long before their time would have been over."""
    patient = limited.with_options(queue_timeout=3600)
    for _ in range(SPARE_LIMITS + 50):
        patient(-1).compute(backend)
    assert len(backend._pool._limits) <= SPARE_LIMITS + 1


def test_a_worker_does_not_begin_a_call_whose_time_is_over(
    backend: ThreadsExecutionBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be there before the thread that looks after them."""
    monkeypatch.setattr(Pool, "_limit", lambda *_: None)
    call = PoolCall(limited(-1)._task()._replace(created=time.time() - 60), backend._pool)
    backend._pool.put(call)
    with pytest.raises(QueueTimeoutError, match="no worker has begun it"):
        call.result(TIMEOUT)


def test_the_queue_timeout_error_of_a_pool_gives_its_number_of_workers(tmp_path: Path) -> None:
    with ThreadsExecutionBackend(2) as backend:
        door = tmp_path / "door"
        running = [wait_for(str(door)).submit(backend) for _ in range(2)]
        with pytest.raises(QueueTimeoutError, match="all 2 workers of this pool are busy"):
            limited(-1).compute(backend)
        door.touch()
        wait(running)


def test_idle_workers_take_the_next_calls_and_no_more_are_started_than_needed(
    eventually: Eventually,
) -> None:
    with ThreadsExecutionBackend(3) as backend:
        for _ in range(5):
            compute_this(abs)(-1).compute(backend)
            eventually(lambda: backend._pool._idle == 1)
        assert len(backend._pool._threads) == 1
        barrier = threading.Barrier(3, timeout=TIMEOUT)
        BARRIERS.append(barrier)
        futures = [compute_this(meet)().submit(backend) for _ in range(3)]
        assert sorted(future.result(TIMEOUT) for future in futures) == [0, 1, 2]


BARRIERS: list[threading.Barrier] = []


def meet() -> int:
    return BARRIERS[-1].wait()


def test_calls_are_refused_or_wait_for_existing_threads_if_none_can_be_started(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, eventually: Eventually
) -> None:
    """None can be started when the interpreter ends."""

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    with ThreadsExecutionBackend(2) as backend:
        with monkeypatch.context() as context:
            context.setattr(threading.Thread, "start", refuse)
            with pytest.raises(CallCancelledError, match="closed"):
                compute_this(abs)(-1).submit(backend)
        door = tmp_path / "door"
        first = wait_for(str(door)).submit(backend)
        eventually(first.running)
        with monkeypatch.context() as context:
            context.setattr(threading.Thread, "start", refuse)
            second = compute_this(abs, queue_timeout=TIMEOUT)(-1).submit(backend)
        door.touch()
        assert second.result(TIMEOUT) == 1


def test_closing_a_pool_cancels_and_stops_its_running_calls(eventually: Eventually) -> None:
    """One of its calls may close the pool."""
    backend = ThreadsExecutionBackend(2)
    CLOSED.append(backend)
    spinning = compute_this(spin)().submit(backend)
    eventually(spinning.running)
    closing = compute_this(close)().submit(backend)
    assert wait([spinning, closing], timeout=TIMEOUT).not_done == set()
    assert spinning.cancelled()
    assert closing.cancelled()
    eventually(lambda: not any(thread.is_alive() for thread in backend._pool._threads))


CLOSED: list[ThreadsExecutionBackend] = []


def spin() -> None:
    while True:
        time.sleep(0.001)


def close() -> None:
    CLOSED[-1].close()


def test_a_future_shows_its_call_until_that_is_done(
    backend: ThreadsExecutionBackend, busy: Path, eventually: Eventually
) -> None:
    """It keeps no arguments after that."""
    future = compute_this(len)("abc").submit(backend)
    assert repr(future) == "<Future len('abc') pending>"
    busy.touch()
    assert future.result(TIMEOUT) == 3
    assert re.fullmatch(r"<Future len finished 3 in [0-9.]+ .?s on threads@.*>", repr(future))
    eventually(lambda: future.task.arguments == b"")  # type: ignore[attr-defined]


def test_a_call_whose_caller_is_interrupted_as_it_submits_it_does_not_run(
    backend: ThreadsExecutionBackend, busy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as context:
        context.setattr(backend._pool._called, "notify", interrupt)
        with pytest.raises(KeyboardInterrupt):
            wait_for(str(tmp_path / "second")).submit(backend)
    busy.touch()
    assert compute_this(abs)(-1).compute(backend) == 1
    assert not (tmp_path / "second.begun").exists()


def test_stopping_a_call_that_does_not_run_stops_no_other(backend: ThreadsExecutionBackend) -> None:
    """It may have ended just now, or have been cancelled before it began."""
    pool, runner = backend._pool, threads._ThreadRunner()
    over = PoolCall(compute_this(abs)(-1)._task(), pool)
    pool.stop(over)
    runner.stop(over)
    runner.abandon()
    over.resolve(1)
    runner.run(over)
    assert compute_this(abs)(-1).compute(backend) == 1
