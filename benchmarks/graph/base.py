"""What a system offers for calls that feed calls.

A system is one of `benchmarks.peers` with these methods beside its own. So it starts, stops and
declares its facts as it does there.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

__all__ = ["GraphPeer"]


class GraphPeer(ABC):
    """The base class of systems whose calls take the results of other calls as arguments.

    Functions are named as in `benchmarks.graph.functions`.
    """

    @abstractmethod
    def submit(self, function: str, *arguments: Any) -> Any:
        """Submit a call, and return its future.

        Args:
            function: Name of the function.
            arguments: Values, and futures of earlier calls.
        """

    def submit_total(self, numbers: Sequence[Any]) -> Any:
        """Submit a call of ``total`` with a list of futures, and return its future."""
        return self.submit("total", numbers)

    @abstractmethod
    def results(self, futures: Sequence[Any]) -> list[Any]:
        """Wait for futures, and return their values."""

    @abstractmethod
    def chain_at_once(self, calls: int) -> int:
        """Run a chain of ``inc`` that begins with 0, and return its value.

        The system knows the whole chain before the first call runs, if it offers a way to tell it.
        """

    def chains_at_once(self, chains: int, calls: int) -> int:
        """Run chains of ``inc`` side by side, as one graph, and return the total of their values.

        Raises:
            NotImplementedError: It is measured for the library alone.
        """
        raise NotImplementedError("measured for the library alone")

    def redis_url(self) -> str | None:
        """Return the address of the Redis server between client and workers; None: there is none."""
        return None
