"""The standard library's `multiprocessing.Pool`."""

import multiprocessing

from benchmarks.peers import functions
from benchmarks.peers.base import Peer

__all__ = ["MultiprocessingPool"]


class MultiprocessingPool(Peer):
    """`multiprocessing.Pool` as a peer: single calls by ``apply_async``, many by ``map``."""

    title = "multiprocessing.Pool"
    import_line = "from multiprocessing import Pool"
    crosses_machines = False
    survives_worker_death = "no"
    guarantee = (
        "A process that dies is replaced, but the result of its call never comes: waiting for it "
        "never ends."
    )
    configuration = (
        "The platform's start method; `map` with its default of four chunks for each worker."
    )
    documentation = "Python library: multiprocessing, Process Pools"

    def start(self, workers: int) -> None:
        self.pool = multiprocessing.Pool(workers)

    def round_trip(self, value):
        return self.pool.apply(functions.same, (value,))

    def submit_and_gather(self, calls):
        results = [self.pool.apply_async(functions.same, (number,)) for number in range(calls)]
        return sum(result.get() for result in results)

    def map(self, calls):
        return sum(self.pool.map(functions.same, range(calls)))

    def payload(self, array):
        return self.pool.apply(functions.plus_one, (array,))

    def shared_payload(self, array, calls):
        results = [self.pool.apply_async(functions.item, (array, index)) for index in range(calls)]
        return sum(result.get() for result in results)

    def stop(self) -> None:
        self.pool.close()
        self.pool.join()
