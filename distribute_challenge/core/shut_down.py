"""`ShutDown`: the exception of a queue that was shut down; the standard library's from 3.13 on."""

import queue

__all__ = ["ShutDown"]


class _ShutDown(Exception):  # noqa: N818 - the standard library's name
    """`put` or `get` was called on a queue that was shut down.

    It is `queue.ShutDown` of the standard library in Python 3.13 and newer.
    """


_ShutDown.__name__ = _ShutDown.__qualname__ = "ShutDown"

#: The exception that queues raise: the standard library's class, or this module's before 3.13.
ShutDown: type[Exception] = getattr(queue, "ShutDown", _ShutDown)
