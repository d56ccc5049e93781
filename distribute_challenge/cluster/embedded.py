"""The client's handle on an embedded cluster: start it, find it, notice its death, end it."""

import json
import os
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from distribute_challenge.cluster import supervisor
from distribute_challenge.cluster.redis_server import server_command, server_program
from distribute_challenge.errors import ClusterStartError
from distribute_challenge.settings import patience

__all__ = ["EmbeddedCluster"]

START_DEADLINE = 10.0  # Seconds for the Redis server to answer; it takes hundredths.
LONGEST_SOCKET_PATH = 100  # Bytes; the kernel's limit is 108 on Linux and 104 on macOS.
WORKER_MODULE = "distribute_challenge.execution_backends.celery.worker"


class EmbeddedCluster:
    """A private Redis server and a Celery worker on this machine, for this process alone.

    Args:
        workers: Worker processes at the start.

    Guarantees:

    - Nobody else can reach it: the server listens on a Unix socket in a folder that only this user can enter.
    - It ends with this process, however that ends; see `supervisor`.
    """

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self.folder: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = os.getpid()
        self._death: str | None = None

    @property
    def broker_url(self) -> str:
        """Address of its broker, as Celery and this library take it."""
        assert self.folder is not None
        return f"redis+socket://{self.folder}/redis.sock"

    def start(self) -> None:
        """Start its processes, without waiting for them.

        Raises:
            ClusterStartError: No Redis server is installed.
        """
        program = server_program()
        self.folder = _private_folder()
        worker = [sys.executable, "-P", "-m", WORKER_MODULE, self.broker_url, str(self.workers), "embedded"]
        plan = {
            "folder": str(self.folder),
            "commands": {"redis": server_command(program, self.folder), "worker": worker},
            "environment": {
                **os.environ,
                "DISTRIBUTE_CHALLENGE_PATHS": json.dumps([path for path in sys.path if path]),
            },
            "patience": patience(),
        }
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(supervisor.__file__), json.dumps(plan)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # Away from the terminal's Ctrl+C, which is for the client to handle.
            start_new_session=True,
        )

    def wait_until_reachable(self) -> None:
        """Wait until its broker answers; the worker may still be starting.

        Raises:
            ClusterStartError: It died, or does not answer in time; with its last log lines.
        """
        assert self.folder is not None
        deadline = time.monotonic() + START_DEADLINE
        while True:
            with socket.socket(socket.AF_UNIX) as probe:
                if probe.connect_ex(str(self.folder / "redis.sock")) == 0:
                    return
            self.check()
            if time.monotonic() > deadline:
                raise ClusterStartError(
                    f"the embedded cluster's Redis server did not answer within {START_DEADLINE:g} s:\n{self.log('redis')}"
                )
            time.sleep(0.002)

    def check(self) -> None:
        """Raise `ClusterStartError` if one of its processes has died."""
        assert self._process is not None
        assert self._process.stdout is not None
        if self._death is None and select.select([self._process.stdout], [], [], 0)[0]:
            line = self._process.stdout.readline()
            self._death = _death_text(json.loads(line)) if line else "the embedded cluster's supervisor was killed"
        if self._death is not None:
            raise ClusterStartError(self._death)

    def log(self, process: str = "worker") -> str:
        """What a process (``"worker"`` or ``"redis"``) has written so far."""
        assert self.folder is not None
        path = self.folder / f"{process}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def close(self) -> None:
        """End all its processes and remove its folder. Calls that run are abandoned."""
        process, self._process = self._process, None
        if process is None or os.getpid() != self._owner:
            return
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(b"stop")
            process.stdin.close()
        except BrokenPipeError:
            pass  # It has ended by itself.
        process.wait()
        process.stdout.close()
        assert self.folder is not None
        shutil.rmtree(self.folder, ignore_errors=True)


def _private_folder() -> Path:
    """A new folder that only this user can enter, with room for a socket's name in its path."""
    folder = tempfile.mkdtemp(prefix="distribute_challenge-")
    if len(os.fsencode(folder)) + len("/redis.sock") > LONGEST_SOCKET_PATH:
        os.rmdir(folder)
        folder = tempfile.mkdtemp(prefix="distribute_challenge-", dir="/tmp")
    return Path(folder)


def _death_text(report: dict[str, object]) -> str:
    lines = report["log"]
    assert isinstance(lines, list)
    return "\n".join(
        [
            f"the embedded cluster's {report['process']} process died (exit code {report['exit_codes']}); its last lines:",
            *(f"    {line}" for line in lines),
        ]
    )
