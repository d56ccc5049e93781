"""Detached calls as users see them: real workers, killed clients, and a Redis that loses data."""

import asyncio
import gc
import signal
import threading
from pathlib import Path

import numpy
import pytest
import redis

from distribute_challenge import LocalCluster, attach, compute_this, put
from distribute_challenge.errors import (
    CallCancelledError,
    ResultTimeoutError,
    ResultUnavailableError,
    StoreFullError,
    TaskLostError,
)
from distribute_challenge.execution_backends.celery.backend import CeleryExecutionBackend
from distribute_challenge.execution_backends.celery.broker.commands import CancelCommand
from distribute_challenge.execution_backends.celery.broker.connection import connect
from distribute_challenge.execution_backends.celery.broker.detached import DetachedRecords
from distribute_challenge.execution_backends.celery.broker.keys import outcome_key
from distribute_challenge.execution_backends.celery.broker.presence import workers
from distribute_challenge.execution_backends.celery.client import detached_arguments, detached_calls
from distribute_challenge.execution_backends.celery.client.detached_calls import DetachedCalls
from tests.calls import wait_for
from tests.execution_backends.celery.conftest import DEADLINE, FakeWorker, Server
from tests.execution_backends.celery.detached import answer, square, submit
from tests.processes import run, script, wait_until

pytestmark = pytest.mark.celery

THREAD = "distribute_challenge detached"


@compute_this
def fail(text: str) -> None:
    raise KeyError(text)


def kept(url: str) -> list[bytes]:
    """What there is of detached calls."""
    return connect(url).keys("distribute_challenge:detached:*")  # type: ignore[return-value] # typed for async too


SUBMITTING = """
import signal, time
from distribute_challenge import compute_this

@compute_this
def nap(number):
    time.sleep(0.05)
    return number * number

for number in range(100):
    print("id", nap(number).submit(detach=True).id)
print("submitted")
signal.pause()
"""

ATTACHING = """
import sys
from distribute_challenge import attach

print(sum(attach(id).result(timeout=60) for id in sys.argv[1:]))
"""


@pytest.mark.slow
def test_calls_of_a_killed_client_are_run_and_any_process_gets_their_values(
    cluster: LocalCluster, tmp_path: Path
) -> None:
    """A process may get them more than once."""
    url = cluster.broker_url
    with script(SUBMITTING, tmp_path / "a", CELERY_BROKER_URL=url) as client:
        output = client.wait_for("submitted")
        client.send(signal.SIGKILL)
        assert client.wait() == -signal.SIGKILL
    ids = [line.removeprefix("id ") for line in output.splitlines() if line.startswith("id ")]
    assert len(set(ids)) == 100
    for _ in range(2):
        assert (
            run(ATTACHING, tmp_path / "b", *ids, CELERY_BROKER_URL=url)
            == f"{sum(n * n for n in range(100))}\n"
        )


@pytest.mark.slow
def test_a_detached_call_raises_what_the_function_raised(shared: CeleryExecutionBackend) -> None:
    """The error has the worker's frames, for every client."""
    future = fail("no such thing").submit(shared, detach=True)
    for each in (future, attach(future.id, shared), attach(future.id, shared)):
        with pytest.raises(KeyError, match="no such thing") as caught:
            each.result(DEADLINE)
        assert caught.traceback[-1].name == "fail"


def test_a_detached_call_can_be_awaited(shared: CeleryExecutionBackend) -> None:
    """An attached future can be awaited, too."""

    async def both() -> list[int]:
        future = square(4).submit(shared, detach=True)
        return [await attach(future.id, shared), await future]

    assert asyncio.run(both()) == [16, 16]


def test_waiting_for_a_detached_call_ends_when_the_caller_says(
    shared: CeleryExecutionBackend, tmp_path: Path
) -> None:
    """The caller can wait again."""
    gate = tmp_path / "gate"
    future = wait_for(str(gate)).submit(shared, detach=True)
    attached = attach(future.id, shared)
    with pytest.raises(ResultTimeoutError, match=rf"the call {future.id} gave no result"):
        attached.result(0.01)
    gate.touch()
    assert attached.result(DEADLINE) == future.result(DEADLINE) == "done"


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["argument", "handle", "closure"])
def test_large_values_of_a_detached_call_are_kept_after_the_client_has_closed(
    kind: str, shared: CeleryExecutionBackend
) -> None:
    """The client that has them may be gone. Results are the caller's own."""
    data = numpy.arange(131_072, dtype=float)  # 1 MB
    if kind == "closure":
        data = data[:100_000]  # More than that, and one is told that it should be an argument.
        call = compute_this(lambda: data * 2)()
    else:
        call = compute_this(lambda x: x * 2)(put(data, shared) if kind == "handle" else data)
    future = call.submit(shared, detach=True)
    shared.close()
    result = attach(future.id, shared).result(DEADLINE)
    result += 1
    assert numpy.array_equal(result, data * 2 + 1)


def test_a_function_that_is_too_large_is_refused(
    backend: CeleryExecutionBackend, worker: FakeWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error comes at the caller's line, and says what to do."""
    monkeypatch.setattr(detached_arguments, "LARGEST_FUNCTION", 900_000)
    captured = b"x" * 900_000
    with pytest.raises(
        StoreFullError,
        match=r"<lambda> has \d MB with all that it captures.*may have 1 MB: pass what",
    ):
        submit(backend, function=compute_this(lambda number: captured))
    assert worker.waiting() == 0


def test_arguments_that_redis_has_no_room_for_are_refused(
    backend: CeleryExecutionBackend, worker: FakeWorker, server: Server
) -> None:
    """The error comes at the caller's line and says what to do. Redis keeps nothing."""
    connection = connect(server.url)
    connection.config_set("maxmemory", "10mb")
    with pytest.raises(
        StoreFullError,
        match=r"no room for the arguments of the detached call of square, 20 MB \(.*maxmemory.*to a file",
    ):
        submit(backend, bytes(20_000_000))  # type: ignore[arg-type]
    connection.config_set("maxmemory", "0")
    assert connection.keys("distribute_challenge:value:*") == []
    assert worker.waiting() == 0


@pytest.mark.slow
def test_no_key_is_left_after_the_time_to_live_and_attach_raises(
    shared: CeleryExecutionBackend, cluster: LocalCluster
) -> None:
    """The error says what may be the matter."""
    future = square(5).submit(shared, detach=True, time_to_live=1.5)
    assert future.result(DEADLINE) == 25
    wait_until(lambda: not connect(cluster.broker_url).exists(outcome_key(future.id)))
    assert future.id not in str(kept(cluster.broker_url))
    with pytest.raises(
        TaskLostError, match=r"its time to live is over.*another broker.*submit\(detach=True\)"
    ):
        attach(future.id, shared).result(DEADLINE)


def test_a_call_that_is_not_detached_cannot_be_attached_to(shared: CeleryExecutionBackend) -> None:
    """Its result went to its client."""
    future = square(3).submit(shared)
    assert future.result(DEADLINE) == 9
    error = attach(future.id, shared).exception(DEADLINE)
    assert isinstance(error, TaskLostError)
    assert "submit(detach=True)" in str(error)


@pytest.mark.parametrize(
    "id", ["", "nonsense", "0" * 32, "0" * 31 + "\n", "*", "0" * 24 + ":outcome"]
)
def test_attaching_to_an_invalid_id_gives_a_future_with_a_task_lost_error(
    id: str,  # noqa: A002
    shared: CeleryExecutionBackend,
) -> None:
    """It may look like anything."""
    assert isinstance(attach(id, shared).exception(DEADLINE), TaskLostError)


# --- cancelling and closing


def unreachable(*_: object) -> None:
    raise redis.ConnectionError


def test_a_call_that_no_worker_has_is_cancelled(
    backend: CeleryExecutionBackend, worker: FakeWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Any client may cancel it. Nothing is left of it, and clients that wait for it are told."""
    future = submit(backend)
    attached = attach(future.id, backend)
    assert not attached.running()
    with monkeypatch.context() as context:
        context.setattr(DetachedRecords, "is_held", unreachable)
        assert not attached.running()
    assert attached.cancel()
    assert worker.waiting() == 0
    assert isinstance(future.exception(DEADLINE), TaskLostError)
    assert worker.connection.keys("distribute_challenge:detached:*") == []


def test_a_call_that_runs_is_not_cancelled(shared: CeleryExecutionBackend, tmp_path: Path) -> None:
    """It ends in its value."""
    gate = tmp_path / "gate"
    future = wait_for(str(gate)).submit(shared, detach=True)
    assert repr(future) == "<Future wait_for pending>"  # Showing it asks no server.
    wait_until(Path(f"{gate}.begun").exists)
    assert future.running()
    assert not future.cancel()
    gate.touch()
    assert future.result(DEADLINE) == "done"


def test_a_call_that_runs_is_stopped_by_force(
    shared: CeleryExecutionBackend, tmp_path: Path
) -> None:
    """Any client may stop it. Its slot is free, and clients that wait for it are told."""
    gates = [str(tmp_path / f"gate{number}") for number in range(2)]
    futures = [wait_for(gate).submit(shared, detach=True) for gate in gates]
    for gate in gates:
        wait_until(Path(f"{gate}.begun").exists)
    for future in futures:
        attached = attach(future.id, shared)
        assert attached.cancel(force=True)
        assert attached.cancelled()
        with pytest.raises(CallCancelledError, match="was cancelled"):
            future.result(DEADLINE)
        with pytest.raises(CallCancelledError, match="was cancelled"):
            attach(future.id, shared).result(DEADLINE)
    assert square(3).compute(shared) == 9


def test_the_cancel_command_is_repeated_until_the_detached_call_has_ended(
    backend: CeleryExecutionBackend, worker: FakeWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker may have been connecting at the first command. The client stops after a while."""
    monkeypatch.setattr(detached_calls, "AGAIN", 0.01)
    commands: list[CancelCommand] = []
    monkeypatch.setattr(
        detached_calls, "publish", lambda connection, command: commands.append(command)
    )
    future = submit(backend)
    taken = worker.take()
    assert future.cancel(force=True)
    wait_until(lambda: len(commands) > 2, "more than two commands")
    assert commands[0] == commands[-1] == CancelCommand({future.id: None})
    answer(taken)
    wait_until(lambda: not stopping(), "the end of the commands")
    monkeypatch.setattr(detached_calls, "TRIED_FOR", 0.02)
    submit(backend).cancel(force=True)
    another = submit(backend)
    worker.take()
    assert another.cancel(force=True)
    wait_until(lambda: not stopping(), "the end of the commands")


def test_no_cancel_command_is_sent_for_an_ended_detached_call(
    backend: CeleryExecutionBackend, worker: FakeWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its future does not know yet that it is over."""
    monkeypatch.setattr(detached_calls, "SHORTEST_PAUSE", 60.0)
    monkeypatch.setattr(detached_calls, "publish", lambda *command: pytest.fail("they were told"))
    future = submit(backend)
    answer(worker.take())
    assert future.cancel(force=True)
    assert attach(future.id, backend).result(DEADLINE) == 9


def test_cancel_commands_end_when_the_client_is_closed(
    server: Server, worker: FakeWorker, caplog: pytest.LogCaptureFixture
) -> None:
    """The caller of `cancel` gets no error when the broker is away."""
    with CeleryExecutionBackend(server.url) as backend:
        future = submit(backend)
        worker.take()
        server.stop()
        assert future.cancel(force=True)
        wait_until(
            lambda: f"the detached call {future.id} was cancelled" in caplog.text, "the complaint"
        )
    wait_until(lambda: not stopping(), "the end of the commands")


def stopping() -> list[threading.Thread]:
    return [
        thread for thread in threading.enumerate() if thread.name == "distribute_challenge farewell"
    ]


def test_closing_a_client_leaves_its_detached_calls(server: Server, worker: FakeWorker) -> None:
    """Its futures say how to come back to them."""
    backend = CeleryExecutionBackend(server.url)
    future = submit(backend)
    backend.close()
    with pytest.raises(ResultUnavailableError, match=rf"the call goes on: attach\('{future.id}'\)"):
        future.result(DEADLINE)
    answer(worker.take())
    with backend:
        assert attach(future.id, backend).result(DEADLINE) == 9


def test_a_closed_client_takes_no_calls(server: Server) -> None:
    """It waits for none, either."""
    calls = DetachedCalls(server.url)
    calls.close()
    task = square(1)._task()
    with pytest.raises(CallCancelledError, match="closed"):
        calls.submit(task, 1.0)
    with pytest.raises(CallCancelledError, match="closed"):
        calls.attach("0" * 32)


# --- futures that no user holds


def watching() -> bool:
    return any(thread.name == THREAD for thread in threading.enumerate())


@pytest.mark.usefixtures("hurried")
def test_the_watching_thread_runs_only_while_futures_of_detached_calls_exist(
    backend: CeleryExecutionBackend,
) -> None:
    """The thread that does it ends, and starts again when it is needed."""
    future = submit(backend)
    assert watching()
    del future
    gc.collect()
    wait_until(lambda: not watching(), "the thread's end")
    future = submit(backend)
    assert watching()
    assert not future.done()


def test_each_call_has_an_id_of_its_own(shared: CeleryExecutionBackend) -> None:
    """Whether it is detached or not."""
    futures = [
        square(1).submit(shared),
        square(1).submit(shared),
        square(1).submit(shared, detach=True),
    ]
    assert len({future.id for future in futures}) == 3
    assert [future.id for future in futures] == [future.id for future in futures]
    for future in futures:
        future.result(DEADLINE)
    assert attach(futures[2].id, shared).id == futures[2].id


def test_a_client_with_only_detached_calls_publishes_no_presence(
    server: Server, worker: FakeWorker
) -> None:
    """A client that only waits for them has one connection, and takes part in nothing else."""
    with CeleryExecutionBackend(server.url) as backend:
        submit(backend)
        assert workers(worker.connection) == []
        assert not worker.connection.exists("distribute_challenge:clients")
