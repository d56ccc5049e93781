"""Lists the systems in the order of the tables.

To add one, write a `benchmarks.graph.base.GraphPeer` beside the system's class of
`benchmarks.peers`, and add a line here.
"""

from collections.abc import Sequence

from benchmarks.choosing import select
from benchmarks.sessions.entry import OURS, Entry

__all__ = ["CATALOGUE", "OVER_TCP", "chosen"]

OVER_TCP = "distribute_challenge_tcp"

_ENTRIES = (
    Entry(OURS, "benchmarks.graph.distribute_challenge:DistributeChallenge"),
    Entry(OVER_TCP, "benchmarks.graph.distribute_challenge:OverTcp"),
    Entry("ray", "benchmarks.graph.ray:Ray"),
    Entry("dask", "benchmarks.graph.dask:Dask"),
)

CATALOGUE = {entry.name: entry for entry in _ENTRIES}


def chosen(names: Sequence[str]) -> list[Entry]:
    """Return the entries with these names, in the catalogue's order; all if no name is given.

    Raises:
        KeyError: No system has one of the names.
    """
    return select(CATALOGUE, names, "system")
