"""What a call may do to its process: the calls after it find the process as they expect it."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from distribute_challenge import ExecutionBackend, LocalCluster, compute_this
from distribute_challenge.execution_backends.pools import ProcessesExecutionBackend
from tests.calls import wait_in_process
from tests.contract.processes.running import TIMEOUT, run
from tests.contract.processes.spoiling import (
    close_any_loop,
    close_numbers,
    close_streams,
    close_the_loop,
    detach_streams,
    have_no_streams,
    reuse_numbers,
    run_and_have_no_loop,
    wrap_streams,
)
from tests.processes import alive, wait_until

# --- standard streams


@pytest.mark.slow
def test_standard_streams_are_files(backend: ExecutionBackend, tmp_path: Path) -> None:
    def use() -> list[Any]:
        import contextlib
        import faulthandler
        import io

        said = subprocess.run(
            ["echo", "from a program"], stdout=sys.stdout, stderr=sys.stderr, check=True
        ).returncode
        faulthandler.enable()
        print("flushed", flush=True)
        sys.stdout.buffer.write(b"bytes\n")
        sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
        caught = io.StringIO()
        with contextlib.redirect_stdout(caught):
            print("caught")
        for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
            assert stream is not None
            assert stream.writable()
            assert not stream.closed
            assert stream.encoding
            assert stream.errors
            stream.isatty()
        return [said, sys.stdout.fileno(), sys.stderr.fileno(), caught.getvalue()]

    assert run(backend, use) == [0, 1, 2, "caught\n"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "spoil",
    [close_streams, detach_streams, wrap_streams, have_no_streams, close_numbers, reuse_numbers],
)
def test_streams_that_a_call_has_closed_are_open_in_the_next(
    backend: ExecutionBackend, spoil: Callable[[], None]
) -> None:
    def say() -> list[tuple[int, int]]:
        for stream in sys.stdout, sys.stderr:
            print("said", file=stream, flush=True)
        subprocess.run(["echo", "said"], stdout=sys.stdout, stderr=sys.stderr, check=True)
        return [(found.st_dev, found.st_ino) for found in map(os.fstat, (1, 2))]

    before = run(backend, say)
    run(backend, spoil)
    assert run(backend, say) == before


def test_streams_are_open_in_the_next_call_of_the_same_message(backend: ExecutionBackend) -> None:
    def say(number: int) -> int:
        print(number, flush=True)
        close_streams()
        return number

    assert list(compute_this(say).map(range(20), batch_size=20, backend=backend)) == list(range(20))


# --- signals and alarms


def test_signals_are_as_they_were_in_the_next_call(backend: ExecutionBackend) -> None:
    numbers = [
        signal.SIGTERM,
        signal.SIGINT,
        signal.SIGCHLD,
        signal.SIGALRM,
        signal.SIGURG,
        signal.SIGPIPE,
    ]

    def found() -> list[Any]:
        return [
            *(repr(signal.getsignal(number)) for number in numbers),
            signal.pthread_sigmask(signal.SIG_BLOCK, ()),
        ]

    def spoil() -> None:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL if number == signal.SIGURG else lambda *_: None)
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGURG])

    before = run(backend, found)
    run(backend, spoil)
    assert run(backend, found) == before


TO_END = [signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2]


def is_ended_by(pid: int, number: signal.Signals) -> bool:
    """Send a signal; whether the process has ended by now."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return True
    return pid not in alive([pid])


@pytest.mark.parametrize("number", [*TO_END, signal.SIGINT], ids=lambda number: number.name)
def test_a_process_that_is_told_to_end_finishes_its_call_and_is_replaced(
    backend: ExecutionBackend, number: signal.Signals, tmp_path: Path
) -> None:
    """Celery ignores SIGINT, as Ctrl+C reaches all processes of a worker."""
    door = tmp_path / "door"
    future = compute_this(wait_in_process, at_most_once=True)(str(door)).submit(backend)
    wait_until(lambda: list(tmp_path.iterdir()), "the call's begin")
    pid = int(next(tmp_path.iterdir()).suffix[1:])
    os.kill(pid, number)
    door.touch()
    assert future.result(TIMEOUT) == pid
    other = run(backend, os.getpid)
    if number == signal.SIGINT and not isinstance(backend, ProcessesExecutionBackend):
        assert other == pid
        return
    assert other != pid
    wait_until(lambda: is_ended_by(other, number), "its end")  # At once when it waits for a call.
    assert run(backend, os.getpid) not in (pid, other)


def test_an_alarm_that_a_call_has_left_does_not_ring_in_the_next(backend: ExecutionBackend) -> None:
    def fail_before_the_alarm_is_off() -> None:
        def ring(*_: object) -> None:
            raise TimeoutError("too late")

        signal.signal(signal.SIGALRM, ring)
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        raise KeyError("no such thing")

    with pytest.raises(KeyError):
        run(backend, fail_before_the_alarm_is_off)
    assert run(backend, lambda: signal.getitimer(signal.ITIMER_REAL)) == (0.0, 0.0)


# --- the folder, the interpreter


def test_the_folder_is_the_same_in_the_next_call(backend: ExecutionBackend, tmp_path: Path) -> None:
    """This holds if the folder that a call went to is gone, too."""

    def go(folder: str) -> None:
        os.mkdir(folder)
        os.chdir(folder)
        os.rmdir(folder)

    before = run(backend, os.getcwd)
    run(backend, go, str(tmp_path / "gone"))
    assert run(backend, os.getcwd) == before


def test_interpreter_settings_and_module_path_are_restored_for_the_next_call(
    backend: ExecutionBackend,
) -> None:
    def found() -> tuple[Any, ...]:
        import gc

        return gc.isenabled(), sys.getprofile(), set(sys.path)

    def spoil() -> None:
        import gc

        gc.disable()
        sys.setprofile(lambda *_: None)
        sys.setrecursionlimit(200)
        sys.path.clear()

    def depth(n: int) -> int:
        return 0 if n == 0 else 1 + depth(n - 1)

    before = run(backend, found)
    run(backend, spoil)
    assert run(backend, found) == before
    assert run(backend, depth, 400) == 400


def test_a_trace_function_does_not_go_on_in_the_next_call(
    backend: ExecutionBackend, tmp_path: Path
) -> None:
    def spoil(path: str) -> None:
        def trace(frame: Any, *_: object) -> None:
            if frame.f_code.co_name == "traced":
                os.mkdir(path)

        sys.settrace(trace)

    def call() -> str:
        def traced() -> str:
            return "not traced"

        return traced()

    run(backend, spoil, str(tmp_path / "traced"))
    assert run(backend, call) == "not traced"
    assert list(tmp_path.iterdir()) == []


def test_a_resource_limit_lowered_by_a_call_is_restored_for_the_next_call(
    backend: ExecutionBackend,
) -> None:
    import resource

    def limit() -> None:
        resource.setrlimit(
            resource.RLIMIT_NOFILE, (8, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
        )

    before = run(backend, resource.getrlimit, resource.RLIMIT_NOFILE)
    run(backend, limit)
    assert run(backend, resource.getrlimit, resource.RLIMIT_NOFILE) == before


def test_a_process_in_which_something_cannot_be_put_back_is_replaced(cluster: LocalCluster) -> None:
    """No call is lost."""

    def spoil() -> int:
        from distribute_challenge.execution import process_state

        process_state._spoilt = True
        return os.getpid()

    assert run(cluster.backend, spoil) != run(cluster.backend, os.getpid)


def test_process_settings_that_a_call_makes_persist_in_the_next_call(
    backend: ExecutionBackend,
) -> None:
    """It stays in every process pool."""

    def set_up() -> int:
        import decimal
        import warnings

        os.environ["SET_BY_A_CALL"] = "yes"
        sys.path.append("/added/by/a/call")
        sys.setrecursionlimit(5000)
        decimal.getcontext().prec = 7
        warnings.simplefilter("ignore")
        return os.getpid()

    def found() -> tuple[Any, ...]:
        import decimal

        limit = sys.getrecursionlimit()
        return (
            os.getpid(),
            os.environ["SET_BY_A_CALL"],
            sys.path[-1],
            limit,
            decimal.getcontext().prec,
        )

    pid = run(backend, set_up)
    assert run(backend, found) == (pid, "yes", "/added/by/a/call", 5000, 7)


async def double(x: int) -> int:
    await asyncio.sleep(0)
    return 2 * x


# --- event loops


@pytest.mark.parametrize("spoil", [close_the_loop, close_any_loop, run_and_have_no_loop])
def test_a_call_may_close_its_event_loop(
    backend: ExecutionBackend, spoil: Callable[[], str]
) -> None:
    """Coroutines work after it, and so does the old way to use a loop."""
    assert run(backend, double, 1) == 2
    assert run(backend, spoil) == "done"
    assert list(compute_this(double).map(range(3), backend=backend)) == [0, 2, 4]
    assert run(backend, spoil) == "done"
    assert run(backend, close_any_loop) == "done"


def test_a_call_may_close_the_loop_of_a_thread(any_backend: ExecutionBackend) -> None:
    """The coroutines of this thread get a new one."""
    assert run(any_backend, double, 1) == 2
    assert run(any_backend, close_any_loop) == "done"
    assert run(any_backend, double, 1) == 2


def test_a_task_that_a_call_leaves_behind_ends_with_the_call(
    any_backend: ExecutionBackend, tmp_path: Path
) -> None:
    """`asyncio.run` does the same. An asynchronous generator read in part ends, too."""

    async def leave(folder: str) -> None:
        async def stray() -> None:
            try:
                await asyncio.sleep(0.05)
                os.mkdir(f"{folder}/went on")
            finally:
                os.mkdir(f"{folder}/task ended")

        async def numbers() -> Any:
            try:
                yield 1
                yield 2
            finally:
                await asyncio.sleep(0)
                os.mkdir(f"{folder}/generator ended")

        task = asyncio.create_task(stray())
        async for _ in numbers():
            break
        await asyncio.sleep(0)
        del task

    run(any_backend, leave, str(tmp_path))
    assert {path.name for path in tmp_path.iterdir()} == {"task ended", "generator ended"}


def test_a_task_that_an_ordinary_function_leaves_behind_does_not_begin_in_the_next_call(
    backend: ExecutionBackend, tmp_path: Path
) -> None:
    async def go_on(path: str) -> None:
        os.mkdir(path)

    def leave(path: str) -> None:
        asyncio.get_event_loop().create_task(go_on(path))

    run(backend, double, 1)
    run(backend, leave, str(tmp_path / "went on"))
    assert run(backend, double, 1) == 2
    assert list(tmp_path.iterdir()) == []
