"""A condition variable that Ctrl+C cannot leave locked."""

import threading
from operator import attrgetter

__all__ = ["Condition"]


class Condition(threading.Condition):
    """`threading.Condition`, for threads that may be interrupted: a program's main thread.

    ``with condition:`` calls a method of the standard library that is written in Python. An
    exception that is raised there, once the lock is taken, leaves it taken for good: the body has
    not begun, and nothing releases the lock. Here the lock's own methods are called, which are
    written in C, as in ``with lock:``.

    Examples:
        >>> condition = Condition()
        >>> with condition:
        ...     condition.notify()
    """

    __enter__ = property(attrgetter("_lock.__enter__"))
    __exit__ = property(attrgetter("_lock.__exit__"))
