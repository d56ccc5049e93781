"""Starts what peers need beside themselves: a Redis server, and worker programs.

The runner chooses the folder and the port before a session starts, and passes them in environment
variables. So a peer's module can name the server's address at its top, as users do, and the client
and the workers import the same module.
"""

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.ports import accepts

__all__ = [
    "FOLDER",
    "PATIENCE",
    "PATIENT_REDIS_URL",
    "REDIS_PORT",
    "REDIS_SERVER",
    "REDIS_SOCKET",
    "REDIS_URL",
    "Services",
    "redis_command",
]

FOLDER = Path(os.environ.get("PEERS_FOLDER", "."))
REDIS_SERVER = os.environ.get("PEERS_REDIS_SERVER", "redis-server")
REDIS_PORT = int(os.environ.get("PEERS_REDIS_PORT", "6379"))
REDIS_URL = f"redis://127.0.0.1:{REDIS_PORT}/0"
REDIS_SOCKET = FOLDER / "redis.sock"
# For clients that wait for a result by one blocking command: redis-py 8 would give up after five
# seconds.
PATIENCE = "socket_timeout=300"
PATIENT_REDIS_URL = f"{REDIS_URL}?{PATIENCE}"

START_DEADLINE = 20.0  # Seconds for the server to accept a connection; it takes hundredths.
STOP_DEADLINE = 5.0  # Seconds for a program to end by itself after SIGTERM; then it is killed.


class Services:
    """The programs of one session; each writes a log of its own in the session's folder."""

    def __init__(self) -> None:
        self._programs: list[subprocess.Popen[bytes]] = []

    def start_redis(self) -> None:
        """Start a Redis server on the session's port and socket, and wait until it answers.

        The server keeps nothing on disk.

        Raises:
            RuntimeError: The server does not start.
        """
        server = self._run("redis", redis_command())
        deadline = time.monotonic() + START_DEADLINE
        while not accepts(REDIS_PORT):
            if server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{REDIS_SERVER} does not answer on port {REDIS_PORT}")
            time.sleep(0.002)

    def start_python(
        self, name: str, *arguments: str, environment: Mapping[str, str] | None = None
    ) -> None:
        """Start ``python`` with these arguments, with the session's own interpreter.

        Args:
            name: Name of the log.
            arguments: Such as ``-m``, the worker's module, and its options.
            environment: Environment variables in addition to this process's.
        """
        self._run(name, [sys.executable, *arguments], environment)

    def stop(self) -> None:
        """End the programs, the last one first, so that workers end before their server."""
        for program in reversed(self._programs):
            program.terminate()
            try:
                program.wait(STOP_DEADLINE)
            except subprocess.TimeoutExpired:
                program.kill()
                program.wait()
        self._programs.clear()

    def _run(
        self, name: str, command: Sequence[str], environment: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        with (FOLDER / f"{name}.log").open("ab") as log:
            program = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(environment or {})},
            )
        self._programs.append(program)
        return program


def redis_command(*, append_only: bool = False) -> list[str]:
    """Return the command line of a Redis server on the port and the socket of the session.

    Args:
        append_only: Whether the server writes its data to a file, and reads the file when it
            starts again.
    """
    return [
        REDIS_SERVER,
        *("--bind", "127.0.0.1"),
        *("--port", str(REDIS_PORT)),
        *("--unixsocket", str(REDIS_SOCKET)),
        *("--dir", str(FOLDER)),
        *("--save", ""),
        *("--appendonly", "yes" if append_only else "no"),
    ]
