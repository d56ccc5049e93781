"""Runs the callbacks of users, in threads of their own.

    a future is done ──► its callbacks, as one job ──► queue ──► the thread in charge
                                                          └────► another one, when that is stuck

The thread that resolves a future takes in the results of all other calls. A callback there would
hold them up, and one that waits for another call would wait for ever.

Guarantees:

- The callbacks of one future run in the order in which they were added, none beside another.
- Those of several futures run one after the other too, in the order in which the futures were done,
  as long as none of them takes longer than `STUCK_AFTER`. Then another thread goes on with the next
  ones.
- What a callback raises is logged, and ends nothing: `SystemExit` and `KeyboardInterrupt` too.
- The interpreter waits `END_WITHIN` for callbacks at its end, and no longer.
"""

import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures._base import LOGGER
from typing import Any

from distribute_challenge.core import clock
from distribute_challenge.core.condition import Condition
from distribute_challenge.core.interrupts import at_exit

__all__ = ["run_callbacks"]

STUCK_AFTER = 0.25  # Seconds; a guess: long for a callback that only notes something down.
END_WITHIN = 1.5  # Seconds.

Job = tuple[Any, Sequence[Callable[[Any], object]]]


def run_callbacks(future: Any, callbacks: Sequence[Callable[[Any], object]]) -> None:
    """Run the callbacks of a future that is done, elsewhere and soon.

    Args:
        future: What they are called with.
        callbacks: In order.
    """
    _dispatcher.put((future, callbacks))


class _Dispatcher:
    """The queue, and its threads.

    One thread is in charge: it takes jobs and runs them. While it runs one and others wait, a
    second thread stands by. That one takes charge when the first has been at its job for
    `STUCK_AFTER` seconds, times the number of threads that are stuck: so their number grows slowly
    where callbacks are slow, and no number of callbacks that never end can stop the others.

    ``_lock`` protects all fields. No callback runs under it.
    """

    def __init__(self) -> None:
        self._lock = (
            threading.RLock()
        )  # Reentrant: garbage that is collected under it may end a future.
        self._next = Condition(self._lock)  # For the thread in charge: there is a job.
        self._backlog = Condition(
            self._lock
        )  # For the one that stands by: a job waits behind another.
        self._idle = Condition(self._lock)  # For the end: there is none left.
        self._jobs: deque[Job] = deque()
        self._in_charge: threading.Thread | None = None
        self._standing_by: threading.Thread | None = None
        self._is_watching = False  # The one that stands by.
        self._busy_since: float | None = None  # The thread in charge, with its job.
        self._running = 0
        self._patience = END_WITHIN

    def put(self, job: Job) -> None:
        """Add a job."""
        with self._lock:
            if self._in_charge is None:
                at_exit(self.end)  # Before the backends are closed; the one below comes after that.
                self._in_charge = self._started()
            can_run = self._in_charge is not None
            if can_run:
                self._jobs.append(job)
                if self._busy_since is None:
                    self._next.notify()
                else:
                    self._watch()
        if not can_run:
            _run(job)

    def end(self) -> None:
        """Wait until all callbacks have run, or `END_WITHIN` in all."""
        began = clock.monotonic()
        with self._lock:
            self._idle.wait_for(
                lambda: not self._jobs and not self._running, max(0.0, self._patience)
            )
            self._patience -= clock.monotonic() - began

    def _started(self) -> threading.Thread | None:
        """Another thread; None if the interpreter ends and starts no more."""
        thread = threading.Thread(
            target=self._work, name="distribute_challenge callbacks", daemon=True
        )
        try:
            thread.start()
        except RuntimeError:
            return None
        return thread

    def _watch(self) -> None:
        """Have a thread stand by that watches the one in charge, as a job waits behind another."""
        if self._standing_by is None:
            self._standing_by = self._started()
        elif not self._is_watching:
            self._backlog.notify()

    def _work(self) -> None:
        me = threading.current_thread()
        while True:
            with self._lock:
                if not self._takes_charge(me):
                    return
                while not self._jobs:
                    self._next.wait()
                job = self._jobs.popleft()
                self._busy_since = clock.monotonic()
                self._running += 1
                if self._jobs:
                    self._watch()
            _run(job)
            del job  # Its future and that one's value are not kept until the next job comes.
            with self._lock:
                self._running -= 1
                if self._in_charge is me:
                    self._busy_since = None
                if not self._jobs and not self._running:
                    self._idle.notify_all()

    def _takes_charge(self, me: threading.Thread) -> bool:
        """Wait until this thread is in charge; False if others are enough."""
        if self._in_charge is me:
            return True
        if self._standing_by is None:
            self._standing_by = me
        if self._standing_by is not me:
            return False
        while True:
            patience, self._is_watching = None, False
            if self._jobs and self._busy_since is not None:
                patience = self._busy_since + STUCK_AFTER * self._running - clock.monotonic()
                if patience <= 0:
                    self._in_charge, self._standing_by, self._busy_since = me, None, None
                    return True
                self._is_watching = True
            self._backlog.wait(patience)


def _run(job: Job) -> None:
    future, callbacks = job
    for callback in callbacks:
        try:
            callback(future)
        except BaseException:
            # As the standard library says it, for those who look for that.
            LOGGER.exception("exception calling callback for %r", future)


def _start_anew() -> None:
    """In the child of a fork: the threads are the parent's, and so are the callbacks."""
    global _dispatcher
    _dispatcher = _Dispatcher()


def _end() -> None:
    _dispatcher.end()


_dispatcher = _Dispatcher()
at_exit(_end)
os.register_at_fork(after_in_child=_start_anew)
