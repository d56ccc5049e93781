"""Large commands over a slow network."""

import time

import pytest
import redis

from benchmarks.rig.proxy import Proxy
from distribute_challenge.execution_backends.celery.broker.connection import connect
from distribute_challenge.execution_backends.celery.broker.pipelined import PipelinedConnection
from tests.execution_backends.celery.conftest import DEADLINE

pytestmark = pytest.mark.slow

CHUNK_TIME = 0.1  # Seconds for each 64 kB.
ANSWER_WITHIN = 0.5


@pytest.mark.parametrize("how", ["client", "line", "pieces"])
def test_a_large_command_over_a_slow_network_gets_a_longer_timeout(proxy: Proxy, how: str) -> None:
    """The command after it has the usual time."""
    proxy.slow_down(CHUNK_TIME)
    client = connect(f"redis://127.0.0.1:{proxy.port}/0", answer_within=ANSWER_WITHIN)
    line = PipelinedConnection(client)
    value = bytes(1_000_000)

    def run(*command: str | bytes) -> None:
        if how == "client":
            client.execute_command(*command)
        elif how == "pieces":  # As large values are sent.
            connection = line._connection
            connection.send_packed_command(piece for piece in connection.pack_command(*command))
            connection.read_response()
        else:
            line.send(command)
            line.settle()

    run("PING")
    began = time.monotonic()
    run("SET", "key", value)
    assert time.monotonic() - began > 2 * ANSWER_WITHIN, "the network is not slow"
    line._connection.disconnect()  # A new connection has the usual time by itself.
    run("PING")
    assert client.get("key") == value
    run("PING")
    proxy.silence()
    began = time.monotonic()
    with pytest.raises(redis.TimeoutError):
        run("PING")
    assert time.monotonic() - began < DEADLINE / 4
    line.close()
    client.close()
