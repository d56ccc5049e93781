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

# Seconds for the commands of a killed benchmark to end; they take a few.
LEFT_RUNNING = 30.0
ASK_EVERY = 0.05  # Seconds.


class RunLock:
    """A lock on a file, which the kernel releases when its holder dies, however it dies.

    Programs that the holder starts inherit the open file. So if the holder is killed while one of
    them still makes containers, no other benchmark begins.

    Args:
        port: Port that the lock is for.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._path = Path(
            tempfile.gettempdir(), f"distribute_challenge_load_{os.getuid()}_{port}.lock"
        )
        self._file: int | None = None

    @property
    def file(self) -> int:
        """Descriptor of the open file, for programs that are started under the lock."""
        assert self._file is not None, "only while it is held"
        return self._file

    @property
    def held(self) -> bool:
        """Whether this process holds the lock."""
        return self._file is not None

    def take(self) -> None:
        """Take the lock, and write this process's id to the file.

        Raises:
            ClusterStartError: Another benchmark holds the lock.
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
        """Release the lock, when programs started under it have ended; may be called again."""
        file, self._file = self._file, None
        if file is not None:
            self._path.unlink(missing_ok=True)
            os.close(file)

    def _is_there(self, file: int) -> bool:
        """Return whether the open file still has its name: the last holder may have removed it."""
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
    """Return whether a process lives; False while its id is not yet in the file."""
    try:
        os.kill(int(pid), 0)
    except (ValueError, ProcessLookupError):
        return False
    return True
