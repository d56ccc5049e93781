"""The client's end of a call: a real `concurrent.futures.Future` that can also be awaited."""

import concurrent.futures
import os
import threading
from collections.abc import Callable, Generator
from concurrent.futures._base import CANCELLED, CANCELLED_AND_NOTIFIED, FINISHED, PENDING
from typing import Any, Generic, TypeVar

from distribute_challenge.attempt import Attempt
from distribute_challenge.errors import CallCancelledError, ResultTimeoutError
from distribute_challenge.timeline import Timeline

__all__ = ["Future"]

R = TypeVar("R")

#: The fields of a `Timeline`, which is made of them when somebody asks for it.
Stages = tuple[float, float, float, float, float, str]

_DONE = (FINISHED, CANCELLED, CANCELLED_AND_NOTIFIED)

# Decides between a future that is settled and somebody who looks at it for the first time. One for all: it is held for
# less than a microsecond.
_first = threading.Lock()


class Future(concurrent.futures.Future, Generic[R]):  # type: ignore[type-arg] # generic at run time, not in its stub
    """The result of a call that may not have run yet.

    `concurrent.futures.wait`, `as_completed` and `asyncio.wrap_future` work on it as on any other.

    Guarantees:

    - It resolves once: to a value, to the exception that the call raised, to an error of `distribute_challenge.errors`,
      or to cancelled. What arrives after that is dropped.
    - `cancel()` returns True only if the call has not begun and never will; with ``force``, only if it gave no result and never will.
    - ``_first`` orders the first look at it and its end: whoever looks finds it done, or is told when it is.

    Attributes:
        id: Names the call. That of one submitted with ``detach=True`` can be given to `attach`, in any process.
        name: Name of the function, for messages.
        timeline: When the call went through which stage, in seconds; None until it is done, and on engines that
            do not measure.

    Example:
        >>> from distribute_challenge import compute_this
        >>> future = compute_this(lambda x: x * x, backend="threads")(3).submit()
        >>> future.result(timeout=10)
        9
    """

    # Most futures are resolved before anybody looks at them, and there may be millions: until somebody does, one has
    # no lock, no lists, and of its attributes only those that differ from these.
    _state: str = PENDING
    _result: Any = None
    _exception: BaseException | None = None
    _stages: Stages | None = None
    _withdraw: Callable[[], bool] | None = None
    _stop: Callable[[], None] | None = None
    _looked_at = False
    _notified = False
    _id: str | None = None

    #: Of a chunk that an engine did not finish: the future of the calls behind the last outcome, which run, and their number.
    following: "tuple[Future[Any], int] | None" = None

    #: The times that it was sent and did not come back.
    attempts: tuple[Attempt, ...] = ()

    def __init__(self, name: str = "call") -> None:
        # Not the base's: what it makes, `__getattr__` makes when it is first used.
        self.name = name

    def __getattr__(self, name: str) -> Any:
        if name not in ("_condition", "_waiters", "_done_callbacks"):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        with _first:
            if not self._looked_at:
                self._waiters: list[Any] = []
                self._done_callbacks: list[Any] = []
                self._condition = threading.Condition()
                self._looked_at = True
        return object.__getattribute__(self, name)

    @property
    def id(self) -> str:
        if self._id is None:
            made = os.urandom(16).hex()
            with _first:
                self._id = self._id or made
        return self._id

    @property
    def timeline(self) -> Timeline | None:
        return None if self._stages is None else Timeline(*self._stages)

    def done(self) -> bool:
        return self._state in _DONE

    def exception(self, timeout: float | None = None) -> BaseException | None:
        return self._exception if self._state == FINISHED else super().exception(timeout)

    def result(self, timeout: float | None = None) -> R:
        """The call's value, waited for.

        Args:
            timeout: Seconds to wait; None waits for ever.

        Raises:
            ResultTimeoutError: Not done in time; the call goes on, and can be waited for again.
            CallCancelledError: It was cancelled.
            BaseException: What the call itself raised.
        """
        if self._state == FINISHED and self._exception is None:
            return self._result  # type: ignore[no-any-return] # what `resolve` was given
        try:
            value: R = super().result(timeout)
        except concurrent.futures.CancelledError:
            if self.cancelled():
                raise CallCancelledError(f"{self.name} was cancelled before it gave a result") from None
            raise
        except TimeoutError as error:
            if not self.done():
                raise ResultTimeoutError(
                    f"{self.name} gave no result within timeout={timeout:g} s; it goes on: "
                    f"wait again with result(), or stop it with cancel()"
                ) from error
            # The call itself raised TimeoutError, or ended in this very moment.
            value = super().result()
        finally:
            # As the standard library does: an exception in a traceback must not keep itself alive.
            del self
        return value

    def cancel(self, force: bool = False) -> bool:
        """Take the call back if no worker has begun it.

        Args:
            force: Stop it if it runs, too. The future is cancelled at once; the call is over, and its slot free, within two seconds,
                whatever it does (in the ``threads`` engine at its next line of Python). It is not waited for.

        Returns:
            True if the call will give no result; False if it has given one, or runs and ``force`` is not set.
        """
        if self.done():
            return self.cancelled()
        if self._withdraw is None or self._withdraw():
            return self._cancel()
        if force and self._stop is not None and self._cancel():
            self._stop()
        return self.cancelled()

    def _cancel(self) -> bool:
        """Make it cancelled, unless it is done."""
        with _first:
            if not self._looked_at:
                if self._state == PENDING:
                    self._state = CANCELLED_AND_NOTIFIED
                return self._state == CANCELLED_AND_NOTIFIED
        if super().cancel():
            # Nobody else tells the waiters in `concurrent.futures.wait`, who must be told once.
            with _first:
                notified, self._notified = self._notified, True
            if not notified:
                self.set_running_or_notify_cancel()
        return self.cancelled()

    def __await__(self) -> Generator[Any, None, R]:
        # asyncio waits for the end, not for the outcome: its futures refuse a StopIteration, and would never be done.
        done: Future[None] = Future(self.name)
        done.withdraw_with(self.cancel)
        self.add_done_callback(lambda _: done.resolve(None))
        import asyncio  # Whoever awaits has loaded it; for everybody else it is a third of the start-up time.

        yield from asyncio.wrap_future(done).__await__()
        return self.result()

    # What engines call: each resolves the future unless something else was first.

    def resolve(self, value: R, stages: Stages | None = None) -> None:
        """Give it its value."""
        if not self._settled(value, None, stages):
            self._settle(self.set_result, value, stages)

    def fail(self, error: BaseException, stages: Stages | None = None) -> None:
        """Give it the exception that ends it."""
        if not self._settled(None, error, stages):
            self._settle(self.set_exception, error, stages)

    def withdraw_with(self, withdraw: Callable[[], bool]) -> None:
        """Say how `cancel` gets the call back from where it waits; True from it means it will never run."""
        self._withdraw = withdraw

    def stop_with(self, stop: Callable[[], None]) -> None:
        """Say how `cancel` with ``force`` stops the call where it runs; called when the future is cancelled already."""
        self._stop = stop

    def _settled(self, value: Any, error: BaseException | None, stages: Stages | None) -> bool:
        """Settle it if nobody has looked at it yet, so that there is nobody to tell."""
        with _first:
            if self._looked_at:
                return False
            if self._state == PENDING:
                self._stages, self._result, self._exception = stages, value, error
                self._state = FINISHED  # Last: whoever sees it sees the rest.
            return True

    def _settle(self, setter: Callable[[Any], None], outcome: Any, stages: Stages | None) -> None:
        # The timeline first: a waiter may ask for it as soon as it is woken.
        before, self._stages = self._stages, stages
        try:
            setter(outcome)
        except concurrent.futures.InvalidStateError:
            self._stages = before
