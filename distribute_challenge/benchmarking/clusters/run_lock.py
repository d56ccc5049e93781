"""A lock for each port, so that benchmarks with the same port run one after the other.

With it, a benchmark can tell another one that runs from the remains of one that was killed.
"""

import contextlib
import fcntl
import os
import tempfile
import time
from pathlib import Path

from distribute_challenge.errors import ClusterStartError

__all__ = ["RunLock"]

LEFT_RUNNING = (
    30.0  # Seconds for commands that a killed benchmark was waiting for to end; they take a few.
)
ASK_EVERY = 0.05  # Seconds.


class RunLock:
    """A lock that the kernel takes back from a process that dies, however it dies.

    Programs that the holder starts get the file too: while one of them still makes containers after
    its holder was killed, nobody else begins.

    Args:
        port: What the lock is for.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._path = Path(
            tempfile.gettempdir(), f"distribute_challenge_load_{os.getuid()}_{port}.lock"
        )
        self._file: int | None = None

    @property
    def file(self) -> int:
        """Number of the open file, for programs started under the lock."""
        assert self._file is not None, "only while it is held"
        return self._file

    @property
    def held(self) -> bool:
        """Whether this process holds it."""
        return self._file is not None

    def take(self) -> None:
        """Take it, and write down who has it.

        Raises:
            ClusterStartError: Another benchmark has it.
        """
        while self._file is None:
            file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            try:
                self._wait(file)
                if self._is_there(file):
                    os.truncate(file, 0)
                    os.pwrite(file, str(os.getpid()).encode(), 0)
                    self._file = file
            finally:
                if self._file is None:
                    os.close(file)

    def release(self) -> None:
        """Give it back. Programs started under it have ended by now. Safe to call again."""
        file, self._file = self._file, None
        if file is not None:
            self._path.unlink(missing_ok=True)
            os.close(file)

    def _is_there(self, file: int) -> bool:
        """Whether the file is still the one with that name: who had it before has removed it."""
        with contextlib.suppress(FileNotFoundError):
            return os.path.samestat(os.fstat(file), os.stat(self._path))
        return False

    def _wait(self, file: int) -> None:
        deadline = time.monotonic() + LEFT_RUNNING
        while True:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            holder = os.pread(file, 20, 0).decode()
            lives = _lives(holder)
            if lives or time.monotonic() > deadline:
                what = (
                    f"process {holder}"
                    if lives
                    else f"a command of process {holder}, which is gone"
                )
                raise ClusterStartError(
                    f"another benchmark ({what}) has its cluster at port {self._port}\n"
                    f"Wait for its end, or take another port: REDIS_PORT={self._port + 1}"
                )
            time.sleep(ASK_EVERY)


def _lives(pid: str) -> bool:
    """Whether a process is there; nobody is while the file is being written."""
    try:
        os.kill(int(pid), 0)
    except (ValueError, ProcessLookupError):
        return False
    return True
