"""Detached calls whose workers die, whose messages are lost, and whose Redis goes away."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from distribute_challenge import attach, compute_this
from distribute_challenge.core.messages import Problem, Reply
from distribute_challenge.errors import (
    BrokerUnreachableError,
    QueueTimeoutError,
    SystemFailureError,
    TaskLostError,
    WorkerLostError,
)
from distribute_challenge.execution_backends.celery.backend import CeleryExecutionBackend
from distribute_challenge.execution_backends.celery.broker.connection import connect
from distribute_challenge.execution_backends.celery.broker.keys import UNACKED, outcome_key
from distribute_challenge.execution_backends.celery.client import detached_calls, worker_counts
from tests.execution_backends.celery.conftest import DEADLINE, FakeWorker, Server
from tests.execution_backends.celery.detached import answer, send, square, submit
from tests.processes import wait_until
from tests.workers import StartLeased, leased_workers

pytestmark = [pytest.mark.celery, pytest.mark.slow]


@compute_this
def die_until(runs: str, number: int) -> int:
    """Kill the process, until it has been begun so often."""
    Path(runs, str(time.time_ns())).touch()
    begun = len(os.listdir(runs))
    if begun < number:
        os._exit(3)
    return begun


def test_a_call_that_kills_its_process_is_tried_again(
    shared: CeleryExecutionBackend, tmp_path: Path
) -> None:
    """It is tried three times at most."""
    once, often = tmp_path / "once", tmp_path / "often"
    once.mkdir()
    often.mkdir()
    survivor = die_until(str(once), 2).submit(shared, detach=True)
    killer = die_until(str(often), 99).submit(shared, detach=True)
    assert survivor.result(DEADLINE) == 2
    with pytest.raises(WorkerLostError, match="exitcode 3"):
        attach(killer.id, shared).result(DEADLINE)
    assert len(list(often.iterdir())) == 3


@pytest.fixture
def start(server: Server, tmp_path: Path) -> Iterator[StartLeased]:
    """Start a worker with one process and a short lease, by name, in a process group of its own."""
    with leased_workers(server.url, tmp_path) as start:
        yield start


@compute_this
def who(folder: str, first: int) -> int:
    """Return the worker that runs this. On the first worker, wait until there is a gate."""
    Path(folder, f"begun-{os.getppid()}").touch()
    while os.getppid() == first and not Path(folder, "gate").exists():
        time.sleep(0.01)
    Path(folder, f"ended-{os.getppid()}").touch()
    return os.getppid()


def test_a_detached_call_of_a_killed_worker_runs_elsewhere_without_its_client(
    server: Server, start: StartLeased, tmp_path: Path
) -> None:
    """It goes there when the worker's lease is over."""
    first = start("first")
    with CeleryExecutionBackend(server.url) as backend:
        number = who(str(tmp_path), first.pid).submit(backend, detach=True).id
    wait_until((tmp_path / f"begun-{first.pid}").exists)
    os.killpg(first.pid, signal.SIGKILL)
    first.wait(DEADLINE)
    second = start("second")
    wait_until(lambda: connect(server.url).exists(outcome_key(number)), "the outcome")
    with CeleryExecutionBackend(server.url) as backend:
        assert attach(number, backend).result(DEADLINE) == second.pid


def test_a_detached_call_delivered_to_a_dead_connection_runs_without_its_client(
    server: Server, start: StartLeased, worker: FakeWorker
) -> None:
    """Redis gives a message to a worker that asked and then died before it wrote its entry."""
    with CeleryExecutionBackend(server.url) as backend:
        number = submit(backend).id
    worker.take()
    start("first")
    wait_until(lambda: connect(server.url).exists(outcome_key(number)), "the outcome")
    with CeleryExecutionBackend(server.url) as backend:
        assert attach(number, backend).result(DEADLINE) == 9


def test_the_late_outcome_of_a_frozen_worker_is_dropped(
    server: Server, start: StartLeased, tmp_path: Path
) -> None:
    """Another one has run its call; its own outcome is dropped."""
    first = start("first")
    with CeleryExecutionBackend(server.url) as backend:
        future = who(str(tmp_path), first.pid).submit(backend, detach=True)
        wait_until((tmp_path / f"begun-{first.pid}").exists)
        os.killpg(first.pid, signal.SIGSTOP)
        try:
            second = start("second")
            assert future.result(DEADLINE) == second.pid
        finally:
            os.killpg(first.pid, signal.SIGCONT)
        (tmp_path / "gate").touch()
        wait_until((tmp_path / f"ended-{first.pid}").exists)
        wait_until(lambda: not connect(server.url).exists(UNACKED), "nothing in work")
        assert attach(future.id, backend).result(DEADLINE) == second.pid
        assert connect(server.url).keys("distribute_challenge:detached:*") == [
            outcome_key(future.id).encode()
        ]


@pytest.mark.usefixtures("hurried")
def test_a_lost_message_is_sent_again_once_however_many_wait(
    server: Server,
    backend: CeleryExecutionBackend,
    worker: FakeWorker,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Its call ends in its value for all of them."""
    future = submit(backend)
    with CeleryExecutionBackend(server.url) as other:
        waiting = [future, *(attach(future.id, each) for each in (backend, other, other))]
        worker.take()  # A worker that dies before it has written down that it has it.
        again = worker.take()
        assert again.batch.id == future.id
        worker.connection.hset(
            "distribute_challenge:unacked", again.envelope["properties"]["delivery_tag"], "held"
        )
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
def test_a_call_that_no_worker_begins_in_time_is_an_error(
    backend: CeleryExecutionBackend, worker: FakeWorker
) -> None:
    """Its function has a `queue_timeout`."""
    future = submit(backend, function=square.with_options(queue_timeout=0.1))
    with pytest.raises(QueueTimeoutError, match="no worker began square in time"):
        future.result(DEADLINE)
    assert worker.waiting() == 0


@pytest.mark.usefixtures("hurried")
def test_a_queue_without_workers_is_a_warning(
    backend: CeleryExecutionBackend,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    eventually: Any,
) -> None:
    """A client is warned for an attached call of another client, too."""
    monkeypatch.setattr(worker_counts, "WARN_AFTER", 0.1)
    future = attach(
        submit(backend, function=square.with_options(queue="gpu", priority=5)).id, backend
    )
    eventually(lambda: "distribute-challenge worker --queues gpu" in caplog.text)
    assert not future.done()


@pytest.mark.usefixtures("hurried")
def test_lost_messages_are_looked_for_in_turn_within_a_time_limit(
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


def test_a_call_that_was_lost_with_redis_is_an_error(
    backend: CeleryExecutionBackend, server: Server
) -> None:
    """No caller hangs."""
    future = submit(backend)
    connect(server.url).flushall()
    assert isinstance(future.exception(DEADLINE), TaskLostError)


@pytest.mark.usefixtures("hurried")
def test_a_detached_call_and_its_future_survive_a_restart_of_a_persistent_redis(
    server: Server,
) -> None:
    """Its future does, too."""
    connection = connect(server.url)
    connection.config_set("appendonly", "yes")
    connection.config_set("appendfsync", "always")
    wait_until(lambda: not connection.info("persistence")["aof_rewrite_in_progress"], "the file")
    with CeleryExecutionBackend(server.url) as backend:
        future = submit(backend)
        server.stop()
        server.start("--appendonly", "yes")
        with FakeWorker(server.url) as worker:
            answer(worker.take())
        assert future.result(DEADLINE) == 9
        assert attach(future.id, backend).result(DEADLINE) == 9


@pytest.mark.usefixtures("hurried")
def test_waiting_for_a_detached_call_goes_on_while_the_broker_is_away(
    backend: CeleryExecutionBackend,
    server: Server,
    caplog: pytest.LogCaptureFixture,
    eventually: Any,
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


def test_a_detached_call_is_sent_again_when_a_worker_reports_another_one_as_lost(
    backend: CeleryExecutionBackend, worker: FakeWorker
) -> None:
    """A worker that finds another one's lease over replies in its place, as to any other call."""
    future = submit(backend)
    taken = worker.take()
    reply = Reply(
        future.id,
        "",
        time.time(),
        problem=Problem("lost", "its worker vanished", {"worker_lost": True}),
    )
    send(taken, reply.encode())
    answer(worker.take())
    assert future.result(DEADLINE) == 9
