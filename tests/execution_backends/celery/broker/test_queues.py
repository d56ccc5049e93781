"""Queues of items in Redis, step by step."""

from collections.abc import Callable
from typing import Any

import pytest
import redis

from distribute_challenge.execution_backends.celery.broker.connection import Broker
from distribute_challenge.execution_backends.celery.broker.keys import queue_key
from distribute_challenge.execution_backends.celery.broker.queues import (
    QueueGoneError,
    QueueRecord,
    queue_names,
)

pytestmark = pytest.mark.celery

ID = "named:numbers"


@pytest.fixture
def record(connection: Broker) -> QueueRecord:
    record = QueueRecord(connection, ID)
    record.open(0, 60.0, 3, 0)
    return record


def entries(record: QueueRecord, holder: str = "me", most: int = 10, name: str = "d") -> list[Any]:
    """What is taken: block, start, stop, losses."""
    return [entry[1:5] for entry in record.take(holder, name, most).entries]


def test_an_entry_is_divided_among_holders_that_take_parts_of_it(record: QueueRecord) -> None:
    record.put("aa", 0, 5, b"five", [])
    first = record.take("me", "d", 2).entries
    second = record.take("you", "e", 9).entries
    assert first == [("d:0", "aa", 0, 2, 0, b"five")]
    assert second == [("e:0", "aa", 2, 5, 0, b"five")]
    assert record.take("me", "f", 1).entries == ()


def test_a_block_that_the_holder_knows_is_not_sent(record: QueueRecord) -> None:
    record.put("aa", 0, 2, b"two", [])
    record.put("bb", 0, 1, b"one", [])
    taken = record.take("me", "d", 5, ["aa"]).entries
    assert [entry.sealed for entry in taken] == [b"", b"one"]


def test_no_more_than_a_megabyte_is_taken_at_once(record: QueueRecord) -> None:
    for block in ("aa", "bb", "cc"):
        record.put(block, 0, 1, bytes(600_000), [])
    assert len(entries(record)) == 2


@pytest.mark.parametrize("maxsize", [0, 3])
def test_a_step_that_is_repeated_has_one_effect(record: QueueRecord, maxsize: int) -> None:
    """Its answer may have been lost."""
    record.resize(maxsize)
    assert record.put("aa", 0, 5, b"five", []) == (maxsize or 5)
    assert record.put("aa", 0, 5, b"five", []) == (maxsize or 5)
    assert record.put("bb", 0, 5, b"five", []) == (0 if maxsize else 5)
    first = entries(record, most=2)
    assert first == [("aa", 0, 2, 0)]
    assert entries(record, most=2) == first
    assert [record.done("me", [("d:0", 2)]) for _ in range(2)] == [0, 1]
    state = record.state()
    assert state is not None
    assert state.unfinished == (1 if maxsize else 8)


def test_items_are_done_one_by_one(record: QueueRecord, connection: Broker) -> None:
    """The block goes with the last one."""
    record.put("aa", 0, 3, b"three", [])
    record.take("me", "d", 3)
    assert record.done("me", [("d:0", 1)]) == 0
    record.give_back("me", "d")
    assert entries(record, name="e") == [("aa", 1, 3, 0)]
    assert record.done("me", [("e:0", 3)]) == 0
    assert not connection.exists(queue_key("blocks", ID), queue_key("leases", ID))


def test_items_that_are_given_back_are_taken_first(record: QueueRecord) -> None:
    for number in range(4):
        record.put(f"a{number}", 0, 2, b"two", [])
    record.take("me", "d", 6)
    record.give_back("me", "d", 1, 1)
    assert entries(record, "you", 20) == [("a1", 1, 2, 0), ("a2", 0, 2, 0), ("a3", 0, 2, 0)]
    record.give_back("me", "d", 0, 2)
    assert record.done("me", [("d:0", 2)]) == 0


def test_items_of_a_lost_holder_are_taken_first_and_their_loss_is_counted(
    record: QueueRecord, connection: Broker
) -> None:
    record.put("aa", 0, 2, b"two", [])
    record.put("bb", 0, 1, b"one", [])
    record.take("lost", "d", 2)
    connection.zadd(queue_key("leases", ID), {"lost": 1.0})
    assert entries(record, name="e") == [("aa", 0, 1, 1)]
    assert entries(record, name="f") == [("aa", 1, 2, 1)]
    assert entries(record, name="g") == [("bb", 0, 1, 0)]
    assert record.done("lost", [("d:0", 1)]) == 1


def lose(record: QueueRecord, most: int) -> None:
    """Take items, and let their holder be lost."""
    record.take("lost", "lost", most)
    record.connection.zadd(queue_key("leases", ID), {"lost": 1.0})


def test_an_item_of_lost_holders_is_delivered_alone_and_becomes_a_dead_letter(
    record: QueueRecord,
) -> None:
    """It comes first, until it has had its attempts; those that it shared a message with go on."""
    record.put("aa", 0, 1, b"one", [])
    record.put("bb", 0, 3, b"three", [])
    lose(record, 3)
    for _ in range(2):
        lose(record, 5)
    assert entries(record, name="e") == [("bb", 0, 1, 1)]
    assert record.dead(5) == [("", "aa", 0, 1, 3, b"one")]
    state = record.state()
    assert state is not None
    assert (state.size, state.unfinished) == (2, 3)
    assert entries(record, name="f") == [("bb", 1, 2, 1)]
    assert entries(record, name="g") == [("bb", 2, 3, 0)]
    assert record.requeue() == 1
    assert record.dead(5) == []
    assert entries(record, name="h") == [("aa", 0, 1, 0)]
    state = record.state()
    assert state is not None
    assert (state.size, state.unfinished) == (0, 4)


def test_take_stops_before_an_item_that_was_lost(record: QueueRecord) -> None:
    record.put("aa", 0, 2, b"two", [])
    record.put("bb", 0, 1, b"one", [])
    record.take("me", "d", 1)
    lose(record, 1)
    record.take("you", "e", 1)
    record.take("you", "f", 1)
    record.give_back("you", "e")
    record.give_back("me", "d")
    assert entries(record, name="g") == [("aa", 0, 1, 0)]
    assert entries(record, name="h") == [("aa", 1, 2, 1)]


def test_dead_letters_stay_when_a_queue_is_shut_down(record: QueueRecord) -> None:
    record.put("aa", 0, 1, b"one", [])
    for _ in range(3):
        lose(record, 1)
    record.take("me", "d", 1)
    record.shut_down(immediate=True)
    assert record.requeue() is None
    assert len(record.dead(1)) == 1


def test_a_holder_that_renews_its_lease_keeps_its_items(
    record: QueueRecord, connection: Broker
) -> None:
    record.put("aa", 0, 1, b"one", [])
    record.take("me", "d", 1)
    until = record.take("you", "e", 1).until_lost
    assert until is not None
    assert 0 < until <= 60
    connection.zadd(queue_key("leases", ID), {"me": 1.0})
    record.renew("me")
    assert record.take("you", "f", 1).entries == ()
    assert record.done("me", [("d:0", 1)]) == 0


def test_a_holder_that_leaves_gives_all_its_items_back(record: QueueRecord) -> None:
    record.put("aa", 0, 1, b"one", [])
    record.put("bb", 0, 1, b"one", [])
    record.take("me", "d", 2)
    record.leave("me")
    assert entries(record, "you") == [("aa", 0, 1, 0), ("bb", 0, 1, 0)]


def test_items_of_a_lost_holder_are_dropped_after_shutting_down_at_once(
    record: QueueRecord,
) -> None:
    record.put("aa", 0, 2, b"two", [])
    record.take("me", "d", 1)
    record.shut_down(immediate=True)
    record.leave("me")
    state = record.state()
    assert state is not None
    assert (state.size, state.unfinished, state.is_shut) == (0, 0, True)
    assert record.take("me", "e", 1).is_shut
    assert record.put("bb", 0, 1, b"one", []) is None


def test_wait_returns_true_while_the_awaited_condition_holds(record: QueueRecord) -> None:
    assert record.wait("idle", 0.01)
    record.signal()
    assert record.wait("idle", 0.01)
    record.put("aa", 0, 2, b"two", [])
    assert record.wait("ready", 0.01)
    assert not record.wait("ready", 0.01)
    record.take("me", "d", 1)
    assert record.wait("ready", 0.01)
    record.take("me", "e", 1)
    assert not record.wait("ready", 0.01)
    assert not record.wait("idle", 0.01)
    assert not record.wait("room", 0.01)
    record.resize(1)
    assert record.wait("room", 0.01)


def test_a_queue_that_ends_with_its_client_expires(connection: Broker) -> None:
    """So do all its keys, those of large items too, unless the client renews them."""
    record = QueueRecord(connection, "unnamed:1")
    record.open(5, 30.0, 3, 60)
    value = "distribute_challenge:value:bb:item"
    for key in (value, "distribute_challenge:value:other:item"):
        connection.set(key, "x")
    record.put("aa", 0, 3, b"three", [])
    record.put("bb", 0, 1, b"one", [value, "distribute_challenge:value:other:item"])
    record.take("me", "d", 1)
    keys = connection.keys("distribute_challenge:queue:*")
    assert len(keys) == 9
    for _ in range(2):
        assert all(0 < connection.ttl(key) <= 60 for key in (*keys, value))
        for key in (*keys, value):
            connection.persist(key)
        record.renew("me")
    assert queue_names(connection) == []
    record.delete()
    assert connection.keys("distribute_challenge:*") == [b"distribute_challenge:value:other:item"]


def test_a_named_queue_stays_and_is_listed(record: QueueRecord, connection: Broker) -> None:
    value = "distribute_challenge:value:bb:item"
    connection.set(value, "x", ex=60)
    record.put("bb", 0, 1, b"one", [value])
    assert connection.ttl(value) == -1
    assert queue_names(connection) == ["numbers"]
    assert record.open(7, 5.0, 3, 0) == (7, 60.0)
    assert record.open(8, 5.0, 3, 0) == (7, 60.0)
    record.take("me", "d", 1)
    record.done("me", [("d:0", 1)])
    assert not connection.exists(value)
    record.delete()
    assert queue_names(connection) == []


STEPS: list[Callable[[QueueRecord], object]] = [
    lambda record: record.put("aa", 0, 1, b"one", []),
    lambda record: record.take("me", "d", 1),
    lambda record: record.done("me", [("d:0", 1)]),
    lambda record: record.give_back("me", "d"),
    lambda record: record.renew("me"),
    lambda record: record.leave("me"),
    lambda record: record.resize(1),
    lambda record: record.shut_down(immediate=False),
    lambda record: record.signal(),
    lambda record: record.dead(1),
    lambda record: record.requeue(),
]


@pytest.mark.parametrize("step", STEPS)
def test_a_step_in_a_queue_that_is_gone_makes_no_queue(
    record: QueueRecord, connection: Broker, step: Callable[[QueueRecord], object]
) -> None:
    record.delete()
    with pytest.raises(QueueGoneError):
        step(record)
    assert record.state() is None
    assert not connection.keys("*")


def test_entries_that_no_client_writes_are_passed_over(
    record: QueueRecord, connection: Broker
) -> None:
    """Other programs may write to Redis: a client needs no more than the items."""
    connection.rpush(queue_key("waiting", ID), "nonsense", "cc 0 1 0", "aa 5 2 0 0")
    record.put("aa", 0, 1, b"one", [])
    assert entries(record) == [("aa", 0, 1, 0)]
    connection.hset(queue_key("held:me", ID), "d:1", "nonsense")
    record.give_back("me", "d")
    connection.hset(queue_key("held:me", ID), "x", "nonsense")
    record.leave("me")
    assert entries(record, name="e") == [("aa", 0, 1, 0)]
    connection.rpush(queue_key("dead", ID), "nonsense", "cc 0 1 0")
    assert record.dead(5) == []
    assert record.requeue() == 1
    connection.rpush(queue_key("waiting", ID), "nonsense")
    record.shut_down(immediate=True)


@pytest.mark.parametrize("nonsense", [b"x", b"-", b"9" * 5000, b"1.5", b""])
def test_a_malformed_state_is_read_as_an_empty_one(
    record: QueueRecord, connection: Broker, nonsense: bytes
) -> None:
    fields = ["maxsize", "size", "unfinished", "dead"]
    connection.hset(queue_key("state", ID), mapping=dict.fromkeys(fields, nonsense))
    assert record.state() == (0, 0, 0, 0, False)
    record.open(5, 1.0, 3, 0)


def test_a_full_redis_raises_out_of_memory_error(record: QueueRecord, connection: Broker) -> None:
    connection.config_set("maxmemory", 1)
    with pytest.raises(redis.OutOfMemoryError):
        record.put("aa", 0, 1, b"one", [])


def test_a_key_of_another_type_is_an_error(record: QueueRecord, connection: Broker) -> None:
    connection.delete(queue_key("state", ID))
    connection.set(queue_key("state", ID), "x")
    for _ in range(2):
        with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
            record.put("aa", 0, 1, b"one", [])


def test_an_item_that_fails_becomes_one_dead_letter_although_the_command_is_repeated(
    record: QueueRecord,
) -> None:
    """Also if the command is repeated because its answer did not arrive."""
    record.put("aa", 0, 3, b"three", [])
    record.take("me", "d", 3)
    assert record.done("me", [("d:0", 1)]) == 0
    assert record.fail("me", "d:0", 1, "why") == 0
    assert record.fail("me", "d:0", 1, "why") == 0
    assert record.fail("you", "d:0", 2, "why") == 1
    assert [(entry.delivery, *entry[1:4]) for entry in record.dead(9)] == [("why", "aa", 1, 2)]
    state = record.state()
    assert state is not None
    assert (state.unfinished, state.dead) == (1, 1)
    assert record.fail("me", "d:0", 2, "why") == 0
    assert record.requeue() == 2
    assert record.dead(9) == []


def test_an_item_that_was_taken_once_is_never_delivered_again(record: QueueRecord) -> None:
    record.put("aa", 0, 2, b"two", [])
    assert len(record.take("me", "d", 2, longest=1, once=True).entries) == 2
    assert record.done("me", [("d:1", 2)]) == 0
    record.give_back("me", "d")
    assert record.take("you", "e", 2).entries == ()
    assert [entry[1:4] for entry in record.dead(9)] == [("aa", 0, 1)]


def test_stopping_consumers_wakes_their_waits(record: QueueRecord) -> None:
    assert not record.is_stopped("c")
    record.stop("c", 1)
    assert not record.wait("ready", 5.0, "c")
    assert record.is_stopped("c")
    assert not record.is_stopped("d")
