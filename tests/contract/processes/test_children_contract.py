"""Forks and processes that a call starts: how they end, and what they may do."""

import asyncio
import contextlib
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from distribute_challenge import ExecutionBackend, LocalCluster, compute_this
from distribute_challenge.cluster import supervisor
from distribute_challenge.errors import WorkerLostError
from tests.contract.children import start_and_die, start_and_spoil
from tests.contract.processes.running import TIMEOUT, run
from tests.processes import alive, wait_until

# --- forks


def with_child(how: str) -> tuple[str, int]:
    child = os.fork()
    if child == 0:
        if how == "raises":
            raise ValueError("in the child")
        if how == "exits":
            sys.exit(7)
        if how == "exits with a text":
            sys.exit("a text")
        return "the child's", 0
    return "the parent's", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


async def coroutine_with_child(how: str) -> tuple[str, int]:
    await asyncio.sleep(0)
    return with_child(how)


ENDS = {"returns": 0, "raises": 1, "exits": 7, "exits with a text": 1}
QUIETLY = pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")


@pytest.mark.slow
@QUIETLY
@pytest.mark.parametrize("how", ENDS)
@pytest.mark.parametrize("function", [with_child, coroutine_with_child])
def test_the_child_of_a_fork_ends_where_it_leaves_the_call(
    any_backend: ExecutionBackend, how: str, function: Callable[[str], Any]
) -> None:
    """It has the exit code of a script's child, answers nothing, and runs no further call."""
    assert run(any_backend, function, how) == ("the parent's", ENDS[how])


@pytest.mark.slow
@QUIETLY
def test_a_forked_child_process_ends_when_it_leaves_a_call_of_a_map(
    any_backend: ExecutionBackend,
) -> None:
    calls = compute_this(with_child)
    found = list(calls.map([*ENDS, *ENDS], batch_size=8, backend=any_backend))
    assert found == [("the parent's", code) for code in [*ENDS.values(), *ENDS.values()]]


def test_the_exit_text_and_traceback_of_a_forked_child_are_in_the_log(
    cluster: LocalCluster,
) -> None:
    """The traceback of its exception as well, from the user's function on."""
    for how in ("raises", "exits with a text"):
        run(cluster.backend, with_child, how)
    wait_until(lambda: "a text" in cluster.log())
    first_frame, *_ = (
        cluster.log().rpartition("Traceback (most recent call last):")[2].strip().splitlines()
    )
    assert "in with_child" in first_frame
    assert "ValueError: in the child" in cluster.log()


# --- processes of calls


@contextlib.contextmanager
def lightly() -> Iterator[None]:
    """Start programs without coverage, of which they would have nothing to say."""
    with mock.patch.dict(os.environ):
        for name in ("COVERAGE_PROCESS_CONFIG", "COVERAGE_PROCESS_START"):
            os.environ.pop(name, None)
        yield


@contextlib.contextmanager
def unmeasured() -> Iterator[None]:
    """Start processes without coverage: one that waits for a lock does not run its handler."""
    handler = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    with lightly():
        yield
    signal.signal(signal.SIGTERM, handler)


def use_pool(method: str) -> list[int]:
    with unmeasured(), multiprocessing.get_context(method).Pool(2) as pool:
        return pool.map(abs, [-1, -2])


def use_executor(method: str) -> list[int]:
    context = multiprocessing.get_context(method)
    with lightly(), ProcessPoolExecutor(2, mp_context=context) as executor:
        return list(executor.map(abs, [-1, -2]))


def use_process(method: str) -> list[int]:
    context: Any = multiprocessing.get_context(method)
    queue = context.Queue()
    process = context.Process(target=queue.put, args=(1,))
    with lightly():
        process.start()
    value = queue.get(timeout=TIMEOUT)
    process.join(TIMEOUT)
    assert process.exitcode == 0
    return [value, 2]


def use_manager(method: str) -> list[int]:
    with lightly(), multiprocessing.get_context(method).Manager() as manager:
        shared = manager.list([1])
        shared.append(2)
        return list(shared)


def use_loky(method: str) -> list[int]:
    from loky import ProcessPoolExecutor as LokyExecutor

    with lightly(), LokyExecutor(2) as executor:
        return list(executor.map(abs, [-1, -2]))


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
@pytest.mark.parametrize("use", [use_pool, use_executor, use_process, use_manager])
def test_a_call_may_use_processes_of_its_own(
    backend: ExecutionBackend, use: Callable[[str], list[int]], method: str
) -> None:
    assert run(backend, use, method) == [1, 2]


@pytest.mark.slow
def test_a_call_may_use_processes_of_loky(backend: ExecutionBackend) -> None:
    """So it may use those of joblib."""
    assert run(backend, use_loky, "loky") == [1, 2]


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_process_of_a_call_can_be_terminated(
    backend: ExecutionBackend, method: str, tmp_path: Path
) -> None:
    """The signal itself ends it, and no exception of the worker's own processes."""

    def terminate(path: str) -> int | None:
        context: Any = multiprocessing.get_context(method)
        process = context.Process(
            target=exec, args=(f"import time; open({path!r}, 'w').close(); time.sleep(300)",)
        )
        with unmeasured():
            process.start()
            while not os.path.exists(path):
                time.sleep(0.01)
            process.terminate()
            process.join(TIMEOUT / 2)
        return process.exitcode

    assert run(backend, terminate, str(tmp_path / "begun")) == -signal.SIGTERM


def started_in(folder: Path) -> list[int]:
    return [int(path.name) for path in folder.iterdir()]


@pytest.mark.skipif(not supervisor.LINUX, reason="the kernel does not offer it")
def test_processes_of_a_call_end_with_the_process_that_ran_it_though_it_is_killed(
    backend: ExecutionBackend, tmp_path: Path
) -> None:
    with pytest.raises(WorkerLostError):
        run(backend, start_and_die, str(tmp_path))
    assert len(started_in(tmp_path)) >= 12  # Four in each attempt.
    wait_until(lambda: not alive(started_in(tmp_path)), "the end of all of them")


@pytest.mark.slow
def test_processes_started_by_a_call_end_when_its_process_is_replaced(
    cluster: LocalCluster, tmp_path: Path
) -> None:
    """Those that `multiprocessing` would wait for end, too."""

    run(cluster.backend, start_and_spoil, str(tmp_path))
    run(cluster.backend, abs, -1)
    assert len(started_in(tmp_path)) == 4
    wait_until(lambda: not alive(started_in(tmp_path)), "the end of all of them")
