"""What a worker's main process does with orders, and what its children make of them; real workers
are in `test_cancelling`.
"""

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
from distribute_challenge.execution_backends.celery.broker.cancel_order import CancelOrder
from distribute_challenge.execution_backends.celery.worker import stopping
from distribute_challenge.execution_backends.celery.worker.board import Board
from distribute_challenge.execution_backends.celery.worker.stopping import (
    BatchInterruption,
    Stopper,
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
def board() -> Board:
    return Board()


@pytest.fixture
def consumer() -> Consumer:
    return Consumer()


@pytest.fixture
def stopper(board: Board) -> Stopper:
    return Stopper(board)


def test_a_child_that_goes_on_is_killed_and_one_that_has_ended_is_not(
    stopper: Stopper, consumer: Consumer, requests: dict[str, Request], child: int
) -> None:
    """The same order once more changes nothing."""
    requests["c-1"] = Request("c-1", child)
    for _ in range(2):
        stopper.take(CancelOrder({"c-1": None}), consumer)
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
    stopper: Stopper,
    consumer: Consumer,
    board: Board,
    requests: dict[str, Request],
) -> None:
    """It will pass over those that are meant."""
    place = board.place(0)
    place.begin("c-1")
    place.tell(number)
    requests["c-1"] = Request("c-1", os.getpid())
    stopper.take(CancelOrder({"c-1": [2]}), consumer)
    stopper._end(requests["c-1"])
    assert bool(consumer.killed) is is_killed


@pytest.mark.slow
def test_a_message_that_a_child_begins_after_the_order_is_looked_after(
    stopper: Stopper, consumer: Consumer, requests: dict[str, Request], child: int
) -> None:
    """The child may have looked at the board just before it."""
    requests["c-1"] = request = Request("c-1", None)
    stopper.accepted(request)
    stopper.take(CancelOrder({"c-1": [0]}), consumer)
    assert not consumer.later
    request.worker_pid = child
    stopper.accepted(request)
    assert len(consumer.later) == 1
    stopper.accepted(Request("c-2", child))
    assert len(consumer.later) == 1


def test_a_child_that_has_just_died_needs_no_signal(
    stopper: Stopper, consumer: Consumer, requests: dict[str, Request]
) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    requests["c-1"] = Request("c-1", process.pid)
    stopper.take(CancelOrder({"c-1": None}), consumer)
    assert len(consumer.later) == 1


def test_a_client_that_is_gone_wants_none_of_its_messages(
    stopper: Stopper, consumer: Consumer, board: Board, requests: dict[str, Request], child: int
) -> None:
    """Those of others go on."""
    requests.update({name: Request(name, child) for name in ("c-1", "d-1")})
    stopper.take(CancelOrder(client="c"), consumer)
    assert [stopper.is_concerned(name) for name in ("c-1", "c-2", "d-1")] == [True, True, False]
    assert [stopper.is_abandoned(name) for name in ("c-1", "d-1")] == [True, False]
    assert len(consumer.later) == 1
    interruption = BatchInterruption(board)
    interruption.begin("c-9")
    assert interruption.is_unwanted(0)
    assert interruption.is_abandoned
    interruption.begin("d-1")
    assert not interruption.is_unwanted(0)
    assert not interruption.is_abandoned


def test_orders_are_forgotten_after_a_while(
    stopper: Stopper,
    consumer: Consumer,
    board: Board,
    requests: dict[str, Request],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stopping, "REMEMBERED", -1.0)
    stopper.take(CancelOrder({"c-1": None}, client="c"), consumer)
    stopper.take(CancelOrder({"d-1": [1]}), consumer)
    assert board.read()[1] == {"batches": {"d-1": [1]}, "clients": []}


def test_orders_for_the_same_message_add_up(
    stopper: Stopper, consumer: Consumer, board: Board, requests: dict[str, Request]
) -> None:
    stopper.take(CancelOrder({"c-1": [1]}), consumer)
    stopper.take(CancelOrder({"c-1": [3]}), consumer)
    interruption = BatchInterruption(board)
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
    stopper.take(CancelOrder({"c-2": None}), consumer)
    assert interruption.is_unwanted(1)
    assert interruption.is_unwanted(WHOLE)
    assert not interruption.is_abandoned


def test_a_child_reads_the_board_again_only_when_it_has_changed(
    stopper: Stopper,
    consumer: Consumer,
    board: Board,
    requests: dict[str, Request],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Not for each message after the first order."""
    interruption, reads, read = BatchInterruption(board), [], board.read
    monkeypatch.setattr(board, "read", lambda: (reads.append(None), read())[1])
    stopper.take(CancelOrder({"c-1": [1]}), consumer)
    for batch, is_unwanted in (("c-1", True), ("c-2", False), ("c-1", True)):
        interruption.begin(batch)
        assert interruption.is_unwanted(1) is is_unwanted
    assert len(reads) == 1
    stopper.take(CancelOrder({"c-2": None}), consumer)
    assert [interruption.is_unwanted(1), interruption.is_unwanted(2)] == [True, False]
    interruption.begin("c-2")
    assert interruption.is_unwanted(0)
    assert len(reads) == 2


def test_if_there_are_too_many_orders_the_oldest_are_forgotten(
    stopper: Stopper, consumer: Consumer, board: Board, requests: dict[str, Request]
) -> None:
    many: dict[str, Any] = {f"c-{number}": list(range(50_000)) for number in range(5)}
    stopper.take(CancelOrder(many), consumer)
    assert list(board.read()[1]["batches"]) == ["c-2", "c-3", "c-4"]


def test_if_there_are_too_many_clients_that_left_the_oldest_are_forgotten(
    stopper: Stopper, consumer: Consumer, board: Board, requests: dict[str, Request]
) -> None:
    for letter in "abc":
        stopper.take(CancelOrder(client=letter * 400_000), consumer)
    assert [client[0] for client in board.read()[1]["clients"]] == ["b", "c"]


def test_a_pool_without_processes_is_not_sent_a_signal(
    stopper: Stopper, consumer: Consumer, requests: dict[str, Request]
) -> None:
    """It would come to the worker itself."""
    requests["c-1"] = Request("c-1", os.getpid())
    stopper.take(CancelOrder({"c-1": None}), consumer)
    assert not consumer.later
