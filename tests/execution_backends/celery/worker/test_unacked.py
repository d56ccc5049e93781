"""The record of the messages that a worker process holds, with a real Redis."""

import json
import os
import socket
import time
from collections.abc import Callable
from typing import Any

import pytest
import redis

from distribute_challenge.execution_backends.celery.broker.connection import connect
from distribute_challenge.execution_backends.celery.worker.unacked import UnackedMessages
from distribute_challenge.execution_backends.celery.worker.unacked_entries import (
    Envelope,
    holder_of,
    parts_of,
)
from tests.execution_backends.celery.conftest import Server
from tests.secret import KEYRING

Eventually = Callable[[Callable[[], bool]], None]
DATA = b'{"body": "as it lay there"}'
MESSAGE = Envelope(json.loads(DATA), b"queue", DATA)


@pytest.fixture
def client(server: Server) -> "redis.Redis":
    return connect(server.url)


@pytest.fixture
def new_unacked(client: Any) -> Callable[[], UnackedMessages]:
    """Opens one, as a worker does."""
    return lambda: UnackedMessages(client, "unacked", 7, KEYRING)


def tags(client: Any) -> tuple[list[bytes], list[bytes]]:
    return sorted(client.hkeys("unacked")), sorted(client.zrange("unacked_index", 0, -1))


def test_an_entry_has_the_message_and_its_holder(client: Any, new_unacked: Any) -> None:
    unacked = new_unacked()
    unacked.take("a", MESSAGE)
    unacked.renew()
    head, data = parts_of(client.hget("unacked", "a"))
    assert data == DATA
    assert head + data == client.hget("unacked", "a")
    assert holder_of(head, KEYRING) == (socket.gethostname(), os.getpid())
    assert "a" in unacked
    assert len(unacked) == 1


def test_an_acknowledged_message_is_removed(
    client: Any, new_unacked: Any, eventually: Eventually
) -> None:
    unacked = new_unacked()
    unacked.take("a", MESSAGE)
    unacked.ack("a")
    unacked.ack("a")  # Once more does no harm.
    eventually(lambda: tags(client) == ([], []))
    assert len(unacked) == 0


def test_renewals_go_by_the_clock_of_redis(
    client: Any, new_unacked: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This machine's clock may be hours off."""
    monkeypatch.setattr(time, "time", lambda: 0.0)
    unacked = new_unacked()
    unacked.renew()
    unacked.take("a", MESSAGE)
    unacked.renew()
    assert client.zscore("unacked_index", "a") == pytest.approx(client.time()[0], abs=2)


def test_a_worker_that_was_frozen_removes_no_entries_of_others(
    client: Any, new_unacked: Any
) -> None:
    """Another worker has its message by now."""
    frozen, other = new_unacked(), new_unacked()
    frozen.take("a", MESSAGE)
    frozen.renew()
    client.delete("unacked", "unacked_index")  # It was taken for lost,
    other.take("a", MESSAGE)  # and went to another one.
    other.renew()
    frozen.ack("a")
    frozen.renew()
    assert tags(client) == ([b"a"], [b"a"])
    frozen.take("a", MESSAGE)
    client.hset("unacked", "a", other._head(b"queue") + DATA)
    frozen.put_back(["a"])
    assert client.llen("queue") == 0
    assert tags(client) == ([b"a"], [b"a"])


def test_a_message_taken_for_lost_is_not_put_back(client: Any, new_unacked: Any) -> None:
    """Its client has been told, and has sent it again."""
    unacked = new_unacked()
    unacked.take("a", MESSAGE)
    unacked.renew()
    client.delete("unacked", "unacked_index")
    unacked.put_back(["a", "unknown"])
    assert client.llen("queue") == 0
    assert len(unacked) == 0


def test_messages_unknown_to_the_worker_are_put_back(
    client: Any, new_unacked: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """They go back byte for byte, and are taken next."""
    unacked = new_unacked()
    for tag in "a", "b":
        unacked.take(tag, MESSAGE)
    client.lpush("queue", b"later")
    unacked.put_back_all_but({"a"})
    assert client.rpop("queue") == DATA
    assert tags(client) == ([b"a"], [b"a"])
    assert "1 messages go back" in caplog.text
    unacked.put_back_all_but({"a"})


def test_an_entry_that_a_full_redis_refused_is_written_again(
    client: Any, new_unacked: Any, caplog: pytest.LogCaptureFixture
) -> None:
    unacked = new_unacked()
    unacked.renew()
    client.config_set("maxmemory", 1)
    unacked.take("a", MESSAGE)
    with pytest.raises(redis.ResponseError):
        unacked.renew()
    with pytest.raises(redis.ResponseError):
        unacked.put_back(["a"])
    assert "did not note down what this worker holds" in caplog.text
    client.config_set("maxmemory", 0)
    assert tags(client) == ([], [])
    unacked.renew()
    assert tags(client) == ([b"a"], [b"a"])


def test_a_message_whose_entry_was_never_written_is_still_put_back(
    client: Any, new_unacked: Any
) -> None:
    unacked = new_unacked()
    client.config_set("maxmemory", 1)
    unacked.take("a", MESSAGE)
    client.config_set("maxmemory", 0)
    unacked.put_back(["a"])
    assert client.lrange("queue", 0, -1) == [DATA]


def test_an_entry_that_redis_has_lost_is_written_again(client: Any, new_unacked: Any) -> None:
    """FLUSHALL, or a restart that loses the last second: it runs, and its client looks for it."""
    unacked = new_unacked()
    unacked.take("a", MESSAGE)
    unacked.renew()
    client.flushall()
    unacked.renew()
    assert tags(client) == ([b"a"], [b"a"])


def test_an_entry_lost_after_its_lease_has_expired_is_not_written_again(
    client: Any, new_unacked: Any
) -> None:
    """This worker slept longer than its lease."""
    unacked = new_unacked()
    unacked.take("a", MESSAGE)
    unacked.renew()
    unacked._renewed -= 8
    client.flushall()
    unacked.renew()
    assert tags(client) == ([], [])


def test_changes_lost_with_a_broken_connection_are_written_again(
    server: Server, client: Any, new_unacked: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Taken, acknowledged, or both."""
    unacked = new_unacked()
    for tag in "a", "b", "c":
        unacked.take(tag, MESSAGE)
    unacked.renew()
    entries = client.hgetall("unacked")
    server.stop()
    unacked.ack("a")
    unacked.take("d", MESSAGE)
    unacked.ack("b")
    with pytest.raises(redis.RedisError):
        unacked.renew()
    server.start()
    client.hset("unacked", mapping=entries)  # As a server would have it that keeps what it is told.
    client.zadd("unacked_index", dict.fromkeys("abc", 1.0))
    unacked.renew()
    unacked.renew()
    assert tags(client) == ([b"c", b"d"], [b"c", b"d"])
    assert "did not note down" in caplog.text


def test_doubts_about_acknowledgements_are_cleared_when_nothing_is_held(
    server: Server, client: Any, new_unacked: Any
) -> None:
    unacked = new_unacked()
    unacked.take("a", MESSAGE)
    unacked.renew()
    entry = client.hgetall("unacked")
    server.stop()
    unacked.ack("a")
    server.start()
    client.hset("unacked", mapping=entry)
    unacked.renew()
    assert client.hkeys("unacked") == []
    unacked._in_doubt = True
    unacked.renew()  # Nothing to write.
    assert not unacked._in_doubt
