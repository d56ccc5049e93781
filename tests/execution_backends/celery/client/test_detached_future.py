"""The future of a detached call: what it makes of the replies it finds, and how long it lives."""

import gc
import weakref
from array import array

import numpy
import pytest

from distribute_challenge import attach
from distribute_challenge.core.messages import Reply
from distribute_challenge.core.references import Reference
from distribute_challenge.core.section import Section
from distribute_challenge.errors import (
    CallCancelledError,
    CallTimeoutError,
    QueueTimeoutError,
    TaskLostError,
    ValueLostError,
    VersionMismatchError,
)
from distribute_challenge.execution_backends.celery.backend import CeleryExecutionBackend
from distribute_challenge.execution_backends.celery.broker.keys import detached_key, outcome_key
from distribute_challenge.execution_backends.celery.client.detached_future import DetachedFuture
from distribute_challenge.serialisation.parcels import pack_result
from tests.execution_backends.celery.conftest import DEADLINE, FakeWorker
from tests.execution_backends.celery.detached import answer, report, send, square, submit
from tests.processes import wait_until

pytestmark = pytest.mark.celery


def test_a_detached_call_has_a_timeline(shared: CeleryExecutionBackend) -> None:
    """A client that attaches does not know when the call was made."""
    future = square(3).submit(shared, detach=True)
    assert future.timeline is None
    assert future.result(DEADLINE) == 9
    own, other = future.timeline, attach(future.id, shared).timeline
    assert own is not None
    assert other is not None
    assert own.created <= own.sent <= own.started <= own.finished <= own.received <= other.received
    assert other.created == other.sent == other.started == own.started
    assert other.worker == own.worker


def test_a_forged_outcome_is_an_error_and_affects_no_other_call(
    backend: CeleryExecutionBackend, worker: FakeWorker
) -> None:
    """Another program may have put these bytes there."""
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


def test_a_result_that_is_not_contained_in_its_reply_raises_value_lost_error(
    backend: CeleryExecutionBackend, worker: FakeWorker
) -> None:
    """There is no place where a client that attaches could find it."""
    future = submit(backend)
    taken = worker.take()
    elsewhere = pack_result(
        numpy.zeros(100_000), "it", lambda buffer: Reference("key", buffer.nbytes)
    )
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


@pytest.mark.slow
@pytest.mark.usefixtures("hurried")
def test_a_callback_is_called_though_the_user_keeps_no_future(
    backend: CeleryExecutionBackend, worker: FakeWorker
) -> None:
    """The client lets the future go then."""
    values = []
    future = submit(backend)
    future.add_done_callback(lambda done: values.append(done.result()))
    reference = weakref.ref(future)
    del future
    gc.collect()
    answer(worker.take())
    wait_until(lambda: values == [9])
    wait_until(lambda: gc.collect() >= 0 and reference() is None, "the future's end")


@pytest.mark.parametrize("raised", [SystemExit, ValueError])
def test_an_outcome_whose_unpickling_ends_the_program_is_an_error(
    raised: type[BaseException],
    backend: CeleryExecutionBackend,
    worker: FakeWorker,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The thread that looks for outcomes goes on."""

    def end(*_: object) -> None:
        raise raised

    future, other = submit(backend, 3), submit(backend, 4)
    monkeypatch.setattr(future, "_take", end)
    answer(worker.take())
    answer(worker.take())
    assert isinstance(future.exception(DEADLINE), raised)
    assert other.result(DEADLINE) == 16


def test_ctrl_c_during_attach_raises_keyboard_interrupt(
    backend: CeleryExecutionBackend, worker: FakeWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is while an outcome is unpickled, too."""

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    future = submit(backend, 3)
    answer(worker.take())
    assert future.result(DEADLINE) == 9
    monkeypatch.setattr(DetachedFuture, "_take", interrupted)
    with pytest.raises(KeyboardInterrupt):
        attach(future.id, backend)
