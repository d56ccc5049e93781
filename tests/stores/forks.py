"""A fork of the test's own process."""

import os
import warnings
from collections.abc import Callable


def fork(work: Callable[[], object]) -> int:
    """Do something in a fork, whose exit code is what that gives, or 9 if it raises; the fork's
    number.
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
        code = int(bool(work()))
    finally:
        os._exit(code)


def ended(child: int) -> int:
    """Wait for a fork's end; its exit code."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
