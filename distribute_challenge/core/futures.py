"""The client's end of a call: a real `concurrent.futures.Future` that can also be awaited."""

import os
from collections.abc import Callable, Generator
from concurrent.futures._base import FINISHED
from types import TracebackType
from typing import Any, Generic, TypeVar

from distribute_challenge.core.callbacks import run_callbacks
from distribute_challenge.core.compact import compact
from distribute_challenge.core.folding import fold, set_traceback, traceback_of
from distribute_challenge.core.future_text import FutureText
from distribute_challenge.core.lazy_future import OFTEN_SET, LazyFuture, Stages
from distribute_challenge.core.log_lines import LastLines, LogLine
from distribute_challenge.core.needs import is_as_they_are, itself, stand_in
from distribute_challenge.core.outcome import Failure
from distribute_challenge.core.timeline import Timeline
from distribute_challenge.core.unopened import Unopened

__all__ = ["Future"]

R = TypeVar("R")

# The callback that `asyncio.wrap_future` adds only notifies an event loop: it may run in the thread
# that resolves the future.
_ASYNCIO = "asyncio.futures"

# Values that are as quickly copied as found.
_NUMBERS = (int, float, bool, type(None))
_TEXTS = (str, bytes)
_SHORT = 1000  # Characters, or bytes; a guess.


@compact(*OFTEN_SET, "_withdraw", "_stop", "_is_running", "_traceback")
class Future(LazyFuture, Generic[R]):
    """The result of a call that may not have run yet.

    `concurrent.futures.wait`, `as_completed` and `asyncio.wrap_future` work on it as on any other
    future.

    Guarantees:

    - It resolves once: to a value, to the exception that the call raised, to an error of
      `distribute_challenge.errors`, or to cancelled. An outcome that arrives later is dropped.
    - `cancel()` returns True only if the call has not begun and never will; with ``force``, only if
      it gave no result and never will.
    - Callbacks of users run in a thread of their own (`callbacks`), and delay neither results nor
      other calls.
    - In the child of a fork, a future of the parent that was done has its outcome; any other fails
      with an error when the child looks at it.

    Attributes:
        id: Id of the call. The id of a call submitted with ``detach=True`` can be given to
            `attach`, in any process.
        name: Name of the function, for error messages.
        packed: The value as it travels to calls that need it, once one has (`graph.inputs`).
        result_size: Size of the pickled value in bytes, with its large parts in stores; None unless
            it is recorded (`recording`).
        timeline: Times at which the call passed its stages, in seconds since the epoch; None until
            the call is done, and on engines that do not measure.

    Examples:
        >>> from distribute_challenge import compute_this
        >>> future = compute_this(lambda x: x * x, backend="threads")(3).submit()
        >>> future.result(timeout=10)
        9
    """

    # Defaults: a future has only those attributes that differ (`LazyFuture`).
    _traceback: TracebackType | None = None
    _withdraw: Callable[[], bool] | None = None
    _stop: Callable[[], None] | None = None
    _is_running: Callable[[], bool] | None = None
    _callbacks: list[Callable[[Any], object]] | None = None
    _id: str | None = None
    _lines: LastLines | None = None
    packed: Any = None
    result_size: float | None = None
    __stands_for_value__ = True

    @property
    def id(self) -> str:
        # `setdefault` is atomic: threads that ask at the same time get the same id.
        return self._id or vars(self).setdefault("_id", os.urandom(16).hex())

    @property
    def timeline(self) -> Timeline | None:
        return None if self._stages is None else Timeline(*self._stages)

    def logs(self) -> list[LogLine]:
        """Return the last lines that the call has printed and logged, also while it runs.

        These are at most 1,000 lines. Celery workers send them, unless that is turned off (see
        docs/logs.md). Calls on the other engines print to the streams of their own process, and
        have no lines here.

        Examples:
            >>> from distribute_challenge import compute_this
            >>> future = compute_this(lambda x: print("got", x))(3).submit()
            >>> future.result(timeout=10)  # doctest: +ELLIPSIS
            <lambda>@worker-... │ got 3
            >>> [line.text for line in future.logs()]
            ['got 3']
        """
        return [] if self._lines is None else self._lines.all()

    def running(self) -> bool:
        """Whether a worker has begun the call, as far as its backend knows; False when it is done.

        `cancel` does not depend on it. `docs/how-a-call-travels.md` says what each backend knows.
        """
        return not self.done() and self._is_running is not None and self._is_running()

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Wait for the call, and return the exception that it raised; None if it gave a value.

        Args:
            timeout: Seconds to wait; None waits for ever.

        Raises:
            ResultTimeoutError: The call is not done in time. It goes on, and can be waited for
                again.
            CallCancelledError: The call was cancelled.
        """
        if self._state != FINISHED:
            self._wait(timeout)
        if type(self._result) is Unopened:
            self._open()  # It may be impossible.
        return self._exception

    def result(self, timeout: float | None = None) -> R:
        """Wait for the call, and return its value.

        Args:
            timeout: Seconds to wait; None waits for ever.

        Raises:
            ResultTimeoutError: The call is not done in time. It goes on, and can be waited for
                again.
            CallCancelledError: The call was cancelled.
            BaseException: The exception that the call itself raised.
        """
        try:
            if self._state != FINISHED:
                self._wait(timeout)
            if type(self._result) is Unopened:
                self._open()
            if self._exception is not None:
                raise self._exception
            return self._result  # type: ignore[no-any-return] # what `resolve` was given
        except BaseException as error:
            if error is self._exception:
                # Restore the traceback that it came with: if `result` raised it before, it would
                # show the lines of that time, too.
                set_traceback(error, self._traceback)
            fold(error)
            raise
        finally:
            # As in the standard library: an exception must not keep itself alive by its traceback.
            del self

    def add_done_callback(self, fn: Callable[[Any], object]) -> None:
        """Register a function to be called with this future when it is done.

        Callbacks run in a thread of their own: they may make calls and wait for them. They run one
        after the other, in order for each future; while one takes long, those of other futures go
        on. An exception that one raises is logged and has no other effect. If the future is done
        already, the function is called at once, in this thread.

        Args:
            fn: The function; it gets the future.
        """
        if getattr(fn, "__module__", None) == _ASYNCIO:
            self.when_done(fn)
            return
        with self._condition:
            if not self.done():
                if self._callbacks is None:
                    self._callbacks = []
                    self.when_done(Future._run_callbacks)
                self._callbacks.append(fn)
                return
        super().add_done_callback(fn)

    def cancel(self, force: bool = False) -> bool:
        """Cancel the call if no worker has begun it.

        Args:
            force: Also stop it if it runs. The future is cancelled at once, and this method does
                not wait for the call. Whatever the call does, it ends and its slot is free within
                two seconds (in the ``threads`` engine at its next line of Python).

        Returns:
            True if the call will give no result; False if it has given one, or runs and ``force``
            is not set.
        """
        if self.done():
            return self.cancelled()
        if self._withdraw is None or self._withdraw():
            return self._cancel()
        if force and self._stop is not None and self._cancel():
            self._stop()
        return self.cancelled()

    def __repr__(self) -> str:
        return f"<Future {FutureText.of(self).line()}>"

    def _repr_html_(self) -> str:
        return FutureText.of(self).html()

    def has_value(self) -> bool:
        """Whether the call has ended and given a value, which may not have been unpickled yet."""
        self._end_if_parents()
        return self._state == FINISHED and self._exception is None

    def small_value(self) -> tuple[Any, ...]:
        """Return the value, in a tuple, if it is there and a number or a short text; else ()."""
        if not self.has_value():
            return ()
        value = self._result
        kind = type(value)
        return (value,) if kind in _NUMBERS or (kind in _TEXTS and len(value) <= _SHORT) else ()

    def call_text(self) -> str:
        """Return the call as text; an engine that keeps its task shows the arguments, too."""
        return self.name

    def stage(self) -> str:
        """Return where a call is that is not done, as text, as far as this process knows.

        No request goes to the broker, as a debugger may call `repr` often.
        """
        return "running" if self.running() else "pending"

    def __reduce_ex__(self, protocol: Any) -> Any:
        if (reduced := stand_in(self)) is not None:
            return reduced
        if is_as_they_are():
            if self.has_value():
                return itself, (self.result(),)
            raise TypeError(
                "a future that has no value needs this process, also for a detached call or an item "
                "of a queue: wait for its value, or give the call itself in its place"
            )
        raise TypeError(
            "a future stays in its process: pass it as an argument of the call that needs its "
            "value, or give the value, as in future.result()"
        )

    def __await__(self) -> Generator[Any, None, R]:
        # asyncio waits for a future without an outcome: its own futures refuse a StopIteration as
        # an exception, and would never be done.
        done: Future[None] = Future(self.name)
        done.withdraw_with(self.cancel)
        self.when_done(lambda _: done.resolve(None))
        # A program that awaits has loaded it; for others it would be a third of the start-up time.
        import asyncio

        yield from asyncio.wrap_future(done).__await__()
        try:
            return self.result()
        except BaseException as error:
            fold(error)
            raise

    # Engines call the following. An outcome only counts if the future is not done yet.

    def resolve(self, value: R, stages: Stages | None = None) -> None:
        """Set the value, unless the future is done.

        Args:
            value: The value of the call.
            stages: The fields of its timeline, in seconds since the epoch; None if the engine does
                not measure.
        """
        if not self._settled(value, None, stages):
            self._settle(self.set_result, value, stages)

    def fail(self, error: BaseException, stages: Stages | None = None) -> None:
        """Set the exception, unless the future is done.

        Args:
            error: The exception; its traceback is shown each time that `result` raises it.
            stages: As for `resolve`.
        """
        if self._exception is None:
            self._traceback = traceback_of(error)
        if not self._settled(None, error, stages):
            self._settle(self.set_exception, error, stages)

    def end_like(self, other: "Future[Any]") -> None:
        """End as another future has, which was not cancelled; its value is not unpickled for it."""
        if other.result_size is not None:
            self.result_size = other.result_size
        if other._exception is not None:
            self.fail(other._exception, other._stages)
        else:
            self.resolve(other._result, other._stages)

    def unopened(self) -> Unopened | None:
        """Return the result as it came, if no caller has asked for it yet."""
        result = self._result
        return result if type(result) is Unopened else None

    def add_log(self, line: LogLine) -> None:
        """Keep a line, or several in one text. Only one thread at a time may call it."""
        if self._lines is None:
            self._lines = LastLines()
        self._lines.add(line)

    def withdraw_with(self, withdraw: Callable[[], bool]) -> None:
        """Set the function by which `cancel` takes back a waiting call.

        It returns True if the call will never run.
        """
        self._withdraw = withdraw

    def stop_with(self, stop: Callable[[], None]) -> None:
        """Set the function by which `cancel` with ``force`` stops a running call.

        It is called after the future was cancelled.
        """
        self._stop = stop

    def running_with(self, is_running: Callable[[], bool]) -> None:
        """Set the function by which `running` finds out whether the call has begun."""
        self._is_running = is_running

    def renew_locks(self) -> None:
        super().renew_locks()
        vars(self).pop("_callbacks", None)

    def _open(self) -> None:
        """Unpickle the value; the future has failed if that is impossible."""
        unopened = self.unopened()
        if unopened is None:
            return  # Another thread was faster.
        outcome = unopened.outcome()
        if type(outcome) is Failure:
            self._traceback = traceback_of(outcome.error)
            self._exception, outcome = outcome.error, None
        self._result = outcome

    def _run_callbacks(self) -> None:
        callbacks, self._callbacks = self._callbacks or [], None
        run_callbacks(self, callbacks)
