"""Commands that are sent now and answered later."""

from collections.abc import Iterator

import pytest
import redis

from distribute_challenge.execution_backends.celery.broker import line as line_module
from distribute_challenge.execution_backends.celery.broker.connection import connect
from distribute_challenge.execution_backends.celery.broker.line import Line
from tests.execution_backends.celery.conftest import DEADLINE, Server


@pytest.fixture
def line(server: Server) -> Iterator[Line]:
    line = Line(connect(server.url))
    yield line
    line.close()


def test_answers_come_in_the_order_of_the_commands(line: Line) -> None:
    line.send(("SET", "key", b"value"))
    line.send(("GET", "key"), ("LPUSH", "list", 1.5, "text"))
    assert line.owed == 3
    assert [line.read() for _ in range(3)] == [b"OK", b"value", 2]
    assert line.owed == 0


def test_a_refused_command_is_an_error_where_its_answer_is_read(line: Line) -> None:
    """The others are not harmed."""
    line.send(("SET", "key", "value"), ("LPUSH", "key", "x"), ("GET", "key"))
    line.read()
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        line.read()
    assert line.read() == b"value"


def test_settling_reads_everything_and_tells_the_first_that_was_refused(line: Line) -> None:
    line.settle()
    line.send(("SET", "key", "value"), ("LPUSH", "key", "x"), ("HGET", "key"), ("GET", "key"))
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        line.settle()
    assert line.owed == 0
    line.send(("GET", "key"))
    assert line.read() == b"value"


def test_readable_tells_whether_an_answer_is_there(line: Line, server: Server) -> None:
    line.send(("BLPOP", "list", DEADLINE))
    assert not line.readable(0.01)
    connect(server.url).rpush("list", "x")
    assert line.readable(DEADLINE)
    assert line.read() == [b"list", b"x"]


@pytest.mark.parametrize(
    "use", [Line.read, lambda line: line.readable(DEADLINE), lambda line: line.send(("PING",))]
)
def test_a_broken_connection_owes_nothing_and_the_next_command_makes_a_new_one(
    line: Line, server: Server, use: object
) -> None:
    line.send(("BLPOP", "list", DEADLINE))
    server.stop()
    with pytest.raises(redis.ConnectionError):
        # Writing to a connection that was cut off may go well once.
        [use(line) for _ in range(2)]  # type: ignore[operator]
    assert line.owed == 0
    server.start()
    line.send(("PING",))
    assert line.read() == b"PONG"


def test_a_connection_that_was_cut_off_while_idle_is_made_anew(
    line: Line, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As servers do that allow a client only so many idle seconds."""
    monkeypatch.setattr(line_module, "IDLE", 0.0)
    for _ in range(3):
        line.send(("CLIENT", "ID"))
        number = line.read()
        assert connect(server.url).client_kill_filter(_id=number) == 1
    line.send(("CLIENT", "ID"))
    assert line.read() > number


def test_a_connection_on_which_something_unexpected_came_is_made_anew(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would answer every command with the answer to the one before."""
    monkeypatch.setattr(line_module, "IDLE", 0.0)
    line.send(("SET", "key", "value"))
    assert line.readable(DEADLINE)
    line.owed = 0
    line.send(("GET", "key"))
    assert line.read() == b"value"
