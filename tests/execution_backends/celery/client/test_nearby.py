"""What is said of workers that a program does not use."""

import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from distribute_challenge import compute_this
from distribute_challenge.errors import OptionError
from distribute_challenge.execution_backends.celery.backend import CeleryExecutionBackend
from distribute_challenge.execution_backends.celery.broker import presence
from distribute_challenge.execution_backends.celery.broker.connection import Broker, connect
from distribute_challenge.execution_backends.celery.client import nearby
from tests.docker_engine import free_port
from tests.execution_backends.celery.conftest import Server

pytestmark = pytest.mark.celery

Eventually = Callable[[Callable[[], bool]], None]


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> int:
    """Stands for 6379."""
    port = free_port()
    monkeypatch.setattr(nearby, "PLACE", ("127.0.0.1", port))
    monkeypatch.setattr(nearby, "_asked_by", 0)
    return port


@pytest.fixture
def broker(server: Server, port: int) -> Iterator[Broker]:
    """A Redis there."""
    server.stop()
    server.start("--port", str(port))
    with connect(f"redis://127.0.0.1:{port}/0") as connection:
        yield connection


@pytest.fixture
def worker(broker: Broker) -> Iterator[None]:
    """Show as much of a worker as a client sees from outside."""
    presence.show(broker, presence.WorkerPresence("worker", 2, ["distribute_challenge"]))
    with broker.pubsub() as listening:
        listening.subscribe("/0.celery.pidbox")
        assert listening.get_message(timeout=10) is not None
        yield


@pytest.mark.slow
@pytest.mark.usefixtures("worker", "clean_environment")
def test_a_client_of_an_embedded_cluster_logs_once_how_to_use_workers_at_localhost(
    port: int, caplog: pytest.LogCaptureFixture, eventually: Eventually
) -> None:
    """A line of the log tells it."""
    for _ in range(2):
        with CeleryExecutionBackend() as backend:
            assert compute_this(abs)(-3).compute(backend) == 3
            eventually(
                lambda: f"CELERY_BROKER_URL=redis://localhost:{port}/0 leads to them" in caplog.text
            )
    assert caplog.text.count("CELERY_BROKER_URL") == 1


@pytest.mark.slow
@pytest.mark.usefixtures("clean_environment")
def test_a_client_that_asks_for_its_own_cluster_does_not_log_about_other_workers(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client makes one, whatever the environment says."""
    monkeypatch.setenv("CELERY_BROKER_URL", "redis://127.0.0.1:1")
    with CeleryExecutionBackend(local=True) as backend:
        assert compute_this(abs)(-3).compute(backend) == 3
    assert nearby._asked_by == 0
    with pytest.raises(OptionError, match="leave out broker_url"):
        CeleryExecutionBackend("redis://localhost", local=True)


def test_a_redis_without_workers_is_not_mentioned(
    broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    """It is there for something else."""
    nearby._mention()
    presence.show(broker, presence.WorkerPresence("killed", 2, ["distribute_challenge"]))
    nearby._mention()
    broker.delete("distribute_challenge:workers")
    broker.set("distribute_challenge:workers", "of another type")
    nearby._mention()
    assert caplog.records == []


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"-NOAUTH Authentication required.\r\n",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b":x\r\n" * 5,
    ],
)
def test_a_server_that_is_not_an_open_redis_is_not_mentioned(
    answer: bytes, port: int, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A silent server holds up the client only for a moment."""
    monkeypatch.setattr(nearby, "WITHIN", 0.05)
    nearby._mention()  # Nothing listens.
    with socket.create_server(("127.0.0.1", port)) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(answer)
                connection.recv(1000)

        thread = threading.Thread(target=serve)
        thread.start()
        nearby._mention()
        thread.join(60)
    assert caplog.records == []
