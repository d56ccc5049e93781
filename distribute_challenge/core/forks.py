"""Children of a fork: which locks they make anew, and what becomes of one that leaves the function
of the call that has forked it.

A fork copies a lock as it is, but not the thread that holds it: in the child it would stay locked
for ever.

In a script the child would go on with the script's next line and end with it. In a worker the next
line is the worker's own: the child would send a second answer and wait for the next call. So it
ends there, as a script's child ends.
"""

import os
import sys
from typing import NoReturn, Protocol
from weakref import WeakSet

__all__ = ["RenewsLocks", "end_child", "generation", "renew_in_children"]

#: One number, which is another one in each child of a fork; in a list, as it is looked at after
#: every call of a long map.
generation = [0]


class RenewsLocks(Protocol):
    """An object that has locks."""

    def renew_locks(self) -> None:
        """In the child of a fork, where there is no other thread: make all locks anew."""


_owners: "WeakSet[RenewsLocks]" = WeakSet()


def renew_in_children(owner: RenewsLocks) -> None:
    """Have an object make its locks anew in each child of a fork, for as long as it lives.

    Args:
        owner: It is told before any code of the program's runs in the child.
    """
    _owners.add(owner)


def _begin_child() -> None:
    generation[0] += 1
    for owner in list(_owners):
        owner.renew_locks()


os.register_at_fork(after_in_child=_begin_child)


def end_child(error: BaseException | None = None) -> NoReturn:
    """End this process, the child of a fork, with the exit code that it would have as a script.

    Args:
        error: What ended its function; None: it returned.
    """
    code = 1
    try:
        code = _exit_code(error)
        for stream in sys.stdout, sys.stderr:
            stream.flush()
    finally:
        # Not `sys.exit`: what is below in the stack, and what atexit has, belongs to the parent.
        os._exit(code)


def _exit_code(error: BaseException | None) -> int:
    if error is None:
        return 0
    if isinstance(error, SystemExit):
        if error.code is None or isinstance(error.code, int):
            return (error.code or 0) & 0xFF
        print(error.code, file=sys.stderr)
        return 1
    trace = (
        error.__traceback__ and error.__traceback__.tb_next
    )  # The first frame is the one that called the function.
    sys.excepthook(type(error), error.with_traceback(trace), trace)
    return 1
