"""The threads in which a call that has all its inputs goes to its engine.

The thread that resolves a future receives the results of all other calls, and must not wait for a
store or an engine.
"""

import os
from collections.abc import Callable
from typing import Any

from distribute_challenge.core.callbacks import Dispatcher

__all__ = ["soon"]


def soon(future: Any, callback: Callable[[Any], object]) -> None:
    """Have a callback run with a future that is done, in a thread of the graph's own.

    Args:
        future: The argument of the callback.
        callback: The callback.
    """
    _dispatcher.put((future, (callback,)))


def _start_anew() -> None:
    """In the child of a fork, begin anew: the threads belong to the parent."""
    global _dispatcher
    _dispatcher = Dispatcher("distribute_challenge graph")


_dispatcher = Dispatcher("distribute_challenge graph")
os.register_at_fork(after_in_child=_start_anew)
