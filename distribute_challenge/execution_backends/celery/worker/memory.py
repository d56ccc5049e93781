"""Tells how much memory processes hold and may hold, and whether the kernel killed one for it.

On other systems than Linux, most of it is unknown.
"""

import os
import resource
import sys
from pathlib import Path

__all__ = ["Limits", "machine_memory", "peak_of_the_dead", "peak_of_this_process", "resident"]

PAGE = os.sysconf("SC_PAGE_SIZE")
# How getrusage counts: kilobytes, but bytes on macOS.
_RUSAGE_UNIT = 1 if sys.platform == "darwin" else 1024


def resident(pid: int | str = "self") -> int | None:
    """Return the bytes of memory that a process holds now; None if that is unknown.

    Args:
        pid: Its process id; ``"self"``: this process.
    """
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:
            # A zombie process holds no memory.
            return int(file.read().split()[1]) * PAGE or None
    except (OSError, IndexError):
        return None


def peak_of_the_dead() -> int:
    """Return the highest peak of all children of this process that have ended, in bytes."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * _RUSAGE_UNIT


def peak_of_this_process() -> int:
    """Return the most memory that this process has ever held, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _RUSAGE_UNIT


def machine_memory() -> int:
    """Return how much memory the machine has, in bytes."""
    return PAGE * os.sysconf("SC_PHYS_PAGES")


class Limits:
    """The memory limits of this process and its children; `CrashReporter` uses them.

    They come from the process's cgroup (version 2 or 1) and from ``ulimit -v``.

    Args:
        root: The folder that has ``proc`` and ``sys``.
    """

    def __init__(self, root: Path = Path("/")) -> None:
        self._vmstat = root / "proc/vmstat"
        self._groups: list[tuple[Path, str, str, str]] = []
        for line in _read(root / "proc/self/cgroup").splitlines():
            _, controllers, path = line.split(":", 2)
            if not controllers:
                names = "memory.max", "memory.current", "memory.events"
                mounts = [root / "sys/fs/cgroup", root / "sys/fs/cgroup/unified"]
            elif "memory" in controllers.split(","):
                names = "memory.limit_in_bytes", "memory.usage_in_bytes", "memory.oom_control"
                mounts = [root / "sys/fs/cgroup/memory"]
            else:
                continue
            for mount in mounts:
                folder = mount / path.lstrip("/")
                # A limit applies to all groups below it. In a container, the path may be the
                # host's, while the mounted file system is the container's.
                self._groups += [
                    (at, *names) for at in (folder, *folder.parents) if at.is_relative_to(mount)
                ]

    def bytes(self) -> int | None:
        """Return the lowest limit, in bytes; None if there is none."""
        address_space, _ = resource.getrlimit(resource.RLIMIT_AS)
        limits = [_number(at / limit) for at, limit, _, _ in self._groups]
        if address_space != resource.RLIM_INFINITY:
            limits.append(address_space)
        physical = machine_memory()
        # Version 1 of cgroups has a very large number where there is no limit.
        return min(
            (limit for limit in limits if limit is not None and limit < physical), default=None
        )

    def room(self) -> int | None:
        """Return how much more memory all processes of the cgroup together may take, in bytes.

        None if nothing limits them.
        """
        rooms = []
        for at, limit, usage, _ in self._groups:
            most, now = _number(at / limit), _number(at / usage)
            if most is not None and now is not None:
                rooms.append(most - now)
        return min(rooms, default=None)

    def kills(self) -> int:
        """Return how often the kernel has killed a process of the cgroup for want of memory.

        If no cgroup counts that, the number is that of the whole machine.
        """
        counts = [_count(at / events) for at, _, _, events in self._groups]
        return max(
            (count for count in counts if count is not None), default=_count(self._vmstat) or 0
        )


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def _number(path: Path) -> int | None:
    text = _read(path).strip()
    return int(text) if text.isdecimal() else None  # The text may be "max".


def _count(path: Path) -> int | None:
    for line in _read(path).splitlines():
        name, _, number = line.partition(" ")
        if name == "oom_kill":
            return int(number)
    return None
