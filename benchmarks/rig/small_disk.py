"""A file system of a few megabytes that one program sees: it can be full without other harm.

It lies in memory, in a mount namespace of the program's own; on most Linux systems every user may
make one.
"""

import errno
import subprocess
from functools import cache
from pathlib import Path

__all__ = ["SmallDisk", "lacks_small_disks"]

SIZE = 4  # Megabytes: a worker that writes little has more than it needs.
_NAMESPACE = ("unshare", "--map-root-user", "--mount")
_MOUNT = f'mount -t tmpfs -o size={SIZE}m tmpfs "$0"'
_HOG = "hog"
_OUTPUT = "output"


@cache
def lacks_small_disks() -> str:
    """Why there are none on this machine; empty if there are."""
    try:
        done = subprocess.run(
            [*_NAMESPACE, "sh", "-c", _MOUNT, "/tmp"],
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except OSError as error:
        return f"mounts of its own for a worker, which need {_NAMESPACE[0]}: {error.strerror}"
    return f"mounts of its own for a worker: {done.stderr.strip()}" if done.returncode else ""


class SmallDisk:
    """One such file system.

    Args:
        place: Folder over which it is mounted.

    Attributes:
        prefix: Words in front of the command that is to see it.
        prefix_with_output: The same, and what the program writes goes there, as well as its
            temporary files.
    """

    def __init__(self, place: Path) -> None:
        self._place = place
        self.prefix = [*_NAMESPACE, "sh", "-c", f'{_MOUNT} && exec "$@"', str(place)]
        output = f'export TMPDIR="$0" && exec "$@" >"$0/{_OUTPUT}" 2>&1'
        self.prefix_with_output = [*_NAMESPACE, "sh", "-c", f"{_MOUNT} && {output}", str(place)]

    def output(self, pid: int) -> Path:
        """What the program has written.

        Args:
            pid: Its number; the disk is seen only by way of a program that has it.
        """
        return self._seen_by(pid) / _OUTPUT

    def fill(self, pid: int) -> None:
        """Leave no byte free.

        Args:
            pid: Of a program that sees it.
        """
        try:
            with (self._seen_by(pid) / _HOG).open("wb", buffering=0) as hog:
                while True:
                    hog.write(bytes(4096))
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise

    def free(self, pid: int) -> None:
        """Let it have room again."""
        (self._seen_by(pid) / _HOG).unlink()

    def _seen_by(self, pid: int) -> Path:
        return Path(f"/proc/{pid}/root{self._place}")
