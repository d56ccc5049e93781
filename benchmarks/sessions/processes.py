"""Ends all processes that a session started, however the session ends."""

import contextlib
import ctypes
import os
import sys

__all__ = ["become_reaper", "descendants", "kill"]

PR_SET_CHILD_SUBREAPER = 36
KILL_DEADLINE = 10.0  # Seconds for killed processes to be gone.


def become_reaper() -> None:
    """Make this process inherit its orphaned descendants, daemons too (Linux only)."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)


def descendants() -> set[int]:
    """Return the ids of all processes below this one."""
    # Here, so that a session does not pay for the import when it starts.
    import psutil

    return {process.pid for process in psutil.Process().children(recursive=True)}


def kill(spared: set[int]) -> None:
    """Kill all processes below this one, and wait until they are gone.

    Args:
        spared: Ids of the processes to leave alone.
    """
    import psutil

    def left() -> list[psutil.Process]:
        return [
            each for each in psutil.Process().children(recursive=True) if each.pid not in spared
        ]

    # In rounds: a process that is killed may have started another one meanwhile.
    for _ in range(10):
        if not (processes := left()):
            return
        for process in processes:
            with contextlib.suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(processes, timeout=KILL_DEADLINE / 10)
        for process in processes:
            # An inherited orphan is a child of this process now, and no other process waits for it.
            with contextlib.suppress(ChildProcessError):
                os.waitpid(process.pid, os.WNOHANG)
