"""The books of what a worker has in work, kept faster and no differently."""

from collections.abc import Iterator
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
def test_a_message_stands_in_the_books_while_it_is_in_work(server: Server, channels: Any, transport: type) -> None:
    """The same with kombu's own transport."""
    redis = connect(server.url)
    channel = channels(transport)
    channel.queue_declare("books")
    channel.basic_publish(channel.prepare_message("text"), "", "books")
    message = channel.basic_get("books")
    tag = message.delivery_tag
    assert redis.zscore("unacked_index", tag) > 1e9
    assert b"text" not in redis.hget("unacked", tag)  # In base64, as kombu has it.
    assert redis.hkeys("unacked") == [tag.encode()]
    channel.basic_ack(tag)
    assert redis.exists("unacked", "unacked_index") == 0


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


def test_one_client_serves_until_the_channel_is_cut_off(channels: Any) -> None:
    channel = channels(WorkerTransport)
    first = channel._create_client()
    assert channel._create_client() is first
    assert channel.client is not first
    channel._disconnect_pools()
    assert channel._create_client() is not first


def test_kombus_own_channel_still_makes_one_each_time(channels: Any) -> None:
    """When this fails, ours can go."""
    channel = channels(Transport)
    assert channel._create_client() is not channel._create_client()
