"""Runs one peer in a process of its own, which the runner starts.

    python -m benchmarks.peers.session NAME WORKERS

`benchmarks.sessions.session` describes the orders.
"""

import sys
from typing import Any

from benchmarks.peers.base import Peer
from benchmarks.peers.catalogue import CATALOGUE
from benchmarks.peers.measurements import MEASUREMENTS
from benchmarks.sessions.session import main

__all__ = ["measure"]


def measure(peer: Peer, order: dict[str, Any]) -> dict[str, Any]:
    """Take one of the `MEASUREMENTS`."""
    return MEASUREMENTS[order["do"]](peer, order["seconds"])


if __name__ == "__main__":
    main(CATALOGUE[sys.argv[1]], int(sys.argv[2]), measure)
