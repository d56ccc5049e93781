"""`Executor`: the standard library's interface. CPython's own tests of it are in tests/foreign."""

import asyncio
import concurrent.futures
import gc
import logging
import operator
import os
import signal
import subprocess
import sys
import threading
import weakref
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
    ResultTimeoutError,
    SerialisationError,
    SetupError,
    WorkerLostError,
)
from distribute_challenge.execution_backends import sized
from distribute_challenge.execution_backends.pools import ThreadsExecutionBackend
from distribute_challenge.executor.executor import KEPT_FUNCTIONS
from tests.calls import initialise, state
from tests.executor.calls import (
    count_running,
    die,
    double,
    fail_to_initialise,
    parse,
    wait_for,
)
from tests.processes import PATIENCE, environment, wait_until

Eventually = Callable[[Callable[[], bool]], None]
TIMEOUT = 60  # Seconds after which a test would rather fail than wait.


@pytest.fixture(scope="module", autouse=True)
def nothing_unused() -> Iterator[None]:
    yield
    sized.close_unused()


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


def test_without_a_number_the_backend_has_its_own(cluster: LocalCluster) -> None:
    with Executor(backend=cluster.backend) as executor:
        assert executor._max_workers == 2
        assert executor.submit(pow, 2, 10).result(TIMEOUT) == 1024


@pytest.mark.slow
def test_a_number_is_the_size_of_a_local_cluster_that_executors_share(
    clean_environment: pytest.MonkeyPatch,
) -> None:
    """It stays for the next one."""
    with Executor(1) as first, Executor(max_workers=1) as second:
        assert first._max_workers == 1
        process = first.submit(os.getpid).result(TIMEOUT)
        assert second.submit(os.getpid).result(TIMEOUT) == process
    with Executor(1) as third:
        assert third.submit(os.getpid).result(TIMEOUT) == process


def test_a_number_is_the_size_of_a_pool(tmp_path: Path) -> None:
    with Executor(3, backend="threads") as executor:
        assert executor._max_workers == 3
        running = executor.map(count_running, [str(tmp_path)] * 30, range(30))
        assert max(running) <= 3


def test_of_a_backend_that_is_given_no_more_are_used(tmp_path: Path) -> None:
    with (
        ThreadsExecutionBackend(8) as backend,
        Executor(2, backend=backend) as executor,
    ):
        assert executor._max_workers == 2
        running = executor.map(count_running, [str(tmp_path)] * 30, range(30))
        assert max(running) <= 2
    with ThreadsExecutionBackend(8) as backend, use_backend(backend), Executor(2) as executor:
        assert max(executor.map(count_running, [str(tmp_path)] * 30, range(30))) <= 2


def test_an_address_is_that_of_a_cluster(cluster: LocalCluster) -> None:
    """As the first argument, or as the backend, with a number of calls."""
    with Executor(cluster.broker_url) as executor:
        assert executor.submit(abs, -3).result(TIMEOUT) == 3
    with Executor(1, backend=cluster.broker_url) as executor:
        assert executor._max_workers == 1
        assert list(executor.map(abs, [-1, -2])) == [1, 2]


def test_inside_a_call_it_runs_calls_in_that_process() -> None:
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
def test_what_it_cannot_keep_is_refused_when_it_is_made(
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


def test_a_future_as_an_argument_is_its_value(backend: Any) -> None:
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


def test_what_cannot_be_pickled_fails_its_future() -> None:
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


def test_a_call_that_kills_its_process_fails_alone(
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


def test_few_functions_are_kept_pickled_and_none_while_no_call_is_open(
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


# --- maps


def test_a_map_submits_at_once_and_with_a_buffer_when_results_are_asked_for() -> None:
    """No more calls are out than the buffer holds, and the iterables are not read ahead of that."""
    with Executor(backend="threads") as executor:
        taken = iter(range(20))
        results = executor.map(abs, taken)
        assert next(taken, None) is None
        assert list(results) == list(range(20))
        taken = iter(range(20))
        results = executor.map(abs, taken, buffersize=3)
        assert next(taken) == 3
        assert list(results) == [0, 1, 2, *range(4, 20)]


def test_a_map_that_has_ended_consumes_no_more_items() -> None:
    long, short = iter(range(10)), [1, 1, 1]
    with Executor(backend="threads") as executor:
        assert list(executor.map(pow, long, short, buffersize=2)) == [0, 1, 2]
    assert next(long) == 4  # `zip` has read one item more than there are pairs.


@pytest.mark.parametrize("size", [1, 3, 7, 20])
def test_chunks_of_any_size_give_the_same_results(size: int) -> None:
    with Executor(backend="threads") as executor:
        results = executor.map(pow, range(7), range(7), chunksize=size, buffersize=2)
        assert list(results) == [number**number for number in range(7)]
        assert list(executor.map(double, range(7), chunksize=size)) == list(range(0, 14, 2))


def test_an_exception_in_a_chunk_names_its_item() -> None:
    with Executor(backend="threads") as executor:
        results = executor.map(parse, ["1", "2", "3", "x", "5"], chunksize=2)
        assert [next(results), next(results)] == [1, 2]
        with pytest.raises(ValueError, match="invalid literal") as caught:
            next(results)
        assert caught.value.__notes__[0] == "item 3: parse('x')"


def test_a_map_stops_waiting_after_its_timeout(tmp_path: Path, eventually: Eventually) -> None:
    """Calls that have not begun are cancelled, and do not run."""
    door, begun = str(tmp_path / "door"), tmp_path / "begun"
    late = tmp_path / "late"
    with Executor(1, backend="threads") as executor:
        running = executor.submit(wait_for, door, str(begun))
        eventually(begun.exists)
        with pytest.raises(ResultTimeoutError, match=r"within timeout=0 s, counted from the call"):
            next(executor.map(wait_for, [door], [str(late)], timeout=0))
        Path(door).touch()
        assert running.result(TIMEOUT) == door
    assert not late.exists()


def test_a_timeout_of_the_call_itself_is_its_own() -> None:
    def give_up() -> None:
        raise ResultTimeoutError("no luck")

    with (
        Executor(backend="threads") as executor,
        pytest.raises(ResultTimeoutError, match=r"^no luck"),
    ):
        next(executor.map(lambda _: give_up(), [1], timeout=TIMEOUT))


def test_a_map_that_is_dropped_cancels_what_has_not_begun(
    tmp_path: Path, eventually: Eventually
) -> None:
    door, begun = str(tmp_path / "door"), tmp_path / "begun"
    late = tmp_path / "late"
    with Executor(1, backend="threads") as executor:
        results = executor.map(wait_for, [door] * 3, [str(begun), str(late), str(late)])
        eventually(begun.exists)
        Path(door).touch()
        assert next(results) == door
        Path(door).unlink()
        results.close()  # type: ignore[attr-defined] # it is a generator
        Path(door).touch()


@pytest.mark.parametrize("name", ["chunksize", "buffersize"])
def test_sizes_of_a_map_are_numbers_from_one_on(name: str) -> None:
    with Executor(backend="local") as executor:
        with pytest.raises(ValueError, match=f"{name} must be greater than 0, got 0"):
            executor.map(abs, [1], **{name: 0})  # type: ignore[arg-type] # a wrong one
        with pytest.raises(TypeError, match=f"{name}='2': expected a whole number"):
            executor.map(abs, [1], **{name: "2"})  # type: ignore[arg-type] # a wrong one


# --- shutdown


def test_after_shutdown_calls_are_refused_and_those_submitted_run(tmp_path: Path) -> None:
    door = tmp_path / "door"
    executor = Executor(2, backend="threads")
    future = executor.submit(wait_for, str(door))
    executor.shutdown(wait=False)
    with pytest.raises(RuntimeError, match="cannot schedule new futures after shutdown"):
        executor.submit(abs, 1)
    assert not future.done()
    door.touch()
    executor.shutdown()
    assert future.done()
    executor.shutdown(cancel_futures=True)


def test_shutdown_cancels_calls_that_wait(tmp_path: Path, eventually: Eventually) -> None:
    """Not those that workers have begun, or could begin."""
    door, begun = str(tmp_path / "door"), tmp_path / "begun"
    executor = Executor(2, backend="threads")
    futures = [executor.submit(wait_for, door, str(begun)) for _ in range(6)]
    eventually(begun.exists)
    executor.shutdown(wait=False, cancel_futures=True)
    assert [future.cancelled() for future in futures] == [False] * 2 + [True] * 4
    Path(door).touch()
    executor.shutdown()
    assert futures[0].result() == futures[1].result() == door


def test_an_executor_that_is_dropped_lets_its_calls_end(
    tmp_path: Path, eventually: Eventually
) -> None:
    """Then its engine is free."""
    sized.close_unused()
    door = tmp_path / "door"
    executor = Executor(2, backend="threads")
    dropped = weakref.ref(executor)
    future = executor.submit(wait_for, str(door))
    del executor
    gc.collect()
    assert dropped() is None
    assert [shared.users for shared in sized._shared.values()] == [1]
    door.touch()
    assert future.result(TIMEOUT) == str(door)
    eventually(lambda: [shared.users for shared in sized._shared.values()] == [0])


def test_an_executor_without_calls_is_free_at_once(eventually: Eventually) -> None:
    sized.close_unused()
    executor = Executor(2, backend="threads")
    executor.shutdown(wait=False)
    eventually(lambda: [shared.users for shared in sized._shared.values()] == [0])


PROGRAM = """
import atexit, sys, time

@atexit.register
def submit_late():
    try:
        executor.submit(abs, 1)
    except RuntimeError as error:
        print(str(error).partition(":")[0])

from distribute_challenge import Executor

def note(path):
    time.sleep(0.5)
    open(path, "w").close()

if __name__ == "__main__":
    executor = Executor(1)
    for number in range(2):
        executor.submit(note, f"{sys.argv[1]}/{number}")
    Executor(1, backend="threads").submit(note, f"{sys.argv[1]}/2")
"""


@pytest.mark.slow
def test_at_its_end_a_program_waits_for_what_it_has_submitted(tmp_path: Path) -> None:
    """Nothing is cancelled, and nothing is warned of. Further calls are refused."""
    script, notes = tmp_path / "script.py", tmp_path / "notes"
    script.write_text(PROGRAM)
    notes.mkdir()
    done = subprocess.run(
        [sys.executable, script, notes],
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE,
        env=environment(),
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout == "cannot schedule new futures after interpreter shutdown\n"
    assert sorted(os.listdir(notes)) == ["0", "1", "2"]


INTERRUPTED = """
import atexit, pathlib, sys, time
from distribute_challenge import Executor

def nap(path):
    pathlib.Path(path, "begun").touch()
    time.sleep(600)

if __name__ == "__main__":
    atexit.register(pathlib.Path(sys.argv[1], "ending").touch)
    Executor(1, backend="processes").submit(nap, sys.argv[1])
"""


@pytest.mark.slow
def test_ctrl_c_ends_the_waiting_at_the_end_of_a_program(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(INTERRUPTED)
    running = subprocess.Popen(
        [sys.executable, script, tmp_path], stderr=subprocess.PIPE, text=True, env=environment()
    )
    wait_until((tmp_path / "begun").exists, "the call")
    wait_until((tmp_path / "ending").exists, "the end of the program")

    def has_ended() -> bool:
        running.send_signal(signal.SIGINT)  # The program may not wait yet.
        return running.poll() is not None

    wait_until(has_ended, "the end after Ctrl+C")
    assert "KeyboardInterrupt" in running.communicate()[1]


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
