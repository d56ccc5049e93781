"""How many calls of a graph are out at the same time."""

from typing import Final

from distribute_challenge.core.batching import window

__all__ = ["Window"]

#: Seconds of work that the cluster should have ahead. A guess: a client that is busy for so long
#: delays no worker, and short tasks share messages.
AHEAD: Final = 0.5


class Window:
    """Learns how many calls to have out: enough to keep the workers busy, and not many more.

    A graph may have more values than fit into memory. As few calls as possible are begun ahead of
    those that free the values of others, and data in the graph is packed when its call is sent.

    Args:
        slots: Number of calls that can run at the same time; 0 if they run where they are
            submitted.
        most: Number of calls that may be out at the same time; None: no limit.

    Attributes:
        size: The number of calls to have out.

    Examples:
        >>> calls = Window(2)
        >>> calls.size
        6
        >>> calls.record(6, 0.01)  # Six calls ended after 10 ms.
        >>> calls.size
        300
        >>> calls.record(300, 60.0)
        >>> calls.size
        6
    """

    def __init__(self, slots: int, most: int | None = None) -> None:
        self._most = most
        self._least = window(slots) if slots else 1
        self._slots = slots
        self.size = self._limited(self._least)

    def record(self, out: int, seconds: float) -> None:
        """Record that a call has ended.

        Args:
            out: Number of calls that were out when it was submitted, with itself.
            seconds: Seconds from then to its end.
        """
        if self._slots:
            # As many calls end in a second as are out, divided by the time that one is out.
            self.size = self._limited(max(self._least, int(AHEAD * out / max(seconds, 1e-6))))

    def _limited(self, size: int) -> int:
        return size if self._most is None else min(size, self._most)
