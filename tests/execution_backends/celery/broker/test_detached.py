"""The way of a detached call in Redis: it is sent, ends, and leaves only its outcome."""

import json
import sys

import pytest

from distribute_challenge import attach, compute_this
from distribute_challenge.errors import TaskLostError, WorkerLostError
from distribute_challenge.execution_backends.celery.backend import CeleryExecutionBackend
from distribute_challenge.execution_backends.celery.broker import detached
from distribute_challenge.execution_backends.celery.broker.detached import (
    DetachedRecords,
    answer_commands,
)
from distribute_challenge.execution_backends.celery.broker.keys import (
    detached_function_key,
    detached_key,
    outcome_key,
)
from distribute_challenge.execution_backends.celery.broker.pipelined import PipelinedConnection
from distribute_challenge.stores.redis import PART, VALUE_EXPIRY, value_key
from tests.execution_backends.celery.conftest import DEADLINE, FakeWorker, Taken
from tests.execution_backends.celery.detached import (
    QUEUE,
    answer,
    left,
    problem,
    replies,
    report,
    send,
    square,
    submit,
    tag,
)


@pytest.mark.slow
def test_a_detached_call_has_its_own_message_without_a_client(
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


def test_only_the_outcome_of_an_ended_detached_call_stays_in_redis(
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


def test_the_number_of_attempts_is_the_setting_of_the_submitting_client(
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


def test_a_message_that_is_sent_again_goes_first_and_has_a_new_delivery_tag(
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


def test_a_death_that_is_reported_repeatedly_counts_once(
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


def test_the_first_outcome_of_a_detached_call_is_kept(
    backend: CeleryExecutionBackend, worker: FakeWorker
) -> None:
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


def test_many_calls_are_looked_up_in_groups(
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
