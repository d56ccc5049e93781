"""A system of a catalogue, and where its class is."""

from dataclasses import dataclass
from importlib import import_module
from typing import Any

__all__ = ["FLOOR", "OURS", "Entry"]

OURS = "distribute_challenge"  # All ratios are relative to the entry of this name.
FLOOR = "bare_redis"  # What no system on Redis can beat.


@dataclass(frozen=True)
class Entry:
    """A system to measure.

    Attributes:
        name: Name for ``--only``.
        place: ``module:Class`` of its class, a `benchmarks.peers.base.Peer`.
        requirements: Requirements of an environment of its own; empty if it uses the environment
            with the dependency group ``peers``.
    """

    name: str
    place: str
    requirements: tuple[str, ...] = ()

    def load(self) -> Any:
        """Return the class; this imports the system's own library.

        Raises:
            ImportError: That library is not installed here.
        """
        module, _, attribute = self.place.partition(":")
        return getattr(import_module(module), attribute)
