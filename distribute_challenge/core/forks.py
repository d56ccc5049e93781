"""Replaces locks in the children of a fork, and ends a child that leaves the function of its call.

A fork copies a lock as it is, but not the thread that holds it: in the child it would stay locked
for ever.

In a script, the child of a fork continues with the script's next line and ends with the script. In
a worker, the next line is the worker's own: the child would send a second reply and wait for the
next call. So it ends when the function does, as a script's child ends with the script.
"""

import os
import sys
from typing import NoReturn, Protocol
from weakref import WeakSet

__all__ = ["RenewsLocks", "end_child", "generation", "renew_in_children"]

#: How many forks lie between the first process and this one. It is an item of a list because every
#: call of a long map reads it.
generation = [0]


class RenewsLocks(Protocol):
    """An object that has locks, for `renew_in_children`."""

    def renew_locks(self) -> None:
        """Replace all locks. Called in the child of a fork, where there is no other thread."""


_owners: "WeakSet[RenewsLocks]" = WeakSet()


def renew_in_children(owner: RenewsLocks) -> None:
    """Have an object replace its locks in each child of a fork, for as long as it lives.

    Args:
        owner: The object; its method is called before any code of the program runs in the child.
    """
    _owners.add(owner)


def _begin_child() -> None:
    generation[0] += 1
    for owner in list(_owners):
        owner.renew_locks()


os.register_at_fork(after_in_child=_begin_child)


def end_child(error: BaseException | None = None) -> NoReturn:
    """End this process, the child of a fork, with the exit code that a script would have.

    Args:
        error: The exception that ended its function; None if it returned.
    """
    code = 1
    try:
        code = _exit_code(error)
        for stream in sys.stdout, sys.stderr:
            stream.flush()
    finally:
        # Not `sys.exit`: the outer frames and the functions of `atexit` belong to the parent.
        os._exit(code)


def _exit_code(error: BaseException | None) -> int:
    if error is None:
        return 0
    if isinstance(error, SystemExit):
        if error.code is None or isinstance(error.code, int):
            return (error.code or 0) & 0xFF
        print(error.code, file=sys.stderr)
        return 1
    # The first frame is the one that called the function.
    trace = error.__traceback__ and error.__traceback__.tb_next
    sys.excepthook(type(error), error.with_traceback(trace), trace)
    return 1
