"""Runs one system in a process of its own, which the runner starts.

    python -m benchmarks.graph.session NAME WORKERS

`benchmarks.sessions.session` describes the orders.
"""

import sys
from typing import Any

from benchmarks.graph.base import GraphPeer
from benchmarks.graph.catalogue import CATALOGUE
from benchmarks.graph.measurements import MEASUREMENTS
from benchmarks.sessions.session import main

__all__ = ["measure"]


def measure(peer: GraphPeer, order: dict[str, Any]) -> dict[str, Any]:
    """Take one of the `MEASUREMENTS`."""
    return MEASUREMENTS[order["do"]].figures(peer, quick=order["quick"])


if __name__ == "__main__":
    main(CATALOGUE[sys.argv[1]], int(sys.argv[2]), measure)
