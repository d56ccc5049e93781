"""Workers answer, in time or not at all, and Redis is left as it was."""

import json
import os
import signal
import time
from base64 import b64decode
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from distribute_challenge import LocalCluster
from distribute_challenge.execution_backends.celery.broker import presence
from distribute_challenge.execution_backends.celery.broker.connection import connect
from distribute_challenge.execution_backends.celery.broker.mailbox import EXPIRY
from distribute_challenge.execution_backends.celery.broker.ping import ping
from distribute_challenge.execution_backends.celery.worker.app import make_app
from tests.execution_backends.celery.conftest import DEADLINE, Server

SHORT = 0.3  # Seconds to wait for an answer that does not come.


@pytest.fixture
def connection(cluster: LocalCluster) -> Iterator[redis.Redis]:
    """A connection to a cluster with one worker. Each test leaves nothing behind for long."""
    with connect(cluster.broker_url) as connection:
        assert len(ping(connection, timeout=DEADLINE)) == 1
        yield connection
        assert lasting(connection) == []


def traces(connection: Any) -> dict[bytes, int]:
    """What questions left behind, with the seconds that it stays."""
    left = {key: connection.ttl(key) for key in connection.keys("*ping*")}
    return {key: seconds for key, seconds in left.items() if seconds != -2}  # Gone meanwhile.


def lasting(connection: redis.Redis) -> list[bytes]:
    return [key for key, seconds in traces(connection).items() if not 0 <= seconds <= EXPIRY]


def name(connection: redis.Redis) -> str:
    """What the worker calls itself."""
    return presence.workers(connection)[0].name


def test_a_worker_answers_under_its_name(connection: redis.Redis) -> None:
    """`ping` stops waiting when all workers that heard the question have answered."""
    answers = ping(connection, timeout=DEADLINE)
    assert list(answers) == [name(connection)]
    assert 0 < answers[name(connection)] < DEADLINE


def test_celery_ping_gets_answers_from_the_same_workers(
    connection: redis.Redis, cluster: LocalCluster
) -> None:
    """What is written here by hand is Celery's own question."""
    replies = make_app(cluster.broker_url).control.ping(timeout=DEADLINE, limit=1)
    assert [list(reply) for reply in replies] == [list(ping(connection, timeout=DEADLINE))]


def test_ping_asks_only_the_named_workers(connection: redis.Redis) -> None:
    """`ping` waits until the time is over for a worker that does not answer."""
    there = name(connection)
    assert list(ping(connection, [there], timeout=DEADLINE)) == [there]
    begun = time.monotonic()
    assert "missing@nowhere" not in ping(connection, [there, "missing@nowhere"], timeout=SHORT)
    assert time.monotonic() - begun >= SHORT
    assert ping(connection, ["missing@nowhere"], timeout=SHORT) == {}
    assert ping(connection, [], timeout=DEADLINE) == {}


def test_ping_waits_for_the_wanted_number_of_answers(connection: redis.Redis) -> None:
    """`ping` waits for more than there are, as others may be on their way."""
    assert len(ping(connection, wanted=1, timeout=DEADLINE)) == 1
    begun = time.monotonic()
    assert len(ping(connection, wanted=2, timeout=SHORT)) < 2
    assert time.monotonic() - begun >= SHORT


def test_a_worker_that_wakes_after_the_ping_sends_no_late_answer(connection: redis.Redis) -> None:
    """A worker that was held up does not answer late, and answers the next question."""
    (worker,) = presence.workers(connection)
    os.kill(worker.pid, signal.SIGSTOP)
    try:
        assert ping(connection, timeout=SHORT) == {}
    finally:
        os.kill(worker.pid, signal.SIGCONT)
    assert list(ping(connection, timeout=DEADLINE)) == [worker.name]


@pytest.mark.slow
def test_a_worker_that_starts_during_the_ping_is_asked() -> None:
    """`ping` asks anew each second."""
    with LocalCluster(workers=1) as cluster, connect(cluster.broker_url) as connection:
        assert len(ping(connection, timeout=DEADLINE)) == 1


def test_the_reply_binding_of_a_killed_ping_expires(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A killed health check does not remove it."""
    monkeypatch.setattr(
        "distribute_challenge.execution_backends.celery.broker.mailbox._Mailbox.close",
        lambda _: None,
    )
    with connect(server.url) as connection:
        assert ping(connection, timeout=SHORT) == {}
        assert len(traces(connection)) == 1
        assert lasting(connection) == []


def test_an_answer_pushed_after_the_ping_has_ended_expires(server: Server) -> None:
    """A worker that looked up the way back just before it was taken away."""
    with connect(server.url) as connection:
        assert ping(connection, timeout=SHORT) == {}
        (replies,) = traces(connection)
        connection.lpush(replies, b"too late")
        assert lasting(connection) == []


def test_a_server_that_is_gone_is_an_error(server: Server) -> None:
    """It is an error of redis-py, which the caller translates."""
    server.stop()
    with connect(server.url) as connection, pytest.raises(redis.ConnectionError):
        ping(connection)


def test_the_question_has_every_field_that_celery_writes(server: Server) -> None:
    """It goes over the channel that Celery uses, in any database."""
    url = f"{server.url}?virtual_host=3"
    with connect(url) as connection, connection.pubsub() as channel:
        channel.psubscribe("/*")
        ping(connection, ["worker@there"], timeout=SHORT)
        make_app(url).control.ping(["worker@there"], timeout=SHORT)
        ours, theirs = (question(channel) for _ in range(2))
    assert ours["channel"] == theirs["channel"] == b"/3.celery.pidbox"
    assert ours["envelope"].keys() == theirs["envelope"].keys()
    for part in ("headers", "properties"):
        assert ours["envelope"][part].keys() == theirs["envelope"][part].keys()
    assert ours["body"].keys() == theirs["body"].keys()
    own = ("ticket", "reply_to")
    assert [ours["body"][key] for key in ours["body"] if key not in own] == [
        theirs["body"][key] for key in ours["body"] if key not in own
    ]


def question(channel: Any) -> dict[str, Any]:
    """The next message on a channel, taken apart."""
    while (message := channel.get_message(timeout=DEADLINE))["type"] != "pmessage":
        pass
    envelope = json.loads(message["data"])
    body = json.loads(b64decode(envelope["body"]))
    return {"channel": message["channel"], "envelope": envelope, "body": body}
