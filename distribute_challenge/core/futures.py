"""The client's end of a call: a real `concurrent.futures.Future` that can also be awaited."""

import concurrent.futures
import os
import threading
from collections.abc import Callable, Generator
from concurrent.futures._base import CANCELLED, CANCELLED_AND_NOTIFIED, FINISHED, PENDING
from types import TracebackType
from typing import Any, Generic, TypeVar

from distribute_challenge.core import clock
from distribute_challenge.core.callbacks import run_callbacks
from distribute_challenge.core.condition import Condition
from distribute_challenge.core.folding import fold, set_traceback, traceback_of
from distribute_challenge.core.forks import generation, renew_in_children
from distribute_challenge.core.guarded import shown
from distribute_challenge.core.log_lines import LastLines, LogLine
from distribute_challenge.core.timeline import Timeline
from distribute_challenge.errors import (
    CallCancelledError,
    ResultTimeoutError,
    ResultUnavailableError,
)

__all__ = ["LONGEST_WAIT", "Future"]

R = TypeVar("R")

#: The fields of a `Timeline`, which is made of them when somebody asks for it.
Stages = tuple[float, float, float, float, float, str]

_DONE = (FINISHED, CANCELLED, CANCELLED_AND_NOTIFIED)

# Seconds. A signal that comes in the instant before a thread begins to wait is noticed when the
# wait ends: so waits end.
LONGEST_WAIT = 0.25

# Decides between a future that is settled and somebody who looks at it for the first time. One for
# all: it is held for less than a microsecond.
_first = threading.Lock()

# What `asyncio.wrap_future` adds tells an event loop and does no more: it may run in the thread
# that resolves the future.
_ASYNCIO = "asyncio.futures"


class Future(concurrent.futures.Future, Generic[R]):  # type: ignore[type-arg] # generic at run time, not in its stub
    """The result of a call that may not have run yet.

    `concurrent.futures.wait`, `as_completed` and `asyncio.wrap_future` work on it as on any other.

    Guarantees:

    - It resolves once: to a value, to the exception that the call raised, to an error of
      `distribute_challenge.errors`, or to cancelled. What arrives after that is dropped.
    - `cancel()` returns True only if the call has not begun and never will; with ``force``, only if
      it gave no result and never will.
    - ``_first`` orders the first look at it and its end: whoever looks finds it done, or is told
      when it is.
    - Callbacks of users run in a thread of their own (`callbacks`), and hold up neither results nor
      other calls.
    - In the child of a fork, one of the parent's that was done has its outcome, and any other ends
      in an error when it is looked at.

    Attributes:
        id: Names the call. That of one submitted with ``detach=True`` can be given to `attach`, in
            any process.
        name: Name of the function, for messages.
        timeline: When the call went through which stage, in seconds; None until it is done, and on
            engines that do not measure.

    Examples:
        >>> from distribute_challenge import compute_this
        >>> future = compute_this(lambda x: x * x, backend="threads")(3).submit()
        >>> future.result(timeout=10)
        9
    """

    # Most futures are resolved before anybody looks at them, and there may be millions: until
    # somebody does, one has no lock, no lists, and of its attributes only those that differ from
    # these.
    _state: str = PENDING
    _result: Any = None
    _exception: BaseException | None = None
    _traceback: TracebackType | None = None
    _stages: Stages | None = None
    _withdraw: Callable[[], bool] | None = None
    _stop: Callable[[], None] | None = None
    _is_running: Callable[[], bool] | None = None
    _looked_at = False
    _notified = False
    _callbacks: list[Callable[[Any], object]] | None = None
    _id: str | None = None
    _lines: "LastLines | None" = None
    _generation = 0  # The process that made it: 0 for one that is no fork (`forks.generation`).

    #: Of a chunk that an engine did not finish: the future of the calls behind the last outcome,
    #: which run, and their number.
    following: "tuple[Future[Any], int] | None" = None

    def __init__(self, name: str = "call") -> None:
        # Not the base's: what it makes, `__getattr__` makes when it is first used.
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
                # Closed until it is done. Ctrl+C as a thread begins to wait at a condition leads to
                # a RuntimeError.
                self._latch = threading.Lock()
                self._latch.acquire()
                self._done_callbacks: list[Any] = [Future._open_latch]
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

    def logs(self) -> list[LogLine]:
        """The last lines that the call has printed and logged, at most 1,000, also while it runs.

        They are there where the engine sends them: Celery workers do, unless that is turned off
        (see docs/logs.md). Calls of the other engines print on the streams of their own process,
        and have no lines here.

        Examples:
            >>> from distribute_challenge import compute_this
            >>> future = compute_this(lambda x: print("got", x))(3).submit()
            >>> future.result(timeout=10)  # doctest: +ELLIPSIS
            <lambda>@worker-... │ got 3
            >>> [line.text for line in future.logs()]
            ['got 3']
        """
        return [] if self._lines is None else self._lines.all()

    def done(self) -> bool:
        self._end_if_parents()
        return self._state in _DONE

    def running(self) -> bool:
        """Whether a worker has the call and has begun it, as far as its backend knows; False when
        it is done.

        Whether `cancel` takes it back does not depend on it. What each backend knows:
        `docs/how-a-call-travels.md`.
        """
        return not self.done() and self._is_running is not None and self._is_running()

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """The exception that the call raised, waited for; None if it gave a value.

        Args:
            timeout: Seconds to wait; None waits for ever.

        Raises:
            ResultTimeoutError: Not done in time; the call goes on, and can be waited for again.
            CallCancelledError: It was cancelled.
        """
        if self._state != FINISHED:
            self._wait(timeout)
        return self._exception

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
            if self._state != FINISHED:
                self._wait(timeout)
            if self._exception is not None:
                raise self._exception
            return self._result  # type: ignore[no-any-return] # what `resolve` was given
        except BaseException as error:
            if error is self._exception:
                # As it came: it may have been raised before, and would show the lines of that time
                # too.
                set_traceback(error, self._traceback)
            fold(error)
            raise
        finally:
            # As the standard library does: an exception in a traceback must not keep itself alive.
            del self

    def add_done_callback(self, fn: Callable[[Any], object]) -> None:
        """Have a function called with this future when it is done.

        That happens in a thread of its own: it may make calls and wait for them. Callbacks run one
        after the other, in order for each future; while one takes long, those of other futures go
        on. What one raises is logged, and no more. If the future is done already, the function is
        called at once, in this thread.

        Args:
            fn: Called with the future.
        """
        if getattr(fn, "__module__", None) == _ASYNCIO:
            self.when_done(fn)
            return
        with self._condition:
            if self._state not in _DONE:
                if self._callbacks is None:
                    self._callbacks = []
                    self.when_done(Future._run_callbacks)
                self._callbacks.append(fn)
                return
        super().add_done_callback(fn)

    def cancel(self, force: bool = False) -> bool:
        """Take the call back if no worker has begun it.

        Args:
            force: Stop it if it runs, too. The future is cancelled at once; the call is over, and
                its slot free, within two seconds, whatever it does (in the ``threads`` engine at
                its next line of Python). It is not waited for.

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

    def __repr__(self) -> str:
        if self.cancelled():
            text = f"{self.name} cancelled"
        elif not self.done():
            text = f"{self._call_text()} {'running' if self._is_known_to_run() else 'pending'}"
        elif self._exception is not None:
            text = f"{self.name} raised {shown(self._exception)}"
        else:
            text = f"{self.name} finished {shown(self._result)}"
        return f"<Future {text}>"

    def _call_text(self) -> str:
        """The call, for people; an engine that keeps its task shows the arguments, too."""
        return self.name

    def _is_known_to_run(self) -> bool:
        """Like `running`, without asking the broker: a debugger shows futures at any moment."""
        return self.running()

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise TypeError(
            "a future stays in its process: give what it results in, as in future.result()"
        )

    def __await__(self) -> Generator[Any, None, R]:
        # asyncio waits for the end, not for the outcome: its futures refuse a StopIteration, and
        # would never be done.
        done: Future[None] = Future(self.name)
        done.withdraw_with(self.cancel)
        self.when_done(lambda _: done.resolve(None))
        # Whoever awaits has loaded it; for everybody else it is a third of the start-up time.
        import asyncio

        yield from asyncio.wrap_future(done).__await__()
        try:
            return self.result()
        except BaseException as error:
            fold(error)
            raise

    def _wait(self, timeout: float | None) -> None:
        """Wait until there is a value or an exception.

        Raises:
            ResultTimeoutError: There is none in time.
            CallCancelledError: There will be none.
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
        """In the child of a fork: end one of the parent's that is not done, as what would resolve
        it is the parent's, too.
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
        # As if it had never been looked at: what looked at it is the parent's, and so are the
        # callbacks.
        for name in (
            "_condition",
            "_waiters",
            "_latch",
            "_done_callbacks",
            "_looked_at",
            "_callbacks",
        ):
            vars(self).pop(name, None)

    def _open_latch(self) -> None:
        self._latch.release()

    # What engines call: each resolves the future unless something else was first.

    def resolve(self, value: R, stages: Stages | None = None) -> None:
        """Give it its value."""
        if not self._settled(value, None, stages):
            self._settle(self.set_result, value, stages)

    def fail(self, error: BaseException, stages: Stages | None = None) -> None:
        """Give it the exception that ends it."""
        if self._exception is None:
            self._traceback = traceback_of(error)
        if not self._settled(None, error, stages):
            self._settle(self.set_exception, error, stages)

    def add_log(self, line: LogLine) -> None:
        """Keep a line that its call has printed, or several in one; one thread at a time."""
        if self._lines is None:
            self._lines = LastLines()
        self._lines.add(line)

    def when_done(self, callback: Callable[[Any], object]) -> None:
        """Have something of our own called in the thread that resolves it: it waits for nothing,
        and raises nothing.
        """
        super().add_done_callback(callback)

    def withdraw_with(self, withdraw: Callable[[], bool]) -> None:
        """Say how `cancel` gets the call back from where it waits; True from it means it will never
        run.
        """
        self._withdraw = withdraw

    def stop_with(self, stop: Callable[[], None]) -> None:
        """Say how `cancel` with ``force`` stops the call where it runs; called when the future is
        cancelled already.
        """
        self._stop = stop

    def running_with(self, is_running: Callable[[], bool]) -> None:
        """Say how `running` finds out whether the call has begun."""
        self._is_running = is_running

    def _run_callbacks(self) -> None:
        callbacks, self._callbacks = self._callbacks or [], None
        run_callbacks(self, callbacks)

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


def _make_locks_anew() -> None:
    """In the child of a fork: a thread that is not there may hold it."""
    global _first
    _first = threading.Lock()


os.register_at_fork(after_in_child=_make_locks_anew)
