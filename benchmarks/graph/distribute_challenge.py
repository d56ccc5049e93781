"""The library itself: on its embedded cluster, and with a worker on a Redis server over TCP."""

from benchmarks.graph.base import GraphPeer
from benchmarks.graph.functions import FUNCTIONS
from benchmarks.peers import distribute_challenge as peer
from benchmarks.sessions.services import REDIS_URL
from distribute_challenge import LocalCluster, compute_this, set_default_backend

__all__ = ["DistributeChallenge", "OverTcp"]

_functions = {function.__name__: compute_this()(function) for function in FUNCTIONS}
_inc, _total = _functions["inc"], _functions["total"]


class _Graph(GraphPeer):
    def submit(self, function, *arguments):
        return _functions[function](*arguments).submit()

    def results(self, futures):
        return [future.result() for future in futures]

    def chain_at_once(self, calls):
        return _chain(0, calls).compute()


class DistributeChallenge(_Graph, peer.DistributeChallenge):
    """The library on its embedded cluster."""

    configuration = (
        "Defaults, with the number of workers set: embedded cluster, Redis on a Unix socket."
    )
    documentation = "Calls that feed calls"

    def start(self, workers: int) -> None:
        self.cluster = LocalCluster(workers).start()
        set_default_backend(self.cluster.backend)

    def chains_at_once(self, chains, calls):
        return _total([_chain(number, calls) for number in range(chains)]).compute()

    def redis_url(self):
        return self.cluster.broker_url

    def stop(self) -> None:
        set_default_backend(None)
        self.cluster.close()


class OverTcp(_Graph, peer.OverTcp):
    """The library with a worker started by its command, as on a user's own cluster."""

    documentation = "Calls that feed calls"

    def redis_url(self):
        return REDIS_URL


def _chain(number, calls):
    """Make a chain of calls that have not run."""
    call = number
    for _ in range(calls):
        call = _inc(call)
    return call
