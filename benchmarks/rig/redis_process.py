"""A Redis server that can be killed, emptied and filled up, and comes back with its file."""

import contextlib
import secrets
import signal
import time
from pathlib import Path

import redis

from benchmarks.ports import free_port
from distribute_challenge.benchmarking.clusters.child_process import ChildProcess
from distribute_challenge.cluster.redis_server import server_program
from distribute_challenge.errors import ClusterStartError
from distribute_challenge.execution_backends.celery.broker.connection import connect

__all__ = ["RedisProcess"]

ANSWER_WITHIN = (
    20.0  # Seconds from its start; it takes hundredths, and a little more with a long file to read.
)
ASK_EVERY = 0.02  # Seconds.

# Before it listens, and while it reads its file.
_LOADING = (redis.exceptions.BusyLoadingError, redis.ConnectionError, redis.TimeoutError)


class RedisProcess:
    """A server with a password, on a loopback TCP port, that appends every command to a file.

    Args:
        folder: For that file, its configuration and its log; made if it is not there.

    Attributes:
        port: Stays the same from one start to the next.
        password: Of its default user.
    """

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.password = secrets.token_hex(16)
        self._folder = folder
        self._process: ChildProcess | None = None

    @property
    def url(self) -> str:
        """Its address, with the password."""
        return self.url_at(self.port)

    def url_at(self, port: int) -> str:
        """Its address behind another port of this machine."""
        return f"redis://:{self.password}@127.0.0.1:{port}/0"

    @property
    def pid(self) -> int:
        """Number of its process."""
        return self._running().pid

    def start(self) -> None:
        """Start it, and wait until it answers.

        Raises:
            ClusterStartError: It does not answer in time; with its last lines.
        """
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # In a file: a command line can be read by every user of this machine.
        configuration = self._folder / "redis.conf"
        configuration.touch(mode=0o600)
        configuration.write_text(
            "\n".join(
                [
                    f"port {self.port}",
                    "bind 127.0.0.1",
                    f"requirepass {self.password}",
                    f"dir {self._folder}",
                    'save ""',
                    "appendonly yes",
                    "appendfsync everysec",
                    "maxmemory-policy noeviction",
                    "",
                ]
            )
        )
        log = self._folder / "redis.log"
        self._process = ChildProcess(
            [server_program(), str(configuration)], output=log, environment={}
        )
        deadline = time.monotonic() + ANSWER_WITHIN
        while not self.answers():
            if self._process.code is not None or time.monotonic() > deadline:
                lines = "\n".join(f"    {line}" for line in self._process.last_lines())
                raise ClusterStartError(
                    f"Redis does not answer at port {self.port}; its last lines:\n{lines}"
                )
            time.sleep(ASK_EVERY)

    def answers(self) -> bool:
        """Whether it answers now."""
        with contextlib.suppress(*_LOADING), self.connection() as connection:
            return bool(connection.ping())
        return False

    def connection(self) -> redis.Redis:
        """A new connection to it, by no detour."""
        return connect(self.url, answer_within=ANSWER_WITHIN)

    def kill(self) -> None:
        """Kill it, as a machine that loses its power would; what it wrote to its file stays."""
        process = self._running()
        process.send(signal.SIGKILL)
        process.wait()

    def empty(self) -> None:
        """Remove all keys."""
        with self.connection() as connection:
            connection.flushall()

    def fill(self) -> None:
        """Let it have no memory for anything that takes some, as when it has reached its limit."""
        self._limit(1)

    def free(self) -> None:
        """Let it have memory again."""
        self._limit(0)

    def close(self) -> None:
        """End it, if it runs."""
        if self._process is not None:
            self._process.end()

    def _limit(self, memory: int) -> None:
        with self.connection() as connection:
            connection.config_set("maxmemory", memory)

    def _running(self) -> ChildProcess:
        assert self._process is not None, "it has not been started"
        return self._process
