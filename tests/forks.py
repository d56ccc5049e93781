"""A fork of the test's own process."""

import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable


def fork(work: Callable[[], object]) -> int:
    """Do something in a fork; the fork's number.

    Its exit code is 1 if that gives something true and 0 otherwise; or 9 if it raises, with what it
    raised on standard error.
    """
    with warnings.catch_warnings():
        # From Python 3.12 on a fork of a process with threads is warned of. These forks do little
        # and end soon.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child:
        return child
    code = 9
    try:
        signal.alarm(0)
        code = int(bool(work()))
    except BaseException as error:
        print(repr(error), file=sys.stderr, flush=True)
    finally:
        os._exit(code)


def ended(child: int, *, within: float = 30.0) -> int:
    """Wait for a fork's end; its exit code, which is -9 if it has hung for so many seconds."""
    timer = threading.Timer(within, os.kill, (child, signal.SIGKILL))
    timer.start()
    try:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    finally:
        timer.cancel()
