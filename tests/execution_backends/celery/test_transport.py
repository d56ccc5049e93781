"""The books of what a worker has in work, kept faster and no differently."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from kombu import Connection
from kombu.transport.redis import Transport

from distribute_challenge.execution_backends.celery.connection import connect
from distribute_challenge.execution_backends.celery.transport import WorkerTransport
from tests.execution_backends.celery.conftest import Server

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
