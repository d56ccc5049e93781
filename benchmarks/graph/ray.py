"""Ray: object references as arguments."""

import ray

from benchmarks.graph.base import GraphPeer
from benchmarks.graph.functions import FUNCTIONS
from benchmarks.peers import ray as peer

__all__ = ["Ray"]

_functions = {function.__name__: ray.remote(function) for function in FUNCTIONS}


class Ray(GraphPeer, peer.Ray):
    """Ray, whose object references are arguments of remote tasks."""

    configuration = (
        "`ray.init` with one CPU for each worker, no dashboard; object references as arguments, "
        "one by one, as Ray finds none in a list; all results by one `ray.get`."
    )
    documentation = "Ray Core: Tasks, Passing object refs to remote functions"

    def submit(self, function, *arguments):
        return _functions[function].remote(*arguments)

    def submit_total(self, numbers):
        return _functions["total_of"].remote(*numbers)

    def results(self, futures):
        return ray.get(list(futures))

    def chain_at_once(self, calls):
        # `ray.dag` describes a graph beforehand, but submits its tasks one by one, too, and recursively.
        last = 0
        for _ in range(calls):
            last = _functions["inc"].remote(last)
        return ray.get(last)
