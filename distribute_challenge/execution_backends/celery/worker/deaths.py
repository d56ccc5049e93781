"""What is known of a worker's child that has died: how, with how much memory, and what it was
saying.

The main process looks at its children four times a second, for a dead one cannot be asked any more.
"""

import atexit
import signal
import socket
from collections.abc import Collection
from pathlib import Path
from typing import Any

from distribute_challenge.execution_backends.celery.worker.flight_recorder import Records
from distribute_challenge.execution_backends.celery.worker.memory import (
    Limits,
    peak_of_the_dead,
    resident,
)

__all__ = ["Coroner", "appoint"]

# Part of its limit from which on a process that was killed has probably been killed for it.
NEAR = 0.9
# Ends that want of memory may bring: the kernel's, and those of C code that did not get what it
# asked for.
_FOR_WANT_OF_MEMORY = ("SIGKILL", "SIGSEGV", "SIGABRT", "SIGBUS")


class Coroner:
    """One worker's.

    Args:
        within: Where the children's records go, as for `Records`.
        limits: What they may hold.
    """

    def __init__(self, within: Path | None = None, limits: Limits | None = None) -> None:
        self._records = Records(within)
        self._limits = limits or Limits()
        self._memory: dict[int, int] = {}
        self._statuses: dict[int, int] = {}
        self._gone: set[int] = set()
        self._peak = peak_of_the_dead()
        self._kills = self._limits.kills()
        self._room: int | None = None

    def look(self, pids: Collection[int]) -> None:
        """See how the children are.

        Args:
            pids: All that live.
        """
        for pid in pids:
            if memory := resident(pid):
                self._memory[pid] = memory
        self._room = self._limits.room()
        # The second look after its death: by then all has been asked.
        for pid in self._gone:
            self._memory.pop(pid, None)
            self._statuses.pop(pid, None)
        self._records.forget(self._gone)
        self._gone = {pid for pid in {*self._memory, *self._statuses} if pid not in pids}
        self._peak, self._kills = peak_of_the_dead(), self._limits.kills()

    def died(self, pid: int, status: int) -> None:
        """Note how a child ended.

        Args:
            pid: Its number.
            status: Its exit code; a signal's number below zero.
        """
        self._statuses[pid] = status

    def facts(self, pid: int | None, *, want_of_memory: bool = False) -> dict[str, Any]:
        """What is known of a dead child, as `messages.Problem` has it.

        Args:
            pid: Its number; None: nobody knows which it was.
            want_of_memory: Whether it said itself that it got no memory.
        """
        facts: dict[str, Any] = {"host": socket.gethostname()}
        if pid is None:
            return facts
        facts["pid"] = pid
        facts.update(self._end(pid))
        memory, limit = self._memory_of(pid), self._limits.bytes()
        if memory is not None:
            facts["memory"] = memory
        if limit is not None:
            facts["limit"] = limit
        facts["out_of_memory"] = want_of_memory or self._was_out_of_memory(facts)
        if lines := self._records.lines(pid):
            facts["log"] = lines
        if crash := self._records.crash(pid):
            facts["crash"] = crash
        return facts

    def close(self) -> None:
        """Remove all records."""
        self._records.close()

    def _end(self, pid: int) -> dict[str, Any]:
        status = self._statuses.get(pid)
        if status is None:
            return {}
        try:
            return {"signal": signal.Signals(-status).name}
        except ValueError:
            return {"exit_code": status}

    def _memory_of(self, pid: int) -> int | None:
        """As last seen; the highest that the kernel has seen, if that is known to be of this one."""
        memory, peak = self._memory.get(pid), peak_of_the_dead()
        return peak if memory is not None and peak > max(self._peak, memory) else memory

    def _was_out_of_memory(self, facts: dict[str, Any]) -> bool:
        if facts.get("signal") not in _FOR_WANT_OF_MEMORY:
            return False
        if facts["signal"] == "SIGKILL" and self._limits.kills() > self._kills:
            return True
        limit = facts.get("limit")
        if limit is None:
            return False
        # A group's limit is for all of its processes together.
        return bool(facts.get("memory", 0) > NEAR * limit) or (
            self._room is not None and self._room < (1 - NEAR) * limit
        )


_appointed: Coroner | None = None


def appoint(within: Path | None = None) -> Coroner:
    """The coroner of this process's children; made at the first call, and gone with the process.

    Args:
        within: As for `Coroner`; only of the first call.
    """
    global _appointed
    if _appointed is None:
        _appointed = Coroner(within)
        atexit.register(_appointed.close)
    return _appointed
