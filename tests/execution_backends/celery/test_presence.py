"""Workers and clients show themselves."""

import json

from distribute_challenge.execution_backends.celery import presence
from distribute_challenge.execution_backends.celery.connection import connect
from distribute_challenge.execution_backends.celery.keys import WORKERS
from distribute_challenge.execution_backends.celery.presence import ClientPresence, WorkerPresence
from tests.execution_backends.celery.conftest import Server


def test_who_shows_itself_is_there_until_it_leaves(server: Server) -> None:
    """Workers and clients apart, by name."""
    connection = connect(server.url)
    two, one = WorkerPresence("w2", 4, ["a"]), WorkerPresence("w1", 2, ["a", "b"])
    client = ClientPresence("c", waiting=3)
    for somebody in (two, one, client):
        presence.show(connection, somebody)
    assert presence.workers(connection) == [one, two]
    assert presence.clients(connection) == [client]
    presence.leave(connection, two)
    assert presence.workers(connection) == [one]


def test_who_is_silent_for_long_is_gone(server: Server) -> None:
    """And is cleared away by whoever looks."""
    connection = connect(server.url)
    presence.show(connection, WorkerPresence("quiet", 1, ["a"]))
    line = json.loads(connection.hget(WORKERS, "quiet") or "")
    connection.hset(WORKERS, "quiet", json.dumps({**line, "seen": line["seen"] - presence.STALE - 1}))
    assert presence.workers(connection) == []
    assert connection.hgetall(WORKERS) == {}


def test_slots_are_counted_by_queue() -> None:
    """Or altogether."""
    there = [WorkerPresence("w2", 4, ["a"]), WorkerPresence("w1", 2, ["a", "b"])]
    assert [presence.slots(there, queue) for queue in (None, "a", "b", "c")] == [6, 6, 2, 0]
