"""The search for messages that are nowhere: which of them count as lost."""

from collections.abc import Iterator
from typing import Any

import pytest

from distribute_challenge.core.messages import FunctionPayload, Task
from distribute_challenge.core.options import CallOptions
from distribute_challenge.execution_backends.celery.broker.connection import connect
from distribute_challenge.execution_backends.celery.broker.keys import UNACKED
from distribute_challenge.execution_backends.celery.broker.publishing import Message
from distribute_challenge.execution_backends.celery.client import (
    lost_messages as lost_messages_module,
)
from distribute_challenge.execution_backends.celery.client.calls import Call, SentBatch
from distribute_challenge.execution_backends.celery.client.lost_messages import (
    AFTER_FULL,
    APART,
    GRACE,
    LostMessages,
)
from distribute_challenge.execution_backends.celery.client.outbox import Outbox
from tests.execution_backends.celery.conftest import Server


class Out:
    """Messages that are out, and what looks after them, with a clock of its own."""

    def __init__(self, server: Server) -> None:
        self.connection = connect(server.url)
        self.lost = LostMessages("replies")
        self.batches: list[SentBatch] = []
        self.now = 1000.0
        self.direct: set[str] = set()

    def add(self, name: str, reply_to: str = "replies", size: int = 10) -> SentBatch:
        task = Task(FunctionPayload("f", b"", "f"), b"", CallOptions(), 0.0)
        batch = SentBatch(name, Outbox().group_of(task), [Call(task, lambda call: False)], 1.0)
        batch.message = Message("queue", name.encode() * size, f"tag of {name}")
        batch.reply_to, batch.pushed = reply_to, self.now
        self.batches.append(batch)
        return batch

    def look(self, later: float = APART) -> list[str]:
        self.now += later
        found = self.lost.find(self.connection, self.batches, self.direct, self.now)
        self.batches = [batch for batch in self.batches if batch not in found]
        return [batch.id for batch in found]

    def put(self, *names: str, others: int) -> None:
        """Put messages into the queue, and as many of other clients before each of them."""
        for name in names:
            for number in range(others):
                self.connection.lpush("queue", f"{number} before {name}")
            self.connection.lpush("queue", name.encode() * 10)


@pytest.fixture
def out(server: Server) -> Iterator[Out]:
    out = Out(server)
    yield out
    out.connection.close()


def test_a_message_is_lost_if_it_is_nowhere_in_two_looks(out: Out) -> None:
    out.add("a")
    assert out.look(GRACE / 2) == []
    assert not out.lost._missing
    assert out.look(GRACE) == []
    assert out.look(APART / 2) == []
    assert out.look() == ["a"]


def test_a_message_that_turns_up_in_between_is_not_lost(out: Out) -> None:
    out.add("a")
    assert out.look(2 * GRACE) == []
    out.connection.hset(UNACKED, "tag of a", "")
    assert out.look() == []
    out.connection.delete(UNACKED)
    assert out.look() == []
    out.connection.lpush("queue", b"a" * 10)
    assert out.look() == []
    out.connection.delete("queue")
    assert out.look() == []
    assert out.look() == ["a"]


def test_waiting_replies_are_read_before_a_message_counts_as_lost(out: Out) -> None:
    """One of them may be its own. New ones do not put it off for ever."""
    out.add("a")
    assert out.look(2 * GRACE) == []
    out.connection.rpush("replies", "x", "y")
    assert out.look() == []
    out.connection.rpush("replies", "z")
    out.lost.read += 1
    assert out.look() == []
    out.lost.read += 1
    assert out.look() == ["a"]


def test_a_direct_call_is_lost_only_if_its_reply_list_is_empty(out: Out) -> None:
    out.add("a", "its own")
    assert out.look(2 * GRACE) == []
    assert not out.lost._missing  # Another thread may read that list.
    out.direct.add("its own")
    assert out.look() == []
    out.connection.rpush("its own", "x")
    assert out.look() == []
    out.connection.delete("its own")
    assert out.look() == ["a"]


def test_a_message_that_is_being_sent_is_not_looked_for(out: Out) -> None:
    out.add("a").pushed = None
    out.add("b").message = None
    assert out.look(2 * GRACE) == []
    assert not out.lost._missing


def test_large_messages_take_turns(out: Out, monkeypatch: pytest.MonkeyPatch) -> None:
    """A look costs no more than so many bytes, or one message."""
    monkeypatch.setattr(lost_messages_module, "MOST_BYTES", 25)
    for name in "abcd":
        out.add(name)
    out.add("e", size=100)
    assert out.look(2 * GRACE) == []
    assert set(out.lost._missing) == {"a", "b"}
    out.look(0.1)
    assert set(out.lost._missing) == {"a", "b", "c", "d"}
    out.look(0.1)
    assert set(out.lost._missing) == {"a", "b", "c", "d", "e"}
    assert sorted(out.look() + out.look(0.1) + out.look(0.1)) == ["a", "b", "c", "d", "e"]


def test_the_oldest_messages_of_a_long_queue_are_looked_for(
    out: Out, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look goes through a limited number of entries."""
    monkeypatch.setattr(lost_messages_module, "MOST_ENTRIES", 500)
    looked: list[list[str]] = []
    look = lost_messages_module.are_nowhere

    def noted(connection: Any, messages: list[Message], lists: list[str]) -> Any:
        looked.append([message.data[:1].decode() for message in messages])
        return look(connection, messages, lists)

    monkeypatch.setattr(lost_messages_module, "are_nowhere", noted)
    for name in "abcdefghij":
        out.add(name)
    out.put(*"abcdefghij", others=9)
    # A tenth of the entries is this client's: 50 are its share of a look, and 10, 20, 30 the places.
    out.look(2 * GRACE)
    out.look(1.0)
    assert looked == [["a", "b"], ["a", "b", "c"]]
    # What a worker took and lost was the oldest. All of the queue is gone through to be sure of that.
    out.connection.ltrim("queue", 0, -11)
    assert [out.look(1.0) for _ in range(4)] == [[], [], [], ["a"]]


def test_a_short_queue_is_not_held_up_by_a_long_one(
    out: Out, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lost_messages_module, "MOST_ENTRIES", 2000)
    for name in "abcdefghij":
        out.add(name)
    out.put(*"abcdefghij", others=9)
    out.add("z").message = Message("other queue", b"z", "tag of z")
    out.look(2 * GRACE)
    assert "z" in out.lost._missing
    assert "a" not in out.lost._missing


def test_no_message_counts_as_lost_while_the_records_of_redis_may_be_incomplete(out: Out) -> None:
    """What was missing before does not count after it."""
    out.add("a")
    assert out.look(2 * GRACE) == []
    out.lost.distrust(out.now + 2 * APART)
    assert out.look() == []
    assert out.look() == []
    assert out.look() == ["a"]


def test_no_message_counts_as_lost_until_some_time_after_redis_was_full(out: Out) -> None:
    out.add("a")
    assert out.look(2 * GRACE) == []
    out.connection.config_set("maxmemory", 1)
    assert out.look() == []
    out.connection.config_set("maxmemory", 0)
    assert out.look() == []
    assert out.look(AFTER_FULL) == []
    assert out.look() == ["a"]
