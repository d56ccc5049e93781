"""A `concurrent.futures.Future` that costs little until a thread looks at it."""

import concurrent.futures
import os
import threading
from collections.abc import Callable, Iterable
from concurrent.futures._base import (
    CANCELLED,
    CANCELLED_AND_NOTIFIED,
    FINISHED,
    LOGGER,
    PENDING,
)
from typing import Any

from distribute_challenge.core import clock
from distribute_challenge.core.condition import Condition
from distribute_challenge.core.forks import generation, renew_in_children
from distribute_challenge.errors import (
    CallCancelledError,
    ResultTimeoutError,
    ResultUnavailableError,
)

__all__ = ["LONGEST_WAIT", "OFTEN_SET", "LazyFuture", "Stages"]

#: The fields of a `Timeline`, which is made of them when the caller asks for it.
Stages = tuple[float, float, float, float, float, str]

#: The attributes that most futures have, for `compact`.
OFTEN_SET = ("name", "_early", "_stages", "_result", "_exception", "_state")

_CANCELLED = (CANCELLED, CANCELLED_AND_NOTIFIED)
_DONE = (FINISHED, *_CANCELLED)

# Seconds. A signal that arrives in the instant before a thread begins to wait is only noticed when
# the wait ends, so no single wait is longer.
LONGEST_WAIT = 0.25

# Orders the end of a future and the first look at it. There is one lock for all futures, because it
# is held for less than a microsecond.
_first = threading.Lock()


class LazyFuture(concurrent.futures.Future[Any]):
    """The state of a future, and how threads wait for its end; the base class of `Future`.

    Most futures are resolved before a thread looks at them, and there may be millions. Until the
    first look, a future has no lock and no lists, and only those attributes that differ from the
    defaults of its class.

    Args:
        name: Name of the function, for error messages.

    Guarantees:

    - ``_first`` orders the first look at a future and its end: a waiter finds it done, or is
      notified when it is.
    - In the child of a fork, a future of the parent that was done has its outcome; any other fails
      with an error when the child looks at it.
    """

    _state: str = PENDING
    _result: Any = None
    _exception: BaseException | None = None
    _stages: Stages | None = None
    _early: list[Callable[[Any], object]] | None = None  # Callbacks, until a thread looks at it.
    _looked_at = False
    _notified = False
    _generation = 0  # Of the process that made it: 0 for one that is no fork (`forks.generation`).

    def __init__(self, name: str = "call") -> None:
        # The base's `__init__` is not called: `__getattr__` makes its attributes when first used.
        self.name = name
        if generation[0]:
            self._generation = generation[0]

    def __getattr__(self, name: str) -> Any:
        if name not in ("_condition", "_waiters", "_latch", "_done_callbacks"):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        self._end_if_parents()
        renew_in_children(self)
        with _first:
            if not self._looked_at:
                self._waiters: list[Any] = []
                self._condition = Condition()
                # Waiters wait for this lock, which is held until the future is done: Ctrl+C at the
                # moment that a thread begins to wait at a condition would lead to a RuntimeError.
                self._latch = threading.Lock()
                self._latch.acquire()
                self._done_callbacks: list[Any] = [LazyFuture._open_latch]
                if self._early is not None:
                    self._done_callbacks += self._early
                    self._early = None
                self._looked_at = True
        return object.__getattribute__(self, name)

    def done(self) -> bool:
        self._end_if_parents()
        return self._state in _DONE

    def cancelled(self) -> bool:
        self._end_if_parents()
        return self._state in _CANCELLED

    def when_done(self, callback: Callable[[Any], object]) -> None:
        """Register a callback of the library, called in the thread that ends the future.

        It must not block and not raise.
        """
        self._end_if_parents()
        alone = [callback]
        with _first:
            is_first = not self._looked_at
            if is_first and self._state == PENDING:
                if self._early is None:
                    self._early = alone
                else:
                    self._early.append(callback)
                return
        if is_first:
            self._call(alone)
        else:
            super().add_done_callback(callback)

    def listeners(self) -> list[Any]:
        """Return the objects whose methods are registered with `when_done`, if it is not done."""
        callbacks = self._early
        if callbacks is None:
            callbacks = self._done_callbacks if self._looked_at else []
        return [callback.__self__ for callback in callbacks if hasattr(callback, "__self__")]

    def _cancel(self) -> bool:
        """Mark the future as cancelled unless it is done; True if it is cancelled then."""
        early = None
        with _first:
            is_first = not self._looked_at
            if is_first and self._state == PENDING:
                self._state = CANCELLED_AND_NOTIFIED
                self._notified = True
                early, self._early = self._early, None
        if is_first:
            if early is not None:
                self._call(early)
            return self._state == CANCELLED_AND_NOTIFIED
        if super().cancel():
            # The waiters in `concurrent.futures.wait` must be notified, and only once.
            with _first:
                notified, self._notified = self._notified, True
            if not notified:
                self.set_running_or_notify_cancel()
        return self.cancelled()

    def _wait(self, timeout: float | None) -> None:
        """Wait until there is a value or an exception.

        Raises:
            ResultTimeoutError: There is none after ``timeout`` seconds.
            CallCancelledError: The call was cancelled.
        """
        self._end_if_parents()
        ends = None if timeout is None else clock.monotonic() + timeout
        while self._state not in _DONE:
            left = LONGEST_WAIT if ends is None else ends - clock.monotonic()
            if left <= 0:
                raise ResultTimeoutError(
                    f"{self.name} gave no result within timeout={timeout:g} s; it goes on: "
                    f"wait again with result(), or stop it with cancel()"
                )
            if self._latch.acquire(timeout=min(left, LONGEST_WAIT)):
                self._latch.release()
        if self._state != FINISHED:
            raise CallCancelledError(f"{self.name} was cancelled before it gave a result")

    def _end_if_parents(self) -> None:
        """In the child of a fork, fail a future of the parent that is not done.

        Only the parent has the threads that would resolve it.
        """
        if self._generation == generation[0]:
            return
        error = ResultUnavailableError(
            f"{self.name} was submitted by the process that this one was forked from, and its "
            f"result goes there; "
            f"wait for it before the fork, or submit the call in this process"
        )
        with _first:
            if self._state not in _DONE:
                self._exception = error
                self._state = FINISHED

    def renew_locks(self) -> None:
        # As if no thread had looked at it: waiters and callbacks belong to the parent.
        for name in ("_condition", "_waiters", "_latch", "_done_callbacks", "_looked_at"):
            vars(self).pop(name, None)

    def _open_latch(self) -> None:
        self._latch.release()

    def _settled(self, value: Any, error: BaseException | None, stages: Stages | None) -> bool:
        """Settle the future if no thread has looked at it: then there is none to notify.

        Returns:
            False if a thread has looked at it, and `_settle` has to settle it.
        """
        early = None
        with _first:
            if self._looked_at:
                return False
            if self._state == PENDING:
                self._stages, self._result, self._exception = stages, value, error
                if self._early is not None:
                    early, self._early = self._early, None
                self._state = FINISHED  # Last: a thread that sees it also sees the rest.
        if early is not None:
            self._call(early)
        return True

    def _call(self, callbacks: Iterable[Callable[[Any], object]]) -> None:
        for callback in callbacks:
            try:
                callback(self)
            except Exception:  # As for other callbacks: the thread has more futures to end.
                LOGGER.exception("a callback of %r failed", self)

    def _settle(self, setter: Callable[[Any], None], outcome: Any, stages: Stages | None) -> None:
        # Set the timeline first: a waiter may ask for it as soon as it wakes up.
        before, self._stages = self._stages, stages
        try:
            setter(outcome)
        except concurrent.futures.InvalidStateError:
            self._stages = before


def _make_locks_anew() -> None:
    """In the child of a fork, replace the lock: a thread of the parent may have held it."""
    global _first
    _first = threading.Lock()


os.register_at_fork(after_in_child=_make_locks_anew)
