"""A look at a detached call: where its message is, and whether to send it again."""

import json
import time
from collections.abc import Callable

import pytest

from distribute_challenge import attach
from distribute_challenge.errors import TaskLostError
from distribute_challenge.execution_backends.celery.backend import CeleryExecutionBackend
from distribute_challenge.execution_backends.celery.broker import detached
from distribute_challenge.execution_backends.celery.broker.detached import DetachedRecords
from distribute_challenge.execution_backends.celery.broker.keys import (
    DETACHED_OPEN,
    UNACKED,
    detached_key,
)
from distribute_challenge.settings import DEFAULT_QUEUE
from tests.execution_backends.celery.conftest import DEADLINE, FakeWorker
from tests.execution_backends.celery.detached import QUEUE, answer, hold, left, square, submit, tag

Eventually = Callable[[Callable[[], bool]], None]


def test_look_tells_whether_a_message_is_waiting_held_missing_or_over(
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


def test_two_looks_in_quick_succession_count_as_one(
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


def test_a_look_with_ends_false_ends_no_call(
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


def test_overlooked_returns_the_calls_that_were_not_looked_at_for_longest(
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


def test_a_message_that_celery_has_put_back_changed_is_not_missing(
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


def test_a_message_past_its_queue_timeout_is_removed_from_its_queue(
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
