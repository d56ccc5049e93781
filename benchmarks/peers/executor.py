"""What peers with a `concurrent.futures.Executor` have in common."""

from abc import abstractmethod
from concurrent.futures import Executor

from benchmarks.peers import functions
from benchmarks.peers.base import Peer

__all__ = ["ExecutorPeer"]

# Chunks for each worker, as many as `multiprocessing.Pool.map` makes by default; the default of
# `Executor.map` is chunks of one call.
CHUNKS = 4


class ExecutorPeer(Peer):
    """The base class of peers with an executor: single calls by ``submit``, many by ``map``."""

    crosses_machines = False

    def start(self, workers: int) -> None:
        self.workers = workers
        self.executor = self.make(workers)

    @abstractmethod
    def make(self, workers: int) -> Executor:
        """Make the executor."""

    def round_trip(self, value):
        return self.executor.submit(functions.same, value).result()

    def submit_and_gather(self, calls):
        futures = [self.executor.submit(functions.same, number) for number in range(calls)]
        return sum(future.result() for future in futures)

    def map(self, calls):
        chunk = -(-calls // (CHUNKS * self.workers))
        return sum(self.executor.map(functions.same, range(calls), chunksize=chunk))

    def payload(self, array):
        return self.executor.submit(functions.plus_one, array).result()

    def shared_payload(self, array, calls):
        futures = [self.executor.submit(functions.item, array, index) for index in range(calls)]
        return sum(future.result() for future in futures)

    def stop(self) -> None:
        self.executor.shutdown()
