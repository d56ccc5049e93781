"""Figures of the table of promises, and what tests of several of its rows need."""

import os
import time
from collections.abc import Iterable
from typing import Any

from benchmarks.rig.calls import answer, work
from benchmarks.rig.diary import Entry
from benchmarks.rig.rig import Rig
from benchmarks.rig.worker_process import WorkerProcess
from distribute_challenge import Future
from distribute_challenge.execution_backends.celery import CeleryExecutionBackend
from distribute_challenge.execution_backends.celery.broker.keys import UNACKED
from distribute_challenge.settings import DEFAULT_QUEUE
from tests.processes import wait_until

LONG = os.environ.get("DISTRIBUTE_CHALLENGE_FAULTS") == "long"

MADE_GOOD = 10.0  # Seconds from a worker's death until what it had is in work again.
ANSWERED = 3.0  # Seconds from Redis' return to the next answer.
FOUND_OUT = 15.0  # Seconds until a dead connection is taken for dead.
# Seconds until a call that is stopped has left its slot, and a client that is interrupted its
# terminal.
FREED = 2.0
WARNED = 5.0  # Seconds until a client without workers says so.
# Seconds until a client or a worker that gives no sign of life is taken for gone by others.
GONE = 15.0

BUSY = 10.0  # Seconds on top of each promise: the machine runs other tests, too.


class Load:
    """Calls on their way, that are to end in the right values.

    Args:
        rig: Where they run.
        backend: Its client.
    """

    def __init__(self, rig: Rig, backend: CeleryExecutionBackend) -> None:
        self._rig, self._backend = rig, backend
        self.futures: dict[str, Future[str]] = {}

    def submit(self, count: int, seconds: float = 0.0, **options: Any) -> list[Future[str]]:
        """Submit this many more calls, which take this many seconds."""
        function = work.with_options(**options) if options else work
        new = {}
        for _ in range(count):
            call = f"c-{len(self.futures) + len(new)}"
            new[call] = function(str(self._rig.diary.folder), call, seconds, "value").submit(
                self._backend
            )
        self.futures |= new
        return list(new.values())

    def gives_right_values(self, within: float) -> None:
        """Each call ends in its value, all of them within so many seconds from now."""
        deadline = time.monotonic() + within
        for call, future in self.futures.items():
            assert future.result(max(deadline - time.monotonic(), 0.001)) == answer(call)

    def runs(self) -> dict[str, list[Entry]]:
        """The entries of each call's runs, first run first. Calls not begun are missing."""
        found: dict[str, list[Entry]] = {}
        for entry in self._rig.diary.all():
            found.setdefault(entry.call, []).append(entry)
        return found

    def run_twice(self) -> list[str]:
        return [call for call, entries in self.runs().items() if len(entries) > 1]

    def wait_until_sent(self) -> None:
        """Wait until Redis has all calls that have not ended, in waiting or held messages."""

        def sent() -> bool:
            batches = {
                getattr(future, "batch", None)
                for future in self.futures.values()
                if not future.done()
            }
            return None not in batches and queued(self._rig) + unacked(self._rig) >= len(batches)

        wait_until(sent, "calls that are all sent")

    def wait_for_begin(self, count: int = 1) -> list[Entry]:
        """Wait until so many calls have begun; their first runs."""
        wait_until(lambda: len(self.runs()) >= count, f"the begin of {count} calls")
        return [entries[0] for entries in self.runs().values()]


def worker_of(rig: Rig, pid: int) -> WorkerProcess:
    """The worker to which a process that runs calls belongs."""
    (found,) = (worker for worker in rig.workers if pid in worker.children())
    return found


def queued(rig: Rig) -> int:
    """Messages that wait, of the priority that calls have by themselves."""
    with rig.redis.connection() as connection:
        return int(connection.llen(DEFAULT_QUEUE))


def unacked(rig: Rig) -> int:
    """Messages that workers have taken and not done yet."""
    with rig.redis.connection() as connection:
        return int(connection.hlen(UNACKED))


def names(errors: Iterable[BaseException | None]) -> set[str]:
    """Types of errors, for a message that says what came in their place."""
    return {type(error).__name__ for error in errors}
