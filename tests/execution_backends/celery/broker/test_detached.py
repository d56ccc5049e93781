"""Detached calls in Redis: each step of their lives, with only the process that takes it."""

import json
import sys
import time
from collections.abc import Callable
from typing import Any, cast

import pytest
import redis

from distribute_challenge import Future, attach, compute_this
from distribute_challenge.core.messages import Batch, Problem, Reply
from distribute_challenge.errors import BackendError, TaskLostError, WorkerLostError
from distribute_challenge.execution.function_cache import FunctionCache
from distribute_challenge.execution.run import execute
from distribute_challenge.execution_backends.celery.backend import CeleryExecutionBackend
from distribute_challenge.execution_backends.celery.broker import detached
from distribute_challenge.execution_backends.celery.broker.connection import connect
from distribute_challenge.execution_backends.celery.broker.detached import (
    DetachedRecords,
    answer_commands,
)
from distribute_challenge.execution_backends.celery.broker.keys import (
    DETACHED_OPEN,
    UNACKED,
    detached_function_key,
    detached_key,
    outcome_key,
)
from distribute_challenge.execution_backends.celery.broker.pipelined import PipelinedConnection
from distribute_challenge.execution_backends.celery.broker.publishing import queue_keys
from distribute_challenge.execution_backends.celery.worker.replying import send_reply
from distribute_challenge.security import Keyring, Purpose
from distribute_challenge.settings import DEFAULT_QUEUE
from distribute_challenge.stores.redis import PART, VALUE_EXPIRY, value_key
from tests.execution_backends.celery.conftest import DEADLINE, FakeWorker, Server, Taken
from tests.secret import KEYRING

Eventually = Callable[[Callable[[], bool]], None]

QUEUE = queue_keys(DEFAULT_QUEUE)[9]


@compute_this
def square(x: int) -> int:
    return x * x


def submit(
    backend: CeleryExecutionBackend, number: int = 3, function: Any = square, **options: Any
) -> Future[Any]:
    future: Future[Any] = function(number).submit(backend, detach=True, **options)
    return future


def replies(taken: Taken) -> list[bytes]:
    """What the call gives."""
    connection = taken.worker.connection

    def payload(digest: str) -> bytes:
        sealed = cast(bytes, connection.hget(detached_function_key(digest), "payload"))
        return bytes(KEYRING.open(Purpose.function(digest), sealed))

    return list(execute(taken.frame, FunctionCache(payload), "fake@test/1", taken.worker.values))


def send(taken: Taken, reply: bytes) -> None:
    """Reply to it as a worker does."""
    line = PipelinedConnection(taken.worker.connection)
    send_reply(line, KEYRING, taken.batch.reply_to, reply)
    line.close()


def answer(taken: Taken) -> None:
    """Run it, and say what came of it."""
    for reply in replies(taken):
        send(taken, reply)


def problem(batch: Batch, kind: str) -> bytes:
    return Reply(batch.id, "fake@test/1", time.time(), problem=Problem(kind, "a reason")).encode()


def report(taken: Taken, kind: str) -> None:
    send(taken, problem(taken.batch, kind))


def tag(taken: Taken) -> str:
    text: str = taken.envelope["properties"]["delivery_tag"]
    return text


def hold(taken: Taken) -> None:
    """Write it into the hash of what workers hold."""
    taken.worker.connection.hset(UNACKED, tag(taken), "it")


def left(worker: FakeWorker) -> list[str]:
    """What there is of detached calls."""
    names = (
        worker.connection.keys(f"distribute_challenge:{kind}:*") for kind in ("detached", "value")
    )
    return sorted(key.decode() for found in names for key in found)  # type: ignore[union-attr]


@pytest.fixture
def records(server: Server, monkeypatch: pytest.MonkeyPatch) -> DetachedRecords:
    monkeypatch.setattr(detached, "APART", -1)
    return DetachedRecords(connect(server.url))


@pytest.mark.slow
def test_a_detached_call_travels_by_itself_and_has_no_client(
    backend: CeleryExecutionBackend, worker: FakeWorker
) -> None:
    """No client that is gone makes a worker drop it.

    Its header says where the reply goes, and how long that is kept.
    """
    future = submit(backend, time_to_live=12.5)
    taken = worker.take()
    batch = taken.batch
    assert (batch.client, batch.keep, batch.calls, batch.places) == ("", 12.5, 1, ())
    assert batch.reply_to == taken.envelope["properties"]["reply_to"] == outcome_key(future.id)
    assert batch.lifetime == detached.LONGEST_IN_QUEUE
    assert worker.waiting() == 0


def test_an_outcome_is_all_that_stays_of_a_call_that_has_ended(
    backend: CeleryExecutionBackend, worker: FakeWorker
) -> None:
    """It stays as long as the caller asked, and can be read many times."""
    future = submit(backend, time_to_live=100)
    answer(worker.take())
    assert left(worker) == [outcome_key(future.id)]
    assert 98 <= worker.connection.ttl(outcome_key(future.id)) <= 100
    assert [attach(future.id, backend).result(DEADLINE) for _ in range(3)] == [9, 9, 9]


def test_a_function_is_kept_until_the_last_call_that_needs_it(
    backend: CeleryExecutionBackend, worker: FakeWorker
) -> None:
    """Redis keeps it once for all of them."""
    submit(backend, 1), submit(backend, 2)
    first, second = worker.take(), worker.take()
    key = detached_function_key(first.batch.function)
    assert worker.connection.hlen(key) == 3
    answer(first)
    assert worker.connection.hlen(key) == 2
    answer(second)
    assert not worker.connection.exists(key)


@pytest.mark.parametrize("end", ["answered", "taken back"])
def test_large_arguments_lie_beside_the_message_as_long_as_the_call_is_open(
    end: str, backend: CeleryExecutionBackend, worker: FakeWorker, records: DetachedRecords
) -> None:
    """They lie in parts, so that no command blocks Redis for long, and go with the record."""
    future = submit(backend, function=compute_this(len), number=bytes(PART + 1))  # type: ignore[arg-type]
    parts = sorted(worker.connection.keys("distribute_challenge:value:*"))  # type: ignore[type-var] # typed for async too
    assert len(parts) == 2
    for key in (detached_key(future.id), *parts):
        assert detached.OPEN_EXPIRY - 60 <= worker.connection.ttl(key) <= detached.OPEN_EXPIRY
    assert len(worker.connection.lindex(QUEUE, -1) or b"") < 4_000
    if end == "answered":
        answer(worker.take())
        assert future.result(DEADLINE) == PART + 1
        worker.connection.delete(outcome_key(future.id))
    else:
        assert records.take_back(future.id)
    assert left(worker) == []


def test_a_record_that_names_the_values_of_others_frees_none_of_them(
    backend: CeleryExecutionBackend, worker: FakeWorker, records: DetachedRecords
) -> None:
    """It is not signed."""
    number = submit(backend).id
    other = value_key("another", "arguments")
    worker.connection.set(other, "a value")
    worker.connection.hset(detached_key(number), "arguments", other)
    assert records.take_back(number)
    assert worker.connection.exists(other)


def test_large_arguments_of_a_client_that_dies_while_it_submits_expire_soon(
    backend: CeleryExecutionBackend, worker: FakeWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No record names them."""
    monkeypatch.setattr(DetachedRecords, "add", lambda *arguments, **options: sys.exit("killed"))
    with pytest.raises(SystemExit):
        submit(backend, bytes(200_000))  # type: ignore[arg-type]
    (key,) = left(worker)
    assert worker.connection.ttl(key) <= VALUE_EXPIRY


def test_a_call_whose_large_arguments_are_gone_is_lost(
    backend: CeleryExecutionBackend, worker: FakeWorker
) -> None:
    """An eviction policy may remove them."""
    future = submit(backend, bytes(200_000))  # type: ignore[arg-type]
    taken = worker.take()
    worker.connection.delete(value_key(future.id, "arguments"))
    answer(taken)
    with pytest.raises(
        TaskLostError, match=r"square: its large arguments are gone from Redis.*maxmemory-policy"
    ):
        future.result(DEADLINE)


def test_a_call_whose_process_died_is_sent_again_without_a_waiting_client(
    backend: CeleryExecutionBackend, worker: FakeWorker
) -> None:
    """It is tried three times in all."""
    number = submit(backend).id
    for _ in range(2):
        report(worker.take(), "lost")
    taken = worker.take()
    assert taken.batch.id == number
    report(taken, "lost")
    assert worker.waiting() == 0
    with pytest.raises(WorkerLostError, match=r"a reason, at the last of its attempts"):
        attach(number, backend).result(DEADLINE)
    assert left(worker) == [outcome_key(number)]


def test_the_number_of_attempts_is_its_clients(
    backend: CeleryExecutionBackend, worker: FakeWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other calls have their client's, too."""
    monkeypatch.setenv("DISTRIBUTE_CHALLENGE_ATTEMPTS", "1")
    future = submit(backend)
    monkeypatch.undo()
    report(worker.take(), "lost")
    assert isinstance(future.exception(DEADLINE), WorkerLostError)


def test_a_call_that_may_run_once_is_not_sent_again(
    backend: CeleryExecutionBackend, worker: FakeWorker
) -> None:
    """Its loss is told."""
    future = submit(backend, function=square.with_options(at_most_once=True))
    taken = worker.take()
    assert taken.batch.at_most_once
    report(taken, "lost")
    assert isinstance(future.exception(DEADLINE), WorkerLostError)


def test_a_message_that_is_sent_again_is_the_next_and_has_another_tag(
    backend: CeleryExecutionBackend, worker: FakeWorker
) -> None:
    """A frozen worker that wakes removes its own entry, and not the new worker's."""
    submit(backend, 1)
    first = worker.take()
    submit(backend, 2)
    report(first, "lost")
    again = worker.take()
    assert again.batch == first.batch
    assert tag(again) != tag(first)


def test_a_death_that_is_told_twice_counts_once(
    backend: CeleryExecutionBackend, worker: FakeWorker
) -> None:
    """A worker says it again if the broker went away before it answered."""
    number = submit(backend).id
    taken = worker.take()
    commands = answer_commands(taken.batch.reply_to, problem(taken.batch, "lost"), lost=True)
    line = PipelinedConnection(worker.connection)
    for _ in range(3):
        line.send(*commands)
        line.settle()
    line.close()
    assert worker.waiting() == 1
    assert worker.connection.hget(detached_key(number), "deaths") == b"1"


def test_the_first_outcome_counts(backend: CeleryExecutionBackend, worker: FakeWorker) -> None:
    """A call may run twice, if its worker was frozen."""
    future = submit(backend)
    taken = worker.take()
    answer(taken)
    report(taken, "timeout")
    report(taken, "lost")
    assert future.result(DEADLINE) == 9
    assert attach(future.id, backend).result(DEADLINE) == 9
    assert left(worker) == [outcome_key(future.id)]


def test_a_call_that_was_sent_again_does_not_run_if_it_ends_before(
    backend: CeleryExecutionBackend, worker: FakeWorker
) -> None:
    """It was not dead, but frozen."""
    future = submit(backend)
    taken = worker.take()
    report(taken, "lost")
    assert worker.waiting() == 1
    answer(taken)
    assert worker.waiting() == 0
    assert future.result(DEADLINE) == 9


def test_the_outcome_of_a_call_that_is_not_open_is_dropped(
    backend: CeleryExecutionBackend, worker: FakeWorker, records: DetachedRecords
) -> None:
    """It was cancelled, or Redis was emptied."""
    future = submit(backend)
    copy = Taken(worker, json.loads(worker.connection.lindex(QUEUE, -1)))  # type: ignore[arg-type] # typed for async too
    (outcome,) = replies(copy)
    assert records.take_back(future.id)
    assert not records.take_back(future.id)
    assert left(worker) == []
    send(copy, outcome)
    assert left(worker) == []


def test_a_call_that_a_worker_has_is_not_taken_back(
    backend: CeleryExecutionBackend, worker: FakeWorker, records: DetachedRecords
) -> None:
    """It goes on."""
    future = submit(backend)
    taken = worker.take()
    assert not records.take_back(future.id)
    answer(taken)
    assert future.result(DEADLINE) == 9


def test_a_look_tells_where_a_message_is(
    backend: CeleryExecutionBackend, worker: FakeWorker, records: DetachedRecords
) -> None:
    """It is in its queue, with a worker, or nowhere."""
    number = submit(backend).id
    assert records.look(number).state == "waiting"
    taken = worker.take()
    assert records.look(number) == ("missing", tag(taken), DEFAULT_QUEUE)
    hold(taken)
    assert records.look(number) == ("held", tag(taken), DEFAULT_QUEUE)
    answer(taken)
    assert records.look(number).state == "over"


def test_a_message_that_is_missing_twice_is_sent_again_once(
    backend: CeleryExecutionBackend, worker: FakeWorker, records: DetachedRecords
) -> None:
    """The first process to look for the second time sends it, also if another one looked before."""
    number = submit(backend).id
    worker.take()
    assert records.look(number).state == "missing"
    assert DetachedRecords(worker.connection).look(number).state == "again"
    assert records.look(number).state == "waiting"
    worker.take()
    assert records.look(number).state == "missing"
    assert worker.waiting() == 0


def test_two_looks_at_once_are_one(
    backend: CeleryExecutionBackend,
    worker: FakeWorker,
    records: DetachedRecords,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Between its queue and the worker's entry a message is nowhere for a moment."""
    monkeypatch.setattr(detached, "APART", 60)
    number = submit(backend).id
    taken = worker.take()
    assert [records.look(number).state for _ in range(3)] == ["missing"] * 3
    hold(taken)
    assert records.look(number).state == "held"
    monkeypatch.setattr(detached, "APART", -1)
    worker.connection.hdel(UNACKED, tag(taken))
    assert records.look(number).state == "missing"  # It has been seen since it was missing last.


def test_a_look_that_tells_no_caller_ends_no_call(
    backend: CeleryExecutionBackend,
    worker: FakeWorker,
    records: DetachedRecords,
    eventually: Eventually,
) -> None:
    """A client that attaches hears what became of it."""
    once = submit(backend, function=square.with_options(at_most_once=True)).id
    worker.take()
    assert [records.look(once, ends=False).state for _ in range(3)] == ["missing"] * 3
    late = submit(backend, function=square.with_options(queue_timeout=0.001)).id
    eventually(
        lambda: time.time() > float(worker.connection.hget(detached_key(late), "begin_by") or 0)
    )
    assert records.look(late, ends=False).state == "waiting"
    assert [records.look(each).state for each in (once, late)] == ["lost", "late"]


def test_calls_without_a_look_for_long_are_looked_at(
    backend: CeleryExecutionBackend,
    worker: FakeWorker,
    records: DetachedRecords,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One of the processes that ask looks at them, the longest ago first."""
    monkeypatch.setattr(detached, "TURN", 0)
    assert records.overlooked(10) == []
    numbers = [submit(backend, number).id for number in range(3)]
    worker.connection.zadd(DETACHED_OPEN, {name: place for place, name in enumerate(numbers, 1)})
    assert records.overlooked(2) == numbers[:2]
    records.look(numbers[0])
    assert records.overlooked(10) == numbers[1:]
    monkeypatch.setattr(detached, "TURN", 60)
    assert records.overlooked(10) == []


def test_a_call_that_is_gone_is_not_looked_at_again(
    backend: CeleryExecutionBackend, worker: FakeWorker, records: DetachedRecords
) -> None:
    """Its record has expired, say."""
    number = submit(backend).id
    worker.connection.delete(detached_key(number))
    assert records.look(number).state == "over"
    assert worker.connection.zrange(DETACHED_OPEN, 0, -1) == [b""]


def test_a_message_that_celery_put_back_in_its_own_words_is_not_missing(
    backend: CeleryExecutionBackend, worker: FakeWorker, records: DetachedRecords
) -> None:
    """It notes in a message that it was delivered before."""
    number = submit(backend).id
    for other in range(150):
        submit(backend, other)
    taken = worker.take()
    taken.envelope["headers"]["redelivered"] = True
    worker.connection.lpush(QUEUE, json.dumps(taken.envelope))
    assert records.look(number).state == "missing"
    assert records.look(number).state == "waiting"
    assert records.look(number).state == "waiting"  # Now it is known.
    assert records.take_back(number)
    assert worker.waiting() == 150


def test_a_message_that_is_lost_each_time_is_given_up(
    backend: CeleryExecutionBackend, worker: FakeWorker, records: DetachedRecords
) -> None:
    """What loses it might be the call itself."""
    number = submit(backend).id
    for state in ("again", "again", "lost"):
        worker.take()
        assert [records.look(number).state for _ in range(2)] == ["missing", state]
    assert left(worker) == []
    with pytest.raises(TaskLostError, match="no detached call has the id"):
        attach(number, backend).result(DEADLINE)


def test_a_message_whose_time_is_over_is_taken_out_of_its_queue(
    backend: CeleryExecutionBackend,
    worker: FakeWorker,
    records: DetachedRecords,
    eventually: Eventually,
) -> None:
    """Any process that looks takes it out."""
    number = submit(backend, function=square.with_options(queue_timeout=0.001)).id
    eventually(lambda: records.look(number).state == "late")
    assert worker.waiting() == 0
    assert left(worker) == []


def test_many_calls_are_asked_for_together(
    backend: CeleryExecutionBackend,
    worker: FakeWorker,
    records: DetachedRecords,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`over` finds the calls that are not open."""
    monkeypatch.setattr(detached, "AT_ONCE", 2)
    numbers = [submit(backend, number).id for number in range(5)]
    assert records.over(numbers) == []
    answer(worker.take())
    assert records.over([*numbers, "unknown"]) == [numbers[0], "unknown"]
    assert records.outcome("unknown") is None


def put_back(worker: FakeWorker, taken: Taken, record: dict[bytes, bytes]) -> None:
    """Do as an attacker who has kept a record and its message, and may write to Redis."""
    worker.connection.hset(detached_key(taken.batch.id), mapping=record)  # type: ignore[arg-type] # bytes will do
    worker.connection.rpush(QUEUE, json.dumps(taken.envelope))


def record_of(worker: FakeWorker, call: str) -> dict[bytes, bytes]:
    return cast("dict[bytes, bytes]", worker.connection.hgetall(detached_key(call)))


def test_a_call_whose_record_is_put_back_has_ended_as_long_as_its_outcome_is_kept(
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


def test_what_only_looks_like_an_outcome_ends_no_call(
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


def test_an_outcome_that_cannot_be_decrypted_is_one_all_the_same(
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
def test_a_record_that_no_client_has_written_is_none(
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
def test_what_stands_in_a_record_may_be_any_bytes(
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


def test_what_is_no_hash_is_no_record(
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


def test_names_of_no_call_are_not_looked_for(
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


def test_what_is_no_reply_is_no_reason_to_stop(
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
