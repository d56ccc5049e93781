"""From broker URLs to connections, and from Redis' errors to the library's."""

import socket
import threading
from collections.abc import Callable

import pytest
import redis

from distribute_challenge.errors import BrokerUnreachableError, OptionError
from distribute_challenge.execution_backends.celery.broker import connection
from distribute_challenge.execution_backends.celery.broker.connection import (
    check_reachable,
    connect,
    translated,
)
from tests.execution_backends.celery.conftest import Server
from tests.processes import wait_until


def arguments(url: str) -> dict[str, object]:
    return dict(connect(url).connection_pool.connection_kwargs)


def test_host_port_database_user_and_password_are_read_from_a_url() -> None:
    """Host, port, database, user and password."""
    found = arguments("redis://ann:secret@example.org:7000/3")
    assert (found["host"], found["port"], found["db"]) == ("example.org", 7000, 3)
    assert (found["username"], found["password"]) == ("ann", "secret")


def test_a_socket_url_in_the_form_of_celery_is_read() -> None:
    """Its database is called virtual_host there."""
    found = arguments("redis+socket:///run/redis.sock?virtual_host=2")
    assert (found["path"], found["db"]) == ("/run/redis.sock", 2)


def test_a_socket_url_may_have_a_password() -> None:
    """It stands before the path."""
    found = arguments("redis+socket://:secret@/run/redis.sock")
    assert (found["path"], found["password"], found["db"]) == ("/run/redis.sock", "secret", 0)


@pytest.mark.parametrize(("written", "meant"), [("CERT_NONE", "none"), ("required", "required")])
def test_a_tls_url_may_name_certificates_as_celery_or_redis_do(written: str, meant: str) -> None:
    """ssl.CERT_NONE's name, or redis-py's word."""
    assert (
        arguments(f"rediss://example.org:6380/0?ssl_cert_reqs={written}")["ssl_cert_reqs"] == meant
    )


@pytest.mark.parametrize(
    "url", ["amqp://ann:secret@example.org", "example.org:6379", "redis://host:port/0"]
)
def test_another_url_scheme_is_refused_with_the_right_form_and_no_password(url: str) -> None:
    """The error does not show the password."""
    with pytest.raises(OptionError, match="write it as redis://host:6379/0") as caught:
        connect(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["redis://ann:hunter2/x@example.org", "redis://:hunter2#x?@example.org:1"]
)
def test_a_password_that_breaks_its_url_is_not_shown_in_parts_either(url: str) -> None:
    """Python's own words would quote from it."""
    with pytest.raises(OptionError, match="has to be quoted, / as %2F") as caught:
        connect(url)
    assert "hunter" not in str(caught.value)
    assert "hunter" not in repr(caught.value.__cause__)


def test_a_silent_address_is_an_error_that_says_what_to_check() -> None:
    """The error masks the password."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # Bound and not listening: connections are refused.
        url = f"redis://:secret@127.0.0.1:{taken.getsockname()[1]}"
        with (
            pytest.raises(
                BrokerUnreachableError, match=r"no Redis answers at redis://:\*\*\*@127.* check"
            ) as caught,
            translated(url),
        ):
            connect(url).ping()
    assert "secret" not in str(caught.value)
    assert isinstance(caught.value, ConnectionError)


def test_a_server_that_is_not_redis_is_reported_as_unreachable() -> None:
    """A web server, say."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(100)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        threading.Thread(target=answer).start()
        url = f"redis://127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(BrokerUnreachableError, match="no Redis answers"), translated(url):
            connect(url).ping()


def lose_disk(server: Server) -> None:
    """Let it fail to save, as where the disk is full."""
    folder = server.folder / "gone"
    folder.mkdir()
    server.stop()
    server.start("--dir", str(folder))
    redis_ = connect(server.url)
    redis_.config_set("save", "3600 1")
    folder.rmdir()
    redis_.bgsave()
    wait_until(lambda: redis_.info("persistence")["rdb_last_bgsave_status"] == "err", "an error")


@pytest.mark.parametrize(
    ("harm", "user", "advice"),
    [
        (
            lambda server: connect(server.url).replicaof("127.0.0.1", "1"),
            "",
            "it is a replica: set the address of its primary",
        ),
        (lose_disk, "", "MISCONF .*: it cannot save its data, most likely as its disk is full"),
        (
            lambda server: connect(server.url).execute_command(
                "ACL", "SETUSER", "reader", "on", ">word", "~*", "+get"
            ),
            "reader:word@",
            "give the user in the URL the rights",
        ),
    ],
    ids=["READONLY", "MISCONF", "NOPERM"],
)
def test_a_server_that_refuses_writes_is_reported_with_its_reason_and_advice(
    server: Server, harm: Callable[[Server], object], user: str, advice: str
) -> None:
    """What it says is shown, and what to do."""
    harm(server)
    url = server.url.replace("redis+socket://", f"redis+socket://{user}")
    with (
        pytest.raises(BrokerUnreachableError, match=rf"answers, and refuses .*{advice}"),
        translated(url),
    ):
        connect(url).set("name", "value")


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (redis.BusyLoadingError("Redis is loading the dataset in memory"), "try again in a moment"),
        (
            redis.ResponseError("NOREPLICAS Not enough good replicas to write"),
            "look at its log and its configuration",
        ),
    ],
)
def test_other_refusals_of_redis_are_reported_with_advice(error: Exception, advice: str) -> None:
    with (
        pytest.raises(BrokerUnreachableError, match=f"answers, and refuses .*{advice}"),
        translated("redis://host"),
    ):
        raise error


def test_a_wrong_password_is_reported_as_a_refused_login(server: Server) -> None:
    """The error does not call the server unreachable."""
    connect(server.url).config_set("requirepass", "right")
    url = server.url.replace("redis+socket://", "redis+socket://:wrong@")
    with pytest.raises(BrokerUnreachableError, match="refused the login"), translated(url):
        connect(url).ping()


def test_redis_py_does_not_retry_commands() -> None:
    """redis-py's own retries are off."""
    retry = arguments("redis://example.org")["retry"]
    with pytest.raises(redis.ConnectionError):
        retry.call_with_retry(raise_connection_error, lambda _: None)  # type: ignore[attr-defined]
    assert attempts == [1]


attempts: list[int] = []


def raise_connection_error() -> None:
    attempts.append(1)
    raise redis.ConnectionError


def test_a_server_that_stays_silent_is_an_error_within_seconds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It takes the connection, and that is all it ever does."""
    monkeypatch.setattr(connection, "ANSWER_WITHIN", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"redis://127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(BrokerUnreachableError, match="no Redis answers"):
            check_reachable(url)
