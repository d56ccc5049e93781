"""`Executor`: the standard library's interface. CPython's own tests of it are in tests/foreign."""

import asyncio
import concurrent.futures
import logging
import operator
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from distribute_challenge import Executor, LocalCluster, compute_this, use_backend
from distribute_challenge.errors import (
    BackendError,
    OptionError,
    SerialisationError,
    SetupError,
    WorkerLostError,
)
from distribute_challenge.execution_backends import sized
from distribute_challenge.execution_backends.pools import ThreadsExecutionBackend
from distribute_challenge.executor.executor import KEPT_FUNCTIONS
from tests.calls import initialise, state
from tests.executor.calls import count_running, die, double, fail_to_initialise, parse, wait_for

Eventually = Callable[[Callable[[], bool]], None]
TIMEOUT = 60  # Seconds after which a test would rather fail than wait.


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    # Without a `with` block, which would make it the backend of all other tests.
    cluster = LocalCluster(workers=2).start()
    yield cluster
    cluster.close()


@pytest.fixture(params=["threads", "processes", "celery", "local"])
def backend(request: pytest.FixtureRequest) -> Any:
    if request.param == "celery":
        return request.getfixturevalue("cluster").backend
    return request.param


# --- how many workers


def test_max_workers_defaults_to_the_number_of_the_backend(cluster: LocalCluster) -> None:
    with Executor(backend=cluster.backend) as executor:
        assert executor._max_workers == 2
        assert executor.submit(pow, 2, 10).result(TIMEOUT) == 1024


@pytest.mark.slow
def test_executors_with_the_same_number_share_a_local_cluster(
    clean_environment: pytest.MonkeyPatch,
) -> None:
    """It stays for the next one."""
    with Executor(1) as first, Executor(max_workers=1) as second:
        assert first._max_workers == 1
        process = first.submit(os.getpid).result(TIMEOUT)
        assert second.submit(os.getpid).result(TIMEOUT) == process
    with Executor(1) as third:
        assert third.submit(os.getpid).result(TIMEOUT) == process


@pytest.mark.slow
def test_a_number_is_the_size_of_a_pool(tmp_path: Path) -> None:
    with Executor(3, backend="threads") as executor:
        assert executor._max_workers == 3
        running = executor.map(count_running, [str(tmp_path)] * 30, range(30))
        assert max(running) <= 3


def test_at_most_the_given_number_of_workers_of_a_backend_are_used(tmp_path: Path) -> None:
    with (
        ThreadsExecutionBackend(8) as backend,
        Executor(2, backend=backend) as executor,
    ):
        assert executor._max_workers == 2
        running = executor.map(count_running, [str(tmp_path)] * 30, range(30))
        assert max(running) <= 2
    with ThreadsExecutionBackend(8) as backend, use_backend(backend), Executor(2) as executor:
        assert max(executor.map(count_running, [str(tmp_path)] * 30, range(30))) <= 2


def test_an_executor_accepts_the_address_of_a_cluster(cluster: LocalCluster) -> None:
    """As the first argument, or as the backend, with a number of calls."""
    with Executor(cluster.broker_url) as executor:
        assert executor.submit(abs, -3).result(TIMEOUT) == 3
    with Executor(1, backend=cluster.broker_url) as executor:
        assert executor._max_workers == 1
        assert list(executor.map(abs, [-1, -2])) == [1, 2]


def test_an_executor_inside_a_call_runs_calls_in_the_same_process() -> None:
    def inner() -> Any:
        with Executor(4) as executor:
            return os.getpid(), executor.submit(os.getpid).result()

    with Executor(backend="processes") as executor:
        own, other = executor.submit(inner).result(TIMEOUT)
        assert own == other != os.getpid()


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"max_workers": 0}, ValueError, "max_workers must be greater than 0, got 0"),
        ({"max_workers": 1.5}, TypeError, "max_workers=1.5: expected a whole number"),
        ({"max_workers": True}, TypeError, "max_workers=True: expected a whole number"),
        ({"max_workers": "redis://a", "backend": "threads"}, OptionError, "give one of them"),
        ({"backend": "nothing"}, BackendError, "no backend is called 'nothing'"),
        ({"backend": "threads", "queue": "gpu"}, OptionError, "does not keep queue='gpu'"),
        ({"max_workers": 2, "backend": "threads", "queue": "a"}, OptionError, "not keep queue='a'"),
        ({"timeout": -1}, OptionError, "timeout=-1"),
        ({"initializer": 3}, TypeError, "initializer=3: expected a function"),
        ({"initializer": abs, "setup": abs}, OptionError, "give one of them"),
        ({"initializer": compute_this(abs)}, OptionError, "abs is decorated.*: give abs.local"),
        ({"setup": compute_this(abs)}, OptionError, "abs is decorated.*: give abs.local"),
        (
            {"max_workers": 1, "backend": ThreadsExecutionBackend(1), "queue_timeout": 1},
            OptionError,
            "max_workers=1 and queue_timeout=1: .* leave one of the two out",
        ),
    ],
)
def test_invalid_arguments_are_refused_when_the_executor_is_made(
    arguments: dict[str, Any], error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        Executor(**arguments)
    assert not any(shared.users for shared in sized._shared.values())


# --- calls


def test_calls_run_on_every_backend(backend: Any) -> None:
    with Executor(backend=backend) as executor:
        assert executor.submit(operator.add, 1, 2).result(TIMEOUT) == 3
        assert executor.submit(double, 4).result(TIMEOUT) == 8
        assert executor.submit(lambda *, x: x, x=5).result(TIMEOUT) == 5
        assert list(executor.map(parse, ["1", "2"])) == [1, 2]


def test_futures_and_calls_as_arguments_are_replaced_by_their_values(backend: Any) -> None:
    """So is a call that has not run, and a future of another executor."""
    with Executor(backend=backend) as executor, Executor(backend="threads") as other:
        first = executor.submit(operator.add, 1, 2)
        elsewhere = other.submit(abs, -4)
        call = compute_this(abs)(-5)
        assert executor.submit(sum, [first, elsewhere, call]).result(TIMEOUT) == 12


def test_a_decorated_function_keeps_its_options_where_the_executor_has_none() -> None:
    class Greeter:
        @compute_this(retries=2)
        def greet(self, name: str) -> str:
            return f"hello {name}"

    with Executor(backend="threads", timeout=20) as executor:
        options = executor._kept(Greeter().greet).prepared.options
        assert (options.retries, options.timeout) == (2, 20)
        assert executor.submit(Greeter().greet, "you").result(TIMEOUT) == "hello you"
        assert executor.submit(compute_this(abs), -1).result(TIMEOUT) == 1
        assert list(executor.map(Greeter().greet, ["a", "b", "c"], chunksize=2)) == [
            "hello a",
            "hello b",
            "hello c",
        ]


def test_an_argument_that_cannot_be_pickled_fails_its_future() -> None:
    """As in the standard library, also for code that catches `pickle.PicklingError`."""
    from pickle import PicklingError

    with Executor(backend="threads") as executor:
        future = executor.submit(repr, threading.Lock())
        with pytest.raises(PicklingError, match="argument 1 of repr"):
            future.result(TIMEOUT)
        assert isinstance(future.exception(), SerialisationError)


def test_running_says_whether_a_worker_has_begun(
    cluster: LocalCluster, tmp_path: Path, eventually: Eventually
) -> None:
    door, begun = str(tmp_path / "door"), tmp_path / "begun"
    with Executor(1, backend=cluster.backend) as executor:
        first = executor.submit(wait_for, door, str(begun))
        second = executor.submit(wait_for, door)
        eventually(begun.exists)
        eventually(first.running)
        assert not second.running()
        Path(door).touch()
        assert first.result(TIMEOUT) == second.result(TIMEOUT) == door
        assert not first.running()


def test_asyncio_runs_functions_in_it() -> None:
    async def main(executor: Executor) -> int:
        return await asyncio.get_running_loop().run_in_executor(executor, pow, 2, 5)

    with Executor(backend="threads") as executor:
        assert asyncio.run(main(executor)) == 32


@pytest.mark.slow
def test_only_the_calls_that_kill_their_process_fail(
    cluster: LocalCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its error is a `BrokenProcessPool`, too; the executor goes on."""
    monkeypatch.setenv("DISTRIBUTE_CHALLENGE_ATTEMPTS", "1")
    for backend in ("processes", cluster.broker_url):
        with Executor(backend=backend) as executor:
            futures = [executor.submit(die, number) for number in range(20)]
            lost = [future for future in futures if future.exception(TIMEOUT) is not None]
            assert lost == [futures[7], futures[17]]
            with pytest.raises(concurrent.futures.process.BrokenProcessPool) as caught:
                lost[0].result()
            assert isinstance(caught.value, WorkerLostError)
            assert executor.submit(abs, -1).result(TIMEOUT) == 1
            assert not executor._broken


def test_a_limited_number_of_pickled_functions_is_kept_while_calls_are_open(
    tmp_path: Path, eventually: Eventually
) -> None:
    door = str(tmp_path / "door")
    with Executor(backend="threads") as executor:
        future = executor.submit(wait_for, door)
        kept = [executor._kept(parse), executor._kept(parse)]
        assert kept[0] is kept[1]
        for number in range(2 * KEPT_FUNCTIONS):
            executor.submit(partial(abs, number))
        assert len(executor._functions) == KEPT_FUNCTIONS
        Path(door).touch()
        assert future.result(TIMEOUT) == door
        eventually(lambda: not executor._functions)


# --- the initializer


def test_an_initializer_runs_once_in_each_process_before_the_first_call(
    backend: Any, tmp_path: Path
) -> None:
    """For each executor: the next one has its own."""
    for name in ("first", "second"):
        with Executor(
            backend=backend, initializer=initialise, initargs=(str(tmp_path), name)
        ) as executor:
            answers = list(executor.map(state, range(12)))
            answers += [executor.submit(state).result(TIMEOUT)]
            assert {found for _, found in answers} == {name}
            noted = {path.name: path.read_text() for path in tmp_path.glob(f"{name}.*")}
            assert noted == {f"{name}.{process}": "x" for process, _ in answers}


def test_an_initializer_that_fails_breaks_the_executor(
    backend: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture, eventually: Eventually
) -> None:
    """All calls fail with `BrokenProcessPool`, and further ones are refused, as in the standard."""
    door = tmp_path / "door"
    with Executor(
        backend=backend, initializer=fail_to_initialise, initargs=(str(door),)
    ) as executor:
        if backend == "local":
            door.touch()
        futures = [executor.submit(abs, -1)]
        if backend != "local":
            futures += [executor.submit(abs, number) for number in range(10)]
        assert not executor._broken or backend == "local"
        door.touch()
        for future in futures:
            with pytest.raises(BrokenProcessPool) as caught:
                future.result(TIMEOUT)
            assert isinstance(caught.value, SetupError)
            assert isinstance(caught.value.__cause__, FileNotFoundError)
        eventually(lambda: executor._broken)
        with pytest.raises(SetupError, match=r"executor is broken.*FileNotFoundError: weights"):
            executor.submit(abs, 1)
    logged = [record for record in caplog.records if record.name == "concurrent.futures"]
    assert [record.levelno for record in logged] == [logging.CRITICAL]
    assert logged[0].getMessage() == "Exception in initializer:"


def test_a_setup_of_a_function_that_fails_breaks_no_executor() -> None:
    def fail() -> None:
        raise FileNotFoundError("weights")

    with Executor(backend="threads", initializer=len, initargs=("",)) as executor:
        with pytest.raises(OptionError, match=r"abs has a setup.*abs.with_options\(setup=None\)"):
            executor.submit(compute_this(abs, setup=fail), 1)
        cancelled = executor.submit(abs, -1)
        cancelled.cancel(force=True)
        assert executor.submit(abs, -1).result(TIMEOUT) == 1
    with Executor(backend="threads", setup=fail) as executor:
        for _ in range(2):
            with pytest.raises(SetupError, match="weights"):
                executor.submit(abs, -1).result(TIMEOUT)
        assert not executor._broken
