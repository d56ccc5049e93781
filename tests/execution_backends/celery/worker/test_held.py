"""The book of what a worker process holds, with a real Redis."""

import json
import os
import socket
import time
from collections.abc import Callable
from typing import Any

import pytest
import redis

from distribute_challenge.execution_backends.celery.broker.connection import connect
from distribute_challenge.execution_backends.celery.worker.held import (
    Envelope,
    Held,
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
def book(client: Any) -> Callable[[], Held]:
    """Opens one, as a worker does."""
    return lambda: Held(client, "book", 7, KEYRING)


def tags(client: Any) -> tuple[list[bytes], list[bytes]]:
    return sorted(client.hkeys("book")), sorted(client.zrange("book_index", 0, -1))


def test_an_entry_says_who_holds_what(client: Any, book: Any) -> None:
    held = book()
    held.take("a", MESSAGE)
    held.renew()
    head, data = parts_of(client.hget("book", "a"))
    assert data == DATA
    assert head + data == client.hget("book", "a")
    assert holder_of(head, KEYRING) == (socket.gethostname(), os.getpid())
    assert "a" in held
    assert len(held) == 1


def test_what_is_done_is_struck_out(client: Any, book: Any, eventually: Eventually) -> None:
    held = book()
    held.take("a", MESSAGE)
    held.strike("a")
    held.strike("a")  # Once more does no harm.
    eventually(lambda: tags(client) == ([], []))
    assert len(held) == 0


def test_renewals_go_by_the_clock_of_redis(
    client: Any, book: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not by this machine's, which may be hours off."""
    monkeypatch.setattr(time, "time", lambda: 0.0)
    held = book()
    held.renew()
    held.take("a", MESSAGE)
    held.renew()
    assert client.zscore("book_index", "a") == pytest.approx(client.time()[0], abs=2)


def test_a_worker_that_was_frozen_strikes_out_nothing_of_others(client: Any, book: Any) -> None:
    """Somebody else has its message by now."""
    frozen, other = book(), book()
    frozen.take("a", MESSAGE)
    frozen.renew()
    client.delete("book", "book_index")  # It was taken for lost,
    other.take("a", MESSAGE)  # and went to another one.
    other.renew()
    frozen.strike("a")
    frozen.renew()
    assert tags(client) == ([b"a"], [b"a"])
    frozen.take("a", MESSAGE)
    client.hset("book", "a", other._head(b"queue") + DATA)
    frozen.put_back(["a"])
    assert client.llen("queue") == 0
    assert tags(client) == ([b"a"], [b"a"])


def test_what_was_taken_for_lost_does_not_go_back(client: Any, book: Any) -> None:
    """Its client has been told, and has sent it again."""
    held = book()
    held.take("a", MESSAGE)
    held.renew()
    client.delete("book", "book_index")
    held.put_back(["a", "unknown"])
    assert client.llen("queue") == 0
    assert len(held) == 0


def test_what_nobody_knows_of_goes_back(
    client: Any, book: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Byte for byte, and to be taken next."""
    held = book()
    for tag in "a", "b":
        held.take(tag, MESSAGE)
    client.lpush("queue", b"later")
    held.put_back_all_but({"a"})
    assert client.rpop("queue") == DATA
    assert tags(client) == ([b"a"], [b"a"])
    assert "1 messages go back" in caplog.text
    held.put_back_all_but({"a"})


def test_what_a_full_redis_did_not_note_down_is_written_again(
    client: Any, book: Any, caplog: pytest.LogCaptureFixture
) -> None:
    held = book()
    held.renew()
    client.config_set("maxmemory", 1)
    held.take("a", MESSAGE)
    with pytest.raises(redis.ResponseError):
        held.renew()
    with pytest.raises(redis.ResponseError):
        held.put_back(["a"])
    assert "did not note down what this worker holds" in caplog.text
    client.config_set("maxmemory", 0)
    assert tags(client) == ([], [])
    held.renew()
    assert tags(client) == ([b"a"], [b"a"])


def test_what_was_never_noted_down_goes_back_all_the_same(client: Any, book: Any) -> None:
    held = book()
    client.config_set("maxmemory", 1)
    held.take("a", MESSAGE)
    client.config_set("maxmemory", 0)
    held.put_back(["a"])
    assert client.lrange("queue", 0, -1) == [DATA]


def test_what_redis_forgets_is_written_again(client: Any, book: Any) -> None:
    """FLUSHALL, or a restart that loses the last second: it runs, and its client looks for it."""
    held = book()
    held.take("a", MESSAGE)
    held.renew()
    client.flushall()
    held.renew()
    assert tags(client) == ([b"a"], [b"a"])


def test_what_may_have_been_taken_for_lost_is_not(client: Any, book: Any) -> None:
    """For this worker slept longer than its lease."""
    held = book()
    held.take("a", MESSAGE)
    held.renew()
    held._renewed -= 8
    client.flushall()
    held.renew()
    assert tags(client) == ([], [])


def test_what_a_broken_connection_may_have_swallowed_is_written_again(
    server: Server, client: Any, book: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Taken, struck out, or both."""
    held = book()
    for tag in "a", "b", "c":
        held.take(tag, MESSAGE)
    held.renew()
    entries = client.hgetall("book")
    server.stop()
    held.strike("a")
    held.take("d", MESSAGE)
    held.strike("b")
    with pytest.raises(redis.RedisError):
        held.renew()
    server.start()
    client.hset("book", mapping=entries)  # As a server would have it that keeps what it is told.
    client.zadd("book_index", dict.fromkeys("abc", 1.0))
    held.renew()
    held.renew()
    assert tags(client) == ([b"c", b"d"], [b"c", b"d"])
    assert "did not note down" in caplog.text


def test_doubts_about_what_is_done_are_cleared_when_nothing_is_held(
    server: Server, client: Any, book: Any
) -> None:
    held = book()
    held.take("a", MESSAGE)
    held.renew()
    entry = client.hgetall("book")
    server.stop()
    held.strike("a")
    server.start()
    client.hset("book", mapping=entry)
    held.renew()
    assert client.hkeys("book") == []
    held._in_doubt = True
    held.renew()  # Nothing to write.
    assert not held._in_doubt
