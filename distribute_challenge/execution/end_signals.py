"""Signals that tell a process to end: it finishes the call that it runs, and then ends.

Systemd, Slurm and supervisord send them to all processes at once. An exception that they raised
would be one of the user's function.
"""

import os
import signal
import sys
from collections.abc import Callable
from typing import Final, TypeVar

__all__ = ["OrderlyEnd"]

#: Tell a program to end; the last two are what Slurm and others send some time before.
TO_END: Final = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)

T = TypeVar("T")


class OrderlyEnd:
    """Ends the process that it is made in between two calls, once a signal has told it to.

    To be made and used in the main thread.

    Args:
        code: The exit code.

    Attributes:
        is_told: Whether such a signal has come.

    Examples:
        >>> end = OrderlyEnd()
        >>> end.wait(lambda: "a call")
        'a call'
        >>> end.is_told
        False
    """

    is_told = False
    _is_idle = False

    def __init__(self, code: int = 0) -> None:
        self._code = code
        self._numbers: tuple[signal.Signals, ...] = ()
        self._masks: list[set[signal.Signals]] = []

    def listen(self, *others: signal.Signals) -> None:
        """From now on, have the signals end it in this way.

        A process that a call forks is ended by them as any program.

        Args:
            others: More signals than those of `TO_END`.
        """
        self._numbers = (*TO_END, *others)
        for number in self._numbers:
            signal.signal(number, self._take)
        os.register_at_fork(
            before=self._hold, after_in_child=self._let_fork_end, after_in_parent=self._release
        )

    def wait(self, get_call: Callable[[], T]) -> T:
        """Wait for the next call. A signal that has come, or comes meanwhile, ends the process.

        Args:
            get_call: Waits for the call.

        Raises:
            SystemExit: The process is to end.
        """
        self._is_idle = True  # First: a signal that comes now ends it.
        try:
            if self.is_told:
                sys.exit(self._code)
            return get_call()
        finally:
            self._is_idle = False

    def _take(self, number: int, frame: object) -> None:
        self.is_told = True
        if self._is_idle:
            sys.exit(self._code)

    def _hold(self) -> None:
        """Block the signals until the new process is ready: this process's handler would keep it alive."""
        self._masks.append(signal.pthread_sigmask(signal.SIG_BLOCK, self._numbers))  # type: ignore[arg-type]

    def _let_fork_end(self) -> None:
        for number in self._numbers:
            if signal.getsignal(number) == self._take:
                signal.signal(
                    number,
                    signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL,
                )
        self._release()

    def _release(self) -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, self._masks.pop())
