"""Calls on Ray, where they differ from those on other engines."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from distribute_challenge import compute_this
from distribute_challenge.errors import (
    BackendError,
    ClusterStartError,
    SystemFailureError,
    WorkerLostError,
)
from distribute_challenge.execution_backends import registry
from distribute_challenge.execution_backends.clusters import packages, worker_calls
from distribute_challenge.execution_backends.clusters import ray as engine
from distribute_challenge.execution_backends.clusters.ray import Ledger, RayExecutionBackend, run
from distribute_challenge.execution_backends.clusters.worker_calls import Answer
from tests.calls import double, process_id, wait_for
from tests.clusters import ray_address, ray_backend
from tests.execution_backends.clusters.test_worker_calls import message_of, value_of
from tests.optional import needed
from tests.processes import alive, script, wait_until

ray = needed("ray")
pytestmark = pytest.mark.slow

TIMEOUT = 30  # Seconds after which a test would rather fail than wait.


@pytest.fixture
def backend() -> Iterator[RayExecutionBackend]:
    with ray_backend() as backend:
        yield backend


def test_the_connection_of_the_process_is_used(backend: RayExecutionBackend) -> None:
    assert double(2).compute(backend="ray") == 4
    future = process_id().submit(backend)
    assert future.result(TIMEOUT) != os.getpid()
    assert future.timeline is not None
    assert future.timeline.worker.startswith("ray@")
    assert backend.concurrency == 2
    registry.close_backends()
    assert ray.is_initialized()


def test_a_process_that_is_connected_makes_no_other_connection(
    backend: RayExecutionBackend,
) -> None:
    with pytest.raises(BackendError, match=r"connected to Ray already.* 'ray://head:10001'"):
        double(2).compute(backend="ray://head:10001")


class FakeRay:
    """Ray in a process that is not connected."""

    is_connected = False
    exceptions = ray.exceptions

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.given: dict[str, str] = {}

    def is_initialized(self) -> bool:
        return self.is_connected

    def init(self, **given: str) -> None:
        self.given = given
        if self.error is not None:
            raise self.error
        self.is_connected = True

    def shutdown(self) -> None:
        self.is_connected = False


def unconnected(address: str | None = None, error: Exception | None = None) -> Any:
    backend: Any = RayExecutionBackend(address)
    backend._ray = FakeRay(error)
    return backend


def test_a_connection_that_cannot_be_made_is_an_error_with_the_address() -> None:
    with pytest.raises(SystemFailureError, match=r"Ray does not answer at ray://head:1: start it"):
        double(2).compute(unconnected("ray://head:1", ConnectionError("refused")))
    with pytest.raises(SystemFailureError, match=r"at the address that ray\.init"):
        double(2).compute(unconnected(None, ConnectionError("refused")))


def test_a_connection_that_the_backend_has_made_ends_with_it() -> None:
    backend = unconnected("ray://head:10001")
    backend._initialise()
    assert backend._ray.given == {"address": "ray://head:10001"}
    backend.close()
    backend.close()
    assert not backend._ray.is_connected
    unconnected().close()


def test_a_missing_package_is_named_with_the_line_to_install_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    packages.needed.cache_clear()
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(BackendError, match=r'pip install "distribute-challenge\[ray\]"'):
        RayExecutionBackend()


def end_worker(path: str) -> None:
    """End the worker of Ray itself, which is the parent of this process."""
    with open(path, "a") as file:
        file.write("x")
    os.kill(os.getppid(), signal.SIGKILL)
    threading.Event().wait()


def test_a_call_whose_worker_dies_each_time_is_lost(
    backend: RayExecutionBackend, tmp_path: Path
) -> None:
    path = tmp_path / "begun"
    error = compute_this(end_worker)(str(path)).submit(backend).exception(120)
    assert isinstance(error, WorkerLostError)
    assert "its worker of Ray died" in str(error)
    assert path.read_text() == "xxx"
    assert len(error.attempts) == 3
    error = compute_this(end_worker, at_most_once=True)(str(path)).submit(backend).exception(120)
    assert isinstance(error, WorkerLostError)
    assert path.read_text() == "xxxx"
    assert double(2).compute(backend) == 4


def test_a_worker_that_ray_has_killed_was_out_of_memory(backend: RayExecutionBackend) -> None:
    call: Any = None
    answer: Any = backend._failure(call, ray.exceptions.OutOfMemoryError("too much"))
    assert answer.end.facts == {"out_of_memory": True}


def test_an_answer_is_processed_in_any_thread(
    backend: RayExecutionBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread of Ray's own takes no part in the measuring of coverage."""
    answers: list[Any] = []
    monkeypatch.setattr(backend, "_answered", lambda *answer: answers.append(answer))
    good: Future[Answer] = Future()
    good.set_result(Answer())
    bad: Future[Answer] = Future()
    bad.set_exception(error := KeyError())
    backend._end("1", good)
    backend._end("2", bad)
    assert answers == [("1", Answer()), ("2", error)]


def not_there(*_: Any) -> None:
    raise KeyError("no such thing")


def not_started(*_: Any) -> None:
    raise ClusterStartError("it did not start")


@pytest.mark.parametrize(
    ("task", "error", "text"),
    [
        (not_there, SystemFailureError, r"double: Ray cannot run it: .*distribute_challenge insta"),
        (not_started, ClusterStartError, "it did not start"),
    ],
)
def test_an_error_of_the_task_itself_fails_the_call(
    task: Callable[..., None],
    error: type[Exception],
    text: str,
    backend: RayExecutionBackend,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One that is not of this library says what to look at."""
    monkeypatch.setattr(engine, "run", task)
    with pytest.raises(error, match=r"(?s)" + text):
        double(2).compute(backend)


def test_a_running_call_cannot_be_cancelled_when_the_ledger_is_gone(
    backend: RayExecutionBackend, tmp_path: Path
) -> None:
    future = wait_for(str(tmp_path / "door")).submit(backend)
    wait_until((tmp_path / "door.begun").exists)
    try:
        assert future.running()
        ray.kill(backend._connected().ledger)
        wait_until(lambda: not future.running(), "the end of the ledger")
        assert not future.cancel()
    finally:
        (tmp_path / "door").touch()
    assert future.result(TIMEOUT) == "done"


def test_a_call_fails_if_its_caller_shuts_the_connection_down(
    backend: RayExecutionBackend, tmp_path: Path
) -> None:
    """The next call has another connection, if there is one."""
    future = wait_for(str(tmp_path / "door")).submit(backend)
    wait_until((tmp_path / "door.begun").exists)
    (call,) = backend._out.values()
    ray.shutdown()
    assert not future.running()
    backend._stop([call])
    backend._forget(call, call.message)
    assert not ray.is_initialized()
    with pytest.raises(SystemFailureError, match=r"wait_for: the connection .* ray\.shutdown\(\)"):
        future.result(TIMEOUT)
    with ray_backend():
        assert double(2).compute(backend) == 4


def test_a_call_that_is_being_sent_cannot_be_withdrawn(
    backend: RayExecutionBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With force it is cancelled."""
    monkeypatch.setattr(backend, "_start", lambda call, message: None)
    future = double(1).submit(backend)
    assert not future.running()
    assert not future.cancel()
    assert future.cancel(force=True)


def own_pid(_: Ledger) -> int:
    return os.getpid()


def test_the_ledger_of_a_closed_backend_ends(backend: RayExecutionBackend) -> None:
    future = process_id().submit(backend)
    future.result(TIMEOUT)
    pid = ray.get(backend._connected().ledger.__ray_call__.remote(own_pid))
    backend.close()
    wait_until(lambda: not alive([pid]), "the end of the ledger")


def test_the_ledger_lets_a_message_begin_or_be_withdrawn() -> None:
    ledger = Ledger()
    assert ledger.begin("1")
    assert ledger.has_begun("1")
    assert not ledger.withdraw("1")
    assert ledger.withdraw("2")
    assert not ledger.begin("2")
    assert not ledger.has_begun("2")
    for message in "12":
        ledger.forget(message)
    assert ledger.withdraw("1")
    assert ledger.begin("2")


class LocalLedger:
    """A ledger that is no actor."""

    def __init__(self, may_begin: bool) -> None:
        self.begin = SimpleNamespace(remote=lambda message: may_begin)


def test_a_task_waits_for_its_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that was withdrawn does not begin."""
    monkeypatch.setattr(ray, "get", lambda answer: answer)
    assert run(LocalLedger(False), message_of("1", double(2))) == Answer()
    assert value_of(run(LocalLedger(True), message_of("2", double(2)))) == 4
    worker_calls._end()


def test_a_task_that_ray_cancels_stops_its_call(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(ray, "get", lambda answer: answer)
    message = message_of("3", wait_for(str(tmp_path / "door")))

    def interrupt() -> None:
        wait_until((tmp_path / "door.begun").exists)
        os.kill(os.getpid(), signal.SIGINT)

    interrupting = threading.Thread(target=interrupt)
    interrupting.start()
    answer = run(LocalLedger(True), message)
    interrupting.join()
    worker_calls._end()
    assert not (tmp_path / "door").exists()
    assert answer.frames or answer.end


SCRIPT = """
    import os, sys, time
    from pathlib import Path
    from distribute_challenge import compute_this

    @compute_this(backend="ray")
    def nap(path):
        Path(path, str(os.getpid())).touch()
        while True:
            time.sleep(0.1)

    futures = [nap(sys.argv[1]).submit() for _ in range(6)]
    while len(os.listdir(sys.argv[1])) < 1:
        time.sleep(0.01)
"""


def test_a_script_that_ends_stops_its_calls(tmp_path: Path) -> None:
    """It says how many it has cancelled."""
    folder = tmp_path / "pids"
    folder.mkdir()
    with script(SCRIPT, tmp_path, str(folder), RAY_ADDRESS=ray_address()) as running:
        assert running.wait(within=120) == 0
        assert "6 submitted calls" in running.output
    pids = [int(path.name) for path in folder.iterdir()]
    wait_until(lambda: not alive(pids), "the end of all processes")
    with ray_backend() as backend:
        assert list(double.map(range(4), backend=backend)) == [0, 2, 4, 6]
