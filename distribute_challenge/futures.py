"""The client's end of a call: a real `concurrent.futures.Future` that can also be awaited."""

import concurrent.futures
import threading
from collections.abc import Callable, Generator
from typing import Any, Generic, TypeVar

from distribute_challenge.errors import CallCancelledError, ResultTimeoutError
from distribute_challenge.timeline import Timeline

__all__ = ["Future"]

R = TypeVar("R")


class Future(concurrent.futures.Future, Generic[R]):  # type: ignore[type-arg] # generic at run time, not in its stub
    """The result of a call that may not have run yet.

    `concurrent.futures.wait`, `as_completed` and `asyncio.wrap_future` work on it as on any other.

    Guarantees:

    - It resolves once: to a value, to the exception that the call raised, to an error of `distribute_challenge.errors`,
      or to cancelled. What arrives after that is dropped.
    - `cancel()` returns True only if the call has not begun and never will.

    Attributes:
        name: Name of the function, for messages.
        timeline: When the call went through which stage, in seconds; None until it is done, and on engines that
            do not measure.

    Example:
        >>> from distribute_challenge import compute_this
        >>> future = compute_this(lambda x: x * x, backend="threads")(3).submit()
        >>> future.result(timeout=10)
        9
    """

    def __init__(self, name: str = "call") -> None:
        super().__init__()
        self.name = name
        self._make_timeline: Callable[[], Timeline] | None = None
        self._withdraw: Callable[[], bool] | None = None
        self._notified = threading.Lock()  # Taken once, by whoever tells the waiters of a cancellation.

    @property
    def timeline(self) -> Timeline | None:
        return self._make_timeline() if self._make_timeline is not None else None

    def result(self, timeout: float | None = None) -> R:
        """The call's value, waited for.

        Args:
            timeout: Seconds to wait; None waits for ever.

        Raises:
            ResultTimeoutError: Not done in time; the call goes on, and can be waited for again.
            CallCancelledError: It was cancelled.
            BaseException: What the call itself raised.
        """
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

    def cancel(self) -> bool:
        """Take the call back if no worker has begun it.

        Returns:
            True if the call will not run; False if it is running or done.
        """
        if self._withdraw is not None and not self.done() and not self._withdraw():
            return False
        if super().cancel():
            # Nobody else tells the waiters in `concurrent.futures.wait`, who must be told once.
            if self._notified.acquire(blocking=False):
                self.set_running_or_notify_cancel()
            return True
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

    def resolve(self, value: R, timeline: Callable[[], Timeline] | None = None) -> None:
        """Give it its value."""
        self._settle(self.set_result, value, timeline)

    def fail(self, error: BaseException, timeline: Callable[[], Timeline] | None = None) -> None:
        """Give it the exception that ends it."""
        self._settle(self.set_exception, error, timeline)

    def withdraw_with(self, withdraw: Callable[[], bool]) -> None:
        """Say how `cancel` gets the call back from where it waits; True from it means it will never run."""
        self._withdraw = withdraw

    def _settle(self, setter: Callable[[Any], None], outcome: Any, timeline: Callable[[], Timeline] | None) -> None:
        # The timeline first: a waiter may ask for it as soon as it is woken.
        before, self._make_timeline = self._make_timeline, timeline
        try:
            setter(outcome)
        except concurrent.futures.InvalidStateError:
            self._make_timeline = before
