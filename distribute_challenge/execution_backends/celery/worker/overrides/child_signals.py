"""Signals in a child process of the worker: those that tell it to end, and those that end any
program.

Systemd, Slurm and supervisord send them to all processes of a worker at once. Billiard has all of
them raise `SystemExit` in the middle of the user's function, where it would be an error of the
call.
"""

import signal
from collections.abc import Callable
from typing import Final

from billiard import common

__all__ = ["TO_END", "end_in_order", "let_forks_end"]

#: Tell a program to end; the last two are what Slurm and others send some time before.
TO_END: Final = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
_handler: Callable[[int, object], None] | None = None


def end_in_order(handler: Callable[[int, object], None]) -> None:
    """Have what tells this process to end call a handler; all else that billiard handles ends it,
    as it ends any program.

    Args:
        handler: Called with the signal's number and the frame that it interrupts.
    """
    global _handler
    _handler = handler
    for name in common.TERMSIGS_FULL:
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is common._shutdown_cleanup:
            signal.signal(number, signal.SIG_DFL)
    for number in TO_END:
        signal.signal(number, handler)


def let_forks_end() -> None:
    """In a process that a call has forked: have these signals end it."""
    for number in TO_END:
        if signal.getsignal(number) is _handler:
            signal.signal(number, signal.SIG_DFL)
