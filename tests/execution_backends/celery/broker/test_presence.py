"""Workers and clients show themselves."""

import time

import pytest

from distribute_challenge.execution_backends.celery.broker import presence
from distribute_challenge.execution_backends.celery.broker.connection import connect
from distribute_challenge.execution_backends.celery.broker.keys import WORKERS
from distribute_challenge.execution_backends.celery.broker.presence import (
    ClientPresence,
    WorkerPresence,
)
from tests.execution_backends.celery.conftest import Server


def test_a_process_is_listed_from_show_until_leave(server: Server) -> None:
    """Workers and clients are listed apart, by name."""
    connection = connect(server.url)
    two, one = WorkerPresence("w2", 4, ["a"]), WorkerPresence("w1", 2, ["a", "b"])
    client = ClientPresence("c", waiting=3)
    for each in (two, one, client):
        presence.show(connection, each)
    assert presence.workers(connection) == [one, two]
    assert presence.clients(connection) == [client]
    assert all(0 <= each.age < 5 for each in presence.workers(connection))
    presence.leave(connection, WorkerPresence, "w2")
    assert presence.workers(connection) == [one]


def test_a_process_whose_presence_is_stale_is_removed(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next process that looks removes it, with all entries that are no sign of life."""
    connection = connect(server.url)
    with monkeypatch.context() as context:
        context.setattr(presence, "_now", lambda connection: time.time() - presence.STALE - 1)
        presence.show(connection, WorkerPresence("quiet", 1, ["a"]))
    presence.show(connection, WorkerPresence("there", 1, ["a"]))
    connection.hset(WORKERS, "junk", b"junk")
    connection.hset(WORKERS, "nan", b"nan x")
    # An old line with a new time before it.
    old = (connection.hget(WORKERS, "quiet") or b"").partition(b" ")[2]
    connection.hset(WORKERS, "quiet", b"%.3f %b" % (time.time(), old))
    assert [worker.name for worker in presence.workers(connection)] == ["there"]
    assert connection.hkeys(WORKERS) == [b"there"]


def test_lines_written_without_the_secret_do_not_count(server: Server) -> None:
    """A line of one worker under another one's name does not count, either.

    `strangers` counts them, as they may be workers with another secret.
    """
    connection = connect(server.url)
    presence.show(connection, WorkerPresence("w", 1, ["a"]))
    connection.hset(WORKERS, "w2", connection.hget(WORKERS, "w") or b"")
    connection.hset(WORKERS, b"\xff", connection.hget(WORKERS, "w") or b"")
    connection.hset(WORKERS, "w3", b"%.3f {}" % time.time())
    assert [worker.name for worker in presence.workers(connection)] == ["w"]
    assert presence.strangers(connection) == 3


def test_slots_are_counted_by_queue() -> None:
    """Without a queue, `slots` counts all."""
    there = [WorkerPresence("w2", 4, ["a"]), WorkerPresence("w1", 2, ["a", "b"])]
    assert [presence.slots(there, queue) for queue in (None, "a", "b", "c")] == [6, 6, 2, 0]
