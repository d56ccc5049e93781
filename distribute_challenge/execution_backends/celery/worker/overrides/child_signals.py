"""Handles the signals that end a child process of the worker.

Systemd, Slurm and supervisord send them to all processes of a worker at once. Billiard's handlers
raise `SystemExit` in the middle of the user's function, where it would be an error of the call.
"""

import signal
from collections.abc import Callable
from typing import Final

from billiard import common

__all__ = ["TO_END", "end_in_order", "let_forks_end"]

#: Signals that ask a program to end; Slurm and others send the last two some time before the end.
TO_END: Final = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
_handler: Callable[[int, object], None] | None = None


def end_in_order(handler: Callable[[int, object], None]) -> None:
    """Call a handler for the signals in `TO_END`.

    The other signals that billiard handles end this process at once, as they end any program.

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
    """Have the signals in `TO_END` end this process, which a call has forked."""
    for number in TO_END:
        if signal.getsignal(number) is _handler:
            signal.signal(number, signal.SIG_DFL)
