"""What every engine promises about each option: it is kept, or refused before anything is sent."""

import asyncio
import os
from collections.abc import Callable
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from distribute_challenge import ExecutionBackend, compute_this, settings
from distribute_challenge.core.options import CallOptions
from distribute_challenge.errors import (
    CallTimeoutError,
    OptionError,
    QueueTimeoutError,
    SetupError,
    WorkerLostError,
)
from distribute_challenge.execution_backends.policy import OPTIONS
from tests.calls import die, initialise, name_of_state, note, read, state, wait_for
from tests.contract.options.one_worker import (
    TIMEOUT,
    Engine,
    begun,
    has_left,
    make_noting,
    skip_if_refused,
)

#: Of each option, a value that is not the default.
GIVEN: dict[str, Any] = {
    "timeout": 20.0,
    "retries": 1,
    "retry_on": (ValueError,),
    "queue": "elsewhere",
    "priority": 5,
    "queue_timeout": 20.0,
    "at_most_once": True,
    "setup": os.getpid,
}
IN_PROCESSES = {
    "processes",
    "celery",
    "dask",
    "ray",
}  # What ends its process does not end the client.


@pytest.mark.slow
@pytest.mark.parametrize("option", sorted(OPTIONS))
def test_an_option_is_taken_or_refused_at_the_call(
    option: str, backend: ExecutionBackend, tmp_path: Path
) -> None:
    """This holds for each way to make a call."""
    path = str(tmp_path / "begun")
    function = compute_this(note).with_options(**{option: GIVEN[option]})
    ways: list[Callable[[], Any]] = [
        lambda: function(path, 1).compute(backend),
        lambda: function(path, 1).submit(backend),
        lambda: function(path, 1).submit(backend, detach=True),
        lambda: function.map([path], [1], backend=backend),
        lambda: function.starmap([(path, 1)], backend=backend),
    ]
    if option in backend.honours:
        # On a cluster, the workers of another queue have to begin it.
        if option != "queue" or backend.concurrency == 0:
            assert function(path, 1).compute(backend, timeout=TIMEOUT) == 1
        return
    for way in ways:
        with pytest.raises(
            OptionError,
            match=rf"does not keep {option}=.*'celery'.*'local'.* do\..*\.with_options\({option}=",
        ):
            way()
    assert begun(tmp_path / "begun") == []


def test_every_option_has_a_test() -> None:
    """A new one has to be in the table, and then in this file."""
    assert set(GIVEN) == OPTIONS
    assert all(value != getattr(CallOptions(), name) for name, value in GIVEN.items())


def test_a_setup_runs_once_in_each_process_before_the_first_call(
    backend: ExecutionBackend, tmp_path: Path
) -> None:
    """Functions that have the same one share it."""
    setup = partial(initialise, str(tmp_path), "setup")
    first, second = compute_this(state, setup=setup), compute_this(name_of_state, setup=setup)
    answers = [first().compute(backend), first().submit(backend).result(TIMEOUT)]
    answers += first.map(range(5), backend=backend)
    assert {name for _, name in answers} == {"setup"}
    assert second().compute(backend) == "setup"
    noted = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert noted == {f"setup.{process}": "x" for process, _ in answers}


def test_a_setup_that_raises_fails_the_call_and_is_tried_again_by_the_next(
    backend: ExecutionBackend, tmp_path: Path
) -> None:
    """The error of the setup is the cause, and the library's own is a `BrokenProcessPool`, too."""
    path = tmp_path / "weights"
    function = compute_this(abs, setup=partial(read, str(path)))
    with pytest.raises(BrokenProcessPool, match=r"^read, .* of abs, raised FileNotFoundError") as e:
        function(-1).compute(backend)
    assert isinstance(e.value, SetupError)
    assert isinstance(e.value.__cause__, FileNotFoundError)
    results = list(function.map([-1, -2], on_error="return", backend=backend))
    assert [isinstance(result, SetupError) for result in results] == [True, True]
    path.touch()
    assert function(-1).compute(backend) == 1


def test_the_timeout_of_the_first_call_holds_for_its_setup(
    backend: ExecutionBackend, tmp_path: Path
) -> None:
    """The next call tries it again."""
    door = tmp_path / "door"
    function = compute_this(abs, setup=partial(wait_for.local, str(door)), timeout=0.2)
    with pytest.raises(CallTimeoutError):
        function(-1).compute(backend)
    door.touch()
    assert function.with_options(timeout=TIMEOUT)(-1).compute(backend) == 1


def test_a_call_inside_a_call_takes_every_option(backend: ExecutionBackend) -> None:
    """It runs in place, whatever backend is named."""

    def outer() -> Any:
        inner = compute_this(abs, backend="threads", queue="elsewhere", priority=3, queue_timeout=5)
        return inner(-1).compute()

    assert compute_this(outer)().compute(backend) == 1


# --- timeout, retries, retry_on


@pytest.mark.slow
def test_a_call_that_takes_too_long_is_stopped(backend: ExecutionBackend) -> None:
    def spin() -> None:
        while True:
            pass

    async def sleep() -> None:
        await asyncio.sleep(TIMEOUT)

    for function in (spin, sleep):
        with pytest.raises(CallTimeoutError, match=r"ran longer than timeout=0\.05 s"):
            compute_this(function, timeout=0.05)().compute(backend)
    results = list(
        compute_this(spin, timeout=0.05).starmap([(), ()], on_error="return", backend=backend)
    )
    assert [type(result) for result in results] == [CallTimeoutError, CallTimeoutError]
    assert compute_this(abs)(-1).compute(backend) == 1


@pytest.mark.slow
def test_a_loop_in_c_that_takes_too_long_goes_with_its_process(engine: Engine) -> None:
    """Two seconds after its time, and nothing else is harmed."""
    if engine.name not in IN_PROCESSES:
        pytest.skip("it would end the client")

    def spin() -> int:
        return sum(range(10**12))

    with pytest.raises(
        CallTimeoutError, match=r"ran longer than timeout=0\.05 s; it did not react"
    ):
        compute_this(spin, timeout=0.05)().compute(engine.backend, timeout=TIMEOUT)
    assert compute_this(abs)(-1).compute(engine.backend, timeout=TIMEOUT) == 1


@pytest.mark.slow
def test_a_call_is_tried_again_as_often_as_its_retries_allow(
    backend: ExecutionBackend, tmp_path: Path
) -> None:
    def succeed_at(attempt: int, folder: str, error: type[Exception]) -> int:
        import os

        tries = len(os.listdir(folder)) + 1
        Path(folder, str(tries)).touch()
        if tries < attempt:
            raise error(f"try {tries}")
        return tries

    def run(name: str, attempt: int, error: type[Exception] = ValueError, **options: Any) -> int:
        (tmp_path / name).mkdir()
        return compute_this(succeed_at, **options)(attempt, str(tmp_path / name), error).compute(
            backend
        )

    assert run("enough", 3, retries=2) == 3
    with pytest.raises(ValueError, match="try 2"):
        run("too few", 3, retries=1)
    assert run("right class", 2, retries=1, retry_on=ValueError) == 2
    with pytest.raises(KeyError, match="try 1"):
        run("wrong class", 2, KeyError, retries=1, retry_on=(ValueError, OSError))
    (tmp_path / "map").mkdir()
    mapped = compute_this(succeed_at, retries=2).starmap(
        [(2, str(tmp_path / "map"), ValueError)], backend=backend
    )
    assert list(mapped) == [2]


# --- queue, priority


def test_a_call_for_another_queue_waits_for_its_workers(engine: Engine) -> None:
    """This cluster has none."""
    if engine.name != "celery":
        pytest.skip("has no queues")
    elsewhere = compute_this(abs, queue="elsewhere")(-1).submit(engine.backend)
    assert compute_this(abs)(-1).compute(engine.backend, timeout=TIMEOUT) == 1
    assert not elsewhere.done()
    assert elsewhere.cancel()


@pytest.mark.slow
def test_calls_begin_by_priority_and_then_in_the_order_in_which_they_were_made(
    backend: ExecutionBackend,
    busy: Path,
    tmp_path: Path,
    eventually: Callable[[Callable[[], bool]], None],
) -> None:
    """This holds for functions that the worker does not know yet, too."""
    skip_if_refused(backend, "priority")
    path = tmp_path / "order"
    low = [
        compute_this(make_noting(), priority=1)(str(path), f"low{number}") for number in range(2)
    ]
    none = [compute_this(make_noting())(str(path), f"none{number}") for number in range(3)]
    high = [
        compute_this(make_noting(), priority=9)(str(path), f"high{number}") for number in range(2)
    ]
    futures = [call.submit(backend) for call in (*none, *low, *high)]
    for future in futures:
        eventually(partial(has_left, future))
    waiting = compute_this(abs)(-1).submit(backend)
    busy.touch()
    for future in (*futures, waiting):
        future.result(TIMEOUT)
    assert begun(path) == ["high0", "high1", "low0", "low1", "none0", "none1", "none2"]


# --- queue_timeout


@pytest.mark.slow
def test_a_call_that_no_worker_begins_within_its_queue_timeout_fails(
    backend: ExecutionBackend, busy: Path, tmp_path: Path
) -> None:
    """A call that has begun may take any time."""
    skip_if_refused(backend, "queue_timeout")
    path = tmp_path / "begun"
    late = compute_this(note, queue_timeout=0.1)
    words = r"note\(.*\): no worker has begun it within queue_timeout=0\.1 s.*(have|start) more"
    with pytest.raises(QueueTimeoutError, match=words):
        late(str(path), "single").compute(backend, timeout=TIMEOUT)
    results = list(late.starmap([(str(path), "mapped")] * 2, on_error="return", backend=backend))
    assert [type(result) for result in results] == [QueueTimeoutError] * 2
    assert begun(path) == []
    second = wait_for.with_options(queue_timeout=TIMEOUT)(str(tmp_path / "second")).submit(backend)
    busy.touch()
    (tmp_path / "second").touch()
    assert second.result(TIMEOUT) == "done"


# --- at_most_once, attempts


def test_a_call_that_may_run_once_is_begun_once(engine: Engine, tmp_path: Path) -> None:
    skip_if_refused(engine.backend, "at_most_once")
    path = tmp_path / "begun"
    call = compute_this(die, at_most_once=True)
    if engine.name not in IN_PROCESSES:
        assert call(str(path), 1).compute(engine.backend) == 1
        assert begun(path) == ["1"]
        return
    with pytest.raises(
        WorkerLostError, match=r"die\(.*, 7\): .*SIGKILL.* It may have run, and at_most_once=True"
    ) as caught:
        call(str(path), 7).compute(engine.backend, timeout=TIMEOUT)
    assert len(caught.value.attempts) == 1
    assert begun(path) == ["7"]


@pytest.mark.slow
def test_calls_of_a_map_that_may_run_once_are_begun_once(engine: Engine, tmp_path: Path) -> None:
    skip_if_refused(engine.backend, "at_most_once")
    if engine.name not in IN_PROCESSES:
        pytest.skip("it would end the client")
    path = tmp_path / "begun"
    calls = [(str(path), number) for number in range(12)]
    results = list(
        compute_this(die, at_most_once=True).starmap(
            calls, batch_size=6, on_error="return", backend=engine.backend
        )
    )
    assert all(
        result == number or isinstance(result, WorkerLostError)
        for number, result in enumerate(results)
    )
    assert isinstance(results[7], WorkerLostError)
    assert results[:6] == list(range(6))
    assert len(begun(path)) == len(set(begun(path)))


@pytest.mark.slow
def test_a_call_is_begun_as_often_as_the_environment_says(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This holds for a single call and in a map. The error has each time."""
    if engine.name not in IN_PROCESSES:
        pytest.skip("it would end the client")
    monkeypatch.setenv(settings.ATTEMPTS_VARIABLE, "2")
    with engine.make() as backend:
        path = tmp_path / "single"
        error = compute_this(die)(str(path), 7).submit(backend).exception(TIMEOUT)
        assert isinstance(error, WorkerLostError)
        assert begun(path) == ["7", "7"]
        path = tmp_path / "mapped"
        calls = [(str(path), number) for number in range(5, 9)]
        results = list(
            compute_this(die).starmap(calls, batch_size=4, on_error="return", backend=backend)
        )
        assert (results[:2], results[3:]) == ([5, 6], [8])
        assert begun(path).count("7") == 2
    for lost in (error, results[2]):
        assert isinstance(lost, WorkerLostError)
        assert "That happened 2 times in 2 attempts" in str(lost)
        assert len(lost.attempts) == 2
        for attempt in lost.attempts:
            assert attempt.worker.startswith(("processes@", "embedded@", "dask@", "ray@"))
            assert attempt.sent <= attempt.ended
            assert "SIGKILL" in attempt.reason
            assert attempt.facts["host"]
            assert attempt.facts["pid"] > 0
            assert attempt.facts["signal"] == "SIGKILL"
            assert attempt.worker.endswith(str(attempt.facts["pid"]))
    together, alone = results[2].attempts
    assert together.calls > alone.calls == 1
