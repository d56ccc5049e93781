"""Making sure that nothing which a session started is left, however it ends."""

import contextlib
import ctypes
import os
import sys

__all__ = ["become_reaper", "descendants", "kill"]

PR_SET_CHILD_SUBREAPER = 36
KILL_DEADLINE = 10.0  # Seconds for the killed to be gone.


def become_reaper() -> None:
    """Make this process inherit its orphaned descendants, daemons too (Linux only)."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)


def descendants() -> set[int]:
    """All processes below this one, as process ids."""
    # Here, so that a session that has not failed does not pay for it when it starts.
    import psutil

    return {process.pid for process in psutil.Process().children(recursive=True)}


def kill(spared: set[int]) -> None:
    """Kill all processes below this one, and wait until they are gone.

    Args:
        spared: Process ids of those to leave alone.
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
            # An orphan that this process inherited is its child now, and nobody else waits for it.
            with contextlib.suppress(ChildProcessError):
                os.waitpid(process.pid, os.WNOHANG)
