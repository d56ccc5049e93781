"""Commands that are sent now and answered later."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

from distribute_challenge.execution_backends.celery.broker import pipelined
from distribute_challenge.execution_backends.celery.broker.connection import connect
from distribute_challenge.execution_backends.celery.broker.pipelined import PipelinedConnection
from tests.execution_backends.celery.conftest import DEADLINE, Server


@pytest.fixture
def connection(server: Server) -> Iterator[PipelinedConnection]:
    connection = PipelinedConnection(connect(server.url))
    yield connection
    connection.close()


def test_answers_come_in_the_order_of_the_commands(connection: PipelinedConnection) -> None:
    connection.send(("SET", "key", b"value"))
    connection.send(("GET", "key"), ("LPUSH", "list", 1.5, "text"))
    assert connection.owed == 3
    assert [connection.read() for _ in range(3)] == [b"OK", b"value", 2]
    assert connection.owed == 0


def test_a_refused_command_is_an_error_where_its_answer_is_read(
    connection: PipelinedConnection,
) -> None:
    """The others are not harmed."""
    connection.send(("SET", "key", "value"), ("LPUSH", "key", "x"), ("GET", "key"))
    connection.read()
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        connection.read()
    assert connection.read() == b"value"


def test_settle_reads_all_answers_and_raises_the_first_error(
    connection: PipelinedConnection,
) -> None:
    connection.settle()
    connection.send(("SET", "key", "value"), ("LPUSH", "key", "x"), ("HGET", "key"), ("GET", "key"))
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        connection.settle()
    assert connection.owed == 0
    connection.send(("GET", "key"))
    assert connection.read() == b"value"


class Interrupted:
    """A socket's data that is read just when Ctrl+C comes."""

    def __init__(self, read: Callable[..., Any]) -> None:
        self._read = read

    def __call__(self, *arguments: Any, **options: Any) -> None:
        self._read(*arguments, **options)
        raise KeyboardInterrupt


def test_an_answer_that_was_lost_when_ctrl_c_came_is_not_waited_for(
    connection: PipelinedConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its bytes were taken from the stream: it would never come."""
    connection.send(("GET", "key"))
    with monkeypatch.context() as context:
        inner = connection._connection
        context.setattr(inner, "read_response", Interrupted(inner.read_response))
        with pytest.raises(KeyboardInterrupt):
            connection.read()
    assert connection.owed == 0
    connection.send(("PING",))
    assert connection.read() == b"PONG"


def test_an_interrupted_wait_loses_no_answer(
    connection: PipelinedConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection.send(("ECHO", "word"))
    with monkeypatch.context() as context:
        inner = connection._connection
        context.setattr(inner, "can_read", Interrupted(inner.can_read))
        with pytest.raises(KeyboardInterrupt):
            connection.read()
    assert connection.read() == b"word"


@pytest.mark.parametrize("error", [AttributeError, TypeError, ValueError])
def test_a_connection_that_another_thread_closes_is_broken(
    connection: PipelinedConnection, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    """redis-py fails in several ways, by the line at which the socket goes."""

    def fail(_: object) -> None:
        raise error

    connection.send(("PING",))
    with monkeypatch.context() as context:
        context.setattr(connection._connection, "can_read", fail)
        with pytest.raises(redis.ConnectionError, match="was closed"):
            connection.read()
    assert connection.owed == 0


def test_readable_tells_whether_an_answer_is_there(
    connection: PipelinedConnection, server: Server
) -> None:
    connection.send(("BLPOP", "list", DEADLINE))
    assert not connection.readable(0.01)
    connect(server.url).rpush("list", "x")
    assert connection.readable(DEADLINE)
    assert connection.read() == [b"list", b"x"]


@pytest.mark.parametrize(
    "use",
    [
        PipelinedConnection.read,
        lambda connection: connection.readable(DEADLINE),
        lambda connection: connection.send(("PING",)),
    ],
)
def test_a_broken_connection_owes_no_answers_and_reconnects_at_the_next_command(
    connection: PipelinedConnection, server: Server, use: object
) -> None:
    connection.send(("BLPOP", "list", DEADLINE))
    server.stop()
    with pytest.raises(redis.ConnectionError):
        # Writing to a connection that was cut off may go well once.
        [use(connection) for _ in range(2)]  # type: ignore[operator]
    assert connection.owed == 0
    server.start()
    connection.send(("PING",))
    assert connection.read() == b"PONG"


def test_a_connection_that_was_cut_off_while_idle_is_made_anew(
    connection: PipelinedConnection, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some servers allow a client only so many idle seconds."""
    monkeypatch.setattr(pipelined, "IDLE", 0.0)
    for _ in range(3):
        connection.send(("CLIENT", "ID"))
        number = connection.read()
        assert connect(server.url).client_kill_filter(_id=number) == 1
    connection.send(("CLIENT", "ID"))
    assert connection.read() > number


def test_an_idle_connection_with_unexpected_data_is_replaced(
    connection: PipelinedConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would answer every command with the answer to the one before."""
    monkeypatch.setattr(pipelined, "IDLE", 0.0)
    connection.send(("SET", "key", "value"))
    assert connection.readable(DEADLINE)
    connection.owed = 0
    connection.send(("GET", "key"))
    assert connection.read() == b"value"
