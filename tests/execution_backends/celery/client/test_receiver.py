"""Replies that come twice, in part or as nonsense: no outcome is misplaced, and no thread ends."""

import pickle
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from distribute_challenge import compute_this
from distribute_challenge.core.messages import Reply
from distribute_challenge.core.outcome import Failure
from distribute_challenge.core.section import Section
from distribute_challenge.errors import SystemFailureError
from distribute_challenge.execution_backends.celery.backend import CeleryExecutionBackend
from distribute_challenge.execution_backends.celery.broker import presence
from distribute_challenge.execution_backends.celery.broker.connection import connect
from distribute_challenge.execution_backends.celery.broker.keys import WORKERS
from distribute_challenge.execution_backends.celery.client import client as client_module
from distribute_challenge.execution_backends.celery.client.pending import PendingCalls
from distribute_challenge.execution_backends.celery.client.publisher import Publisher
from distribute_challenge.serialisation.outcomes import decode_outcomes
from tests.execution_backends.celery.client.test_giving_back import (
    SQUARES,
    Chunks,
    answer,
    chunks,
    crowd_in_a_message,
)
from tests.execution_backends.celery.conftest import DEADLINE, FakeWorker, Server
from tests.processes import wait_until

__all__ = ["chunks"]

Eventually = Callable[[Callable[[], bool]], None]


@compute_this
def square(x: int) -> int:
    return x * x


# --- twice, and in part


@pytest.mark.slow
def test_repeated_partial_replies_of_a_chunk_are_used_once(
    chunks: Chunks, worker: FakeWorker
) -> None:
    """A worker that got no answer sends its reply again."""
    for _ in range(2):
        answer(chunks.first, 0, SQUARES[:3])
    for _ in range(2):
        answer(chunks.first, 3, SQUARES[3:6])
    for _ in range(2):
        answer(chunks.first, 6, SQUARES[6:], ended=True)
    assert chunks.results.result(DEADLINE) == SQUARES


def test_a_repeated_reply_that_gives_calls_back_is_used_once(
    chunks: Chunks, worker: FakeWorker
) -> None:
    for _ in range(2):
        answer(chunks.first, 0, SQUARES[:3], kept=4)
    rest = worker.take()
    assert rest.batch.chunk == 6
    rest.run()
    for _ in range(2):
        answer(chunks.first, 3, [9], ended=True)
    assert chunks.results.result(DEADLINE) == SQUARES
    assert worker.waiting() == 0


@pytest.mark.parametrize("first", [[], SQUARES[:2]])
def test_a_chunk_whose_reply_has_a_gap_is_sent_again(
    chunks: Chunks, worker: FakeWorker, first: list[int]
) -> None:
    """A user may have emptied Redis between its parts."""
    if first:
        answer(chunks.first, 0, first)
    answer(chunks.first, 5, SQUARES[5:7])
    answer(chunks.first, 7, SQUARES[7:], ended=True)
    again = worker.take()
    assert again.batch.chunk == 10
    again.run()
    assert chunks.results.result(DEADLINE) == SQUARES


def test_single_calls_may_be_answered_twice(
    backend: CeleryExecutionBackend, worker: FakeWorker, eventually: Eventually
) -> None:
    crowd, taken = crowd_in_a_message(backend, worker, eventually)
    for _ in range(2):
        answer(taken, 0, [0, 1], kept=3)
    for _ in range(2):
        answer(taken, 2, [4], ended=True)
    worker.serve(crowd)
    assert [future.result(DEADLINE) for future in crowd] == [
        number * number for number in range(40)
    ]


def test_a_large_chunk_in_several_replies_may_come_twice(
    backend: CeleryExecutionBackend, worker: FakeWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Real workers send it so."""
    from distribute_challenge.serialisation import outcomes

    monkeypatch.setattr(outcomes, "MOST_IN_A_REPLY", 1_000)
    text = compute_this(lambda number: [str(number) * 300, number + 0j])
    results: list[Any] = []
    thread = threading.Thread(
        target=lambda: results.extend(text.map(range(20), batch_size=20, backend=backend))
    )
    thread.start()
    taken = worker.take()
    replies = list(taken.replies())
    assert len(replies) > 3
    for reply in replies:
        taken.push(reply)
        taken.push(reply)
    thread.join(DEADLINE)
    assert results == [[str(number) * 300, number + 0j] for number in range(20)]


def test_values_that_cannot_be_unpickled_fail_each_of_their_calls() -> None:
    reply = Reply(
        "b",
        "w",
        0.0,
        sections=[Section("values", 3, b"nonsense"), Section("value", 1, pickle.dumps(7))],
    )
    outcomes = decode_outcomes(reply)
    assert [type(outcome) for outcome in outcomes] == [Failure, Failure, Failure, int]


# --- nonsense


@pytest.mark.parametrize(
    "frame",
    [
        b"x",
        b"DCF1",
        b"DCF1\0\0\0\2{}",
        b"DCF1\0\0\0\4null",
        b"DCF1\xff\xff\xff\xff",
        b'DCF1\0\0\0\x0b{"sizes":1}',
    ],
)
def test_malformed_replies_are_counted_and_end_no_thread(
    frame: bytes,
    backend: CeleryExecutionBackend,
    worker: FakeWorker,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is counted, and logged once."""
    future = square(3).submit(backend)
    taken = worker.take()
    for _ in range(5):
        taken.push(frame)
    taken.run()
    assert future.result(DEADLINE) == 9
    assert caplog.text.count("refused a reply") == 1
    assert backend._connected()._keyring.refusals.total == 5


def test_a_reply_with_a_malformed_outcome_fails_its_call(
    backend: CeleryExecutionBackend, worker: FakeWorker, caplog: pytest.LogCaptureFixture
) -> None:
    """Rather than to leave it waiting."""
    future = square(3).submit(backend)
    taken = worker.take()
    taken.push(
        Reply(
            taken.batch.id, "w", time.time(), sections=[Section("error", 1, b"nonsense")]
        ).encode()
    )
    with pytest.raises(SystemFailureError, match="the reply of w cannot be taken in"):
        future.result(DEADLINE)
    assert "a reply cannot be taken in" in caplog.text


def test_an_error_while_a_duplicate_reply_is_discarded_is_counted(
    backend: CeleryExecutionBackend, worker: FakeWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = backend._connected()
    future = square(3).submit(backend)
    taken = worker.take()
    taken.run()
    assert future.result(DEADLINE) == 9
    monkeypatch.setattr(client._values, "discard", broken)
    taken.run()
    assert square(4).submit(backend) is not None
    worker.take().run()
    wait_until(lambda: client._keyring.refusals.total == 1, "the count")


@pytest.mark.slow
def test_malformed_worker_records_are_removed_and_unknown_fields_ignored(
    backend: CeleryExecutionBackend, worker: FakeWorker, server: Server, eventually: Eventually
) -> None:
    """It is cleared away, and what another version says beside what is known here is passed over."""
    connection = connect(server.url)
    connection.hset(WORKERS, "odd", "{")
    backend.concurrency  # noqa: B018 - connects
    eventually(lambda: not connection.hexists(WORKERS, "odd"))

    @dataclass(frozen=True)
    class Later(presence.WorkerPresence):
        surprise: int = 1

    presence.show(connection, Later("w", 5, ["q"]))
    eventually(lambda: backend.concurrency == 5)
    future = square(3).submit(backend)
    worker.take().run()
    assert future.result(DEADLINE) == 9


# --- faults that the code does not foresee


def broken(*_: Any, **__: Any) -> Any:
    raise ZeroDivisionError("a bug")


def test_a_message_that_cannot_be_made_fails_its_calls(
    backend: CeleryExecutionBackend, worker: FakeWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It fails no other calls."""
    backend.concurrency  # noqa: B018 - connects
    with monkeypatch.context() as context:
        context.setattr(Publisher, "publish", broken)
        with pytest.raises(SystemFailureError, match="square could not be sent: ZeroDivisionError"):
            square(3).submit(backend).result(DEADLINE)
    future = square(4).submit(backend)
    worker.take().run()
    assert future.result(DEADLINE) == 16


@pytest.mark.parametrize("thread", ["sender", "receiver"])
def test_when_a_client_thread_dies_all_futures_fail(
    thread: str,
    backend: CeleryExecutionBackend,
    worker: FakeWorker,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """No future waits for ever. The next call has a new client."""
    monkeypatch.setattr(client_module, "LONGEST_WAIT", 0.05)
    first = square(3).submit(backend)
    worker.take()
    with monkeypatch.context() as context:
        if thread == "sender":
            # The client looks for calls to send about once in the time above. A call submitted
            # here could go to the next client, which would then fail as well.
            context.setattr(PendingCalls, "next_group", broken)
        else:
            context.setattr(presence, "show", broken)
        with pytest.raises(
            SystemFailureError,
            match="the client that sent the call has failed: ZeroDivisionError: a bug",
        ):
            first.result(DEADLINE)
    future = square(4).submit(backend)
    worker.serve([future])
    assert future.result() == 16
    assert "a client's thread has failed" in caplog.text


# --- with code of the user's in it


@pytest.mark.parametrize("raised", [SystemExit, KeyboardInterrupt, ValueError])
def test_an_exception_while_outcomes_are_processed_fails_only_their_calls(
    raised: type[BaseException],
    backend: CeleryExecutionBackend,
    worker: FakeWorker,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The receiver goes on."""
    client = backend._connected()
    take = client._receiver._take_outcomes

    def end(*_: object) -> None:
        raise raised

    monkeypatch.setattr(client._receiver, "_take_outcomes", end)
    failing = square(3).submit(backend)
    worker.take().run()
    with pytest.raises(
        SystemFailureError, match=f"cannot be taken in: {raised.__name__}"
    ) as caught:
        failing.result(DEADLINE)
    assert isinstance(caught.value.__cause__, raised)
    monkeypatch.setattr(client._receiver, "_take_outcomes", take)
    following = square(4).submit(backend)
    worker.take().run()
    assert following.result(DEADLINE) == 16


def test_ctrl_c_while_the_caller_processes_a_reply_raises_keyboard_interrupt(
    backend: CeleryExecutionBackend, worker: FakeWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The main thread waits at its own connection."""
    client = backend._connected()

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    call = client.send_now(square(3)._task())
    worker.take().run()
    monkeypatch.setattr(client._receiver, "_take_outcomes", interrupted)
    with pytest.raises(KeyboardInterrupt):
        call.result(DEADLINE)
