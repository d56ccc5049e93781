"""The books of what a worker has in work, kept faster and no differently."""

import json
import time
from collections.abc import Callable, Iterator
from queue import Empty
from types import SimpleNamespace
from typing import Any

import pytest
from kombu import Connection
from kombu.transport.redis import Transport

from distribute_challenge.execution_backends.celery.connection import connect
from distribute_challenge.execution_backends.celery.gate import Gate
from distribute_challenge.execution_backends.celery.publishing import message_for
from distribute_challenge.execution_backends.celery.transport import WorkerTransport
from distribute_challenge.messages import Batch
from distribute_challenge.security import Keyring
from tests.execution_backends.celery.conftest import Server
from tests.secret import KEYRING, SECRET

TRANSPORTS = [Transport, WorkerTransport]


@pytest.fixture
def channels(server: Server) -> Iterator[Any]:
    """Makes channels over a transport, and closes them."""
    connections = []

    def channel_over(transport: type) -> Any:
        connection = Connection(server.url)
        connection.transport_cls = transport
        connections.append(connection)
        return connection.channel()

    yield channel_over
    for connection in connections:
        connection.release()


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_message_stands_in_the_books_while_it_is_in_work(
    server: Server, channels: Any, eventually: Callable[[Callable[[], bool]], None], transport: type
) -> None:
    """The same with kombu's own transport."""
    redis = connect(server.url)
    channel = channels(transport)
    channel.queue_declare("books")
    channel.basic_publish(channel.prepare_message("text"), "", "books")
    message = channel.basic_get("books")
    tag = message.delivery_tag
    eventually(lambda: redis.hexists("unacked", tag))
    assert redis.zscore("unacked_index", tag) > 1e9
    assert b"text" not in redis.hget("unacked", tag)  # In base64, as kombu has it.
    assert redis.hkeys("unacked") == [tag.encode()]
    channel.basic_ack(tag)
    eventually(lambda: redis.exists("unacked", "unacked_index") == 0)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_message_that_is_given_back_is_in_its_queue_again(server: Server, channels: Any, transport: type) -> None:
    redis = connect(server.url)
    channel = channels(transport)
    channel.queue_declare("books")
    channel.basic_publish(channel.prepare_message("text"), "", "books")
    message = channel.basic_get("books")
    assert redis.llen("books") == 0
    channel.basic_reject(message.delivery_tag, requeue=True)
    assert redis.llen("books") == 1
    assert redis.exists("unacked", "unacked_index") == 0
    redis.delete("books")


def test_the_books_have_one_connection_until_the_channel_is_cut_off(channels: Any) -> None:
    channel = channels(WorkerTransport)
    first = channel.line()
    assert channel.line() is first
    channel._disconnect_pools()
    assert channel.line() is not first


def test_what_the_broker_refuses_to_note_down_is_in_work_all_the_same(
    server: Server, channels: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """The worker says so with the next message."""
    redis = connect(server.url)
    channel = channels(WorkerTransport)
    channel.queue_declare("books")
    for text in "first", "second":
        channel.basic_publish(channel.prepare_message(text), "", "books")
    first = channel.basic_get("books")
    channel.line().settle()
    redis.config_set("maxmemory", 1)
    channel.qos.append(first, "another tag")
    redis.config_set("maxmemory", 0)
    assert channel.basic_get("books").body is not None
    assert "did not note down what this worker holds" in caplog.text
    assert redis.hlen("unacked") == 2


def entry(frame: bytes | None = None, exchange: object = "", queue: object = "books") -> bytes:
    """What a worker has in its books for a message."""

    class Frame(Batch):
        def encode(self) -> bytes:
            return super().encode() if frame is None else frame

    sent = message_for(Frame("b", "d", "f", [b""], issued=time.time()), queue="books", priority=9, keyring=KEYRING)
    return json.dumps([json.loads(sent.data), exchange, queue]).encode()


@pytest.mark.parametrize("is_gated", [True, False], ids=["a worker", "another program"])
@pytest.mark.parametrize("written", [entry(), entry(b"DCF9 of another version")], ids=["ours", "another version's"])
def test_a_lost_message_goes_back_to_its_queue(server: Server, channels: Any, written: bytes, is_gated: bool) -> None:
    redis, channel = connect(server.url), channels(WorkerTransport)
    channel.gate = Gate(Keyring(SECRET), print) if is_gated else None
    redis.hset("unacked", "tag", written)
    redis.zadd("unacked_index", {"tag": 1.0, "no such": 2.0})
    for tag in ("tag", "no such"):
        channel.qos.restore_by_tag(tag)
    assert redis.llen("books") == 1
    assert redis.exists("unacked", "unacked_index") == 0


@pytest.mark.parametrize(
    "written",
    [
        b"",
        b"{",
        b"[" * 100_000,
        b"[1, 2]",
        entry(exchange={}),
        entry(exchange="x"),
        entry(queue=[]),
        entry().replace(b"R", b"S"),
    ],
)
def test_what_nobody_with_the_secret_wrote_into_the_books_is_struck_out(
    server: Server, channels: Any, written: bytes
) -> None:
    """kombu would stumble over it at each look, and find nothing that stands behind it."""
    redis, channel = connect(server.url), channels(WorkerTransport)
    channel.gate = Gate(Keyring(SECRET), print)
    redis.hset("unacked", "tag", written)
    redis.zadd("unacked_index", {"tag": 1.0})
    channel.qos.restore_by_tag("tag")
    assert redis.keys() == []
    assert channel.gate.refusals.total == 1


@pytest.mark.parametrize("is_gated", [True, False], ids=["a worker", "another program"])
def test_what_is_published_as_deep_as_a_well_is_passed_over(channels: Any, is_gated: bool) -> None:
    """kombu expects everything of JSON but that."""
    channel = channels(WorkerTransport)
    channel.gate = Gate(Keyring(SECRET), print) if is_gated else None
    client = SimpleNamespace(parse_response=lambda: [b"message", b"/0.celery.pidbox", b"[" * 100_000])
    channel._handle_message = lambda *_: {"type": "message", "channel": "/0.celery.pidbox", "data": b"[" * 100_000}
    with pytest.raises(Empty):
        channel._receive_one(client)
    assert not is_gated or channel.gate.refusals.total == 1


def test_a_program_that_is_no_worker_hears_everything(server: Server, channels: Any) -> None:
    """Flower reads what Celery's own workers say, which nobody signs."""
    heard, channel = [], channels(WorkerTransport)
    channel._fanout_to_queue["celeryev"] = "events"
    channel.connection._deliver = lambda message, queue: heard.append((message, queue))
    assert channel._deliver_fanout_message({"body": "x"}, "celeryev")
    channel.gate = Gate(Keyring(SECRET), print)
    assert channel._deliver_fanout_message({"body": "x"}, "celeryev")
    assert heard == [({"body": "x"}, "events")]
