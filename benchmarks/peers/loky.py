"""loky's reusable executor."""

from loky import get_reusable_executor

from benchmarks.peers.executor import ExecutorPeer

__all__ = ["Loky"]


class Loky(ExecutorPeer):
    """loky as a peer, with the pool that all parts of a program share."""

    title = "loky"
    packages = ("loky", "cloudpickle")
    import_line = "from loky import get_reusable_executor"
    survives_worker_death = "no"
    guarantee = (
        "When a worker process dies, all calls under way fail with TerminatedWorkerError; the next "
        "executor asked for is a new "
        "one."
    )
    configuration = (
        "`get_reusable_executor`, no idle timeout; `map` with four chunks for each worker."
    )
    documentation = "loky: Reusable Executor"

    def make(self, workers: int):
        return get_reusable_executor(max_workers=workers, timeout=None)
