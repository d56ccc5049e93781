"""The standard library's `concurrent.futures.ProcessPoolExecutor`."""

from concurrent.futures import ProcessPoolExecutor

from benchmarks.peers.executor import ExecutorPeer

__all__ = ["ProcessPool"]


class ProcessPool(ExecutorPeer):
    """`ProcessPoolExecutor` as a peer."""

    title = "ProcessPoolExecutor"
    import_line = "from concurrent.futures import ProcessPoolExecutor"
    survives_worker_death = "no"
    guarantee = (
        "When a worker process dies, all calls under way and all later ones fail with "
        "BrokenProcessPool."
    )
    configuration = "The platform's start method; `map` with four chunks for each worker."
    documentation = "Python library: concurrent.futures, Executor.map (chunksize)"

    def make(self, workers: int):
        return ProcessPoolExecutor(workers)
