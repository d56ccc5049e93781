"""`Full`: the exception of a queue without room."""

import queue

__all__ = ["Full"]


class Full(queue.Full):
    """There was no room in a queue in time. It is a `queue.Full`.

    Attributes:
        put: How many of the items of `Queue.put_many` were put: the first ones.
    """

    def __init__(self, text: str, put: int = 0) -> None:
        super().__init__(text, put)
        self.put = put

    def __str__(self) -> str:
        return str(self.args[0])
