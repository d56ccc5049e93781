"""Dask distributed: a scheduler and worker processes on this machine."""

import dask
import dask.bag
from dask.distributed import Client, LocalCluster

from benchmarks.peers import functions
from benchmarks.peers.base import Peer
from benchmarks.sessions.services import FOLDER

__all__ = ["Dask"]

PARTITIONS = 8  # For each worker: enough that all workers end at about the same time.


class Dask(Peer):
    """Dask distributed as a peer: calls are futures, and many calls are a bag."""

    title = "Dask distributed"
    packages = ("distributed", "dask")
    import_line = "from dask.distributed import Client"
    crosses_machines = True
    survives_worker_death = "yes"
    guarantee = (
        "The scheduler runs the calls of a worker that died on another one, three times at most by "
        "default; it holds all in "
        "memory, and nothing survives its own end."
    )
    configuration = (
        "LocalCluster of processes with one thread each, no dashboard; `pure=False`; `map` is a "
        "bag in partitions; shared "
        "values by `scatter(broadcast=True)`."
    )
    documentation = "Dask.distributed: Client; Dask: Best Practices, Bag"

    def start(self, workers: int) -> None:
        dask.config.set({"temporary-directory": str(FOLDER)})
        self.workers = workers
        self.cluster = LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            dashboard_address=None,
            silence_logs=40,
        )
        self.client = Client(self.cluster)

    def round_trip(self, value):
        return self.client.submit(functions.same, value, pure=False).result()

    def submit_and_gather(self, calls):
        futures = [
            self.client.submit(functions.same, number, pure=False) for number in range(calls)
        ]
        return sum(self.client.gather(futures))

    def map(self, calls):
        numbers = dask.bag.from_sequence(range(calls), npartitions=PARTITIONS * self.workers)
        return sum(numbers.map(functions.same).compute())

    def other_ways(self):
        return {
            "Client.map": lambda calls: sum(
                self.client.gather(
                    self.client.map(functions.same, range(calls), pure=False, batch_size=1000)
                )
            )
        }

    def payload(self, array):
        return self.client.submit(functions.plus_one, array, pure=False).result()

    def shared_payload(self, array, calls):
        shared = self.client.scatter(array, broadcast=True, hash=False)
        futures = [
            self.client.submit(functions.item, shared, index, pure=False) for index in range(calls)
        ]
        return sum(self.client.gather(futures))

    def stop(self) -> None:
        self.client.close()
        self.cluster.close()
