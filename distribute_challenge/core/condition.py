"""A condition variable and an event that Ctrl+C cannot leave locked."""

import threading
from operator import attrgetter

__all__ = ["Condition", "Event"]


class Condition(threading.Condition):
    """A `threading.Condition` for threads that Ctrl+C may interrupt: a program's main thread.

    In the standard library, ``with condition:`` calls a method that is written in Python. If Ctrl+C
    raises an exception there, once the lock is taken, the lock stays taken for good: the body has
    not begun, and nothing releases the lock. This class calls the lock's own methods, which are
    written in C, as ``with lock:`` does.

    Examples:
        >>> condition = Condition()
        >>> with condition:
        ...     condition.notify()
    """

    __enter__ = property(attrgetter("_lock.__enter__"))
    __exit__ = property(attrgetter("_lock.__exit__"))


class Event(threading.Event):
    """A `threading.Event` for threads that Ctrl+C may interrupt.

    Examples:
        >>> event = Event()
        >>> event.set()
        >>> event.wait()
        True
    """

    def __init__(self) -> None:
        super().__init__()
        self._cond = Condition(threading.Lock())
