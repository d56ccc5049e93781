"""The interface of a peer, and the facts that each peer declares.

A session (`benchmarks.peers.session`) makes one peer in a process of its own, and measures it
through this interface alone.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from benchmarks.sessions.services import Services

__all__ = ["Peer"]


class Peer(ABC):
    """A system that runs Python functions in worker processes.

    Args:
        services: Starts what the peer needs beside itself, such as a Redis server and workers.

    Attributes:
        title: Name of the peer in tables and charts.
        packages: Distributions whose versions are recorded; none for the standard library.
        import_line: The import of a script that uses the peer.
        crosses_machines: Whether the calls of the same script can run on other machines, with
            nothing changed but an address.
        survives_worker_death: ``yes``, ``partly`` or ``no``: whether a call still gets its result
            if its worker is killed.
        guarantee: What that means, in one sentence, for the configuration measured.
        configuration: What differs from the defaults, and why.
        documentation: Title of the page of its documentation that recommends the configuration.
    """

    title: ClassVar[str]
    packages: ClassVar[tuple[str, ...]] = ()
    import_line: ClassVar[str]
    crosses_machines: ClassVar[bool]
    survives_worker_death: ClassVar[str]
    guarantee: ClassVar[str]
    configuration: ClassVar[str]
    documentation: ClassVar[str]

    def __init__(self, services: Services) -> None:
        self.services = services

    @abstractmethod
    def start(self, workers: int) -> None:
        """Start the peer with this many worker processes, each of which runs one call at a time.

        This may return before they are ready: the first call waits for them.
        """

    @abstractmethod
    def round_trip(self, value: int) -> int:
        """Make one call and wait for its result, which is the value itself."""

    @abstractmethod
    def submit_and_gather(self, calls: int) -> int:
        """Submit calls one by one, with the numbers from 0, and return the sum of all results."""

    def map(self, calls: int) -> int:
        """Do the same as `submit_and_gather`, in the peer's own way to make many calls at once.

        Raises:
            NotImplementedError: The peer has no such way.
        """
        raise NotImplementedError("offers no way of its own to make many calls at once")

    @abstractmethod
    def payload(self, array: Any) -> Any:
        """Send a NumPy array to a worker, which adds 1, and return the array that comes back."""

    def shared_payload(self, array: Any, calls: int) -> float:
        """Make calls that read one item each of the same large array; return the sum of the items.

        The first call reads item 0, the next item 1, and so on. A peer that documents a way to
        share a value between calls uses that way, and the time includes sharing the value. Other
        peers pass the array as an ordinary argument.

        Raises:
            NotImplementedError: The peer can do neither.
        """
        raise NotImplementedError("cannot send it")

    def other_ways(self) -> Mapping[str, Callable[[int], int]]:
        """Return further documented ways to make many calls, by name; measured as `map` is."""
        return {}

    def stop(self) -> None:  # noqa: B027 - most peers have nothing to end but their services
        """End what the peer started itself; the session ends its services afterwards."""

    @classmethod
    def facts(cls) -> dict[str, Any]:
        """Return the peer's attributes, with the versions of its packages, for the record."""
        return {
            "title": cls.title,
            "import_line": cls.import_line,
            "versions": {name: _version(name) for name in cls.packages},
            "crosses_machines": cls.crosses_machines,
            "survives_worker_death": cls.survives_worker_death,
            "guarantee": cls.guarantee,
            "configuration": cls.configuration,
            "documentation": cls.documentation,
        }


def _version(name: str) -> str:
    # Here, as this import takes a moment, and the time to the first result is measured.
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
