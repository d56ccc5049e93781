"""Runs users' callbacks in threads of their own.

    a future is done ──► its callbacks, as one job ──► queue ──► the thread in charge
                                                          └────► another one, when that is stuck

The thread that resolves a future also receives the results of all other calls. A callback in that
thread would delay them, and a callback that waits for another call would wait for ever.

Guarantees:

- The callbacks of one future run one after the other, in the order in which they were added.
- Callbacks of several futures run one after the other, too, in the order in which the futures were
  done, as long as none takes longer than `STUCK_AFTER`. Then another thread runs the next ones.
- An exception that a callback raises is logged and ends no thread, not even `SystemExit` and
  `KeyboardInterrupt`.
- At its end, the interpreter waits at most `END_WITHIN` for callbacks.
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

__all__ = ["Dispatcher", "run_callbacks"]

STUCK_AFTER = 0.25  # Seconds; a guess: long for a callback that only records a result.
END_WITHIN = 1.5  # Seconds.

Job = tuple[Any, Sequence[Callable[[Any], object]]]


def run_callbacks(future: Any, callbacks: Sequence[Callable[[Any], object]]) -> None:
    """Have the callbacks of a future that is done run soon, in another thread.

    Args:
        future: The argument of each callback.
        callbacks: The callbacks, in the order in which they run.
    """
    _dispatcher.put((future, callbacks))


class Dispatcher:
    """The queue of jobs and the threads that run them; the callbacks of users have one.

    Args:
        name: Name of the threads.

    One thread is in charge: it takes jobs and runs them. While it runs one and others wait, a
    second thread stands by. The second thread takes charge when the first has run its job for
    `STUCK_AFTER` seconds, times the number of threads that are stuck. So the number of threads
    grows slowly where callbacks are slow, and no number of callbacks that never end can stop the
    others.

    ``_lock`` protects all fields. No callback runs under it.
    """

    def __init__(self, name: str = "distribute_challenge callbacks") -> None:
        self._name = name
        # Reentrant: garbage that is collected under it may end a future.
        self._lock = threading.RLock()
        # Wakes the thread in charge: there is a job.
        self._next = Condition(self._lock)
        # Wakes the thread that stands by: a job waits behind another.
        self._backlog = Condition(self._lock)
        # Wakes the end of the interpreter: there is no job left.
        self._idle = Condition(self._lock)
        self._jobs: deque[Job] = deque()
        self._in_charge: threading.Thread | None = None
        self._standing_by: threading.Thread | None = None
        self._is_watching = False  # Whether the thread that stands by has a deadline.
        self._busy_since: float | None = None  # When the thread in charge began its job.
        self._running = 0
        self._patience = END_WITHIN

    def put(self, job: Job) -> None:
        """Add a job; run it in this thread if the interpreter ends and starts no more threads."""
        with self._lock:
            if self._in_charge is None:
                # This runs before the backends are closed; the one at the end of this file, after.
                at_exit(self.end)
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
        """Wait until all callbacks have run, for at most `END_WITHIN` over all calls of it."""
        began = clock.monotonic()
        with self._lock:
            self._idle.wait_for(
                lambda: not self._jobs and not self._running, max(0.0, self._patience)
            )
            self._patience -= clock.monotonic() - began

    def _started(self) -> threading.Thread | None:
        """Start another thread; None if the interpreter ends and starts no more."""
        thread = threading.Thread(target=self._work, name=self._name, daemon=True)
        try:
            thread.start()
        except RuntimeError:
            return None
        return thread

    def _watch(self) -> None:
        """Have a thread watch the one in charge, because a job waits behind another."""
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
            del job  # Otherwise its future and the value would live until the next job comes.
            with self._lock:
                self._running -= 1
                if self._in_charge is me:
                    self._busy_since = None
                if not self._jobs and not self._running:
                    self._idle.notify_all()

    def _takes_charge(self, me: threading.Thread) -> bool:
        """Wait until this thread is in charge; False if it is not needed and should end."""
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
            # The same logger and text as in the standard library, for tools that look for them.
            LOGGER.exception("exception calling callback for %r", future)


def _start_anew() -> None:
    """In the child of a fork, begin anew: threads and callbacks belong to the parent."""
    global _dispatcher
    _dispatcher = Dispatcher()


def _end() -> None:
    _dispatcher.end()


_dispatcher = Dispatcher()
at_exit(_end)
os.register_at_fork(after_in_child=_start_anew)
