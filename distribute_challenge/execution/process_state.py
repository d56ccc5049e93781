"""Restores what a call changed in its process, where that would break the next call.

Like every process pool, a process that runs calls keeps what they set on purpose: environment
variables, globals, loaded modules, locale, random numbers. It does not keep changes that make the
next call fail through no fault of its own: closed streams, a current folder that is gone, a pending
alarm.
"""

# The functions of `_signal` return no enums, which cost ten times as much.
import _signal  # type: ignore[import-not-found]
import contextlib
import gc
import os
import resource
import signal
import sys
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from distribute_challenge.execution.output import LogStream

__all__ = ["ProcessState", "is_spoilt"]

# Seconds; after a call that took longer, the cost of checking everything does not matter.
LONG = 0.001

_SIGNALS = tuple(
    int(number)
    for name in ("HUP", "INT", "QUIT", "PIPE", "ALRM", "TERM", "CHLD", "URG", "USR1", "USR2")
    if (number := getattr(signal, f"SIG{name}", None)) is not None
)
_LIMITS = (resource.RLIMIT_AS, resource.RLIMIT_CPU, resource.RLIMIT_NOFILE)
_NO_ALARM = (0.0, 0.0)

_spoilt = False


def is_spoilt() -> bool:
    """Whether a call changed something that could not be restored: replace the process then."""
    return _spoilt


class ProcessState:
    """The state of this process when the object is made, which it can restore.

    As a context manager, it restores the state at the end of the block.

    Make and use it in the main thread, while no call runs.

    Examples:
        >>> import sys
        >>> before = sys.stdout
        >>> with ProcessState():
        ...     sys.stdout = None
        >>> sys.stdout is before, is_spoilt()
        (True, False)
    """

    def __init__(self) -> None:
        self._stdout, self._stderr = sys.stdout, sys.stderr
        self._is_collecting = gc.isenabled()
        self._trace, self._profile = sys.gettrace(), sys.getprofile()
        self._handlers = [*map(_signal.getsignal, _SIGNALS)]
        # A handler that C code has set is None: Python can neither see nor set it.
        self._settable = [
            pair for pair in zip(_SIGNALS, self._handlers, strict=True) if pair[1] is not None
        ]
        self._blocked = _signal.pthread_sigmask(signal.SIG_BLOCK, ())
        self._recursion_limit = sys.getrecursionlimit()
        self._paths = list(sys.path)
        self._limits = [(kind, resource.getrlimit(kind)) for kind in _LIMITS]
        self._folder = _Folder()
        self._files = [_File(1), _File(2)]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.put_back()

    def is_changed(self, seconds: float) -> bool:
        """Whether `put_back` has something to do, by a check of less than a microsecond.

        Args:
            seconds: How long the call took. After a long call the answer is True, so that
                `put_back` checks everything.
        """
        stdout, stderr = self._stdout, self._stderr
        return (
            seconds > LONG
            or sys.stdout is not stdout
            or sys.stderr is not stderr
            or _is_closed(stdout)
            or _is_closed(stderr)
            or gc.isenabled() is not self._is_collecting
            or sys.gettrace() is not self._trace
            or sys.getprofile() is not self._profile
        )

    def put_back(self) -> None:
        """Check everything, and restore what has changed.

        It takes some microseconds if nothing has changed.
        """
        global _spoilt
        # Signals and the alarm come first: they might interrupt the rest.
        steps: tuple[Callable[[], Any], ...] = (
            self._put_back_signals,
            self._put_back_interpreter,
            self._files[0].put_back,
            self._files[1].put_back,
            self._put_back_streams,
            self._folder.put_back,
            self._put_back_limits,
            _put_back_loop,
        )
        for step in steps:
            try:
                step()
            except Exception:
                _spoilt = True

    def _put_back_signals(self) -> None:
        if signal.getitimer(signal.ITIMER_REAL) != _NO_ALARM:
            signal.setitimer(signal.ITIMER_REAL, 0)
        if [*map(_signal.getsignal, _SIGNALS)] != self._handlers:
            signal.set_wakeup_fd(-1)
            for number, handler in self._settable:
                signal.signal(number, handler)
        if _signal.pthread_sigmask(signal.SIG_BLOCK, ()) != self._blocked:
            signal.pthread_sigmask(signal.SIG_SETMASK, self._blocked)

    def _put_back_interpreter(self) -> None:
        if gc.isenabled() is not self._is_collecting:
            (gc.enable if self._is_collecting else gc.disable)()
        if sys.gettrace() is not self._trace:
            sys.settrace(self._trace)  # pragma: no cover - it restores the tracer that would see it
        if sys.getprofile() is not self._profile:
            sys.setprofile(self._profile)
        if sys.getrecursionlimit() < self._recursion_limit:
            sys.setrecursionlimit(self._recursion_limit)
        if sys.path != self._paths:
            sys.path.extend(path for path in self._paths if path not in sys.path)
            self._paths = list(sys.path)

    def _put_back_streams(self) -> None:
        if _is_closed(self._stdout):
            self._stdout = sys.__stdout__ = _reopened(self._stdout, 1)  # type: ignore[misc]
        if _is_closed(self._stderr):
            self._stderr = sys.__stderr__ = _reopened(self._stderr, 2)  # type: ignore[misc]
        sys.stdout, sys.stderr = self._stdout, self._stderr
        for stream in filter(None, (self._stdout, self._stderr)):
            # An incomplete line belongs to the call that wrote it. A pipe without a reader does not
            # spoil the process.
            with contextlib.suppress(OSError):
                stream.flush()

    def _put_back_limits(self) -> None:
        for kind, limit in self._limits:
            if _is_lower(resource.getrlimit(kind), limit):
                resource.setrlimit(kind, limit)


class _Folder:
    """The current folder, which can be restored even if it was deleted."""

    def __init__(self) -> None:
        self._name = _current_folder()
        self._place: int | str
        try:
            self._place = os.open(".", getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY)
        except OSError:  # This process has no permission to open it.
            self._place = self._name or os.sep

    def put_back(self) -> None:
        if _current_folder() != self._name:
            os.chdir(self._place)
            self._name = _current_folder()  # The folder may have been moved.


class _File:
    """The open file behind a file descriptor, 1 or 2."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._identity = _identity(number)
        self._copy = os.dup(number) if self._identity is not None else -1

    def put_back(self) -> None:
        # If there was none, the descriptor now belongs to a file that the call opened.
        if self._identity is not None and _identity(self._number) != self._identity:
            os.dup2(self._copy, self._number)


def _identity(number: int) -> tuple[int, int] | None:
    try:
        found = os.fstat(number)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _current_folder() -> str | None:
    try:
        return os.getcwd()
    except OSError:
        return None


def _is_closed(stream: Any) -> bool:
    if stream is None:
        return False
    try:
        return bool(stream.closed)
    except ValueError:
        return True  # The stream's buffer was detached.


def _reopened(stream: Any, number: int) -> Any:
    if isinstance(stream, LogStream):
        return stream.reopened()
    return open(
        number, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False
    )


def _is_lower(now: tuple[int, int], limit: tuple[int, int]) -> bool:
    if now == limit:
        return False
    most = resource.RLIM_INFINITY  # It is negative, so it cannot be compared with `<`.
    return any(
        is_now != most and (was == most or is_now < was)
        for is_now, was in zip(now, limit, strict=True)
    )


def _put_back_loop() -> None:
    if "asyncio" in sys.modules:
        from distribute_challenge.execution.coroutines import put_back_loop

        put_back_loop()
