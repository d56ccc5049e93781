"""Calls on a Dask cluster, where they differ from those on other engines."""

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from distribute_challenge import compute_this, use_backend
from distribute_challenge.errors import (
    BackendError,
    ClusterStartError,
    SystemFailureError,
    TaskLostError,
    WorkerLostError,
)
from distribute_challenge.execution_backends import registry
from distribute_challenge.execution_backends.clusters import dask, packages, worker_calls
from distribute_challenge.execution_backends.clusters.dask import DaskExecutionBackend
from distribute_challenge.execution_backends.clusters.worker_calls import Answer
from tests.calls import double, process_id, wait_for
from tests.clusters import dask_schedulers
from tests.execution_backends.clusters.test_worker_calls import message_of, value_of
from tests.optional import needed
from tests.processes import script, wait_until

distributed = needed("distributed")
pytestmark = pytest.mark.slow

TIMEOUT = 30  # Seconds after which a test would rather fail than wait.


@pytest.fixture
def address() -> str:
    return dask_schedulers()[0]


@pytest.fixture
def client(address: str) -> Iterator[Any]:
    with distributed.Client(address) as client:
        yield client


@pytest.fixture
def backend(address: str) -> Iterator[DaskExecutionBackend]:
    with DaskExecutionBackend(address) as backend:
        yield backend


def test_the_current_client_of_the_process_is_used(client: Any) -> None:
    """Another one later, if that is current then."""
    assert double(2).compute(backend="dask") == 4
    with distributed.Client(dask_schedulers()[1]) as other:
        future = process_id().submit(backend="dask")
        future.result(TIMEOUT)
        assert future.timeline is not None
        assert future.timeline.worker.startswith("dask@")
        assert other.nthreads() != client.nthreads()
    assert double(3).compute(backend="dask") == 6
    assert double(4).compute(backend=DaskExecutionBackend(client)) == 8


def test_without_a_client_a_call_says_what_to_do() -> None:
    with pytest.raises(BackendError, match=r"no Dask client .*distributed\.Client\('tcp://"):
        double(2).submit(backend="dask")
    with pytest.raises(BackendError, match="no Dask client"):
        list(double.map([1, 2], backend="dask"))


def test_a_backend_is_named_by_the_address_of_its_scheduler(
    address: str, clean_environment: pytest.MonkeyPatch
) -> None:
    clean_environment.setenv("DISTRIBUTE_CHALLENGE_BACKEND", address)
    try:
        assert double(2).compute() == 4
        with use_backend(address):
            assert list(double.map([1, 2])) == [2, 4]
        assert registry.default_backend() is registry.resolve(address)
        assert compute_this(lambda: double(2).compute(backend="tcp://nowhere:1"))().compute() == 4
    finally:
        registry.close_backends()


def test_an_address_where_no_scheduler_answers_is_named() -> None:
    with (
        needed("dask").config.set({"distributed.comm.timeouts.connect": 0.1}),
        DaskExecutionBackend("tcp://127.0.0.1:9") as backend,
        pytest.raises(
            SystemFailureError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:9"
        ),
    ):
        double(2).compute(backend)


def test_a_client_that_is_closed_is_named(address: str) -> None:
    client = distributed.Client(address)
    client.close()
    with pytest.raises(SystemFailureError, match=r"Client.* is closed: make another one"):
        double(2).compute(DaskExecutionBackend(client))


def test_the_backend_makes_another_client_for_its_address(backend: DaskExecutionBackend) -> None:
    """When its own was closed."""
    assert double(2).compute(backend) == 4
    assert backend._own is not None
    backend._own.close()
    assert double(2).compute(backend) == 4


def test_a_scheduler_that_is_gone_ends_a_map(
    backend: DaskExecutionBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise OSError("it is gone")

    monkeypatch.setattr(backend._client(), "nthreads", fail)
    with pytest.raises(SystemFailureError, match="Dask's scheduler does not answer: it is gone"):
        list(double.map([1], backend=backend))


def test_a_client_for_coroutines_is_refused(address: str) -> None:
    async def main() -> None:
        async with distributed.Client(address, asynchronous=True) as client:
            with pytest.raises(BackendError, match="works only in coroutines"):
                double(2).submit(DaskExecutionBackend(client))

    asyncio.run(main())


def test_a_missing_package_is_named_with_the_line_to_install_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    packages.needed.cache_clear()
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(BackendError, match=r'pip install "distribute-challenge\[dask\]"'):
        DaskExecutionBackend()


def test_a_map_makes_few_dask_tasks(client: Any, backend: DaskExecutionBackend) -> None:
    def tasks(dask_scheduler: Any) -> int:
        return int(dask_scheduler.transition_counter)

    before = client.run_on_scheduler(tasks)
    assert sum(double.map(range(2000), backend=backend, batch_size=500)) == 1999 * 2000
    assert client.run_on_scheduler(tasks) - before < 100


def test_results_do_not_stay_on_the_cluster(client: Any, backend: DaskExecutionBackend) -> None:
    futures = [double(number).submit(backend) for number in range(5)]
    assert [future.result(TIMEOUT) for future in futures] == [0, 2, 4, 6, 8]
    wait_until(lambda: not any(client.has_what().values()), "the end of all results")


def end_worker(path: str) -> None:
    """End the worker of Dask itself, which is the parent of this process."""
    with open(path, "a") as file:
        file.write("x")
    os.kill(os.getppid(), signal.SIGKILL)
    threading.Event().wait()


def test_a_call_whose_worker_dies_each_time_is_lost(
    backend: DaskExecutionBackend, tmp_path: Path
) -> None:
    """As often as the scheduler allows; other calls go on."""
    path = tmp_path / "begun"
    error = compute_this(end_worker)(str(path)).submit(backend).exception(120)
    assert isinstance(error, WorkerLostError)
    assert "the worker of Dask died. That happened 2 times" in str(error)
    assert "allowed-failures" in str(error)
    assert path.read_text() == "xx"
    assert double(2).compute(backend) == 4


def test_an_error_of_this_library_on_the_worker_keeps_its_type(
    backend: DaskExecutionBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("distribute_challenge.execution_backends.clusters.dask.run", not_started)
    with pytest.raises(ClusterStartError, match="it did not start"):
        double(2).compute(backend)


def not_started(*_: Any) -> None:
    raise ClusterStartError("it did not start")


def test_an_internal_error_of_dask_is_raised_with_a_hint_at_versions(
    backend: DaskExecutionBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("distribute_challenge.execution_backends.clusters.dask.run", not_there)
    with pytest.raises(SystemFailureError, match=r"KeyError.*this version of distribute_challenge"):
        double(2).compute(backend)


def not_there(*_: Any) -> None:
    raise KeyError("no such thing")


def test_a_call_that_dask_drops_is_lost(backend: DaskExecutionBackend, tmp_path: Path) -> None:
    future = wait_for(str(tmp_path / "door")).submit(backend)
    wait_until((tmp_path / "door.begun").exists)
    (call,) = backend._out.values()
    client, task = call.handle
    client.cancel([task])
    try:
        with pytest.raises(TaskLostError, match="wait_for: Dask has dropped it"):
            future.result(TIMEOUT)
    finally:
        (tmp_path / "door").touch()


def test_a_call_that_is_being_sent_cannot_be_withdrawn(
    backend: DaskExecutionBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With force it is cancelled."""
    monkeypatch.setattr(backend, "_start", lambda call, message: None)
    future = double(1).submit(backend)
    assert not future.running()
    assert not future.cancel()
    assert backend.unfinished() == 1
    assert future.cancel(force=True)
    assert backend.unfinished() == 0


def test_workers_that_do_not_answer_may_have_begun_a_call(
    backend: DaskExecutionBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    future = wait_for(str(tmp_path / "door")).submit(backend)

    def late(*_: Any, **__: Any) -> None:
        raise TimeoutError

    assert backend._own is not None
    with monkeypatch.context() as context:
        context.setattr(backend._own, "run", late)
        assert not future.cancel()
        assert not future.running()
    (tmp_path / "door").touch()
    assert future.result(TIMEOUT) == "done"


def test_a_client_that_was_closed_before_the_backend_does_no_harm(
    client: Any, tmp_path: Path
) -> None:
    backend = DaskExecutionBackend(client)
    future = wait_for(str(tmp_path / "door")).submit(backend)
    wait_until((tmp_path / "door.begun").exists)
    client.close()
    backend.close()
    (tmp_path / "door").touch()
    assert future.done()


def test_a_backend_is_closed_though_its_client_is_closed_already(
    client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also before the client has told of its calls."""
    backend = DaskExecutionBackend(client)
    monkeypatch.setattr(backend, "_answered", lambda message, answer: None)
    future = wait_for(str(tmp_path / "door")).submit(backend)
    client.close()
    backend.close()
    assert future.cancelled()
    (tmp_path / "door").touch()


def test_workers_run_withdraw_and_stop_messages() -> None:
    """As the engine asks them to."""
    call = double(2)
    assert value_of(dask.run(message_of("1", call))) == 4
    assert not dask.withdraw("1")
    assert not dask.is_running("1")
    assert dask.withdraw("2")
    dask.admit("2")
    dask.stop(["3", "4"])
    assert dask.run(message_of("3", call)) == Answer()
    assert value_of(dask.run(message_of("2", call))) == 4
    worker_calls._end()


SCRIPT = """
    import os, sys, time
    from pathlib import Path
    from distributed import Client
    from distribute_challenge import compute_this

    @compute_this(backend="dask")
    def nap(path):
        Path(path, str(os.getpid())).touch()
        while True:
            time.sleep(0.1)

    client = Client(sys.argv[2])
    futures = [nap(sys.argv[1]).submit() for _ in range(6)]
    while len(os.listdir(sys.argv[1])) < 1:
        time.sleep(0.01)
    print("waiting", flush=True)
    if sys.argv[3] == "interrupted":
        futures[0].result()
"""


@pytest.mark.parametrize("end", ["orderly", "interrupted"])
def test_a_script_that_ends_stops_its_calls(end: str, tmp_path: Path, address: str) -> None:
    """It says how many it has cancelled, unless it was interrupted."""
    folder = tmp_path / "pids"
    folder.mkdir()
    with script(SCRIPT, tmp_path, str(folder), address, end) as running:
        running.wait_for("waiting")
        if end == "interrupted":
            running.send(signal.SIGINT)
        assert running.wait() == (-signal.SIGINT if end == "interrupted" else 0)
        assert ("6 submitted calls" in running.output) is (end == "orderly"), running.output
    with DaskExecutionBackend(address) as backend:
        assert list(double.map(range(4), backend=backend)) == [0, 2, 4, 6]
