"""What the remedy for kombu is good for, and whether kombu still needs it."""

import pytest
from kombu import Connection
from kombu.transport.redis import Transport

from distribute_challenge.execution_backends.celery.connection import connect
from distribute_challenge.execution_backends.celery.lasting_channel import LastingChannel
from tests.execution_backends.celery.conftest import Server


class LastingTransport(Transport):
    Channel = LastingChannel


def connected(url: str, transport: type) -> Connection:
    """A connection over this very transport."""
    connection = Connection(url)
    connection.transport_cls = transport
    return connection


def use_after_the_end(url: str, transport: type) -> bool:
    """Talk to the broker over a channel whose connection is gone."""
    channel = connected(url, transport).channel()
    channel.connection = None  # As kombu leaves it when the broker has gone away.
    with channel.conn_or_acquire() as client:
        return bool(client.ping())


def test_a_channel_remembers_where_it_was_connected_to(server: Server) -> None:
    """So what it holds can be given back and acknowledged."""
    assert use_after_the_end(server.url, LastingTransport)


def test_kombus_own_channel_still_does_not(server: Server) -> None:
    """When this fails, the remedy can go."""
    with pytest.raises(AttributeError):
        use_after_the_end(server.url, Transport)


def test_parameters_of_a_living_connection_are_its_own(server: Server) -> None:
    """Nothing is remembered that is known better."""
    with connected(server.url, LastingTransport) as connection:
        channel = connection.channel()
        assert channel._connparams()["path"] == connect(server.url).connection_pool.connection_kwargs["path"]
