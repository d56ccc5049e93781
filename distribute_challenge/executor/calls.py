"""The calls of an executor, and what becomes of them when it is shut down, breaks, or is dropped.

This object does not refer to the executor, so that the executor is deleted when the program drops
it, while its calls go on.
"""

import atexit
import logging
import threading
from collections.abc import Callable
from typing import Any
from weakref import WeakSet

from distribute_challenge.core.callbacks import run_callbacks
from distribute_challenge.core.forks import renew_in_children
from distribute_challenge.core.futures import Future
from distribute_challenge.core.open_futures import OpenFutures
from distribute_challenge.core.units import amount
from distribute_challenge.errors import SetupError
from distribute_challenge.execution_backends.limited import LimitedBackend

__all__ = ["ExecutorCalls"]

# The logger and the text of the standard library's executors, for tools that look for them.
logger = logging.getLogger("concurrent.futures")

_is_program_over = False


class ExecutorCalls:
    """The calls of one executor, which makes it.

    Args:
        limited: The engine that fails all calls if the initializer fails; None: there is none.
        key: The key of the initializer; empty: there is none.
        release: Frees the engine, when the last call has ended after `shut`; None: it need not be
            freed.

    Guarantees: ``submitting`` is held while a call is submitted, and when `shut` is called for the
    program. ``_lock`` lets one thread break the executor, and one free its engine.

    Attributes:
        futures: The calls that have not ended.
        functions: The latest functions, pickled; forgotten when no call is open, because they may
            refer to large objects.
        broken: The error of the initializer; None if it has not failed.
    """

    def __init__(
        self, limited: LimitedBackend | None, key: str, release: Callable[[], None] | None
    ) -> None:
        self.futures = OpenFutures(self._ended, self._none_is_open)
        self.functions: dict[int, Any] = {}
        self.broken: SetupError | None = None
        self._limited = limited
        self._key = key
        self._release = release
        self._is_shut = False
        self.renew_locks()
        renew_in_children(self)
        _all.add(self)

    def renew_locks(self) -> None:
        self._lock = threading.RLock()
        # Reentrant: some backends run the call in `submit`, and its callbacks may submit others.
        self.submitting = threading.RLock()

    def facts(self) -> str:
        """Return how many calls are open, and whether further ones are accepted, as text."""
        state = ", broken" if self.broken is not None else ", shut down" if self._is_shut else ""
        return f"{amount(len(self.futures), 'call')} open{state}"

    def check(self) -> None:
        """Raise an error if no more calls may be submitted."""
        if self.broken is not None:
            raise self._broken_error()
        if self._is_shut or _is_program_over:
            when = "interpreter shutdown" if _is_program_over else "shutdown"
            raise RuntimeError(
                f"cannot schedule new futures after {when}: submit before, or use a new executor"
            )

    def shut(self) -> None:
        """Accept no more calls, and free the engine once all have ended."""
        self._is_shut = True
        if not self.futures:
            self._none_is_open()

    def wait(self) -> None:
        """After `shut`, wait until all calls have ended and the engine is free."""
        self.futures.wait()
        self._release_once()

    def _ended(self, future: Future[Any]) -> None:
        if not self._key or future.cancelled():
            return
        error = future.exception()
        if not isinstance(error, SetupError) or error.key != self._key:
            return
        with self._lock:
            if self.broken is not None:
                return
            # Before it is known that the executor is broken, so that a caller who sees that finds it logged.
            logger.critical("Exception in initializer:", exc_info=error)
            self.broken = error
        # In another thread, because this one resolves futures.
        run_callbacks(future, [self._break])

    def _break(self, _: Future[Any]) -> None:
        assert self._limited is not None  # There is an initializer.
        self._limited.break_with(self._broken_error)

    def _broken_error(self) -> SetupError:
        from distribute_challenge.broken_pool import SetupError  # Imported late: it says why.

        error = SetupError(
            f"this executor is broken, because its initializer failed in a worker process: "
            f"{self.broken}; correct it, and use a new executor",
            self._key,
        )
        error.__cause__ = self.broken and self.broken.__cause__
        return error

    def _none_is_open(self) -> None:
        self.functions.clear()
        if self._is_shut and self._release is not None and not _is_program_over:
            # In another thread, because this one resolves futures, and to close an engine may wait
            # for them.
            run_callbacks(self, [ExecutorCalls._release_once])

    def _release_once(self) -> None:
        with self._lock:
            release, self._release = self._release, None
            if release is not None:
                release()


_all: "WeakSet[ExecutorCalls]" = WeakSet()


def _end() -> None:
    """At the end of the program, wait for the calls of all executors.

    Ctrl+C ends that: what is left is cancelled. The engines are closed after this.
    """
    global _is_program_over
    _is_program_over = True
    for calls in list(_all):
        calls.futures.wait()


# Registered later than the functions that close the engines, and so called before them.
atexit.register(_end)
