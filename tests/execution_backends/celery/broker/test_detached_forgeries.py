"""What another program may write into the records of detached calls."""

import json
from typing import cast

import pytest
import redis

from distribute_challenge import attach
from distribute_challenge.errors import BackendError, TaskLostError
from distribute_challenge.execution_backends.celery.backend import CeleryExecutionBackend
from distribute_challenge.execution_backends.celery.broker import detached
from distribute_challenge.execution_backends.celery.broker.detached import DetachedRecords
from distribute_challenge.execution_backends.celery.broker.keys import (
    DETACHED_OPEN,
    detached_function_key,
    detached_key,
    outcome_key,
)
from distribute_challenge.security import Keyring
from distribute_challenge.stores.redis import value_key
from tests.execution_backends.celery.conftest import DEADLINE, FakeWorker, Taken
from tests.execution_backends.celery.detached import QUEUE, answer, replies, send, submit


def test_a_record_that_names_values_of_other_calls_does_not_free_them(
    backend: CeleryExecutionBackend, worker: FakeWorker, records: DetachedRecords
) -> None:
    """It is not signed."""
    number = submit(backend).id
    other = value_key("another", "arguments")
    worker.connection.set(other, "a value")
    worker.connection.hset(detached_key(number), "arguments", other)
    assert records.take_back(number)
    assert worker.connection.exists(other)


def put_back(worker: FakeWorker, taken: Taken, record: dict[bytes, bytes]) -> None:
    """Do as an attacker who has kept a record and its message, and may write to Redis."""
    worker.connection.hset(detached_key(taken.batch.id), mapping=record)  # type: ignore[arg-type] # bytes will do
    worker.connection.rpush(QUEUE, json.dumps(taken.envelope))


def record_of(worker: FakeWorker, call: str) -> dict[bytes, bytes]:
    return cast("dict[bytes, bytes]", worker.connection.hgetall(detached_key(call)))


def test_a_call_counts_as_ended_although_another_program_writes_its_record_again(
    backend: CeleryExecutionBackend, worker: FakeWorker, records: DetachedRecords
) -> None:
    """The record goes once more, so that clients that attach get the outcome."""
    future = submit(backend)
    record = record_of(worker, future.id)
    taken = worker.take()
    assert not records.has_ended(future.id)
    answer(taken)
    assert records.has_ended(future.id)
    for again in (record, {**record, b"keep": b"x"}):
        put_back(worker, taken, again)
        assert records.has_ended(future.id)
        assert not worker.connection.exists(detached_key(future.id))
    assert attach(future.id, backend).result(DEADLINE) == 9


def test_a_call_without_a_record_has_ended(
    backend: CeleryExecutionBackend, worker: FakeWorker, records: DetachedRecords
) -> None:
    """It was cancelled, or its outcome has expired."""
    future = submit(backend)
    assert records.take_back(future.id)
    assert records.has_ended(future.id)


def test_a_forged_or_foreign_outcome_does_not_end_a_call(
    backend: CeleryExecutionBackend,
    worker: FakeWorker,
    records: DetachedRecords,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Unsigned, of another call, of another type, or expired meanwhile.

    What is encrypted is signed.
    """
    future, other = submit(backend), submit(backend)
    taken = worker.take()
    answer(worker.take())
    place = outcome_key(future.id)
    foreign = cast(bytes, worker.connection.get(outcome_key(other.id)))
    for forged in (b"nonsense", foreign):
        worker.connection.set(place, forged)
        assert not records.has_ended(future.id)
    worker.connection.delete(place)
    worker.connection.rpush(place, "a list")
    assert not records.has_ended(future.id)
    with monkeypatch.context() as context:
        context.setattr(DetachedRecords, "outcome", lambda *_: None)
        assert not records.has_ended(future.id)
    worker.connection.delete(place)
    answer(taken)
    assert future.result(DEADLINE) == 9


def test_an_outcome_that_cannot_be_decrypted_still_ends_its_call(
    backend: CeleryExecutionBackend,
    worker: FakeWorker,
    records: DetachedRecords,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its signature says so."""
    future = submit(backend)
    record = record_of(worker, future.id)
    taken = worker.take()
    answer(taken)
    put_back(worker, taken, record)
    error = BackendError("encrypted calls need the package cryptography")
    monkeypatch.setattr(Keyring, "open", lambda *_: (_ for _ in ()).throw(error))
    assert records.has_ended(future.id)


MALFORMED: dict[str, dict[str, bytes | None]] = {
    **{
        f"no {field}": {field: None}
        for field in ("id", "function", "queue", "message", "tag", "keep", "deaths")
    },
    **{f"no {field}": {field: None} for field in ("attempts", "begin_by")},
    "a time that is none": {"begin_by": b"\xff"},
    "a negative time to live": {"keep": b"-1"},
    "attempts that are none": {"attempts": b"many"},
    "deaths without end": {"deaths": b"9" * 400},
    "a queue that is a sorted set": {"queue": DETACHED_OPEN.encode()},
}


@pytest.mark.parametrize("changes", MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_record_is_treated_as_missing(
    backend: CeleryExecutionBackend,
    worker: FakeWorker,
    records: DetachedRecords,
    changes: dict[str, bytes | None],
) -> None:
    """Its future fails as one of a call that is not there, and the others go on."""
    other, future = submit(backend, 4), submit(backend)
    first, taken = worker.take(), worker.take()
    for field, value in changes.items():
        if value is None:
            worker.connection.hdel(detached_key(future.id), field)
        else:
            worker.connection.hset(detached_key(future.id), field, value)
    assert not records.take_back(future.id)
    assert not records.is_held(future.id)
    (outcome,) = replies(taken)
    send(taken, outcome)
    assert not worker.connection.exists(outcome_key(future.id))
    assert records.look(future.id).state == "over"
    answer(first)
    assert other.result(DEADLINE) == 16
    assert isinstance(future.exception(DEADLINE), TaskLostError)
    assert records.overlooked(10) == []


@pytest.mark.parametrize("field", ["tag", "queue", "message", "function", "id", "suspect", "since"])
@pytest.mark.parametrize(
    "value", [b"\xff\xfe", b"\x1b[2J\n", b""], ids=["bytes", "control", "nothing"]
)
def test_arbitrary_bytes_in_a_field_of_a_record_raise_no_error(
    backend: CeleryExecutionBackend,
    worker: FakeWorker,
    records: DetachedRecords,
    field: str,
    value: bytes,
) -> None:
    """No look raises, and each call ends."""
    future = submit(backend)
    worker.take()
    records.look(future.id)
    worker.connection.hset(detached_key(future.id), field, value)
    records.is_held(future.id)
    for _ in range(6):
        records.look(future.id)
    worker.connection.delete(detached_key(future.id))
    assert isinstance(future.exception(DEADLINE), TaskLostError)


def test_a_record_that_is_not_a_hash_ends_its_call_as_lost(
    backend: CeleryExecutionBackend, worker: FakeWorker, records: DetachedRecords
) -> None:
    future = submit(backend)
    worker.take()
    worker.connection.delete(detached_key(future.id))
    worker.connection.set(detached_key(future.id), b"x")
    assert records.look(future.id).state == "over"
    assert isinstance(future.exception(DEADLINE), TaskLostError)


def test_a_function_s_place_may_hold_another_type(
    backend: CeleryExecutionBackend, worker: FakeWorker, records: DetachedRecords
) -> None:
    """The call ends all the same."""
    future = submit(backend)
    taken = worker.take()
    (outcome,) = replies(taken)
    place = detached_function_key(taken.batch.function)
    worker.connection.delete(place)
    worker.connection.set(place, b"x")
    send(taken, outcome)
    assert future.result(DEADLINE) == 9


def test_malformed_names_in_the_list_of_open_calls_are_skipped(
    backend: CeleryExecutionBackend,
    worker: FakeWorker,
    records: DetachedRecords,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They may be the names of other keys, or hold line breaks."""
    monkeypatch.setattr(detached, "TURN", -1)
    monkeypatch.setattr(detached, "UNSEEN", -1)
    number = submit(backend).id
    strange: list[bytes] = [b"open", b"x\n", b"\xff", number.encode() + b":outcome"]
    worker.connection.zadd(DETACHED_OPEN, dict.fromkeys(strange, 1.0))
    assert records.overlooked(10) == [number]
    assert sorted(worker.connection.zrange(DETACHED_OPEN, 0, -1)) == [b"", number.encode()]  # type: ignore[arg-type]


def test_an_outcome_of_another_redis_type_is_empty_but_other_errors_are_raised(
    worker: FakeWorker, records: DetachedRecords
) -> None:
    """Another program's list in the place of an outcome does not count.

    What Redis cannot do now is another matter.
    """
    worker.connection.rpush(outcome_key("a list"), "not a reply")
    assert records.outcome("a list") == b""
    worker.connection.acl_setuser("default", enabled=True, commands=["-get"])
    with pytest.raises(redis.ResponseError, match="no permissions"):
        records.outcome("a list")
