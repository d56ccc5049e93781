"""Messages whose client is gone."""

import time
from collections.abc import Callable

import pytest

from distribute_challenge import LocalCluster, compute_this
from distribute_challenge.core import clock
from distribute_challenge.core.messages import Batch
from distribute_challenge.execution_backends.celery.broker import presence
from distribute_challenge.execution_backends.celery.broker.connection import Broker, connect
from distribute_challenge.execution_backends.celery.broker.keys import replies_key
from distribute_challenge.execution_backends.celery.broker.publishing import (
    message_for,
    queue_length,
)
from distribute_challenge.execution_backends.celery.worker.orphans import YOUNG, Clients
from distribute_challenge.settings import DEFAULT_QUEUE
from tests.execution_backends.celery.conftest import Server
from tests.processes import wait_until

pytestmark = pytest.mark.celery

Eventually = Callable[[Callable[[], bool]], None]


class Counted:
    """A connection that counts what it is asked."""

    def __init__(self, connection: Broker) -> None:
        self.asked = 0
        self._connection = connection

    def __getattr__(self, name: str) -> object:
        self.asked += name != "clock"
        return getattr(self._connection, name)


def batch(age: float, client: str = "its-client", keep: float = 0.0) -> Batch:
    return Batch("b-1", "0" * 64, "f", [b""], client=client, issued=time.time() - age, keep=keep)


@pytest.fixture
def connection(server: Server, monkeypatch: pytest.MonkeyPatch) -> Broker:
    """A connection to a server that has run for longer than clients are waited for."""
    monkeypatch.setattr(presence, "STALE", 0.5)
    connection = connect(server.url)
    connection.clock.ask(connection)
    deadline = time.monotonic() + 60
    while connection.info("server")["uptime_in_seconds"] < 1:  # type: ignore[index]
        assert time.monotonic() < deadline
    return connection


def test_young_clientless_and_kept_messages_need_no_look_at_the_clients(
    connection: Broker,
) -> None:
    """They cost none, however many there are."""
    counted = Counted(connection)
    clients = Clients(counted)  # type: ignore[arg-type]
    for each in (batch(0), batch(YOUNG - 5), batch(1000, client=""), batch(1000, keep=60)):
        assert not clients.has_left(each)
    assert counted.asked == 0


def test_the_age_of_a_message_is_by_redis_clock(
    connection: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock of this machine may be wrong."""
    shown = clock.now() - 5000
    monkeypatch.setattr(clock, "now", lambda: shown)
    assert Clients(connection).has_left(batch(1000))


def test_the_client_of_an_old_message_is_looked_up_once_for_a_while(connection: Broker) -> None:
    """One look counts for a while, as a queue that has waited has many old messages."""
    presence.show(connection, presence.ClientPresence("its-client", 1))
    counted = Counted(connection)
    clients = Clients(counted)  # type: ignore[arg-type]
    assert not clients.has_left(batch(1000))
    asked = counted.asked
    assert not clients.has_left(batch(1000))
    assert counted.asked == asked


def test_a_client_that_came_after_the_last_look_is_present(connection: Broker) -> None:
    clients = Clients(connection)
    assert clients.has_left(batch(1000))
    presence.show(connection, presence.ClientPresence("its-client", 1))
    assert not clients.has_left(batch(1000))


def test_a_message_of_a_client_that_is_gone_is_dropped_and_logged_once(
    connection: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    clients = Clients(connection)
    assert [clients.has_left(batch(1000)) for _ in range(3)] == [True] * 3
    assert [record.getMessage() for record in caplog.records] == [
        "the client its-client is gone: its calls are dropped, such as f"
    ]


def test_after_a_restart_of_redis_no_client_counts_as_gone(server: Server) -> None:
    """The last signs of life are as old as the outage, for all clients."""
    assert not Clients(connect(server.url)).has_left(batch(1000))


def test_a_client_does_not_count_as_gone_while_redis_is_away(server: Server) -> None:
    server.stop()
    assert not Clients(connect(server.url)).has_left(batch(1000))


def test_a_worker_drops_the_message_of_a_client_that_is_gone(
    cluster: LocalCluster, eventually: Eventually
) -> None:
    """It is neither answered nor left anywhere.

    The embedded server may be young: then it asks until it is not.
    """
    connection = connect(cluster.broker_url)
    wait_until(lambda: connection.info("server")["uptime_in_seconds"] >= presence.STALE)  # type: ignore[index]
    sent = time.time() - 1000
    old = Batch(
        "gone-1", "0" * 64, "f", [b""], client="gone", reply_to=replies_key("gone"), issued=sent
    )
    message = message_for(old, queue=DEFAULT_QUEUE, priority=0, keyring=connection.keyring)
    connection.lpush(message.key, message.data)
    eventually(lambda: "the client gone is gone" in cluster.log())
    eventually(lambda: connection.hlen("distribute_challenge:unacked") == 0)
    assert queue_length(connection, DEFAULT_QUEUE) == 0
    assert not connection.exists(replies_key("gone"))
    assert compute_this(len)("abc").compute(cluster.backend) == 3
