"""A broker with a TCP port and a password, and workers started from the command line."""

import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from distribute_challenge.cluster.redis_server import server_program
from distribute_challenge.execution_backends.celery import CeleryExecutionBackend
from distribute_challenge.execution_backends.celery.broker.connection import connect
from distribute_challenge.execution_backends.celery.broker.ping import ping
from tests.processes import PATIENCE, Program, program, wait_until

PASSWORD = secrets.token_hex(8)  # So that no source file of the tests has it.
COMMAND = [sys.executable, "-m", "distribute_challenge"]


@pytest.fixture(scope="session")
def short() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="dc", dir="/tmp"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def server(short: Path) -> Iterator[str]:
    """URL of a Redis server, without a database's number."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        server_program(),
        "--bind",
        "127.0.0.1",
        "--port",
        str(port),
        "--requirepass",
        PASSWORD,
        "--save",
        "",
    ]
    process = subprocess.Popen([*command, "--dir", str(short)], stdout=subprocess.DEVNULL)
    try:
        with redis.Redis(port=port, password=PASSWORD) as connection:

            def answers() -> bool:
                try:
                    return bool(connection.ping())
                except redis.ConnectionError:
                    return False

            wait_until(answers, "the server's start")
        yield f"redis://:{PASSWORD}@127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="session")
def broker(server: str) -> str:
    """The address where `first` and `second` work."""
    return f"{server}/0"


@pytest.fixture(scope="session")
def first(broker: str, short: Path) -> Iterator[Program]:
    """A worker with the default queue."""
    options = ["--broker", broker, "--concurrency", "1", "--name", "first"]
    with program([*COMMAND, "worker", *options], short) as running:
        running.wait_for("first@")
        _wait_for_an_answer(broker, "first")
        yield running


@pytest.fixture(scope="session")
def second(broker: str, short: Path) -> Iterator[Program]:
    """A worker with several queues, which finds its broker in the environment."""
    options = [
        "-c",
        "1",
        "-n",
        "second",
        "-Q",
        "distribute_challenge, urgent",
        "--loglevel",
        "warning",
    ]
    with program([*COMMAND, "worker", *options], short, CELERY_BROKER_URL=broker) as running:
        _wait_for_an_answer(broker, "second")
        yield running


def _wait_for_an_answer(broker: str, name: str) -> None:
    """A worker says that it is ready a moment before it hears questions to all."""
    with connect(broker) as connection:
        assert ping(connection, [host(name)], timeout=PATIENCE), (
            f"{name} did not answer within {PATIENCE} s"
        )


def host(name: str) -> str:
    return f"{name}@{socket.gethostname()}"


@pytest.fixture(scope="session")
def backend(broker: str) -> Iterator[CeleryExecutionBackend]:
    with CeleryExecutionBackend(broker) as connected:
        yield connected
