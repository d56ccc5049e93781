"""Channels that lead to the process's record of its messages, and what they are there for."""

import socket
import time
from collections.abc import Callable, Iterator
from queue import Empty
from typing import Any

import pytest
from kombu import Connection
from kombu.exceptions import OperationalError
from kombu.pidbox import Mailbox
from kombu.transport.redis import Transport

from distribute_challenge.core.messages import Batch
from distribute_challenge.execution_backends.celery.broker.connection import connect
from distribute_challenge.execution_backends.celery.broker.presence import WorkerPresence
from distribute_challenge.execution_backends.celery.broker.publishing import message_for
from distribute_challenge.execution_backends.celery.worker.gate import Gate
from distribute_challenge.execution_backends.celery.worker.overrides import (
    transport as transport_module,
)
from distribute_challenge.execution_backends.celery.worker.overrides.transport import (
    PatientAMQP,
    WorkerChannel,
    WorkerTransport,
)
from distribute_challenge.execution_backends.celery.worker.unacked import UnackedMessages
from distribute_challenge.security import Keyring
from tests.execution_backends.celery.conftest import Server
from tests.secret import KEYRING, SECRET

Eventually = Callable[[Callable[[], bool]], None]
TRANSPORTS = [Transport, WorkerTransport]


class Consumer:
    """Takes messages of one queue over a connection of its own, and keeps them."""

    def __init__(self, url: str, transport: type, prefetch: int = 0) -> None:
        self.connection = Connection(url)
        self.connection.transport_cls = transport
        self.channel: Any = self.connection.channel()
        self.channel.queue_declare("books")
        self.channel.basic_qos(0, prefetch, False)
        self.messages: list[Any] = []
        self.channel.basic_consume("books", False, self.messages.append, "tag")

    def send(self, text: str) -> None:
        self.channel.basic_publish(self.channel.prepare_message(text), "", "books")

    def take(self) -> Any:
        """The next message."""
        self.connection.drain_events(timeout=60)
        return self.messages[-1]


@pytest.fixture
def consumers(server: Server) -> Iterator[Callable[..., Consumer]]:
    made = []

    def consumer(transport: type = WorkerTransport, prefetch: int = 0) -> Consumer:
        made.append(Consumer(server.url, transport, prefetch))
        return made[-1]

    yield consumer
    for each in made:
        each.connection.release()


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_message_is_recorded_as_unacknowledged_while_it_is_processed(
    server: Server, consumers: Any, eventually: Eventually, transport: type
) -> None:
    """The same with kombu's own transport."""
    redis = connect(server.url)
    consumer = consumers(transport)
    consumer.send("text")
    tag = consumer.take().delivery_tag
    eventually(lambda: redis.hexists("unacked", tag))
    assert redis.zscore("unacked_index", tag) > 1e9
    assert redis.hkeys("unacked") == [tag.encode()]
    consumer.channel.basic_ack(tag)
    eventually(lambda: redis.exists("unacked", "unacked_index") == 0)


def test_a_requeued_message_is_in_its_queue_again_byte_for_byte(
    server: Server, consumers: Any
) -> None:
    """Its client looks for these bytes; kombu would mark it as delivered before."""
    redis = connect(server.url)
    consumer = consumers()
    consumer.send("text")
    before = redis.lrange("books", 0, -1)
    consumer.take().requeue()
    assert redis.lrange("books", 0, -1) == before
    assert redis.exists("unacked", "unacked_index") == 0


def test_a_message_in_work_stays_unacknowledged_when_its_channel_closes(
    server: Server, consumers: Any, eventually: Eventually
) -> None:
    """The worker acknowledges it over the channel that has ended, without its connection."""
    redis = connect(server.url)
    consumer = consumers()
    consumer.send("text")
    message = consumer.take()
    consumer.connection.collect()
    assert redis.llen("books") == 0
    assert redis.hlen("unacked") == 1
    message.ack()
    eventually(lambda: redis.exists("unacked", "unacked_index") == 0)


def test_kombus_own_channel_still_gives_back_what_is_in_work(
    server: Server, consumers: Any
) -> None:
    """When this fails, see whether `UnackedMessages` can be simpler."""
    consumer = consumers(Transport)
    consumer.send("text")
    consumer.take()
    consumer.connection.collect()
    assert connect(server.url).llen("books") == 1


def test_kombus_own_channel_still_fails_when_its_connection_is_gone(server: Server) -> None:
    """When this fails, see whether `UnackedMessages` can be simpler."""
    channel = Connection(server.url, transport=Transport).channel()
    channel.connection = None  # As kombu leaves it when the broker has gone away.
    with pytest.raises(AttributeError), channel.conn_or_acquire() as client:
        client.ping()


def test_messages_of_an_earlier_connection_count_toward_the_prefetch_limit(consumers: Any) -> None:
    """A worker that reconnects takes no more than its processes can run."""
    first = consumers(prefetch=1)
    first.send("text")
    message = first.take()
    second = consumers(prefetch=1)
    assert not second.channel.qos.can_consume()
    message.ack()
    assert second.channel.qos.can_consume()


def test_the_answer_to_a_pending_poll_is_read_and_its_message_put_back(
    server: Server, consumers: Any
) -> None:
    """Its answer may be a message from the queue. The channel has no consumer, so it goes back."""
    consumer = consumers()
    consumer.send("text")
    consumer.connection.connection.cycle.on_poll_start()
    consumer.channel.basic_cancel("tag")
    consumer.channel.read_what_was_asked_for()
    assert connect(server.url).llen("books") == 1
    consumer.channel.read_what_was_asked_for()


def test_a_pending_poll_without_an_answer_ends_in_a_second(consumers: Any) -> None:
    consumer = consumers()
    consumer.connection.connection.cycle.on_poll_start()
    consumer.channel.read_what_was_asked_for()
    assert not consumer.messages


def test_a_broken_connection_is_cut(server: Server, consumers: Any) -> None:
    """Celery then makes a new one."""
    consumer = consumers()
    consumer.connection.connection.cycle.on_poll_start()
    server.stop()
    with pytest.raises(consumer.connection.connection_errors):
        consumer.channel.read_what_was_asked_for()
    assert consumer.channel.client.connection._sock is None


def test_all_connections_can_be_cut_at_once(server: Server, consumers: Any) -> None:
    """No thread then waits on a dead connection. New ones are made, and messages stay held."""
    consumer, idle = consumers(), consumers()
    consumer.send("x")
    message = consumer.take()
    before = {client["id"] for client in connect(server.url).client_list()}
    idle.channel._pool = idle.channel._async_pool = None
    WorkerChannel.cut_all()
    UnackedMessages.cut_all()
    message.ack()
    unacked = consumer.channel.qos.unacked
    unacked.renew()
    unacked.renew()
    connection = connect(server.url)
    assert connection.hlen("unacked") == 0
    assert len(before & {client["id"] for client in connection.client_list()}) < len(before)
    consumer.send("y")
    assert consumer.take().body == b"y"


def test_a_rejected_message_is_removed_from_the_record(
    server: Server, consumers: Any, eventually: Eventually
) -> None:
    """Celery does so with what it does not know."""
    consumer = consumers()
    consumer.send("x")
    consumer.take().reject()
    connection = connect(server.url)
    consumer.channel.qos.unacked.renew()
    eventually(lambda: connection.hlen("unacked") == 0)
    assert connection.llen("books") == 0


@pytest.mark.parametrize("has_gate", [True, False])
def test_deeply_nested_json_is_refused_as_a_malformed_message(
    consumers: Any, monkeypatch: pytest.MonkeyPatch, has_gate: bool
) -> None:
    """kombu parses what it hears before it asks the gate."""

    def too_deep(self: Any, client: Any) -> None:
        raise RecursionError

    channel = consumers().channel
    gate = channel.gate = Gate(Keyring(SECRET), print) if has_gate else None
    monkeypatch.setattr(Transport.Channel, "_receive_one", too_deep)
    with pytest.raises(Empty):
        channel._receive_one(None)
    assert gate is None or gate.refusals.total == 1


def test_a_message_that_the_gate_refuses_is_not_delivered(server: Server, consumers: Any) -> None:
    """No worker lists it as unacknowledged."""
    redis = connect(server.url)
    consumer = consumers()
    gate = consumer.channel.gate = Gate(Keyring(SECRET), print)
    redis.lpush("books", b"strange")
    consumer.connection.drain_events(timeout=60)
    assert gate.refusals.total == 1
    assert consumer.messages == []
    assert redis.exists("books", "unacked", "unacked_index") == 0


def test_a_message_for_another_python_is_put_back_and_its_queue_is_left_alone(
    server: Server, consumers: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker pauses that queue, and asks other queues meanwhile."""
    redis = connect(server.url)
    consumer = consumers()
    channel = consumer.channel
    old = WorkerPresence("old", 1, ["books"], python="2.7")
    channel.gate = Gate(KEYRING, print, present=lambda: [old])
    channel.queue_declare("others")
    channel.basic_consume("others", False, consumer.messages.append, "other tag")
    batch = Batch("b-1", "f", "n", [b""], python="2.7", issued=time.time())
    data = message_for(batch, queue="books", priority=0, keyring=KEYRING).data
    redis.lpush("books", data)
    consumer.connection.drain_events(timeout=60)
    assert redis.lrange("books", 0, -1) == [data]
    assert redis.exists("unacked", "unacked_index") == 0
    assert not channel.qos.unacked

    own = message_for(
        Batch("b-2", "f", "n", [b""], issued=time.time()),
        queue="others",
        priority=0,
        keyring=KEYRING,
    )
    redis.lpush("others", own.data)
    monkeypatch.setattr(channel.gate.other_versions, "left_alone", lambda: {"books"})
    consumer.connection.drain_events(timeout=60)
    assert [message.headers["id"] for message in consumer.messages] == ["b-2"]
    assert redis.lrange("books", 0, -1) == [data]


def test_gossip_is_dropped_and_an_unsigned_remote_command_is_refused(consumers: Any) -> None:
    """Gossip makes workers act on messages that carry no secret."""
    channel = consumers().channel
    channel.gate = Gate(Keyring(SECRET), print)
    assert channel._deliver_fanout_message({"body": "x"}, "celeryev")
    assert channel._deliver_fanout_message({"body": "x"}, "celery.pidbox")
    assert channel.gate.refusals.total == 1


def test_reply_addresses_of_remote_control_are_not_remembered_without_limit(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Questions of remote control are not signed, and each may name another one."""
    monkeypatch.setattr(transport_module, "MOST_DECLARED", 10)
    with PatientAMQP.Connection(server.url) as connection:
        connection.transport_cls = WorkerTransport
        channel = connection.channel()
        channel.gate = Gate(Keyring(SECRET), print)
        mailbox = Mailbox("celery")(connection)
        with connection.Producer(channel) as producer:
            for number in range(100):
                mailbox._publish_reply(
                    {"ok": "pong"}, f"way {number}", "key", "ticket", producer=producer
                )
        assert 0 < len(connection.declared_entities) <= 10
        channel.exchange_declare(transport_module.PIDBOX_REPLIES)
        assert set(channel.state.exchanges) == {transport_module.PIDBOX_REPLIES}
        channel.gate = None  # As in Flower, which reads answers itself.
        channel.exchange_declare("way 1")
        assert "way 1" in channel.state.exchanges


def test_a_channel_without_a_gate_delivers_like_the_channel_of_kombu(
    consumers: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as Flower."""
    heard = []
    monkeypatch.setattr(
        Transport.Channel, "_deliver_fanout_message", lambda self, *what: heard.append(what)
    )
    assert consumers().channel._deliver_fanout_message({"body": "x"}, "celeryev")
    assert heard == [({"body": "x"}, "celeryev")]


@pytest.mark.slow
def test_pauses_between_attempts_to_connect_do_not_grow() -> None:
    """Redis may be back after a minute as after a second."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    connection = PatientAMQP.Connection(f"redis://127.0.0.1:{port}")
    connection.transport_cls = WorkerTransport
    pauses: list[float] = []
    with pytest.raises(OperationalError):
        connection.ensure_connection(lambda error, pause: pauses.append(pause), max_retries=3)
    assert len(set(pauses)) == 1
    assert 0.25 <= pauses[0] <= 0.75
