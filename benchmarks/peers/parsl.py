"""Parsl, with its HighThroughputExecutor on this machine."""

import parsl
from parsl.config import Config
from parsl.executors import HighThroughputExecutor
from parsl.providers import LocalProvider

from benchmarks.peers import functions
from benchmarks.peers.base import Peer
from benchmarks.sessions.services import FOLDER

__all__ = ["Parsl"]

same = parsl.python_app(functions.same)
plus_one = parsl.python_app(functions.plus_one)
item = parsl.python_app(functions.item)


class Parsl(Peer):
    """Parsl as a peer: calls are apps."""

    title = "Parsl"
    packages = ("parsl", "pyzmq")
    import_line = "import parsl"
    crosses_machines = True
    survives_worker_death = "partly"
    guarantee = (
        "A call whose worker died fails with WorkerLost, and runs again if `retries` is set, which "
        "it is not by default."
    )
    configuration = (
        "HighThroughputExecutor, one block of this machine, prefetch 100, no scaling, a look at "
        "the workers every 0.1 s, no "
        "log files; it has no map that batches."
    )
    documentation = "Parsl: Configuration; HighThroughputExecutor"

    def start(self, workers: int) -> None:
        executor = HighThroughputExecutor(
            label="peers",
            address="127.0.0.1",
            max_workers_per_node=workers,
            cores_per_worker=1e-6,
            prefetch_capacity=100,
            encrypted=False,
            provider=LocalProvider(init_blocks=1, max_blocks=1),
        )
        parsl.load(
            Config(
                executors=[executor],
                strategy="none",
                # Seconds; Parsl starts the first workers after the first period.
                strategy_period=0.1,
                run_dir=str(FOLDER / "parsl"),
                initialize_logging=False,
            )
        )

    def round_trip(self, value):
        return same(value).result()

    def submit_and_gather(self, calls):
        futures = [same(number) for number in range(calls)]
        return sum(future.result() for future in futures)

    def payload(self, array):
        return plus_one(array).result()

    def shared_payload(self, array, calls):
        futures = [item(array, index) for index in range(calls)]
        return sum(future.result() for future in futures)

    def stop(self) -> None:
        parsl.dfk().cleanup()
