"""Commands in a worker's main process and in its children, without a real worker."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from celery.worker import state

from distribute_challenge.execution.interruption import WHOLE
from distribute_challenge.execution_backends.celery.broker.commands import CancelCommand
from distribute_challenge.execution_backends.celery.worker import cancellation
from distribute_challenge.execution_backends.celery.worker.cancel_flags import CancelFlags
from distribute_challenge.execution_backends.celery.worker.cancellation import (
    BatchInterruption,
    CancelledCalls,
)


class Consumer:
    """Stands in for Celery's: keeps what was asked of its timer and its pool."""

    def __init__(self) -> None:
        self.later: list[Callable[[], None]] = []
        self.killed: list[tuple[int, int]] = []
        self.timer = SimpleNamespace(
            call_after=lambda seconds, act, arguments: self.later.append(lambda: act(*arguments))
        )
        self.pool = SimpleNamespace(
            terminate_job=lambda pid, number: self.killed.append((pid, number))
        )


class Request:
    """Stands in for Celery's request."""

    def __init__(self, batch: str, pid: int | None) -> None:
        self.id, self.name, self.worker_pid = batch, "call", pid


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> dict[str, Request]:
    requests: dict[str, Request] = {}
    monkeypatch.setattr(state, "requests", requests)
    return requests


@pytest.fixture
def child() -> Iterator[int]:
    """A process that a signal may be sent to."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process.pid


@pytest.fixture
def flags() -> CancelFlags:
    return CancelFlags()


@pytest.fixture
def consumer() -> Consumer:
    return Consumer()


@pytest.fixture
def cancelled_calls(flags: CancelFlags) -> CancelledCalls:
    return CancelledCalls(flags)


def test_a_child_process_that_ignores_the_order_is_killed(
    cancelled_calls: CancelledCalls, consumer: Consumer, requests: dict[str, Request], child: int
) -> None:
    """The same command once more changes nothing."""
    requests["c-1"] = Request("c-1", child)
    for _ in range(2):
        cancelled_calls.take(CancelCommand({"c-1": None}), consumer)
    (look,) = consumer.later
    look()
    assert consumer.killed == [(child, signal.SIGKILL)]
    del requests["c-1"]
    look()
    assert len(consumer.killed) == 1


@pytest.mark.parametrize(("number", "is_killed"), [(2, True), (3, False), (WHOLE, False)])
def test_a_child_that_runs_another_call_of_the_message_is_left_alone(
    number: int,
    is_killed: bool,
    cancelled_calls: CancelledCalls,
    consumer: Consumer,
    flags: CancelFlags,
    requests: dict[str, Request],
) -> None:
    """It will pass over those that are meant."""
    place = flags.place(0)
    place.begin("c-1")
    place.tell(number)
    requests["c-1"] = Request("c-1", os.getpid())
    cancelled_calls.take(CancelCommand({"c-1": [2]}), consumer)
    cancelled_calls._end(requests["c-1"])
    assert bool(consumer.killed) is is_killed


@pytest.mark.slow
def test_a_child_process_that_begins_a_cancelled_message_is_checked_later(
    cancelled_calls: CancelledCalls, consumer: Consumer, requests: dict[str, Request], child: int
) -> None:
    """The child may have looked at the flags just before it."""
    requests["c-1"] = request = Request("c-1", None)
    cancelled_calls.accepted(request)
    cancelled_calls.take(CancelCommand({"c-1": [0]}), consumer)
    assert not consumer.later
    request.worker_pid = child
    cancelled_calls.accepted(request)
    assert len(consumer.later) == 1
    cancelled_calls.accepted(Request("c-2", child))
    assert len(consumer.later) == 1


def test_a_child_that_has_just_died_needs_no_signal(
    cancelled_calls: CancelledCalls, consumer: Consumer, requests: dict[str, Request]
) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    requests["c-1"] = Request("c-1", process.pid)
    cancelled_calls.take(CancelCommand({"c-1": None}), consumer)
    assert len(consumer.later) == 1


def test_all_messages_of_a_client_that_left_are_cancelled(
    cancelled_calls: CancelledCalls,
    consumer: Consumer,
    flags: CancelFlags,
    requests: dict[str, Request],
    child: int,
) -> None:
    """Messages of other clients go on."""
    requests.update({name: Request(name, child) for name in ("c-1", "d-1")})
    cancelled_calls.take(CancelCommand(client="c"), consumer)
    assert [cancelled_calls.is_concerned(name) for name in ("c-1", "c-2", "d-1")] == [
        True,
        True,
        False,
    ]
    assert [cancelled_calls.is_abandoned(name) for name in ("c-1", "d-1")] == [True, False]
    assert len(consumer.later) == 1
    interruption = BatchInterruption(flags)
    interruption.begin("c-9")
    assert interruption.is_unwanted(0)
    assert interruption.is_abandoned
    interruption.begin("d-1")
    assert not interruption.is_unwanted(0)
    assert not interruption.is_abandoned


def test_orders_are_forgotten_after_a_while(
    cancelled_calls: CancelledCalls,
    consumer: Consumer,
    flags: CancelFlags,
    requests: dict[str, Request],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cancellation, "REMEMBERED", -1.0)
    cancelled_calls.take(CancelCommand({"c-1": None}, client="c"), consumer)
    cancelled_calls.take(CancelCommand({"d-1": [1]}), consumer)
    assert flags.read()[1] == {"batches": {"d-1": [1]}, "clients": []}


def test_orders_for_the_same_message_add_up(
    cancelled_calls: CancelledCalls,
    consumer: Consumer,
    flags: CancelFlags,
    requests: dict[str, Request],
) -> None:
    cancelled_calls.take(CancelCommand({"c-1": [1]}), consumer)
    cancelled_calls.take(CancelCommand({"c-1": [3]}), consumer)
    interruption = BatchInterruption(flags)
    interruption.begin("c-1")
    assert [interruption.is_unwanted(number) for number in range(5)] == [
        False,
        True,
        False,
        True,
        False,
    ]
    assert not interruption.is_unwanted(WHOLE)
    interruption.begin("c-2")
    assert not interruption.is_unwanted(1)
    cancelled_calls.take(CancelCommand({"c-2": None}), consumer)
    assert interruption.is_unwanted(1)
    assert interruption.is_unwanted(WHOLE)
    assert not interruption.is_abandoned


def test_a_child_reads_the_board_again_only_when_it_has_changed(
    cancelled_calls: CancelledCalls,
    consumer: Consumer,
    flags: CancelFlags,
    requests: dict[str, Request],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It does not read it for each message after the first command."""
    interruption, reads, read = BatchInterruption(flags), [], flags.read
    monkeypatch.setattr(flags, "read", lambda: (reads.append(None), read())[1])
    cancelled_calls.take(CancelCommand({"c-1": [1]}), consumer)
    for batch, is_unwanted in (("c-1", True), ("c-2", False), ("c-1", True)):
        interruption.begin(batch)
        assert interruption.is_unwanted(1) is is_unwanted
    assert len(reads) == 1
    cancelled_calls.take(CancelCommand({"c-2": None}), consumer)
    assert [interruption.is_unwanted(1), interruption.is_unwanted(2)] == [True, False]
    interruption.begin("c-2")
    assert interruption.is_unwanted(0)
    assert len(reads) == 2


def test_if_there_are_too_many_orders_the_oldest_are_forgotten(
    cancelled_calls: CancelledCalls,
    consumer: Consumer,
    flags: CancelFlags,
    requests: dict[str, Request],
) -> None:
    many: dict[str, Any] = {f"c-{number}": list(range(50_000)) for number in range(5)}
    cancelled_calls.take(CancelCommand(many), consumer)
    assert list(flags.read()[1]["batches"]) == ["c-2", "c-3", "c-4"]


def test_if_there_are_too_many_clients_that_left_the_oldest_are_forgotten(
    cancelled_calls: CancelledCalls,
    consumer: Consumer,
    flags: CancelFlags,
    requests: dict[str, Request],
) -> None:
    for letter in "abc":
        cancelled_calls.take(CancelCommand(client=letter * 400_000), consumer)
    assert [client[0] for client in flags.read()[1]["clients"]] == ["b", "c"]


def test_a_pool_without_processes_is_not_sent_a_signal(
    cancelled_calls: CancelledCalls, consumer: Consumer, requests: dict[str, Request]
) -> None:
    """It would come to the worker itself."""
    requests["c-1"] = Request("c-1", os.getpid())
    cancelled_calls.take(CancelCommand({"c-1": None}), consumer)
    assert not consumer.later
