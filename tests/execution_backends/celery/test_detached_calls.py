"""Detached calls as users see them: with real workers, clients that are killed, and Redis that loses things."""

import asyncio
import gc
import os
import signal
import subprocess
import sys
import threading
import time
import weakref
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy
import pytest

from distribute_challenge import LocalCluster, attach, compute_this, put
from distribute_challenge.errors import (
    BrokerUnreachableError,
    CallCancelledError,
    CallTimeoutError,
    QueueTimeoutError,
    ResultTimeoutError,
    ResultUnavailableError,
    SystemFailureError,
    TaskLostError,
    ValueLostError,
    VersionMismatchError,
    WorkerLostError,
)
from distribute_challenge.execution_backends.celery import census, detached_calls
from distribute_challenge.execution_backends.celery.backend import CeleryExecutionBackend
from distribute_challenge.execution_backends.celery.connection import connect
from distribute_challenge.execution_backends.celery.detached_calls import DetachedCalls
from distribute_challenge.execution_backends.celery.keys import detached_key, outcome_key
from distribute_challenge.execution_backends.celery.presence import workers
from distribute_challenge.messages import Problem, Reply, Section
from distribute_challenge.references import Reference
from distribute_challenge.serialisation.parcels import pack_result
from distribute_challenge.tasks import single_task
from tests.execution_backends.celery.conftest import DEADLINE, FakeWorker, Server
from tests.execution_backends.celery.test_detached import answer, report, send, submit
from tests.processes import run, script, wait_until

pytestmark = pytest.mark.celery

THREAD = "distribute_challenge detached"


@compute_this
def square(x: int) -> int:
    return x * x


@compute_this
def fail(text: str) -> None:
    raise KeyError(text)


@compute_this
def wait_for(gate: str) -> str:
    Path(gate + ".begun").touch()
    while not os.path.exists(gate):
        time.sleep(0.005)
    return "done"


@compute_this
def die_until(runs: str, number: int) -> int:
    """Kill the process, until it has been begun so often."""
    Path(runs, str(time.time_ns())).touch()
    begun = len(os.listdir(runs))
    if begun < number:
        os._exit(3)
    return begun


@pytest.fixture
def shared(cluster: LocalCluster) -> Iterator[CeleryExecutionBackend]:
    """A client of a cluster that does not end with it."""
    with CeleryExecutionBackend(cluster.broker_url) as backend:
        yield backend


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients that look for lost messages as often as they can."""
    monkeypatch.setattr(detached_calls, "SHORTEST_PAUSE", 0.01)
    monkeypatch.setattr(detached_calls, "LONGEST_PAUSE", 0.02)
    monkeypatch.setattr(detached_calls, "LOOK_EVERY", 0.05)


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


def test_calls_of_a_killed_client_are_run_and_any_process_gets_their_values(
    cluster: LocalCluster, tmp_path: Path
) -> None:
    """More than once."""
    url = cluster.broker_url
    with script(SUBMITTING, tmp_path / "a", CELERY_BROKER_URL=url) as client:
        output = client.wait_for("submitted")
        client.send(signal.SIGKILL)
        assert client.wait() == -signal.SIGKILL
    ids = [line.removeprefix("id ") for line in output.splitlines() if line.startswith("id ")]
    assert len(set(ids)) == 100
    for _ in range(2):
        assert run(ATTACHING, tmp_path / "b", *ids, CELERY_BROKER_URL=url) == f"{sum(n * n for n in range(100))}\n"


def test_a_detached_call_raises_what_the_function_raised(shared: CeleryExecutionBackend) -> None:
    """With the worker's frames, for everybody."""
    future = fail("no such thing").submit(shared, detach=True)
    for each in (future, attach(future.id, shared), attach(future.id, shared)):
        with pytest.raises(KeyError, match="no such thing") as caught:
            each.result(DEADLINE)
        assert caught.traceback[-1].name == "fail"


def test_a_detached_call_has_a_timeline(shared: CeleryExecutionBackend) -> None:
    """Who attaches does not know when it was made."""
    future = square(3).submit(shared, detach=True)
    assert future.timeline is None
    assert future.result(DEADLINE) == 9
    own, other = future.timeline, attach(future.id, shared).timeline
    assert own is not None
    assert other is not None
    assert own.created <= own.sent <= own.started <= own.finished <= own.received <= other.received
    assert other.created == other.sent == other.started == own.started
    assert other.worker == own.worker


def test_a_detached_call_can_be_awaited(shared: CeleryExecutionBackend) -> None:
    """And what is attached as well."""

    async def both() -> list[int]:
        future = square(4).submit(shared, detach=True)
        return [await attach(future.id, shared), await future]

    assert asyncio.run(both()) == [16, 16]


def test_waiting_for_a_detached_call_ends_when_the_caller_says(shared: CeleryExecutionBackend, tmp_path: Path) -> None:
    """And can go on."""
    gate = tmp_path / "gate"
    future = wait_for(str(gate)).submit(shared, detach=True)
    attached = attach(future.id, shared)
    with pytest.raises(ResultTimeoutError, match=rf"the call {future.id} gave no result"):
        attached.result(0.01)
    gate.touch()
    assert attached.result(DEADLINE) == future.result(DEADLINE) == "done"


@pytest.mark.parametrize("kind", ["argument", "handle", "closure"])
def test_large_values_travel_along(kind: str, shared: CeleryExecutionBackend) -> None:
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


def test_nothing_is_left_after_the_time_to_live(shared: CeleryExecutionBackend, cluster: LocalCluster) -> None:
    """The error says what may be the matter."""
    future = square(5).submit(shared, detach=True, time_to_live=1.5)
    assert future.result(DEADLINE) == 25
    wait_until(lambda: not connect(cluster.broker_url).exists(outcome_key(future.id)))
    assert future.id not in str(kept(cluster.broker_url))
    with pytest.raises(TaskLostError, match=r"its time to live is over.*another broker.*submit\(detach=True\)"):
        attach(future.id, shared).result(DEADLINE)


def test_a_call_that_is_not_detached_cannot_be_attached_to(shared: CeleryExecutionBackend) -> None:
    """Its result went to its client."""
    future = square(3).submit(shared)
    assert future.result(DEADLINE) == 9
    error = attach(future.id, shared).exception(DEADLINE)
    assert isinstance(error, TaskLostError)
    assert "submit(detach=True)" in str(error)


@pytest.mark.parametrize("id", ["", "nonsense", "0" * 32, "0" * 31 + "\n", "*", "0" * 24 + ":outcome"])
def test_what_is_no_id_is_an_error_of_the_future(id: str, shared: CeleryExecutionBackend) -> None:  # noqa: A002
    """Whatever it looks like."""
    assert isinstance(attach(id, shared).exception(DEADLINE), TaskLostError)


def test_an_outcome_that_no_worker_made_is_an_error_and_harms_no_other(
    backend: CeleryExecutionBackend, worker: FakeWorker
) -> None:
    """Bytes that somebody has put there."""
    first, second = submit(backend, 1), submit(backend, 2)
    for outcome in (b"forged", b"DCF1\0\0\0\4{no}", b""):
        forged = submit(backend, 3)
        worker.connection.set(outcome_key(forged.id), outcome)
        worker.connection.delete(detached_key(forged.id))
        assert not isinstance(forged.exception(DEADLINE), TaskLostError)
        assert not isinstance(attach(forged.id, backend).exception(DEADLINE), TaskLostError)
    answer(worker.take())
    answer(worker.take())
    assert [first.result(DEADLINE), second.result(DEADLINE)] == [1, 4]


def test_a_result_that_does_not_travel_in_its_reply_is_an_error(
    backend: CeleryExecutionBackend, worker: FakeWorker
) -> None:
    """There is no place where whoever attaches could find it."""
    future = submit(backend)
    taken = worker.take()
    elsewhere = pack_result(numpy.zeros(100_000), "it", lambda buffer: Reference("key", buffer.nbytes))
    section = Section("value", 1, elsewhere.data)
    reply = Reply(future.id, "w", 1.0, sections=[section], finishes=array("d", [2.0]))
    send(taken, reply.encode())
    with pytest.raises(ValueLostError, match="only its worker finds it"):
        future.result(DEADLINE)


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("timeout", CallTimeoutError),
        ("version", VersionMismatchError),
        ("cancelled", CallCancelledError),
        ("expired", QueueTimeoutError),
        ("function_missing", TaskLostError),
        ("something new", TaskLostError),
    ],
)
def test_a_workers_problem_is_the_outcome(
    kind: str, error: type[Exception], backend: CeleryExecutionBackend, worker: FakeWorker
) -> None:
    """There is no client to solve it."""
    future = submit(backend)
    report(worker.take(), kind)
    for each in (future, attach(future.id, backend)):
        with pytest.raises(error):
            each.result(DEADLINE)


# --- workers that die


def test_a_call_that_kills_its_process_is_tried_again(shared: CeleryExecutionBackend, tmp_path: Path) -> None:
    """At most three times in all."""
    once, often = tmp_path / "once", tmp_path / "often"
    once.mkdir()
    often.mkdir()
    survivor = die_until(str(once), 2).submit(shared, detach=True)
    killer = die_until(str(often), 99).submit(shared, detach=True)
    assert survivor.result(DEADLINE) == 2
    with pytest.raises(WorkerLostError, match="exitcode 3"):
        attach(killer.id, shared).result(DEADLINE)
    assert len(list(often.iterdir())) == 3


def test_a_call_of_a_killed_worker_goes_to_another_with_its_client_gone(server: Server, tmp_path: Path) -> None:
    """Once its lease is over."""

    def start(name: str) -> "subprocess.Popen[bytes]":
        code = (
            "from distribute_challenge.execution_backends.celery.worker import run_worker\n"
            f"run_worker({server.url!r}, concurrency=1, name={name!r}, lease=3)\n"
        )
        with (tmp_path / f"{name}.log").open("w") as output:
            return subprocess.Popen(
                [sys.executable, "-c", code], stdout=output, stderr=output, start_new_session=True, cwd=tmp_path
            )

    @compute_this
    def who(first: int) -> int:
        (tmp_path / f"begun-{os.getppid()}").touch()
        while os.getppid() == first:
            time.sleep(0.01)
        return os.getppid()

    first = start("first")
    second = None
    try:
        with CeleryExecutionBackend(server.url) as backend:
            number = who(first.pid).submit(backend, detach=True).id
        wait_until((tmp_path / f"begun-{first.pid}").exists)
        os.killpg(first.pid, signal.SIGKILL)
        first.wait(DEADLINE)
        second = start("second")
        wait_until(lambda: connect(server.url).exists(outcome_key(number)), "the outcome")
        with CeleryExecutionBackend(server.url) as backend:
            assert attach(number, backend).result(DEADLINE) == second.pid
    finally:
        for process in filter(None, (first, second)):
            if process.poll() is None:
                process.terminate()
                process.wait(DEADLINE)


# --- messages that are lost


@pytest.mark.usefixtures("hurried")
def test_a_lost_message_is_sent_again_once_however_many_wait(
    server: Server, backend: CeleryExecutionBackend, worker: FakeWorker, caplog: pytest.LogCaptureFixture
) -> None:
    """Its call ends in its value for all of them."""
    future = submit(backend)
    with CeleryExecutionBackend(server.url) as other:
        waiting = [future, *(attach(future.id, each) for each in (backend, other, other))]
        worker.take()  # A worker that dies before it has written down that it has it.
        again = worker.take()
        assert again.batch.id == future.id
        worker.connection.hset("distribute_challenge:unacked", again.envelope["properties"]["delivery_tag"], "held")
        answer(again)
        assert [each.result(DEADLINE) for each in waiting] == [9, 9, 9, 9]
    assert worker.waiting() == 0
    assert caplog.text.count("was lost, and is sent again") == 1


@pytest.mark.usefixtures("hurried")
def test_a_lost_message_of_a_call_that_may_run_once_is_an_error(
    backend: CeleryExecutionBackend, worker: FakeWorker
) -> None:
    """It might have begun."""
    future = submit(backend, function=square.with_options(at_most_once=True))
    worker.take()
    with pytest.raises(TaskLostError, match="square was lost on its way to a worker"):
        future.result(DEADLINE)
    assert worker.waiting() == 0


@pytest.mark.usefixtures("hurried")
def test_a_call_that_no_worker_begins_in_time_is_an_error(backend: CeleryExecutionBackend, worker: FakeWorker) -> None:
    """If its function has a `queue_timeout`."""
    future = submit(backend, function=square.with_options(queue_timeout=0.1))
    with pytest.raises(QueueTimeoutError, match="no worker began square in time"):
        future.result(DEADLINE)
    assert worker.waiting() == 0


@pytest.mark.usefixtures("hurried")
def test_one_hears_of_a_queue_that_nobody_serves(
    backend: CeleryExecutionBackend, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, eventually: Any
) -> None:
    """Also of the call of another client."""
    monkeypatch.setattr(census, "WARN_AFTER", 0.1)
    future = attach(submit(backend, function=square.with_options(queue="gpu", priority=5)).id, backend)
    eventually(lambda: "distribute-challenge worker --queues gpu" in caplog.text)
    assert not future.done()


@pytest.mark.usefixtures("hurried")
def test_looking_for_lost_messages_has_an_end(
    backend: CeleryExecutionBackend, worker: FakeWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It searches long queues; all are looked for in turn, those that seem lost at once."""
    monkeypatch.setattr(detached_calls, "LOOK_FOR", 0.0)
    futures = [submit(backend, number) for number in range(4)]
    for _ in futures:
        worker.take()
    wait_until(lambda: worker.waiting() == 4, "all messages to be sent again")
    for _ in futures:
        answer(worker.take())
    assert [future.result(DEADLINE) for future in futures] == [0, 1, 4, 9]


def test_a_call_that_was_lost_with_redis_is_an_error(backend: CeleryExecutionBackend, server: Server) -> None:
    """Nothing hangs."""
    future = submit(backend)
    connect(server.url).flushall()
    assert isinstance(future.exception(DEADLINE), TaskLostError)


@pytest.mark.usefixtures("hurried")
def test_waiting_outlasts_the_broker(
    backend: CeleryExecutionBackend, server: Server, caplog: pytest.LogCaptureFixture, eventually: Any
) -> None:
    """What it says when it is back counts."""
    future = submit(backend)
    server.stop()
    eventually(lambda: "cannot look for detached calls" in caplog.text)
    assert not future.cancel()
    assert not future.done()
    with pytest.raises(BrokerUnreachableError):
        submit(backend)
    with pytest.raises(BrokerUnreachableError):
        attach(future.id, backend)
    server.start()
    assert isinstance(future.exception(DEADLINE), SystemFailureError)  # This server keeps nothing.


# --- cancelling and closing


def test_a_call_that_no_worker_has_is_cancelled(backend: CeleryExecutionBackend, worker: FakeWorker) -> None:
    """By anybody; nothing is left of it, and who waits for it is told."""
    future = submit(backend)
    attached = attach(future.id, backend)
    assert attached.cancel()
    assert worker.waiting() == 0
    assert isinstance(future.exception(DEADLINE), TaskLostError)
    assert worker.connection.keys("distribute_challenge:detached:*") == []


def test_a_call_that_runs_is_not_cancelled(shared: CeleryExecutionBackend, tmp_path: Path) -> None:
    """It ends in its value."""
    gate = tmp_path / "gate"
    future = wait_for(str(gate)).submit(shared, detach=True)
    wait_until(Path(f"{gate}.begun").exists)
    assert not future.cancel()
    gate.touch()
    assert future.result(DEADLINE) == "done"


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
    """Nor does it wait for any."""
    calls = DetachedCalls(server.url)
    calls.close()
    prepared = square(1).prepared
    task = single_task(prepared.portable, "square", (1,), {}, prepared.options)
    with pytest.raises(CallCancelledError, match="closed"):
        calls.submit(task, 1.0)
    with pytest.raises(CallCancelledError, match="closed"):
        calls.attach("0" * 32)


# --- futures that nobody has


def watching() -> bool:
    return any(thread.name == THREAD for thread in threading.enumerate())


@pytest.mark.usefixtures("hurried")
def test_nobody_looks_for_what_nobody_waits_for(backend: CeleryExecutionBackend) -> None:
    """The thread that does it ends, and starts again when it is needed."""
    future = submit(backend)
    assert watching()
    del future
    gc.collect()
    wait_until(lambda: not watching(), "the thread's end")
    future = submit(backend)
    assert watching()
    assert not future.done()


@pytest.mark.usefixtures("hurried")
def test_who_asked_to_be_told_is_told_without_keeping_the_future(
    backend: CeleryExecutionBackend, worker: FakeWorker
) -> None:
    """And the future is let go then."""
    values = []
    future = submit(backend)
    future.add_done_callback(lambda done: values.append(done.result()))
    reference = weakref.ref(future)
    del future
    gc.collect()
    answer(worker.take())
    wait_until(lambda: values == [9])
    wait_until(lambda: gc.collect() >= 0 and reference() is None, "the future's end")


def test_each_call_has_an_id_of_its_own(shared: CeleryExecutionBackend) -> None:
    """Whether it is detached or not."""
    futures = [square(1).submit(shared), square(1).submit(shared), square(1).submit(shared, detach=True)]
    assert len({future.id for future in futures}) == 3
    assert [future.id for future in futures] == [future.id for future in futures]
    for future in futures:
        future.result(DEADLINE)
    assert attach(futures[2].id, shared).id == futures[2].id


def test_a_lost_worker_is_told_by_whoever_tells_it(backend: CeleryExecutionBackend, worker: FakeWorker) -> None:
    """A worker that finds another one's lease over replies in its place, as to any other call."""
    future = submit(backend)
    taken = worker.take()
    reply = Reply(future.id, "", time.time(), problem=Problem("lost", "its worker vanished", {"worker_lost": True}))
    send(taken, reply.encode())
    answer(worker.take())
    assert future.result(DEADLINE) == 9


def test_a_cluster_that_serves_detached_calls_shows_no_client(server: Server, worker: FakeWorker) -> None:
    """Who only waits for them has one connection, and no part in anything else."""
    with CeleryExecutionBackend(server.url) as backend:
        submit(backend)
        assert workers(worker.connection) == []
        assert not worker.connection.exists("distribute_challenge:clients")
