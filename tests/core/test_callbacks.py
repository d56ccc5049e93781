"""Where callbacks of users run."""

import concurrent.futures
import logging
import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable

import pytest

from distribute_challenge.core import callbacks
from distribute_challenge.core.futures import Future

DEADLINE = 60  # Seconds.

Eventually = Callable[[Callable[[], bool]], None]


@pytest.fixture(autouse=True)
def dispatcher(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test has one of its own, with no threads yet."""
    monkeypatch.setattr(callbacks, "_dispatcher", callbacks.Dispatcher())


def test_a_callback_runs_in_a_thread_of_its_own(eventually: Eventually) -> None:
    """It does not run in the thread that takes in results."""
    future: Future[int] = Future()
    seen: list[tuple[threading.Thread, int]] = []
    future.add_done_callback(lambda done: seen.append((threading.current_thread(), done.result())))
    future.resolve(4)
    eventually(lambda: bool(seen))
    assert seen[0][0] is not threading.current_thread()
    assert seen[0][1] == 4


def test_a_callback_added_to_a_resolved_future_runs_at_once_in_the_adding_thread() -> None:
    """Futures of the standard library do the same."""
    future: Future[int] = Future()
    future.resolve(4)
    seen: list[threading.Thread] = []
    future.add_done_callback(lambda _: seen.append(threading.current_thread()))
    assert seen == [threading.current_thread()]


@pytest.mark.parametrize(
    "end", [lambda future: future.resolve(1), lambda future: future.fail(OSError()), Future.cancel]
)
def test_callbacks_of_a_future_run_in_order_however_it_ends(
    end: Callable[[Future[int]], object], eventually: Eventually
) -> None:
    """Each of them once."""
    future: Future[int] = Future()
    seen: list[int] = []
    for number in range(20):
        future.add_done_callback(lambda _, number=number: seen.append(number))  # type: ignore[misc]
    end(future)
    eventually(lambda: len(seen) == 20)
    assert seen == list(range(20))


def test_callbacks_of_several_futures_run_one_after_the_other(eventually: Eventually) -> None:
    """They run in the order in which the futures were done, so what they share needs no lock."""
    futures: list[Future[int]] = [Future() for _ in range(200)]
    inside = threading.Lock()
    seen: list[int] = []

    def callback(done: Future[int]) -> None:
        assert inside.acquire(blocking=False)
        seen.append(done.result())
        inside.release()

    for future in futures:
        future.add_done_callback(callback)
    for number, future in enumerate(futures):
        future.resolve(number)
    eventually(lambda: len(seen) == 200)
    assert seen == list(range(200))


def test_callbacks_that_never_end_do_not_stop_others(
    monkeypatch: pytest.MonkeyPatch, eventually: Eventually
) -> None:
    """Several stop none, either. When they end after all, no more threads are left than needed."""
    monkeypatch.setattr(callbacks, "STUCK_AFTER", 0.01)
    never = threading.Event()
    before = threading.active_count()
    stuck: list[Future[int]] = [Future() for _ in range(5)]
    quick: list[Future[int]] = [Future() for _ in range(50)]
    seen: list[int] = []
    for future in stuck:
        future.add_done_callback(lambda _: never.wait(DEADLINE) and None)
    for future in quick:
        future.add_done_callback(lambda done: seen.append(done.result()))
    for number, future in enumerate([*stuck, *quick]):
        future.resolve(number)
    eventually(lambda: len(seen) == 50)
    never.set()
    eventually(lambda: threading.active_count() <= before + 2)
    # Those that are left go on working.
    late: Future[int] = Future()
    late.add_done_callback(lambda done: seen.append(done.result()))
    late.resolve(-1)
    eventually(lambda: seen[-1] == -1)


def test_callbacks_behind_a_stuck_one_run_each_time(
    monkeypatch: pytest.MonkeyPatch, eventually: Eventually
) -> None:
    """The thread that has stood by since watches it."""
    monkeypatch.setattr(callbacks, "STUCK_AFTER", 0.01)
    seen: list[int] = []
    for number in range(3):
        stuck: Future[int] = Future()
        quick: Future[int] = Future()
        begun, never = threading.Event(), threading.Event()

        def hang(_: object, begun: threading.Event = begun, never: threading.Event = never) -> None:
            begun.set()
            never.wait(DEADLINE)

        stuck.add_done_callback(hang)
        quick.add_done_callback(lambda done: seen.append(done.result()))
        stuck.resolve(0)
        assert begun.wait(DEADLINE)
        quick.resolve(number)
        eventually(lambda number=number: len(seen) == number + 1)  # type: ignore[misc]
        never.set()


def test_callbacks_that_come_while_another_is_stuck_run_in_order(eventually: Eventually) -> None:
    """A thread watches already then, and goes on watching."""
    never = threading.Event()
    stuck: Future[int] = Future()
    stuck.add_done_callback(lambda _: never.wait(DEADLINE) and None)
    stuck.resolve(0)
    seen: list[int] = []
    for number in range(3):
        future: Future[int] = Future()
        future.add_done_callback(lambda done: seen.append(done.result()))
        future.resolve(number)
        if not number:
            eventually(lambda: callbacks._dispatcher._is_watching)
    eventually(lambda: len(seen) == 3)
    assert seen == [0, 1, 2]
    never.set()


@pytest.mark.parametrize("error", [ValueError, SystemExit, KeyboardInterrupt, GeneratorExit])
def test_an_exception_of_a_callback_is_logged_and_the_next_callback_runs(
    error: type[BaseException], caplog: pytest.LogCaptureFixture, eventually: Eventually
) -> None:
    """The log has the words of the standard library."""
    future: Future[int] = Future()
    seen: list[int] = []

    def fail(_: object) -> None:
        raise error("no")

    future.add_done_callback(fail)
    future.add_done_callback(lambda done: seen.append(done.result()))
    with caplog.at_level(logging.ERROR, "concurrent.futures"):
        future.resolve(4)
        eventually(lambda: bool(seen))
    (record,) = caplog.records
    assert "exception calling callback for <Future" in record.getMessage()
    assert record.exc_info is not None
    assert record.exc_info[0] is error


def run(program: str) -> list[str]:
    """What a program prints by its end."""
    beginning = """
        import os, threading, time
        from distribute_challenge.core.futures import Future
        future = Future()
        """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(beginning) + textwrap.dedent(program)],
        capture_output=True,
        text=True,
        timeout=60,
        env=dict(os.environ),
        check=True,
    )
    return done.stdout.split()


def test_callbacks_run_before_the_interpreter_ends() -> None:
    """So do those of futures that end at exit, when no more threads can be started."""
    assert run("""
        import atexit
        late = Future()
        late.add_done_callback(lambda _: print("late"))
        atexit.register(late.cancel)
        future.add_done_callback(lambda _: (time.sleep(0.2), print("in time")))
        future.resolve(1)
    """) == ["in", "time", "late"]


@pytest.mark.slow
def test_a_callback_that_never_ends_does_not_keep_the_interpreter_alive() -> None:
    """The interpreter waits for a moment only."""
    assert run("""
        future.add_done_callback(lambda _: time.sleep(1000))
        future.resolve(1)
        print("end")
    """) == ["end"]


def test_callbacks_run_in_the_resolving_thread_if_no_thread_can_be_started(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """From Python 3.12 on, none can be started as the interpreter ends."""

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread at interpreter shutdown")

    future: Future[int] = Future()
    seen: list[int] = []
    future.add_done_callback(lambda done: seen.append(done.result()))
    with monkeypatch.context() as context:
        context.setattr(threading.Thread, "start", refuse)
        future.resolve(4)
    assert seen == [4]


def test_after_a_fork_the_child_has_threads_of_its_own() -> None:
    """Callbacks that wait in the parent are the parent's."""
    assert run("""
        future.add_done_callback(lambda _: None)
        future.resolve(0)
        pid = os.fork()
        if not pid:
            child = Future()
            done = threading.Event()
            child.add_done_callback(lambda _: done.set())
            child.resolve(1)
            os._exit(not done.wait(60))
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    """) == ["0"]


def test_a_callback_of_asyncio_runs_in_the_thread_that_resolves_the_future() -> None:
    """It tells an event loop, and holds up nothing."""
    import asyncio

    async def main() -> int:
        future: Future[int] = Future()
        waiting = asyncio.wrap_future(future)
        await asyncio.to_thread(future.resolve, 4)
        return await waiting

    assert asyncio.run(main()) == 4
    assert callbacks._dispatcher._in_charge is None


def test_waiting_for_futures_needs_no_callbacks() -> None:
    """`concurrent.futures.wait` works with these futures."""
    futures: list[Future[int]] = [Future() for _ in range(3)]
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(concurrent.futures.wait, futures, DEADLINE)
        for future in futures:
            future.resolve(1)
        assert waiting.result(DEADLINE).done == set(futures)
    assert callbacks._dispatcher._in_charge is None
