"""Dask distributed: futures as arguments, and a graph as a dictionary."""

from uuid import uuid4

from benchmarks.graph import functions
from benchmarks.graph.base import GraphPeer
from benchmarks.peers import dask as peer

__all__ = ["Dask"]


class Dask(GraphPeer, peer.Dask):
    """Dask distributed, whose futures are arguments of `Client.submit`."""

    configuration = (
        "LocalCluster of processes with one thread each, no dashboard; `pure=False`; a chain that "
        "is known at once is a dictionary for `Client.get`. Its scheduler runs in the client's "
        "process."
    )
    documentation = "Dask.distributed: Client, Futures; Dask: Specification of graphs"

    def submit(self, function, *arguments):
        return self.client.submit(getattr(functions, function), *arguments, pure=False)

    def results(self, futures):
        return self.client.gather(list(futures))

    def chain_at_once(self, calls):
        # Keys of its own: the scheduler may still be about to forget those of an earlier graph.
        chain = f"chain-{uuid4()}"
        graph = {
            (chain, number): (functions.inc, (chain, number - 1)) for number in range(1, calls + 1)
        }
        return self.client.get({(chain, 0): 0, **graph}, (chain, calls))
