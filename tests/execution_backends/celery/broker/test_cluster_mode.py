"""Clients and workers refuse a Redis in cluster mode, where calls would wait for ever."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from distribute_challenge import compute_this
from distribute_challenge.errors import OptionError
from distribute_challenge.execution_backends.celery.backend import CeleryExecutionBackend
from distribute_challenge.execution_backends.celery.broker.connection import check_reachable
from tests.execution_backends.celery.conftest import Server
from tests.processes import PATIENCE, environment

pytestmark = [pytest.mark.celery, pytest.mark.slow]

WORKERS = {
    "own": ["distribute_challenge", "worker", "--concurrency", "1"],
    "celery": [
        "celery",
        "-A",
        "distribute_challenge.execution_backends.celery",
        "worker",
        "--concurrency",
        "1",
    ],
}
REFUSAL = "the server at {url} runs in cluster mode, which queues do not work with"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real server in cluster mode, of one node."""
    server = Server(tmp_path_factory.mktemp("r"))
    server.start("--cluster-enabled", "yes")
    yield server.url
    server.stop()


@pytest.mark.parametrize("protocol", ["", "?protocol=2"], ids=["newest", "2"])
def test_a_client_of_a_redis_in_cluster_mode_gets_an_error_with_an_alternative(
    url: str, protocol: str
) -> None:
    with CeleryExecutionBackend(url + protocol) as backend, pytest.raises(OptionError) as caught:
        compute_this(abs)(-1).compute(backend)
    assert str(caught.value).startswith(REFUSAL.format(url=url + protocol))
    assert "Use a single Redis or Valkey server, with cluster-enabled no" in str(caught.value)


@pytest.mark.parametrize("command", WORKERS.values(), ids=WORKERS)
def test_a_worker_at_a_redis_in_cluster_mode_ends_with_the_same_error(
    command: list[str], url: str, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=tmp_path,
        env=environment(CELERY_BROKER_URL=url),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 1
    assert f"Error: {REFUSAL.format(url=url)}" in done.stderr


def test_a_server_without_the_hello_command_is_accepted(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """An old server or a proxy lacks the command. redis-py speaks the older protocol to it."""
    server = Server(tmp_path_factory.mktemp("r"))
    server.url += "?protocol=2"
    server.start("--rename-command", "HELLO", "")
    try:
        check_reachable(server.url)
    finally:
        server.stop()
