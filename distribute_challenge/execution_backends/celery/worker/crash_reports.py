"""Collects facts about a child process that has died: its exit, its memory, its last log lines.

The main process looks at its children four times a second, as the memory of a child cannot be read
after its death.
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

__all__ = ["CrashReporter", "crash_reporter"]

# Fraction of the memory limit; a process that held more when it was killed was probably killed for
# its memory.
NEAR = 0.9
# Signals that want of memory may cause: the kernel's kill, and crashes of C code whose allocation
# failed.
_FOR_WANT_OF_MEMORY = ("SIGKILL", "SIGSEGV", "SIGABRT", "SIGBUS")


class CrashReporter:
    """Collects facts about the dead children of one worker, in its main process.

    `PresenceStep` calls `look` and has the pool call `died`; `BatchRequest` asks for the facts.

    Args:
        within: Folder for the children's records, as for `Records`.
        limits: The memory limits of the children; None: the limits of this process.
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
        """Record the memory of the children, and forget those that died before the last look.

        Args:
            pids: Process ids of all children that live.
        """
        for pid in pids:
            if memory := resident(pid):
                self._memory[pid] = memory
        self._room = self._limits.room()
        # Forgotten only at the second look after its death: by then the facts have been asked for.
        for pid in self._gone:
            self._memory.pop(pid, None)
            self._statuses.pop(pid, None)
        self._records.forget(self._gone)
        self._gone = {pid for pid in {*self._memory, *self._statuses} if pid not in pids}
        self._peak, self._kills = peak_of_the_dead(), self._limits.kills()

    def died(self, pid: int, status: int) -> None:
        """Note how a child ended.

        Args:
            pid: Its process id.
            status: Its exit code; for a signal, its negative number.
        """
        self._statuses[pid] = status

    def facts(self, pid: int | None, *, want_of_memory: bool = False) -> dict[str, Any]:
        """Return the facts about a dead child, for `messages.Problem`.

        Args:
            pid: Its process id; None: unknown.
            want_of_memory: Whether the child itself reported a `MemoryError`.
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
        """Return the memory of a dead child, in bytes, as last seen; None: never seen.

        It is the kernel's peak of all dead children, if that is known to come from this child.
        """
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
        # The limit of a cgroup applies to all of its processes together.
        return bool(facts.get("memory", 0) > NEAR * limit) or (
            self._room is not None and self._room < (1 - NEAR) * limit
        )


_reporter: CrashReporter | None = None


def crash_reporter(within: Path | None = None) -> CrashReporter:
    """Return the reporter of this process's children; the first call makes it.

    It removes its records when the process ends.

    Args:
        within: As for `CrashReporter`; only used by the first call.
    """
    global _reporter
    if _reporter is None:
        _reporter = CrashReporter(within)
        atexit.register(_reporter.close)
    return _reporter
